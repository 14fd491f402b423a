"""A rollup: a sequencer's blocks at once, and behind them batches on the layer below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simdfl.chain.sources.base import BlockSource, Found, require

L1_BLOCK_S = 12.0


@dataclass(frozen=True)
class Rollup(BlockSource):
    """A block in every slot by one sequencer, posted in batches to a layer-1 chain that finalises them later.

    Every transaction pays for its bytes in the batch, beside its gas. Left out: the sequencer's failure, forced
    inclusion through layer 1, compression of batches, and a data price that moves.

    Parameters
    ----------
    block_time_s : float
        Seconds between the sequencer's blocks.
    acts_on : {"soft", "posted", "final"}
        On which blocks peers act: on the sequencer's word, when their batch is on layer 1, or when that is final.
    batch_s : float
        Seconds between batches; a batch is in a layer-1 block 12 s later.
    l1_finality_s : float
        From there to finality; two epochs of Ethereum by default.
    l1_fee_wei_per_byte : int
        Price of a byte of a transaction on layer 1.
    """

    name = "rollup"

    acts_on: Literal["soft", "posted", "final"] = "soft"
    batch_s: float = 120.0
    l1_finality_s: float = 768.0
    l1_fee_wei_per_byte: int = 10**9

    def __post_init__(self) -> None:
        require(0 < self.batch_s <= 1e6, "batch_s", self.batch_s, "above 0 and at most 1,000,000 s")
        require(0 <= self.l1_finality_s <= 1e6, "l1_finality_s", self.l1_finality_s, "between 0 and 1,000,000 s")
        price = self.l1_fee_wei_per_byte
        require(0 <= price <= 10**15, "l1_fee_wei_per_byte", price, "between 0 and 10^15 wei")

    @property
    def is_final(self) -> bool:
        """What is on layer 1 stays, as peers wait for it; the sequencer's word can be taken back."""
        return self.acts_on != "soft"

    @property
    def data_fee_wei(self) -> int:
        """Price of a transaction's byte."""
        return self.l1_fee_wei_per_byte

    @property
    def lag_s(self) -> float:
        """Return the time from a batch to its block on layer 1, and to that block's finality."""
        return 0.0 if self.acts_on == "soft" else L1_BLOCK_S + self.l1_finality_s * (self.acts_on == "final")

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield a block every slot."""
        slot = 0
        while True:
            slot += 1
            yield Found(slot * self.block_time_s)

    def settled_at(self, at_s: float) -> float:
        """Return when peers may act on a block of this time."""
        if self.acts_on == "soft":
            return at_s
        return math.ceil(at_s / self.batch_s) * self.batch_s + self.lag_s

    def span_s(self, blocks: int) -> float:
        """Return the time of the blocks, and of their batch where peers wait for it."""
        return blocks * self.block_time_s + (self.batch_s + self.lag_s) * (self.acts_on != "soft")
