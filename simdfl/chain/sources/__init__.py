"""The shelf of block sources: when blocks are found, and by whom."""

from __future__ import annotations

from simdfl.chain.sources.base import QUANTILE, BlockSource, Found
from simdfl.chain.sources.bft import Bft
from simdfl.chain.sources.poisson import Poisson
from simdfl.chain.sources.recorded import Recorded, read_gaps_us
from simdfl.chain.sources.rollup import Rollup
from simdfl.chain.sources.shared_sequencer import SharedSequencer
from simdfl.chain.sources.slots import Slots

__all__ = [
    "QUANTILE",
    "SOURCES",
    "Bft",
    "BlockSource",
    "Found",
    "Poisson",
    "Recorded",
    "Rollup",
    "SharedSequencer",
    "Slots",
    "read_gaps_us",
]

SOURCES: dict[str, type[BlockSource]] = {
    "slots": Slots,
    "poisson": Poisson,
    "recorded": Recorded,
    "bft": Bft,
    "rollup": Rollup,
    "shared_sequencer": SharedSequencer,
}
