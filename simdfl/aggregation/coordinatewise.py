"""Rules that look at each coordinate alone: median and trimmed mean.

They sort over the peers. NumPy's vectorised sort does that several times faster on a CPU than XLA's, and
sorting is exact, so that these rules run on the host and give the same bits on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.aggregation.rows import count_rows
from simdfl.errors import UserError


@dataclass(frozen=True)
class Median:
    """Coordinate-wise median; for an even number of rows the mean of the two middle values.

    Breakdown: with f < n/2 liars every coordinate stays between the least and greatest honest value.
    Weights count peers: 0 or one common value.

    References
    ----------
    Yin et al., "Byzantine-robust distributed learning", ICML 2018, algorithm 1, option I.
    """

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        ordered = _sorted_present(x, weights)
        n = len(ordered)
        return _mean_of(ordered[(n - 1) // 2 : n // 2 + 1])


@dataclass(frozen=True)
class TrimmedMean:
    """Coordinate-wise mean without the `f` least and the `f` greatest values.

    Breakdown: f < n/2; every coordinate stays within the honest range. If absent rows leave at most 2 f
    present, the rule trims as many on each side as leaves one or two values: the median. Weights count
    peers: 0 or one common value.

    Parameters
    ----------
    f : int
        Values trimmed on *each* side.

    References
    ----------
    Yin et al., "Byzantine-robust distributed learning", ICML 2018, algorithm 1, option II.
    """

    f: int

    def __post_init__(self) -> None:
        if self.f < 0:
            raise UserError(f"aggregation.f: must be at least 0, got {self.f}")

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        ordered = _sorted_present(x, weights)
        trimmed = min(self.f, (len(ordered) - 1) // 2)
        return _mean_of(ordered[trimmed : len(ordered) - trimmed])


def _sorted_present(x: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the present rows, each coordinate sorted over the peers; a copy."""
    x = np.asarray(x, dtype=np.float32)
    return np.sort(x[count_rows(x, weights)], axis=0)


def _mean_of(ordered: np.ndarray) -> np.ndarray:
    return ordered.mean(axis=0, dtype=np.float64).astype(np.float32)
