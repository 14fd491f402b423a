"""Geometric medians: converged, in a fixed number of steps, of means of groups, and with weights of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simdfl.aggregation.clipping import centered_clip
from simdfl.aggregation.contract import ContextRule, Outcome, RowRule, RuleContext
from simdfl.aggregation.rows import present_rows, row_weights
from simdfl.aggregation.span import apply_gram, centred_gram, combine_rows, group_means
from simdfl.errors import UserError


@dataclass(frozen=True)
class GeometricMedian:
    """Minimiser of the weighted sum of distances, smoothed below `nu`, by Weiszfeld's iteration.

    The smoothed geometric median is CenteredClip's fixed point for tau = nu, and is computed as such. It
    stops where the mean pull of the rows, each of length at most 1, is below `tolerance`. Breakdown:
    f < n/2 in weight.

    Parameters
    ----------
    nu : float
        Distances below it count quadratically.
    tolerance : float
    max_iterations : int

    References
    ----------
    Pillutla, Kakade, Harchaoui, "Robust aggregation for federated learning", IEEE TSP 70, 2022, section 4.
    """

    breaks: ClassVar[frozenset[str]] = frozenset()

    nu: float = 1e-3
    tolerance: float = 1e-5
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.nu < math.inf or not 0 < self.tolerance < 1 or self.max_iterations < 1:
            raise UserError(
                "aggregation: geometric_median needs nu > 0, 0 < tolerance < 1 and max_iterations >= 1, "
                f"got {self.nu}, {self.tolerance}, {self.max_iterations}"
            )

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        return centered_clip(x, weights, self.nu, self.nu * self.tolerance, self.max_iterations).value


@dataclass(frozen=True)
class RFA:
    """A fixed number of smoothed Weiszfeld steps from the weighted mean: the algorithm the paper runs.

    ``v <- sum_i b_i x_i / sum_i b_i`` with ``b_i = w_i / max(nu, ||v - x_i||)``, not squared. With few steps it
    is no median yet: a row at distance D among n still moves the result by about D n^-r after r steps.
    Breakdown in the limit: f < n/2 in weight.

    Parameters
    ----------
    iterations : int
        The paper's budget is 3.
    nu : float

    References
    ----------
    Pillutla, Kakade, Harchaoui, IEEE TSP 70, 2022, algorithm 2 and section 5.
    """

    breaks = frozenset({"liars"})

    iterations: int = 3
    nu: float = 1e-6

    def __post_init__(self) -> None:
        if self.iterations < 1 or not 0 < self.nu < math.inf:
            raise UserError(
                f"aggregation: rfa needs iterations >= 1 and nu > 0, got {self.iterations}, {self.nu}"
            )

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        x = np.asarray(x, dtype=np.float32)
        w = row_weights(x, weights)
        rows, w = (x, w) if (w > 0).all() else (x[w > 0], w[w > 0])
        gram, beta = centred_gram(rows), w / w.sum(dtype=np.float64)
        for _ in range(self.iterations):
            pull = w / np.maximum(self.nu, distances_to(gram, beta))
            beta = pull / pull.sum()
        return combine_rows(beta, rows)


@dataclass(frozen=True)
class MedianOfMeans(ContextRule):
    """Geometric median of the means of k groups of peers.

    Peers are dealt at random into k groups of sizes that differ by at most one; the default is k = 2 f + 1, the
    least that withstands f liars. The geometric median is that of :class:`GeometricMedian`. Breakdown: 2 f < k.

    Parameters
    ----------
    k : int
        Groups; each present row is its own group if fewer are present.

    References
    ----------
    Chen, Su, Xu, "Distributed statistical machine learning in adversarial settings: Byzantine gradient descent",
    POMACS 1(2), 2017, algorithm 2.
    """

    breaks = frozenset({"order"})

    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise UserError(f"aggregation: median_of_means needs k >= 1 groups, got {self.k!r}")

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.seed` deals the groups."""
        rows = present_rows(x, weights)
        k = min(self.k, len(rows))
        dealt = context.generator("groups").permutation(len(rows))
        return Outcome(GeometricMedian()(group_means(rows, (dealt[group::k] for group in range(k)))))


@dataclass(frozen=True)
class AutoGM(RowRule):
    """Geometric median with weights that minimise ``sum_i a_i ||x_i - z|| + lam n / 2 ||a||²`` over the simplex.

    z and a are improved in turn: z is the geometric median with weights a; for given distances d_i, not
    squared, ``a_i = max(0, eta - d_i) / (lam n)`` with eta such that the sum is 1, so that far rows weigh
    nothing. Large `lam` gives the geometric median, small `lam` the densest few rows. Distances are taken in
    units of their median, so that `lam` has no unit. Start: equal weights. Breakdown: f < n/2.

    Parameters
    ----------
    lam : float
        The paper's lambda, over n and in units of the median distance.
    rounds : int
        Most turns; it stops earlier when the weights rest.

    References
    ----------
    Li, Ngai, Voigt, "Byzantine-robust aggregation in federated learning empowered industrial IoT", IEEE TII
    19(2), 2023, section IV (AutoGM).
    """

    lam: float = 1.0
    rounds: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.lam < math.inf or self.rounds < 1:
            raise UserError(f"aggregation: autogm needs lam > 0 and rounds >= 1, got {self.lam}, {self.rounds}")

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        gram = centred_gram(rows)
        beta = weiszfeld(gram, np.full(len(rows), 1.0 / len(rows)))
        unit = max(float(np.median(distances_to(gram, beta))), 1e-30)
        a = np.full(len(rows), 1.0 / len(rows))
        for _ in range(self.rounds):
            fresh = water_filling(distances_to(gram, beta) / unit, self.lam * len(rows))
            rests = np.abs(fresh - a).sum() < 1e-9
            a = fresh
            beta = weiszfeld(gram, a)
            if rests:
                break
        return combine_rows(beta, rows)


def distances_to(gram: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Return the distances (m,) of the rows with this Gram matrix to ``sum_i beta_i x_i``."""
    image = apply_gram(gram, beta)
    return np.sqrt(np.maximum(np.diagonal(gram) - 2.0 * image + beta @ image, 0.0))


def weiszfeld(gram: np.ndarray, a: np.ndarray, limit: int = 1_000) -> np.ndarray:
    """Return the coefficients (m,), to 1e-9, of the geometric median of rows with weights `a` (m,)."""
    smallest = 1e-6 * math.sqrt(max(float(np.median(np.diagonal(gram))), 1e-30))
    beta = a / a.sum()
    for _ in range(limit):
        pull = a / np.maximum(distances_to(gram, beta), smallest)
        fresh = pull / pull.sum()
        moved = float(np.abs(fresh - beta).sum())
        beta = fresh
        if moved < 1e-9:
            break
    return beta


def water_filling(distances: np.ndarray, lam: float) -> np.ndarray:
    """Return the weights (m,) on the simplex that minimise ``a·distances + lam / 2 ||a||²``.

    >>> water_filling(np.array([0.0, 0.0, 9.0]), 2.0)
    array([0.5, 0.5, 0. ])
    """
    ordered = np.sort(distances)
    levels = (np.cumsum(ordered) + lam) / np.arange(1, len(ordered) + 1)
    count = int(np.flatnonzero(levels > ordered)[-1])
    return np.maximum(levels[count] - distances, 0.0) / lam
