"""The lane of a shared sequencer, as the auditor computes it: who leads a slot, and how its builder orders.

Everything follows from the deployed parameters. Which leaders are malicious is a fact of the simulation that it
declares; an auditor of a real lane would know the order of leaders, and see only that slots are empty.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, count
from typing import Any

from simdfl.crypto.hashing import digest

DEFAULTS: dict[str, Any] = {
    "leaders": 16,
    "stakes": None,
    "concentration": 0.0,
    "slots_per_leader": 4,
    "malicious": 0.0,
    "acts": "empty",
    "peers": None,
    "functions": None,
    "builders": 0,
    "order_value_wei": 10**15,
    "seed": 0,
}
WHOLE = {
    "leaders": (1, 10_000),
    "slots_per_leader": (1, 1_000),
    "builders": (0, 1_000),
    "order_value_wei": (0, 10**18),
    "seed": (0, (1 << 63) - 1),
}
ACTS = ("empty", "censor", "front_run", "last")


def is_lane(p: dict[str, Any]) -> bool:
    """Return whether these are possible parameters of a lane."""
    whole = all(type(p[key]) is int and low <= p[key] <= high for key, (low, high) in WHOLE.items())
    real = all(type(p[key]) is float for key in ("concentration", "malicious"))
    if not (whole and real and 0 <= p["concentration"] <= 4 and 0 <= p["malicious"] <= 0.9):
        return False
    stakes = p["stakes"]
    weighs = stakes is None or (
        isinstance(stakes, list)
        and len(stakes) == p["leaders"]
        and all(type(stake) is int and 0 < stake < 1 << 63 for stake in stakes)
    )
    return weighs and p["acts"] in ACTS and _is_list(p["peers"], int) and _is_list(p["functions"], str)


def _is_list(value: Any, kind: type) -> bool:
    return value is None or (isinstance(value, list) and all(type(item) is kind for item in value))


class Lane:
    """The law of one lane.

    Parameters
    ----------
    params : dict
        Of the source, checked by :func:`is_lane`.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        self._params = params
        power, leaders = -params["concentration"], range(1, params["leaders"] + 1)
        stakes = params["stakes"] or [max(1, round(1_000_000 * rank**power)) for rank in leaders]
        self._ends = list(accumulate(stakes))
        self._bad: set[int] = set()
        held, most = 0, params["malicious"] * self._ends[-1]
        order = sorted(range(len(stakes)), key=lambda who: self._draw("corrupted", who))
        for leader in order if params["malicious"] else ():
            if held + stakes[leader] <= most:
                held += stakes[leader]
                self._bad.add(leader)

    def _draw(self, purpose: str, *numbers: int) -> int:
        values = (self._params["seed"], *numbers)
        named = digest("simdfl/sequencer/" + purpose, *[value.to_bytes(8, "little") for value in values])
        return int.from_bytes(named, "little")

    def leader(self, slot: int) -> int:
        """Return who holds a slot."""
        turn = (slot - 1) // self._params["slots_per_leader"]
        return bisect_right(self._ends, self._draw("leader", turn) % self._ends[-1])

    def next_slot(self, slot: int) -> int:
        """Return the first slot after this one that has a block."""
        skips = self._bad if self._params["acts"] == "empty" else ()
        return next(later for later in count(slot + 1) if not skips or self.leader(later) not in skips)

    def is_in_order(self, slot: int, calls: Sequence[tuple[bytes, int, int]]) -> bool:
        """Return whether a block has the order that the winning builder of its slot gives.

        Parameters
        ----------
        slot : int
            Of the block.
        calls : sequence of (sender, nonce, tip)
            As they stand in it; tips in wei per gas after the base fee.
        """
        if not self._params["builders"] or self.leader(slot) in self._bad:
            return True
        top = 2 * self._params["order_value_wei"] + 1
        bids = [self._draw("bid", slot, builder) % top for builder in range(self._params["builders"])]
        named = [self._params["seed"].to_bytes(8, "little"), bids.index(max(bids)).to_bytes(4, "little")]
        waiting: dict[bytes, list[tuple[int, bytes, int]]] = {}
        for sender, nonce, tip_wei in sorted(calls, key=lambda call: call[1], reverse=True):
            taste = digest("simdfl/sequencer/order", *named, sender)[:8][::-1]
            waiting.setdefault(sender, []).append((-tip_wei, taste, nonce))
        for sender, nonce, _ in calls:
            best = min(waiting, key=lambda who: waiting[who][-1][:2])
            if best != sender or waiting[sender].pop()[2] != nonce:
                return False
            if not waiting[sender]:
                del waiting[sender]
        return True
