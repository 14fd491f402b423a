"""Which rows take part: the contract that all rules share.

A rule gets x : (n, d), one row a peer, and optional weights (n,). A row is *present* if its weight is
positive and it is usable; a row is *usable* if all its entries are finite and its squared norm is at most
``MAX_SQUARED_NORM``, so that no inner product overflows float32. Absent rows are treated as if they had
not been sent: they are excluded, never averaged in, and can win nothing. Inputs are never overwritten.
"""

from __future__ import annotations

import numpy as np

from simdfl.errors import SimdflError, UserError

MAX_SQUARED_NORM = 1e36


class NoUsableRowsError(SimdflError):
    """Every row is absent or holds NaN or Inf, so that there is nothing to aggregate."""


def is_usable(x: np.ndarray) -> np.ndarray:
    """Return which rows of x : (n, d) are usable, as (n,) bool.

    >>> is_usable(np.array([[1, 2], [np.nan, 0], [np.inf, 0], [3e38, 0]], dtype=np.float32))
    array([ True, False, False, False])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.einsum("nd,nd->n", x, x) <= MAX_SQUARED_NORM


def row_weights(x: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the weights (n,) float32 with zero for absent rows.

    Raises
    ------
    UserError
        If x is not a matrix, or the weights do not fit it or are negative or not finite.
    NoUsableRowsError
        If no row is present.
    """
    if x.ndim != 2 or 0 in x.shape:
        raise UserError(f"aggregation: rows must be a matrix (n, d) with n, d >= 1, got shape {x.shape}")
    given = np.ones(len(x), dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32)
    if given.shape != (len(x),) or not np.isfinite(given).all() or (given < 0).any():
        raise UserError(f"aggregation: weights must be {len(x)} finite numbers >= 0, got {weights}")
    present = np.where(is_usable(x), given, np.float32(0.0))
    if not present.any():
        raise NoUsableRowsError(f"none of {len(x)} rows is usable: every one is absent, or holds NaN or Inf")
    return present


def count_rows(x: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the presence mask (n,) bool for a rule that counts peers instead of weighing them.

    Raises
    ------
    UserError
        If two present rows have different weights.
    """
    present = row_weights(x, weights)
    positive = present[present > 0]
    if (positive != positive[0]).any():
        raise UserError("aggregation: this rule counts peers; weights must be 0 or one common value")
    return present > 0


def present_rows(x: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the present rows (m, d) float32 for a rule that counts peers; perhaps x itself.

    Raises
    ------
    UserError, NoUsableRowsError
        As :func:`count_rows`.
    """
    x = np.asarray(x, dtype=np.float32)
    present = count_rows(x, weights)
    return x if present.all() else x[present]
