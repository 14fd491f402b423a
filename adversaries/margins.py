"""Attacks that go as far from the honest mean as the honest peers are from one another, and no farther.

The vector is ``mean + gamma * p`` along a perturbation p. The distances to the honest gradients are quadratics in
gamma, so the largest allowed gamma is a root, not a search.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from adversaries.checks import require
from adversaries.crowd import TINY, CrowdAttack, gram_of, moments, products, squared_distances, unit
from simdfl.peers.behaviour import Turn

PERTURBATIONS = ("unit", "sign", "std")


def perturbation(kind: str, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return the direction p (d,): against the mean at length 1, against its signs, or down the spread."""
    return {"unit": -unit(mean), "sign": -np.sign(mean), "std": -std}[kind]


def largest_root(square: np.ndarray, linear: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return the largest gamma with ``square gamma² + 2 linear gamma <= room``, entry by entry, at least 0.

    >>> float(largest_root(np.array(1.0), np.array(0.0), np.array(9.0)))
    3.0
    """
    discriminant = linear * linear + np.maximum(square * room, 0.0)
    return np.maximum(np.sqrt(discriminant) - linear, 0.0) / np.maximum(square, TINY)


class MarginAttack(CrowdAttack):
    """Base of min-max and min-sum.

    Parameters
    ----------
    direction : str
        The perturbation p: ``unit`` is ``-mean / ||mean||``, ``sign`` is ``-sign(mean)``, ``std`` is minus the
        standard deviation.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.
    """

    def __init__(self, *, direction: str = "std", **base: Any) -> None:
        super().__init__(**base)
        require(direction in PERTURBATIONS, "direction", direction, ", ".join(PERTURBATIONS))
        self.direction = direction

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return mean + gamma p (d,) with the largest gamma allowed."""
        mean, std = moments(rows)
        p = perturbation(self.direction, mean, std)
        gram = gram_of(rows)
        # ||mean + gamma p - x_i||² = gamma² <p, p> + 2 gamma <p, mean - x_i> + ||mean - x_i||²
        linear = p @ mean - products(rows, p)
        from_mean = np.maximum(np.diagonal(gram) - 2.0 * gram.mean(axis=0) + gram.mean(), 0.0)
        return mean + self.largest(float(p @ p), linear, from_mean, squared_distances(gram)) * p

    @abstractmethod
    def largest(self, square: float, linear: np.ndarray, from_mean: np.ndarray, between: np.ndarray) -> float:
        """Return the largest gamma.

        Parameters
        ----------
        square : float
            <p, p>.
        linear, from_mean : (h,) float64
            <p, mean - x_i> and ||mean - x_i||².
        between : (h, h) float64
            ||x_i - x_j||².
        """


class MinMax(MarginAttack):
    """Send ``mean + gamma p``, no farther from any honest gradient than the two most distant ones are apart.

    The largest gamma with ``max_i ||x - x_i|| <= max_ij ||x_i - x_j||``. Rules that judge by distance see an
    unremarkable vector; a validator's recomputation does not look at distances.

    Parameters
    ----------
    direction, knowledge : str
        See :class:`MarginAttack`.

    References
    ----------
    Shejwalkar and Houmansadr, "Manipulating the Byzantine", NDSS 2021, section IV-B (min-max), perturbations of
    section IV-A.
    """

    def largest(self, square: float, linear: np.ndarray, from_mean: np.ndarray, between: np.ndarray) -> float:
        """Return the gamma at which the farthest honest gradient is as far as any two are apart."""
        return float(largest_root(np.asarray(square), linear, between.max() - from_mean).min())


class MinSum(MarginAttack):
    """Send ``mean + gamma p``, with a sum of squared distances to the honest gradients no larger than theirs.

    The largest gamma with ``sum_i ||x - x_i||² <= max_i sum_j ||x_i - x_j||²``: a bound on the average instead of
    the farthest, hence nearer than min-max. Caught by a validator's recomputation.

    Parameters
    ----------
    direction, knowledge : str
        See :class:`MarginAttack`.

    References
    ----------
    Shejwalkar and Houmansadr, "Manipulating the Byzantine", NDSS 2021, section IV-B (min-sum).
    """

    def largest(self, square: float, linear: np.ndarray, from_mean: np.ndarray, between: np.ndarray) -> float:
        """Return the gamma at which the sum is as large as the largest honest one."""
        room = between.sum(axis=1).max() - from_mean.sum()
        return float(largest_root(np.asarray(square * len(linear)), np.asarray(linear.sum()), np.asarray(room)))
