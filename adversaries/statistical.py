"""Attacks computed from the honest gradients, shaped to pass robust rules.

The statistics are taken over all contributors outside the coalition, in float64: accomplices know everything.
All of them send one vector, computed once a step.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from adversaries.checks import require_positive
from simdfl.peers.behaviour import Byzantine, Coalition, Turn


def shared(coalition: Coalition, key: tuple[Any, ...], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the coalition's vector (d,) float32 under `key`, read-only."""

    def freeze() -> np.ndarray:
        vector = compute().astype(np.float32)
        vector.flags.writeable = False
        return vector

    vector: np.ndarray = coalition.once(key, freeze)
    return vector


class InnerProductManipulation(Byzantine):
    """Send ``-epsilon * mean`` of the honest gradients: turn the inner product with the true gradient.

    A small epsilon hides among honest vectors and still pulls a rule that averages below zero or stalls it; a
    large one is a sign flip. Caught by a validator's recomputation; clipping bounds it.

    Parameters
    ----------
    epsilon : float
        Length in units of the honest mean; 0.1 and 0.6 are usual.

    References
    ----------
    Xie, Koyejo, Gupta, "Fall of empires: breaking Byzantine-tolerant SGD by inner product manipulation",
    UAI 2019; Gorbunov et al., ICML 2022, section 4.1.
    """

    def __init__(self, *, epsilon: float = 0.1, **base: Any) -> None:
        super().__init__(**base)
        require_positive("ipm.epsilon", epsilon)
        self.epsilon = epsilon

    def craft(self, turn: Turn) -> np.ndarray:
        """Return -epsilon times the honest mean (d,)."""

        def compute() -> np.ndarray:
            honest = turn.honest_gradients(self.coalition)
            return np.asarray(-self.epsilon * honest.mean(axis=0, dtype=np.float64))

        return shared(self.coalition, ("ipm", self.epsilon, turn.step), compute)


class LittleIsEnough(Byzantine):
    """Send ``mean - z * std``, coordinate by coordinate over the honest gradients (ALIE).

    The shift stays within the honest spread, so that enough honest vectors lie beyond it for a rule to believe
    it. The sign is Baruch et al.'s code's: z standard deviations below the mean (their algorithm 3 writes a
    plus; by symmetry of the noise both are the same attack). ``std`` is the population's, without Bessel's
    correction. Caught by a validator's recomputation, not by statistics.

    Parameters
    ----------
    z : float or None
        Standard deviations; None is :func:`largest_hidden_shift` for the contributors of the step.

    References
    ----------
    Baruch, Baruch, Goldberg, "A little is enough: circumventing defenses for distributed learning",
    NeurIPS 2019, algorithm 3.
    """

    def __init__(self, *, z: float | None = None, **base: Any) -> None:
        super().__init__(**base)
        if z is not None:
            require_positive("alie.z", z)
        self.z = z

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the honest mean less z honest standard deviations (d,)."""

        def compute() -> np.ndarray:
            honest = turn.honest_gradients(self.coalition)
            mean, std = honest.mean(axis=0, dtype=np.float64), honest.std(axis=0, dtype=np.float64)
            return np.asarray(mean - self._deviations(turn) * std)

        return shared(self.coalition, ("alie", self.z, turn.step), compute)

    def _deviations(self, turn: Turn) -> float:
        if self.z is not None:
            return self.z
        n_liars = sum(peer in self.coalition.members for peer in turn.contributors)
        return largest_hidden_shift(len(turn.contributors), n_liars)


def largest_hidden_shift(n: int, b: int) -> float:
    """Return z_max = Phi^-1((n - b - s) / (n - b)) with s = floor(n / 2 + 1) - b supporters needed.

    At least one supporter is asked for where the liars are a majority of the contributors, and zero returned
    where the quantile does not exist. It is negative where many supporters are needed: then the vector that
    enough honest ones surpass lies above the mean.

    >>> round(largest_hidden_shift(50, 24), 2)  # s = 2, quantile 24 / 26
    1.43
    """
    honest, supporters = n - b, max(n // 2 + 1 - b, 1)
    if honest <= supporters:
        return 0.0
    return NormalDist().inv_cdf((honest - supporters) / honest)
