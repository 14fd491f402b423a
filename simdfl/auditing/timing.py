"""When blocks may be: the law of every block source, as the auditor checks it.

Each block is checked by itself where the law is exact. Where it is a law of chance, a record is refused that it
would give with a probability below :data:`ALPHA`: blocks that came too fast, or too slowly, as if some had been
withheld. Abandoned branches are not published; the rules hold for the blocks that stand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scipy.special import bdtr, gammainc, gammaincc

from simdfl.auditing.findings import Unusable
from simdfl.auditing.sequencer import DEFAULTS as LANE
from simdfl.auditing.sequencer import Lane, is_lane
from simdfl.canonical import canonical_json
from simdfl.crypto.hashing import digest

ALPHA = 1e-9
"""Probability of refusing a record that keeps the law."""
LONGEST = math.log(1e12)
"""Mean gaps that one exponential gap may take; once in 10^12 blocks it takes longer."""
SLOTS: dict[str, Any] = {"missed": 0.0}
DEFAULTS: dict[str, dict[str, Any]] = {
    "slots": SLOTS,
    "poisson": {"propagation_s": 0.0, "miners": 16, "shares": None},
    "recorded": {"gaps_us": []},
    "bft": {"validators": 16, "latency_ms": 50.0, "spread": 0.5, "silent": 0.0, "timeout_s": 3.0},
    "rollup": {"acts_on": "soft", "batch_s": 120.0, "l1_finality_s": 768.0, "l1_fee_wei_per_byte": 10**9},
    "shared_sequencer": LANE,
}
"""Sources with their parameters, and the values of those that a manifest does not name."""
PROFILES: dict[str, dict[str, Any]] = {
    "ethereum_mainnet": {"name": "slots", "params": {"missed": 0.0025}},
    "base": {"name": "rollup", "params": {}},
    "arbitrum": {"name": "rollup", "params": {}},
}
"""Profiles with a source of their own; all others have slots that are never missed."""


@dataclass
class TimeRule:
    """Slots of which none is missed, and what the other rules share.

    Parameters
    ----------
    block_time_s : float
        Mean time between blocks.
    params : dict
        Of the source.
    """

    block_time_s: float
    params: dict[str, Any]
    number: int = 0
    last_s: int = 0
    slot: int = 0

    def accepts(self, timestamp_s: int) -> bool:
        """Return whether the next block may have this time, in whole seconds rounded down."""
        self.number += 1
        holds = self._accepts(timestamp_s)
        self.last_s = timestamp_s
        return holds

    def _accepts(self, timestamp_s: int) -> bool:
        return abs(timestamp_s - self.number * self.block_time_s) <= 1

    def objection(self) -> str:
        """Return what is unlikely about all blocks together, or an empty text."""
        return ""

    def leads(self, leader: int | None) -> bool:
        """Return whether the last block may name this leader: where none is elected, none."""
        return leader is None

    def is_in_order(self, calls: Sequence[tuple[bytes, int, int]]) -> bool:
        """Return whether the last block's calls (sender, nonce, tip) may stand in this order."""
        return True


class MissedSlots(TimeRule):
    """Each block in a slot of its own, and no more slots empty than chance empties."""

    def _accepts(self, timestamp_s: int) -> bool:
        earliest = math.ceil((timestamp_s - 1) / self.block_time_s - 1e-9)
        self.slot = max(self.slot + 1, earliest)
        return abs(timestamp_s - self.slot * self.block_time_s) <= 1

    def objection(self) -> str:
        """Return whether more slots are missed than declared."""
        if self.number and bdtr(self.number, self.slot, 1.0 - self.params["missed"]) < ALPHA:
            return f"{self.slot - self.number} of {self.slot} slots have no block"
        return ""


class ExponentialGaps(TimeRule):
    """Proof of work: the chain grows no faster than blocks are found, and no slower than forks explain."""

    def _accepts(self, timestamp_s: int) -> bool:
        longest_s = LONGEST * self.block_time_s + self.params["propagation_s"] + 1.0
        return timestamp_s - self.last_s <= longest_s

    def objection(self) -> str:
        """Return whether the blocks came too fast or too slowly: a sum of exponential gaps has Gamma's law."""
        if not self.number:
            return ""
        mean_s, delay_s = self.block_time_s, self.params["propagation_s"]
        if gammainc(self.number, (self.last_s + 1.0) / mean_s) < ALPHA:
            return f"{self.number} blocks in {self.last_s} s are more than are found"
        if gammaincc(self.number, max(0.0, self.last_s - self.number * delay_s) / mean_s) < ALPHA:
            return f"{self.number} blocks in {self.last_s} s are fewer than are found"
        return ""


class RecordedGaps(TimeRule):
    """Exactly the times that the record gives."""

    def _accepts(self, timestamp_s: int) -> bool:
        gaps_us = self.params["gaps_us"]
        self.slot += gaps_us[(self.number - 1) % len(gaps_us)]
        return abs(timestamp_s - self.slot / 1e6) <= 1


