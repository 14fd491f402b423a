"""Who leads which slots of a shared sequencer: a weighted draw that anybody can repeat.

A turn is several slots in a row under one leader. Each turn's leader is drawn by stake from a hash of the seed
and the turn's number, so that the order is public and everybody, the audit included, computes it alone. What it
leaves out: stakes that change, and secret election: all leaders are known ahead of time.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from simdfl.crypto.hashing import digest

UNIT = 10**6
"""The largest stake of a concentration's law."""


def zipf_stakes(leaders: int, concentration: float) -> tuple[int, ...]:
    """Return stakes that fall as a power of the rank.

    >>> zipf_stakes(3, 0.0), zipf_stakes(3, 1.0)
    ((1000000, 1000000, 1000000), (1000000, 500000, 333333))
    """
    return tuple(max(1, round(UNIT * (rank + 1) ** -concentration)) for rank in range(leaders))


def word(seed: int, purpose: str, *numbers: int) -> int:
    """Return 256 random bits of the published seed."""
    pieces = [number.to_bytes(8, "little") for number in (seed, *numbers)]
    return int.from_bytes(digest(f"simdfl/sequencer/{purpose}", *pieces), "little")


@dataclass(frozen=True)
class Election:
    """The order of leaders.

    Parameters
    ----------
    stakes : tuple of int
        Weight of each leader.
    turn_slots : int
        Slots in a row that a leader holds once elected.
    seed : int
        Names the order.

    References
    ----------
    Solana's leader schedule draws turns of four slots by stake in the same way; its improvement document 497
    (2026) weighs shorter turns.
    """

    stakes: tuple[int, ...]
    turn_slots: int
    seed: int

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.stakes))

    @property
    def total(self) -> int:
        """The sum of all stakes."""
        return self._ends[-1]

    def leader(self, slot: int) -> int:
        """Return who leads slot 1, 2, …."""
        turn = (slot - 1) // self.turn_slots
        return bisect_right(self._ends, word(self.seed, "leader", turn) % self.total)

    def corrupted(self, share: float) -> frozenset[int]:
        """Return leaders, in an order of the seed's, that together hold at most `share` of the stake."""
        order = sorted(range(len(self.stakes)), key=lambda leader: word(self.seed, "corrupted", leader))
        taken, held = [], 0
        for leader in order:
            if held + self.stakes[leader] <= share * self.total:
                held += self.stakes[leader]
                taken.append(leader)
        return frozenset(taken)
