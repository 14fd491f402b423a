"""Lazy optimiser steps: each peer has an optimiser state of its own, and many step at once.

A step along a gradient does not depend on the parameters (the optimisers here have no weight decay), so it is
asked for together with the gradient and computed in batches of exactly K lanes when somebody reads it. Lanes are
elementwise and do not see one another: the bits of a step depend on its own gradient and state alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from simdfl.learning.handles import GradientHandle
from simdfl.learning.optimisers import Optimiser, OptState


@dataclass(eq=False)
class StepHandle:
    """What an optimiser adds to parameters, and its next state: both exist when they are read."""

    engine: StepEngine
    gradient: GradientHandle
    opt_state: OptState
    result: tuple[np.ndarray, OptState] | None = None

    def value(self) -> tuple[np.ndarray, OptState]:
        """Return the change (d,) float32 to add to the parameters, and the optimiser state after it."""
        if self.result is None:
            self.engine.flush()
        assert self.result is not None
        return self.result


class StepEngine:
    """Steps of one optimiser, K at a time.

    Parameters
    ----------
    optimiser : Optimiser
    lanes : int
        The fixed batch width K; short batches repeat their first lane.
    """

    def __init__(self, optimiser: Optimiser, lanes: int) -> None:
        self._optimiser = optimiser
        self._lanes = lanes
        self._pending: list[StepHandle] = []

    def request(self, gradient: GradientHandle, opt_state: OptState) -> StepHandle:
        """Ask for the step along a gradient from an optimiser state."""
        handle = StepHandle(self, gradient, opt_state)
        self._pending.append(handle)
        return handle

    def flush(self) -> None:
        """Compute everything asked for so far, the gradients first."""
        pending, self._pending = self._pending, []
        for start in range(0, len(pending), self._lanes):
            self._compute(pending[start : start + self._lanes])

    def _compute(self, handles: list[StepHandle]) -> None:
        filled = handles + handles[:1] * (self._lanes - len(handles))
        gradients = tuple(handle.gradient.value() for handle in filled)
        results = _steps(self._optimiser, gradients, tuple(handle.opt_state for handle in filled))
        for handle, (change, opt_state) in zip(handles, results):
            handle.result = np.asarray(change), opt_state


@partial(jax.jit, static_argnames="optimiser")
def _steps(
    optimiser: Optimiser, gradients: tuple[jax.Array, ...], states: tuple[OptState, ...]
) -> list[tuple[Any, OptState]]:
    return [optimiser.change(gradient, state) for gradient, state in zip(gradients, states)]