class VotedBlocks(TimeRule):
    """Instant finality: never before the pause is over, and as late as votes and silent proposers explain."""

    @property
    def _round_s(self) -> float:
        """The longest round: each of three steps at a latency seven deviations above the median."""
        return self.block_time_s + 3e-3 * self.params["latency_ms"] * math.exp(7 * self.params["spread"])

    def _accepts(self, timestamp_s: int) -> bool:
        silent, gap_s = self.params["silent"], timestamp_s - self.last_s
        failing = math.ceil(-LONGEST / math.log(silent)) if silent else 0
        in_time = timestamp_s >= self.number * self.block_time_s - 1 and gap_s >= self.block_time_s - 1
        return in_time and gap_s <= self._round_s + failing * self.params["timeout_s"] + 1

    def objection(self) -> str:
        """Return whether more rounds must have failed than proposers are silent."""
        usual_s = self.block_time_s + 3e-3 * self.params["latency_ms"] * math.exp(2 * self.params["spread"])
        over_s = self.last_s - self.number * usual_s - self._round_s
        failed = math.floor(over_s / self.params["timeout_s"])
        if failed > 0 and bdtr(self.number, self.number + failed, 1.0 - self.params["silent"]) < ALPHA:
            return f"{self.number} blocks took {self.last_s} s, as if {failed} proposers had been silent"
        return ""


class LedSlots(TimeRule):
    """Slots of elected leaders: each block in the next one that is not left empty, in its order."""

    @cached_property
    def _lane(self) -> Lane:
        return Lane(self.params)

    def _accepts(self, timestamp_s: int) -> bool:
        self.slot = self._lane.next_slot(self.slot)
        return abs(timestamp_s - self.slot * self.block_time_s) <= 1

    def leads(self, leader: int | None) -> bool:
        """Return whether this leader holds the block's slot."""
        return leader == self._lane.leader(self.slot)

    def is_in_order(self, calls: Sequence[tuple[bytes, int, int]]) -> bool:
        """Return whether the block is ordered as the winning builder does."""
        return self._lane.is_in_order(self.slot, calls)


def is_number(value: Any, low: float, high: float) -> bool:
    """Return whether a value is a real number within bounds, written as one."""
    return type(value) is float and low <= value <= high


def _can_vote(p: dict[str, Any], block_s: float) -> bool:
    bounds = {"latency_ms": (1e-9, 60_000), "spread": (0, 1), "silent": (0, 0.33), "timeout_s": (1e-9, 3600)}
    within = all(is_number(p[key], *bound) for key, bound in bounds.items())
    return within and type(p["validators"]) is int and 4 <= p["validators"] <= 400


def _can_batch(p: dict[str, Any], block_s: float) -> bool:
    within = is_number(p["batch_s"], 1e-9, 1e6) and is_number(p["l1_finality_s"], 0, 1e6)
    price = p["l1_fee_wei_per_byte"]
    return within and p["acts_on"] in ("soft", "posted", "final") and type(price) is int and 0 <= price <= 10**15


CHECKS: dict[str, Callable[[dict[str, Any], float], bool]] = {
    "slots": lambda p, block_s: is_number(p["missed"], 0, 0.9),
    "poisson": lambda p, block_s: is_number(p["propagation_s"], 0, block_s),
    "recorded": lambda p, block_s: (
        isinstance(p["gaps_us"], list)
        and 0 < len(p["gaps_us"]) <= 1_000_000
        and all(type(gap) is int and 0 <= gap < 1 << 60 for gap in p["gaps_us"])
        and abs(sum(p["gaps_us"]) / len(p["gaps_us"]) / 1e6 - block_s) < 1e-6 * block_s
    ),
    "bft": _can_vote,
    "rollup": _can_batch,
    "shared_sequencer": lambda p, block_s: is_lane(p),
}


RULES: dict[str, type[TimeRule]] = {
    "poisson": ExponentialGaps,
    "recorded": RecordedGaps,
    "bft": VotedBlocks,
    "rollup": TimeRule,
    "shared_sequencer": LedSlots,
}


def time_rule(place: str, source: Any, block_time_s: float) -> TimeRule:
    """Return the rule of a declared source.

    Raises
    ------
    Unusable
        If there is no such source or its parameters are malformed.
    """
    if not isinstance(source, dict) or set(source) != {"name", "params"}:
        raise Unusable(f"{place}: a block source has a name and parameters")
    name, params = source["name"], source["params"]
    if not isinstance(name, str) or name not in DEFAULTS:
        raise Unusable(f"{place}: no such block source")
    if not isinstance(params, dict) or set(params) != set(DEFAULTS[name]):
        raise Unusable(f"{place}: not the parameters of the block source {name}")
    if not CHECKS[name](params, block_time_s):
        raise Unusable(f"{place}: impossible parameters of the block source {name}")
    if name == "slots":
        return (MissedSlots if params["missed"] else TimeRule)(block_time_s, params)
    return RULES[name](block_time_s, params)


def declared_source(chain: dict[str, Any]) -> dict[str, Any]:
    """Return name and parameters of the source that a configuration's chain declares."""
    given = chain.get("source") or PROFILES.get(chain["profile"]) or {"name": "slots", "params": {}}
    usual = DEFAULTS.get(given["name"], {})
    params = {
        key: float(value) if type(usual.get(key)) is float else value for key, value in given["params"].items()
    }
    return {"name": given["name"], "params": {**usual, **params}}


def is_declared(source: dict[str, Any], declared: dict[str, Any]) -> bool:
    """Return whether a deployed source is the declared one; a record is declared by the digest of its gaps."""
    if source["name"] != declared["name"]:
        return False
    if source["name"] == "recorded":
        gaps = digest("simdfl/gaps", canonical_json(source["params"]["gaps_us"])).hex()
        return bool(declared["params"].get("gaps") == gaps)
    return bool(source["params"] == declared["params"])
