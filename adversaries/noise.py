"""Attacks that need to know nothing: noise, constants, holes, and what is no number.

All are as loud as their parameters make them, and all are caught by a validator's recomputation; a rule that
bounds each peer's pull (clipping, medians) holds them until then.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adversaries.checks import require, require_positive, require_share
from simdfl.peers.behaviour import Byzantine, Turn


class GaussianNoise(Byzantine):
    """Send noise of mean `mean` and standard deviation `std` in every entry, fresh for each peer and step.

    Independent noise averages out over peers and steps; it slows training more than it turns it.

    Parameters
    ----------
    mean, std : float

    References
    ----------
    Xie, Koyejo, Gupta, "Generalized Byzantine-tolerant SGD", arXiv:1802.10116, section 5.1 (std 200).
    """

    def __init__(self, *, mean: float = 0.0, std: float = 200.0, **base: Any) -> None:
        super().__init__(**base)
        require(math.isfinite(mean), "gaussian.mean", mean, "a finite number")
        require_positive("gaussian.std", std)
        self.mean = mean
        self.std = std

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the noise (d,)."""
        stream = self.coalition.rng.stream("gaussian", turn.step, turn.peer)
        noise = stream.standard_normal(len(turn.own_gradient()), dtype=np.float32)
        return np.float32(self.mean) + np.float32(self.std) * noise


class UniformNoise(Byzantine):
    """Send entries uniform on [-scale, scale), fresh for each peer and step.

    The bounded sister of Gaussian noise; the random-parameters attack of the literature. Caught by a
    validator's recomputation.

    Parameters
    ----------
    scale : float
    """

    def __init__(self, *, scale: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("uniform.scale", scale)
        self.scale = scale

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the noise (d,)."""
        stream = self.coalition.rng.stream("uniform", turn.step, turn.peer)
        return self.scale * (2.0 * stream.random(len(turn.own_gradient()), dtype=np.float32) - 1.0)


class Zero(Byzantine):
    """Send nothing but zeros: the silent passenger, who shortens every mean by its share.

    No rule suspects a vector this short; a validator's recomputation does. As an attack it is a learning rate
    that falls by b / n, or a median that is drawn to zero.

    References
    ----------
    Li et al., "RSA: Byzantine-robust stochastic aggregation methods", AAAI 2019, section 5 (zero gradient).
    """

    def craft(self, turn: Turn) -> np.ndarray:
        """Return zeros (d,)."""
        return np.zeros_like(turn.own_gradient())


class SameValue(Byzantine):
    """Send `value` in every entry, all accomplices alike.

    One constant direction, (1, …, 1), which adds up over the steps. Caught by a validator's recomputation.

    Parameters
    ----------
    value : float
        In gradient units, with any sign, not zero.

    References
    ----------
    Li et al., "RSA: Byzantine-robust stochastic aggregation methods", AAAI 2019, section 5 (same-value attack).
    """

    def __init__(self, *, value: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        require(math.isfinite(value) and value != 0, "same_value.value", value, "a finite number other than 0")
        self.value = value

    def craft(self, turn: Turn) -> np.ndarray:
        """Return a constant vector (d,)."""
        return np.full_like(turn.own_gradient(), self.value)


class PartialDrop(Byzantine):
    """Send the own gradient with a `share` of its entries zero, the same ones for all accomplices in a step.

    What is left is honest, so distances and angles stay natural for a small share; the dropped coordinates
    learn more slowly. Caught by a validator's recomputation.

    Parameters
    ----------
    share : float
        Part of the entries dropped, drawn anew in every step.
    """

    def __init__(self, *, share: float = 0.5, **base: Any) -> None:
        super().__init__(**base)
        require_share("partial_drop.share", share)
        self.share = share

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the own gradient with holes (d,)."""
        size, stream = len(turn.own_gradient()), self.coalition.rng.stream("partial_drop", turn.step)
        kept = self.coalition.once(
            ("partial_drop", self.share, turn.step), lambda: stream.random(size) >= self.share
        )
        return turn.own_gradient() * kept


class NotANumber(Byzantine):
    """Send NaN in every entry.

    A rule that does not look first turns the whole model into NaN with one such row; the rules of this house
    treat it as absent. In the verified protocol NaN has no canonical bytes and cannot be committed to: zeros
    are sent in its place, which a validator's recomputation catches.

    References
    ----------
    Blanchard et al., NIPS 2017, section 2 (a Byzantine proposal is any vector).
    """

    sends_finite = False

    def craft(self, turn: Turn) -> np.ndarray:
        """Return NaN (d,)."""
        return np.full_like(turn.own_gradient(), np.nan)


class Infinite(Byzantine):
    """Send infinities with the signs of the own gradient turned.

    As NaN, for rules that test for NaN alone. In the verified protocol the largest admissible numbers are sent
    in their place; clipping bounds them and a validator's recomputation catches them.
    """

    sends_finite = False

    def craft(self, turn: Turn) -> np.ndarray:
        """Return plus and minus infinity (d,)."""
        return np.where(turn.own_gradient() > 0, np.float32(-np.inf), np.float32(np.inf))
