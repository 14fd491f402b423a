"""Distances, angles and means from one Gram matrix.

Whatever depends on the rows through their distances or inner products needs n² numbers, found by one matrix
product instead of a pass over all pairs of vectors. Distances are taken about a robust centre, where the
subtraction of large nearly equal numbers is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

TINY = 1e-30


def row_norms(rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norms (m,) float64 of the rows (m, d) float32."""
    return np.sqrt(np.einsum("nd,nd->n", rows, rows).astype(np.float64))


def clip_factors(lengths: np.ndarray, radius: float) -> np.ndarray:
    """Return ``min(1, radius / length)`` (m,) for lengths (m,).

    >>> clip_factors(np.array([0.0, 1.0, 4.0]), 2.0)
    array([1. , 1. , 0.5])
    """
    return np.minimum(1.0, radius / np.maximum(lengths, TINY))


def combine_rows(coefficients: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return ``sum_i coefficients[i] rows[i]`` (d,) float32 by one matrix-vector product."""
    return np.asarray(coefficients, dtype=np.float32) @ rows


def mean_of_rows(rows: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Return the mean (d,) of the chosen rows (a mask, indices or a slice), in the order of the rows."""
    coefficients = np.zeros(len(rows))
    coefficients[chosen] = 1.0
    return combine_rows(coefficients / coefficients.sum(), rows)


def group_means(rows: np.ndarray, groups: Iterable[np.ndarray]) -> np.ndarray:
    """Return the means (k, d) float32 of groups of rows, each given by its indices."""
    return np.stack([rows[members].mean(axis=0, dtype=np.float64) for members in groups]).astype(np.float32)


def about_centre(rows: np.ndarray) -> np.ndarray:
    """Return the rows (m, d) minus the mean of rows clipped to their lower median norm."""
    norms = row_norms(rows)
    radius = np.sort(norms)[(len(norms) - 1) // 2]
    return rows - combine_rows(clip_factors(norms, float(radius)) / len(rows), rows)


def gram_matrix(rows: np.ndarray) -> np.ndarray:
    """Return all inner products (m, m) float64 of the rows (m, d) float32."""
    return (rows @ rows.T).astype(np.float64)


def centred_gram(rows: np.ndarray) -> np.ndarray:
    """Return the Gram matrix (m, m) of the rows about their robust centre."""
    return gram_matrix(about_centre(rows))


def squared_distances(rows: np.ndarray) -> np.ndarray:
    """Return the squared distances (m, m) float64 between the rows, zero on the diagonal."""
    return distances_of(centred_gram(rows))


def distances_of(gram: np.ndarray) -> np.ndarray:
    """Return the squared distances (m, m) of vectors with this Gram matrix.

    >>> distances_of(np.array([[1.0, 0.0], [0.0, 4.0]]))
    array([[0., 5.],
           [5., 0.]])
    """
    lengths = np.diagonal(gram)
    squares = np.maximum(lengths[:, None] + lengths[None, :] - 2.0 * gram, 0.0)
    np.fill_diagonal(squares, 0.0)
    return squares


def apply_gram(gram: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return ``gram @ coefficients`` (m,) without the threads of a BLAS, which cost more than the product."""
    return np.einsum("nm,m->n", gram, coefficients)


def cosines(gram: np.ndarray) -> np.ndarray:
    """Return the cosines (m, m) of vectors with this Gram matrix; a zero vector has cosine 0 with every other."""
    lengths = np.sqrt(np.maximum(np.diagonal(gram), 0.0))
    inverse = np.where(lengths > 0, 1.0 / np.maximum(lengths, TINY), 0.0)
    return np.clip(gram * inverse[:, None] * inverse[None, :], -1.0, 1.0)


def nearest_rows(squares: np.ndarray, count: int) -> np.ndarray:
    """Return the indices (m, count) of the rows nearest to each row, itself first; ties to the lowest."""
    return np.argsort(squares, axis=1, kind="stable")[:, :count]
