"""Rules that leave rows out, or weigh them down, and average the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from simdfl.aggregation.contract import ContextRule, Outcome, RowRule, RuleContext
from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.rows import present_rows
from simdfl.aggregation.span import (
    about_centre,
    apply_gram,
    centred_gram,
    combine_rows,
    gram_matrix,
    mean_of_rows,
    row_norms,
)
from simdfl.errors import UserError

SMALL = 64  # matrices up to this size are decomposed whole
NEGLIGIBLE = 1e-12  # a weight below this part of a row is none


@dataclass(frozen=True)
class MoNNA(RowRule):
    """Mean of the n - f rows nearest to a pivot row, the pivot among them.

    The paper's pivot is the aggregating peer's own vector; for a server it is the row of the peer `pivot`,
    which it must trust. If that row is absent, the rows after it move up. Ties go to the lowest index.
    Breakdown: f < n/2 if the pivot is honest, none otherwise.

    Parameters
    ----------
    f : int
        Rows left out.
    pivot : int
        Position of the pivot among the present rows.

    References
    ----------
    Farhadkhani, Guerraoui, Gupta, Hoang, Pinot, Stephan, "Robust collaborative learning with linear gradient
    overhead", ICML 2023, algorithm 1 (nearest-neighbour averaging).
    """

    breaks = frozenset({"order", "liars"})

    f: int
    pivot: int = 0

    def __post_init__(self) -> None:
        check_liars(self.f)
        if not isinstance(self.pivot, int) or self.pivot < 0:
            raise UserError(f"aggregation: monna needs a pivot >= 0, got {self.pivot!r}")

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        pivot = rows[min(self.pivot, len(rows) - 1)]
        nearest = np.argsort(row_norms(rows - pivot), kind="stable")
        return mean_of_rows(rows, nearest[: max(1, len(rows) - self.f)])


@dataclass(frozen=True)
class ComparativeElimination(RowRule):
    """CGE: mean of the n - f rows with the least Euclidean norms.

    The paper adds them up; the mean differs by the factor n - f alone. Ties go to the lowest index. Breakdown:
    f < n/2 under 2f-redundancy; the norm of the result is at most that of the honest rows' greatest.

    Parameters
    ----------
    f : int
        Rows left out.

    References
    ----------
    Gupta, Liu, Vaidya, "Byzantine fault-tolerant distributed machine learning using stochastic gradient descent
    and norm-based comparative gradient elimination", arXiv 2008.04699, 2020, section 3.
    """

    breaks = frozenset({"shift"})

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        shortest = np.argsort(row_norms(rows), kind="stable")
        return mean_of_rows(rows, shortest[: max(1, len(rows) - self.f)])


@dataclass(frozen=True)
class CovarianceFilter(RowRule):
    """CAF: weigh rows down along the direction of greatest variance; keep the mean where that is least.

    Start with weights c_i = 1. While their sum exceeds n - 2 f: take the greatest eigenvalue of the weighted
    covariance about the weighted mean and its direction v, remember the mean if that eigenvalue is the least so
    far, and set ``c_i <- c_i (1 - t_i / max t)`` with ``t_i = <x_i - mean, v>²``. No bound on the honest
    variance is needed. Breakdown: f < n/2.

    Parameters
    ----------
    f : int
        Liars to withstand.

    References
    ----------
    Allouah, Guerraoui, Stephan, "Towards trustworthy federated learning with untrusted participants", ICML 2025,
    section 4 (covariance bound-agnostic filter).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        return combine_rows(filter_weights(centred_gram(rows), self.f), rows)


def filter_weights(gram: np.ndarray, f: int) -> np.ndarray:
    """Return the weights (m,), of sum 1, of the mean that CAF keeps; `gram` (m, m) about any centre."""
    m = len(gram)
    c, best, least = np.ones(m), np.full(m, 1.0 / m), np.inf
    while c.sum() > max(m - 2 * f, NEGLIGIBLE):
        w = c / c.sum()
        image = apply_gram(gram, w)
        about = gram - image[:, None] - image[None, :] + w @ image
        root = np.sqrt(w)
        value, vector = top_eigenpair(root[:, None] * about * root[None, :])
        if value < least:
            best, least = w, value
        # <x_i - mean, v> with v = sum_j root_j u_j (x_j - mean) / sqrt(value); its scale does not matter.
        pull = np.where(c > 0, apply_gram(about, root * vector) ** 2, 0.0)
        if value <= NEGLIGIBLE * float(np.diagonal(gram)[c > 0].max()) or pull.max() <= 0:
            break
        c = np.where(pull >= pull.max(), 0.0, c * (1.0 - pull / pull.max()))
        c[c < NEGLIGIBLE] = 0.0
    return best


@dataclass(frozen=True)
class DivideAndConquer(ContextRule):
    """DnC: drop, several times over, the rows that stand out along the greatest variance of some coordinates.

    Each of `iterations` times, `sample` coordinates are drawn, the rows are centred on their mean there, and
    the ``factor * f`` rows with the largest squared projection on the top right singular vector are dropped.
    The mean of the rows that were never dropped is returned; if none is left, of those dropped least often.
    Breakdown: by experiment, for f < n/2.

    Parameters
    ----------
    f : int
        Liars to withstand.
    iterations : int
    sample : int
        Coordinates drawn without replacement; all if d is less.
    factor : float
        Rows dropped, in units of f; the paper's c.

    References
    ----------
    Shejwalkar and Houmansadr, "Manipulating the Byzantine", NDSS 2021, section VI, algorithm 2.
    """

    breaks = frozenset({"liars"})

    f: int
    iterations: int = 1
    sample: int = 10_000
    factor: float = 1.0

    def __post_init__(self) -> None:
        check_liars(self.f)
        if self.iterations < 1 or self.sample < 1 or not 0 <= self.factor < np.inf:
            raise UserError(
                "aggregation: dnc needs iterations >= 1, sample >= 1 and factor >= 0, "
                f"got {self.iterations}, {self.sample}, {self.factor}"
            )

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.seed` draws the coordinates."""
        rows = present_rows(x, weights)
        m, d = rows.shape
        rng = context.generator("dnc")
        dropped = np.zeros(m, dtype=np.int64)
        count = min(int(self.factor * self.f), m - 1)
        for _ in range(self.iterations):
            drawn = np.sort(rng.choice(d, self.sample, replace=False)) if self.sample < d else slice(None)
            scores = outlier_scores(rows[:, drawn])
            dropped[np.argsort(scores, kind="stable")[m - count :]] += 1
        return Outcome(mean_of_rows(rows, dropped == dropped.min()))


def outlier_scores(rows: np.ndarray) -> np.ndarray:
    """Return the squared projections (m,) of the centred rows on their top right singular vector."""
    about = about_centre(rows)
    gram = gram_matrix(about - mean_of_rows(about))
    value, vector = top_eigenpair(gram)
    return value * vector**2


def top_eigenpair(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the greatest eigenvalue and its unit eigenvector (m,) of a symmetric positive semidefinite matrix.

    Large matrices are treated by Lanczos' iteration from a fixed start, so that the result is reproducible.
    """
    m = len(matrix)
    scale = float(np.abs(matrix).max())
    if m > SMALL and scale > 0:
        start = np.cos(np.arange(m) + 1.0)
        try:
            values, vectors = eigsh(matrix / scale, k=1, which="LA", v0=start, tol=1e-8)
            return float(values[0]) * scale, vectors[:, 0]
        except ArpackNoConvergence:
            pass
    values, vectors = np.linalg.eigh(matrix)
    return max(float(values[-1]), 0.0), vectors[:, -1]
