"""Attacks that only a wrong order of phases, or a skipped check, would let through; used by the order tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from simdfl.peers.behaviour import Byzantine, ShiftOracle, Turn
from simdfl.protocols.parts import random_vector

FIXED_ONE = 1 << 40


class Quiet(Byzantine):
    """Base: honest but for what a subclass overrides; ``oracle`` gives what a wrong order would reveal."""

    oracle: ClassVar[Callable[..., Any]]


class PlainShift(Quiet):
    """Shift the own aggregated part by a fixed vector; report the truth."""

    def aggregate(self, turn: Turn, value: np.ndarray) -> np.ndarray:
        if not self.is_attacking(turn.step):
            return value
        return value + self.shift(turn, len(value)).astype(np.float32)

    def shift(self, turn: Turn, size: int) -> np.ndarray:
        return np.full(size, 0.3 / np.sqrt(size))


class OrthogonalShift(PlainShift):
    """Shift at right angles to the direction on which one believes to be projected."""

    def shift(self, turn: Turn, size: int) -> np.ndarray:
        z = random_vector(type(self).oracle(turn.step), turn.peer, 0, size)
        e = np.arange(size) % 2 - 0.5
        e = e - z * (z @ e) / (z @ z)
        return 0.3 * e / np.linalg.norm(e)


class CancellingLies(Quiet):
    """Two accomplices lie about the first honest aggregator's part, one up and one down."""

    def report(
        self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle
    ) -> tuple[np.ndarray, np.ndarray]:
        liars = sorted(self.coalition.members)
        if not self.is_attacking(turn.step) or not set(liars) <= set(turn.contributors):
            return projections, norms
        victim = next(at for at, owner in enumerate(turn.roster) if owner not in liars)
        lied = projections.copy()
        lied[victim] += FIXED_ONE if turn.peer == liars[0] else -FIXED_ONE
        return lied, norms


class UncheckedFlip(Quiet):
    """Flip the gradient in every step in which no honest validator will look."""

    def craft(self, turn: Turn) -> np.ndarray:
        if type(self).oracle(turn, self.coalition.members):
            return turn.own_gradient()
        return -1000.0 * turn.own_gradient()


def honest_catch(pairs: Sequence[tuple[int, int]], peer: int, coalition: frozenset[int]) -> bool:
    """Return whether an honest validator is drawn for `peer`."""
    return any(target == peer and validator not in coalition for validator, target in pairs)
