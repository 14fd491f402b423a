"""Attacks along the mean and the spread of the honest gradients: inner products, small shifts, inverses."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from adversaries.checks import require_positive
from adversaries.crowd import CrowdAttack, mean_of, members, moments
from simdfl.peers.behaviour import Turn


class InnerProductManipulation(CrowdAttack):
    """Send ``-epsilon * mean`` of the honest gradients: turn the inner product with the true gradient.

    A small epsilon hides among honest vectors and still pulls a rule that averages below zero or stalls it; a
    large one is a sign flip. Caught by a validator's recomputation; clipping bounds it.

    Parameters
    ----------
    epsilon : float
        Length in units of the honest mean; 0.1 and 0.6 are usual.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    Xie, Koyejo, Gupta, "Fall of empires: breaking Byzantine-tolerant SGD by inner product manipulation",
    UAI 2019; Gorbunov et al., ICML 2022, section 4.1.
    """

    def __init__(self, *, epsilon: float = 0.1, **base: Any) -> None:
        super().__init__(**base)
        require_positive("ipm.epsilon", epsilon)
        self.epsilon = epsilon

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return -epsilon times the mean (d,)."""
        return -self.epsilon * mean_of(rows)


class LittleIsEnough(CrowdAttack):
    """Send ``mean - z * std``, coordinate by coordinate over the honest gradients (ALIE).

    The shift stays within the honest spread, so that enough honest vectors lie beyond it for a rule to believe
    it. The sign is Baruch et al.'s code's: z standard deviations below the mean (their algorithm 3 writes a
    plus; by symmetry of the noise both are the same attack). ``std`` is the population's, without Bessel's
    correction. Caught by a validator's recomputation, not by statistics.

    Parameters
    ----------
    z : float or None
        Standard deviations; None is :func:`largest_hidden_shift` for the contributors of the step.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

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

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the mean less z standard deviations (d,)."""
        mean, std = moments(rows)
        return mean - self._deviations(turn) * std

    def _deviations(self, turn: Turn) -> float:
        if self.z is not None:
            return self.z
        return largest_hidden_shift(len(turn.contributors), len(members(self.coalition, turn)))


class Inverse(CrowdAttack):
    """Send ``-(scale n + h) / b * mean`` of the h honest gradients: the mean of all n is then ``-scale * mean``.

    The b accomplices first cancel the honest sum and then put its inverse in its place: what one liar can do to
    any linear rule. Rules that are not linear lose it by its length; caught by a validator's recomputation.

    Parameters
    ----------
    scale : float
        Length of the plain mean after the attack, in units of the honest mean.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine learning with adversaries", NIPS 2017, lemma 1.
    """

    def __init__(self, *, scale: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("inverse.scale", scale)
        self.scale = scale

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the vector (d,) that turns the plain mean around."""
        n, b = len(turn.contributors), len(members(self.coalition, turn))
        return -(self.scale * n + n - b) / b * mean_of(rows)


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
