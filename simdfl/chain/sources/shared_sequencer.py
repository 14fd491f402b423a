"""A shared sequencer: leaders elected by stake hold several slots in a row of a lane that many rollups share.

The lane is one chain; the other rollups' traffic is ``chain.demand``. Builders bid for the order of every block
and the leader takes the best bid. Some leaders are malicious: they leave their slots empty, or build their blocks
themselves, against named calls (:mod:`simdfl.chain.leaders`), and forgo the bid. What it leaves out: slashing of
leaders, secret election, forced inclusion through layer 1, and builders that shade their bids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from simdfl.chain.sources.base import QUANTILE, BlockSource, Found, require
from simdfl.chain.sources.election import Election, word, zipf_stakes
from simdfl.crypto.hashing import digest

MOST_LEADERS = 10_000
LONGEST_TURN = 1_000
DELAYING = frozenset({"empty", "censor"})
"""What keeps calls out of a malicious leader's whole turn."""


@dataclass(frozen=True)
class SharedSequencer(BlockSource):
    """Slots of elected leaders; a block's maker is its leader.

    Parameters
    ----------
    block_time_s : float
        Seconds between slots.
    leaders : int
        How many sequencers there are.
    stakes : list of int, optional
        Stake of each; only the ratios count.
    concentration : float
        Without `stakes`: the stake of rank k is proportional to ``k ** -concentration``.
    slots_per_leader : int
        Slots in a row that an election gives.
    malicious : float
        Share of the stake, at most, whose leaders are malicious.
    acts : {"empty", "censor", "front_run", "last"}
        What they do with their slots.
    peers : list of int, optional
        Whose calls they censor or put last; all honest peers' by default.
    functions : list of str, optional
        Which calls, all by default; required to front-run.
    builders : int
        How many bid for the order of a block; with 0 leaders order by tip and arrival.
    order_value_wei : int
        Mean of what an order is worth to a builder, wei; uniform from nothing to twice as much.
    seed : int
        Names the order of leaders and the bids.

    References
    ----------
    After the idea of Han et al. (Blockchain: Research and Applications, 2024), whose text was not at hand:
    weighted elections of leaders for several slots, and a market of builders, for sequencers that rollups share.
    """

    name = "shared_sequencer"

    leaders: int = 16
    stakes: list[int] | None = None
    concentration: float = 0.0
    slots_per_leader: int = 4
    malicious: float = 0.0
    acts: Literal["empty", "censor", "front_run", "last"] = "empty"
    peers: list[int] | None = None
    functions: list[str] | None = None
    builders: int = 0
    order_value_wei: int = 10**15
    seed: int = 0

    def __post_init__(self) -> None:
        most = f"a number between 1 and {MOST_LEADERS:,}"
        require(1 <= self.leaders <= MOST_LEADERS, "leaders", self.leaders, most)
        stakes = self.stakes
        whole = stakes is None or (len(stakes) == self.leaders and all(0 < stake < 1 << 63 for stake in stakes))
        require(whole, "stakes", stakes, f"a list of {self.leaders} whole positive numbers, one a leader")
        require(0 <= self.concentration <= 4, "concentration", self.concentration, "between 0 and 4")
        turn = self.slots_per_leader
        require(1 <= turn <= LONGEST_TURN, "slots_per_leader", turn, f"a number between 1 and {LONGEST_TURN:,}")
        require(0 <= self.malicious <= 0.9, "malicious", self.malicious, "a share of at most 0.9")
        corrupts = not self.malicious or bool(self.corrupted)
        require(corrupts, "malicious", self.malicious, "0, or a share that some leader's stake fits into")
        named = self.acts != "front_run" or not self.malicious or bool(self.functions)
        require(named, "functions", self.functions, "a list of the calls to front-run, such as dispute_dealing")
        peers = self.peers or []
        require(all(peer >= 0 for peer in peers), "peers", self.peers, "a list of peers, from 0 on")
        require(0 <= self.builders <= 1000, "builders", self.builders, "a number up to 1,000")
        value = self.order_value_wei
        require(0 <= value <= 10**18, "order_value_wei", value, "between 0 and 10^18 wei")
        require(0 <= self.seed < 1 << 63, "seed", self.seed, "a whole number below 2^63")

    @property
    def is_final(self) -> bool:
        """The lane's blocks are agreed upon before the next one: none is taken back."""
        return True

    @property
    def elects(self) -> bool:
        """Blocks name their leaders."""
        return True

    @cached_property
    def election(self) -> Election:
        """The order of leaders."""
        stakes = zipf_stakes(self.leaders, self.concentration) if self.stakes is None else tuple(self.stakes)
        return Election(stakes, self.slots_per_leader, self.seed)

    @cached_property
    def corrupted(self) -> frozenset[int]:
        """The malicious leaders."""
        return self.election.corrupted(self.malicious)

    @property
    def bad_share(self) -> float:
        """The share of turns that malicious leaders get."""
        return sum(self.election.stakes[leader] for leader in self.corrupted) / self.election.total

    def slot(self, at_s: float) -> int:
        """Return the slot of a block's time."""
        return round(at_s / self.block_time_s)

    def is_bad(self, slot: int) -> bool:
        """Return whether a malicious leader holds a slot."""
        return bool(self.corrupted) and self.election.leader(slot) in self.corrupted

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield the slots that are not left empty; nothing is drawn but by the published seed."""
        leaves_empty = self.acts == "empty"
        slot = 0
        while True:
            slot += 1
            if not (leaves_empty and self.is_bad(slot)):
                yield Found(slot * self.block_time_s, self.election.leader(slot))

    def best_bid(self, slot: int) -> tuple[int, int]:
        """Return who bids most for the order of a slot's block, and what, in wei."""
        bids = [
            word(self.seed, "bid", slot, builder) % (2 * self.order_value_wei + 1)
            for builder in range(self.builders)
        ]
        best = max(range(self.builders), key=bids.__getitem__)
        return best, bids[best]

    def taste(self, slot: int) -> Callable[[bytes], int] | None:
        """Return how the winning builder of a slot ranks senders of equal tips; None: they go by arrival."""
        if not self.builders or self.is_bad(slot):
            return None
        builder = self.best_bid(slot)[0].to_bytes(4, "little")
        seed = self.seed.to_bytes(8, "little")

        def rank(sender: bytes) -> int:
            return int.from_bytes(digest("simdfl/sequencer/order", seed, builder, sender)[:8], "little")

        return rank

    def auction(self, slots: int) -> tuple[int, int]:
        """Return what leaders took in bids over the first so many slots, and what malicious ones forwent, wei."""
        taken = forgone = 0
        for slot in range(1, slots + 1) if self.builders else ():
            bid = self.best_bid(slot)[1]
            taken, forgone = (taken, forgone + bid) if self.is_bad(slot) else (taken + bid, forgone)
        return taken, forgone

    def longest_bad_run(self, slots: int) -> int:
        """Return the most slots in a row that malicious leaders held among the first so many."""
        longest = run = 0
        for slot in range(1, slots + 1):
            run = run + 1 if self.is_bad(slot) else 0
            longest = max(longest, run)
        return longest

    def span_s(self, blocks: int) -> float:
        """Return the quantile of the time until so many slots of honest leaders, from any slot on."""
        share = self.bad_share if self.acts in DELAYING else 0.0
        return slots_for(blocks, share, self.slots_per_leader) * self.block_time_s


