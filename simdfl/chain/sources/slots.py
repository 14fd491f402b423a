"""Slots: a block every so many seconds, but for those that are missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simdfl.chain.sources.base import BlockSource, Found, require, tries_for


@dataclass(frozen=True)
class Slots(BlockSource):
    """A block every slot, but for the slots that their proposers miss. Block numbers count blocks, not slots.

    Parameters
    ----------
    block_time_s : float
        Seconds between slots.
    missed : float
        Probability that a slot stays empty; 0.0025 on Ethereum (``contracts_model/data``).
    """

    name = "slots"

    missed: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.missed <= 0.9, "missed", self.missed, "a probability of at most 0.9")

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield the slots that are not missed; slot k lies at ``k · block_time_s``, so nothing drifts."""
        slot = 0
        while True:
            slot += 1
            if not self.missed or rng.random() >= self.missed:
                yield Found(slot * self.block_time_s)

    def span_s(self, blocks: int) -> float:
        """Return the time of the slots of which so many are not missed (negative binomial)."""
        return tries_for(blocks, self.missed) * self.block_time_s
