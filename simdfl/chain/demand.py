"""Everybody else on the chain: transactions that compete with the job's for the gas of blocks.

Outsiders arrive as a Poisson stream, each with a gas, a cap on the fee and a tip. They go into a block by what
they tip now, as the job's calls do; their gas drives the base fee. They are elastic: who does not want to pay the
next block's base fee leaves. What they do is not simulated, and what they pay is not booked.

References
----------
Roughgarden, "Transaction fee mechanism design for the Ethereum blockchain", 2020, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simdfl.rng import Rng

if TYPE_CHECKING:
    from simdfl.chain.profiles import ChainProfile

MOST_WEI = 10**18


@dataclass(frozen=True)
class DemandProfile:
    """How much the others want.

    ``load`` is the gas they ask for over the target (half of the gas limit), whatever it costs; ``gas_each`` the
    gas of one; ``cap_wei`` and ``tip_wei`` the medians of what they pay per gas at most, and tip; ``spread`` the
    standard deviation of the logarithm of both.
    """

    load: float
    gas_each: int
    cap_wei: int
    tip_wei: int
    spread: float


@dataclass(frozen=True)
class Waiting:
    """Outsiders in the mempool: their caps and tips, wei per gas, in the order of arrival."""

    caps_wei: np.ndarray
    tips_wei: np.ndarray


NOBODY = Waiting(np.empty(0, np.int64), np.empty(0, np.int64))


class Demand:
    """The others on one chain.

    Parameters
    ----------
    profile : DemandProfile
        How much they want.
    gas_limit, block_time_s : int, float
        Of the chain: what the load is measured by.
    rng : numpy.random.Generator
        Draws them.
    """

    def __init__(
        self, profile: DemandProfile, gas_limit: int, block_time_s: float, rng: np.random.Generator
    ) -> None:
        self._profile = profile
        self._rate = profile.load * gas_limit / 2 / profile.gas_each / block_time_s
        self._rng = rng
        self._until_s = 0.0
        self.waiting = NOBODY
        self._order = np.empty(0, np.int64)
        self._tips = np.empty(0, np.int64)
        self._taken = 0

    def open_block(self, at_s: float, base_fee_wei: int) -> None:
        """Let arrive who arrives until `at_s`, and leave who does not pay this base fee."""
        p, wait_s = self._profile, max(0.0, at_s - self._until_s)
        self._until_s = max(at_s, self._until_s)
        count = int(self._rng.poisson(self._rate * wait_s))
        caps = np.concatenate([self.waiting.caps_wei, self._draw(p.cap_wei, count)])
        tips = np.concatenate([self.waiting.tips_wei, self._draw(p.tip_wei, count)])
        stays = caps >= base_fee_wei
        self.waiting = Waiting(caps[stays], tips[stays])
        offers = np.minimum(self.waiting.tips_wei, self.waiting.caps_wei - base_fee_wei)
        self._order = np.argsort(-offers, kind="stable")
        self._tips = offers[self._order]
        self._taken = 0

    def _draw(self, median_wei: int, count: int) -> np.ndarray:
        factors = self._rng.lognormal(0.0, self._profile.spread, count)
        return np.minimum(median_wei * factors, MOST_WEI).astype(np.int64)

    def take(self, tip_wei: int, gas_left: int) -> int:
        """Include all who tip more than `tip_wei`, as far as they fit; return their gas."""
        ahead = int(np.searchsorted(-self._tips, -tip_wei, side="left")) - self._taken
        count = max(0, min(ahead, gas_left // self._profile.gas_each))
        self._taken += count
        return count * self._profile.gas_each

    def close_block(self) -> None:
        """Take who was included out of the mempool."""
        stays = np.sort(self._order[self._taken :])
        self.waiting = Waiting(self.waiting.caps_wei[stays], self.waiting.tips_wei[stays])


def make_demand(profile: ChainProfile, rng: Rng, name: str) -> Demand | None:
    """Return the others on a chain, or None where the job is alone."""
    if profile.demand is None:
        return None
    stream = rng.stream("outside-demand", name)
    return Demand(profile.demand, profile.gas_limit, profile.block_time_s, stream)
