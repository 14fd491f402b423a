"""What a block source is: a law of times.

Which block a new one stands on is decided in :mod:`simdfl.chain.forks`; what is in it, by the mempool and its
proposer. Sources share one promise: within ``span_s(k)`` seconds k more blocks are made, always where blocks are
regular, else with probability :data:`QUANTILE`. Deadlines and patience are derived from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, ClassVar

import numpy as np

from simdfl.errors import UserError

QUANTILE = 0.999
"""The share of waits for a number of blocks that ``span_s`` covers where blocks are irregular."""


@dataclass(frozen=True)
class Found:
    """A block is found: when, in simulated seconds, and by which of the source's makers."""

    at_s: float
    maker: int = 0


@dataclass(frozen=True)
class BlockSource(ABC):
    """A law of block times; `block_time_s` is their mean."""

    name: ClassVar[str]

    block_time_s: float

    @property
    def delay_s(self) -> float:
        """Seconds until another maker knows a block; with 0 nobody ever builds beside the head."""
        return 0.0

    @property
    def is_final(self) -> bool:
        """Whether blocks on which peers act are final: no reorganisation can be forced upon them."""
        return False

    @property
    def elects(self) -> bool:
        """Whether every block's maker is an elected leader, which the block names."""
        return False

    @property
    def data_fee_wei(self) -> int:
        """Price of a byte of a transaction, beside its gas."""
        return 0

    @property
    def lag_s(self) -> float:
        """Return the least time between a block and when peers may act on it."""
        return 0.0

    def settled_at(self, at_s: float) -> float:
        """Return when peers may act on a block of this time, the finality depth aside."""
        return at_s

    @abstractmethod
    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield the blocks of a run, without end, in the order of their times."""

    @abstractmethod
    def span_s(self, blocks: int) -> float:
        """Return seconds within which so many blocks are made, as a rule."""

    def params(self) -> dict[str, Any]:
        """Return the parameters beside the block time, as the deployment declares them: real numbers as such."""
        real = {field.name for field in fields(self) if field.type == "float"}
        own = {key: value for key, value in asdict(self).items() if key != "block_time_s"}
        return {key: float(value) if key in real else value for key, value in own.items()}


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Refuse an impossible parameter.

    Raises
    ------
    UserError
        Unless `holds`.
    """
    if not holds:
        raise UserError(f"chain.source.params.{name}: got {value}; allowed is {allowed}")


@cache
def tries_for(successes: int, failing: float) -> int:
    """Return after how many independent tries so many have succeeded, with probability :data:`QUANTILE`.

    >>> tries_for(3, 0.0), tries_for(1, 0.0025), tries_for(1, 0.1)
    (3, 2, 3)
    """
    from scipy.special import bdtr  # not for command lines that only print help

    tries = successes
    while failing and bdtr(successes - 1, tries, 1.0 - failing) > 1.0 - QUANTILE + 1e-12:
        tries += 1
    return tries
