"""What a gradient engine hands out: handles, counters, scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simdfl.learning.states import Vector


@dataclass
class EngineStats:
    """Counters: gradients requested, computed and served from memory, and flushes."""

    requested: int = 0
    computed: int = 0
    served_from_memo: int = 0
    flushes: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (fraction) and mean cross-entropy (nats) on the test records."""

    accuracy: float
    loss: float


@dataclass(eq=False)
class Slot:
    """One gradient, asked for or computed; it holds its vector, or the number of its row, until then.

    ``x`` are records (batch, *shape) of its own, in place of those at ``indices``.
    """

    params: Vector | int | None
    state: bytes
    indices: np.ndarray
    labels: np.ndarray
    x: np.ndarray | None = None
    gradient: np.ndarray | None = None
    loss: float = float("nan")

    def content(self) -> list[bytes]:
        """Return everything that the gradient depends on but for the engine, as bytes."""
        own = b"" if self.x is None else self.x.tobytes()
        return [self.state, self.indices.tobytes(), self.labels.tobytes(), own]


class GradientHandle:
    """A gradient that exists when it is read."""

    def __init__(self, flush: Callable[[], None], slot: Slot) -> None:
        self._flush = flush
        self._slot = slot

    def value(self) -> np.ndarray:
        """Return the gradient (d,) float32, read-only; computes all pending requests if need be."""
        if self._slot.gradient is None:
            self._flush()
        assert self._slot.gradient is not None
        return self._slot.gradient

    def loss(self) -> float:
        """Return the mean loss of the batch at the state."""
        self.value()
        return self._slot.loss
