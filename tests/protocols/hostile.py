"""Hostile values at every hook: what arrives is refused by the receivers, never a crash of an honest peer."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdfl.peers.behaviour import Byzantine, ShiftOracle, Turn

Numbers = tuple[np.ndarray, np.ndarray]


class WideReport(Byzantine):
    """Report two projections where one is asked for."""

    def report(self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle) -> Numbers:
        if not self.is_attacking(turn.step):
            return projections, norms
        return np.concatenate([projections, projections], axis=1), norms


class ShortReport(Byzantine):
    """Report on all parts but one."""

    def report(self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle) -> Numbers:
        return (projections[:-1], norms[:-1]) if self.is_attacking(turn.step) else (projections, norms)


class ShortAggregate(Byzantine):
    """Publish an aggregated part that lacks an entry."""

    def aggregate(self, turn: Turn, value: np.ndarray) -> np.ndarray:
        return value[:-1] if self.is_attacking(turn.step) else value


class LongGradient(Byzantine):
    """Commit to a gradient twice as long."""

    def craft(self, turn: Turn) -> np.ndarray:
        return np.tile(turn.own_gradient(), 2)


class Extreme(Byzantine):
    """Contribute NaN, infinities and numbers beyond float32."""

    def craft(self, turn: Turn) -> np.ndarray:
        gradient = turn.own_gradient().astype(np.float64)
        gradient[::3] = np.nan
        gradient[1::3] = np.inf
        gradient[2::3] = 1e300
        return gradient


class Garbage(Byzantine):
    """Vote nonsense and accuse everybody."""

    def votes(self, case: dict[str, Any], verdict: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes, bytes]:
        return b"\xff" * 40, b"\x00\x00", b"\x01" * 3

    def complains(self, turn: Turn, owners: Any) -> Any:
        return list(turn.roster)
