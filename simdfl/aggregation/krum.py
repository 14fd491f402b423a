"""Krum and Multi-Krum: choose rows with close neighbours.

Distances come from one Gram matrix about a robust centre, with one matrix product instead of a pass over
all pairs; about the centre the subtraction of large nearly equal numbers is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from simdfl.aggregation.clipping import clipped_mean
from simdfl.aggregation.rows import count_rows
from simdfl.errors import UserError


@dataclass(frozen=True)
class Krum:
    """Return the row with the least score.

    The score of row i is the sum of squared distances to its n - f - 2 closest *other* rows (definition of
    Blanchard et al.; some codes count the row itself as a neighbour). Ties go to the lowest index.
    Breakdown: n > 2 f + 2. Here n counts the present rows; if absent ones leave fewer than 2 f + 3, at
    least one neighbour is still counted. Weights count peers: 0 or one common value.

    Parameters
    ----------
    f : int
        Liars to withstand.

    References
    ----------
    Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine learning with adversaries", NIPS 2017, section 4.
    """

    f: int

    def __post_init__(self) -> None:
        if self.f < 0:
            raise UserError(f"aggregation.f: must be at least 0, got {self.f}")

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32: a copy of one row."""
        x = np.asarray(x, dtype=np.float32)
        return x[np.argmin(krum_scores(x, count_rows(x, weights), self.f))].copy()


@dataclass(frozen=True)
class MultiKrum:
    """Return the mean of the `m` rows with the least Krum scores.

    ``m = 1`` is Krum; resilience is proved for m up to n - f - 2. If fewer rows are present, all present
    ones among the m best are averaged. Weights count peers: 0 or one common value.

    Parameters
    ----------
    f : int
        Liars to withstand.
    m : int
        Rows averaged.

    References
    ----------
    Blanchard et al., NIPS 2017, section 4; Damaskinos et al., "AggregaThor", MLSys 2019, section 2.
    """

    f: int
    m: int

    def __post_init__(self) -> None:
        if self.f < 0 or self.m < 1:
            raise UserError(f"aggregation: multi_krum needs f >= 0 and m >= 1, got f={self.f}, m={self.m}")

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        x = np.asarray(x, dtype=np.float32)
        scores = krum_scores(x, count_rows(x, weights), self.f)
        best = np.argsort(scores, kind="stable")[: self.m]
        chosen = best[np.isfinite(scores[best])]
        return x[np.sort(chosen)].mean(axis=0, dtype=np.float64).astype(np.float32)


def krum_scores(x: np.ndarray, present: np.ndarray, f: int) -> np.ndarray:
    """Return the Krum score of every row.

    Parameters
    ----------
    x : (n, d) float32
    present : (n,) bool
    f : int

    Returns
    -------
    scores : (n,) float64
        Infinite for absent rows.
    """
    squares = np.asarray(squared_distances(x, present), dtype=np.float64)
    squares[~present] = np.inf
    squares[:, ~present] = np.inf
    np.fill_diagonal(squares, np.inf)
    neighbours = min(max(1, int(present.sum()) - f - 2), max(0, int(present.sum()) - 1))
    scores = np.sort(squares, axis=1)[:, :neighbours].sum(axis=1)
    scores[~present] = np.inf
    return scores


@jax.jit
def squared_distances(x: Array, present: Array) -> Array:
    """Return the squared distances (n, n) of the present rows; entries of absent rows mean nothing."""
    clean = jnp.where(present[:, None], x, 0.0)
    w = present / jnp.sum(present)
    centre = clipped_mean(clean[None], w[None], jnp.sum(clean * clean, axis=1)[None])
    about = clean - centre
    gram = jnp.einsum("nd,md->nm", about, about, precision="highest")
    lengths = jnp.diagonal(gram)
    return jnp.maximum(lengths[:, None] + lengths[None, :] - 2.0 * gram, 0.0)