def slots_for(wanted: int, share: float, turn: int) -> int:
    """Return within how many slots `wanted` good ones come, with probability :data:`QUANTILE`.

    The wait starts after a slot that is equally likely anywhere in a turn, which is bad with probability `share`;
    then the bad turns before g good ones have a negative binomial law.

    >>> slots_for(2, 0.0, 8), slots_for(1, 0.25, 1), slots_for(1, 0.25, 8)
    (2, 5, 33)
    """
    if not share:
        return wanted
    from scipy.special import bdtr  # not for command lines that only print help

    def within(goods: int, slots: int) -> float:
        """Return the chance that at most `slots` slots' worth of bad turns come before so many good turns."""
        bad_turns = math.floor(slots / turn)
        if goods == 0 or bad_turns < 0:
            return float(bad_turns >= 0)
        return 1.0 - float(bdtr(goods - 1, goods + bad_turns, 1.0 - share))

    def probability(slots: int) -> float:
        """Return the chance that a wait takes at most so many slots."""
        total = 0.0
        for left in range(turn):  # slots left of the turn in which the wait starts
            after_good = within(max(0, -(-(wanted - left) // turn)), slots - wanted)
            after_bad = within(-(-wanted // turn), slots - wanted - left)
            total += (1.0 - share) * after_good + share * after_bad
        return total / turn

    slots = wanted
    while probability(slots) < QUANTILE - 1e-12:
        slots += 1
    return slots
