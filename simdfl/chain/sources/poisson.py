"""Proof of work: blocks are found by chance, and sometimes two on the same parent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simdfl.chain.sources.base import QUANTILE, BlockSource, Found, require


@dataclass(frozen=True)
class Poisson(BlockSource):
    """Exponential intervals; miners find blocks in proportion to their power.

    A miner that does not know the head yet builds beside it, so that forks happen by themselves: about
    ``propagation_s / block_time_s`` of all blocks, fewer where few miners find most. Left out: the adjustment of
    the difficulty (the rate is constant), and selfish mining.

    Parameters
    ----------
    block_time_s : float
        Mean time between two blocks found, those included that are abandoned.
    propagation_s : float
        Until all other miners know a block; the rest of the world sees it at once.
    miners : int
        Miners of equal power, unless `shares` says otherwise.
    shares : list of float, optional
        Power of every miner; only the ratios count.

    References
    ----------
    Decker and Wattenhofer, "Information propagation in the Bitcoin network", P2P 2013, section 4.
    """

    name = "poisson"

    propagation_s: float = 0.0
    miners: int = 16
    shares: list[float] | None = None

    def __post_init__(self) -> None:
        slow = f"between 0 and the block time, {self.block_time_s:g}"
        require(0 <= self.propagation_s <= self.block_time_s, "propagation_s", self.propagation_s, slow)
        require(1 <= self.miners <= 100_000, "miners", self.miners, "a number between 1 and 100,000")
        shares = [1.0] if self.shares is None else self.shares
        positive = bool(shares) and all(0 < share < 1e9 for share in shares)
        require(positive, "shares", self.shares, "a list of positive numbers")

    @property
    def delay_s(self) -> float:
        """Until another miner knows a block."""
        return self.propagation_s

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield blocks with independent exponential gaps, each by a miner drawn by power."""
        powers = np.ones(self.miners) if self.shares is None else np.asarray(self.shares)
        ends = np.cumsum(powers / powers.sum())
        at_s = 0.0
        while True:
            at_s += float(rng.exponential(self.block_time_s))
            miner = int(np.searchsorted(ends, rng.random(), side="right"))
            yield Found(at_s, min(miner, len(ends) - 1))

    def span_s(self, blocks: int) -> float:
        """Return the quantile of a sum of exponential gaps, and a propagation each: forks cost time."""
        from scipy.special import gammaincinv

        return float(self.block_time_s * gammaincinv(blocks, QUANTILE)) + blocks * self.propagation_s
