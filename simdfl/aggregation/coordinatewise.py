"""Rules that look at each coordinate alone: medians and trimmed means.

They sort over the peers. NumPy's vectorised sort does that several times faster on a CPU than XLA's, and
sorting is exact, so that these rules run on the host and give the same bits on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.aggregation.contract import RowRule
from simdfl.errors import UserError

TILE = 8192  # coordinates treated at once, so that temporary arrays stay in the cache
MAD_TO_SIGMA = 1.4826  # a normal distribution's standard deviation in units of its median absolute deviation


@dataclass(frozen=True)
class Median(RowRule):
    """Coordinate-wise median; for an even number of rows the mean of the two middle values.

    Breakdown: with f < n/2 liars every coordinate stays between the least and greatest honest value.
    Weights count peers: 0 or one common value.

    References
    ----------
    Yin et al., "Byzantine-robust distributed learning", ICML 2018, algorithm 1, option I.
    """

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        return _median_of(np.sort(rows, axis=0))


@dataclass(frozen=True)
class TrimmedMean(RowRule):
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
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        return _trimmed(np.sort(rows, axis=0), self.f)


@dataclass(frozen=True)
class MeanAroundMedian(RowRule):
    """MeaMed: in each coordinate the mean of the n - f values nearest to the median.

    The median of an even number is the mean of the two middle values; of two equally near values the lesser
    counts. Breakdown: f < n/2; a liar counts only where it is no further from the median than an honest value.

    Parameters
    ----------
    f : int
        Values left out.

    References
    ----------
    Xie, Koyejo, Gupta, "Generalized Byzantine-tolerant SGD", arXiv 1802.10116, 2018, section 4 (mean around
    median).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        ordered = np.sort(rows, axis=0)
        return mean_nearest(ordered, _median_of(ordered), _kept(len(rows), self.f))


@dataclass(frozen=True)
class Phocas(RowRule):
    """In each coordinate the mean of the n - f values nearest to the f-trimmed mean.

    Of two equally near values the lesser counts. Breakdown: f < n/2.

    Parameters
    ----------
    f : int
        Values left out, and trimmed on each side for the centre.

    References
    ----------
    Xie, Koyejo, Gupta, "Phocas: dimensional Byzantine-resilient stochastic gradient descent", arXiv 1805.09682,
    2018, definition 8.
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        ordered = np.sort(rows, axis=0)
        return mean_nearest(ordered, _trimmed(ordered, self.f), _kept(len(rows), self.f))


@dataclass(frozen=True)
class AdaptiveMedian(RowRule):
    """In each coordinate the mean of the values within ``k`` robust deviations of the median.

    The robust deviation is 1.4826 times the median absolute deviation, the standard deviation for normal
    values. It needs no number of liars: without them nearly all values count, as in the mean; under attack the
    far ones do not. The two middle values always count, so that zero deviation gives the median. Breakdown: f <
    n/2; a coordinate stays within k + 1 robust deviations of the honest range.

    Parameters
    ----------
    k : float
        Deviations, at least 1 so that about half the values or more count.

    References
    ----------
    Hampel, "The breakdown points of the mean combined with some rejection rules", Technometrics 27(2), 1985,
    section 2 (rejection rule X84).
    """

    k: float = 3.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.k < np.inf:
            raise UserError(f"aggregation: adaptive_median needs k >= 1, got {self.k}")

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        ordered = np.sort(rows, axis=0)
        result = np.empty(rows.shape[1], dtype=np.float32)
        for at in range(0, rows.shape[1], TILE):
            tile = ordered[:, at : at + TILE]
            deviation = np.abs(tile - _median_of(tile))
            reach = self.k * MAD_TO_SIGMA * _median_of(np.sort(deviation, axis=0))
            counts = deviation <= np.maximum(
                reach, deviation[(len(rows) - 1) // 2 : len(rows) // 2 + 1].max(axis=0)
            )
            result[at : at + TILE] = _sum_where(tile, counts) / counts.sum(axis=0)
        return result


def check_liars(f: int) -> None:
    """Raise a UserError unless `f` may be a number of liars."""
    if not isinstance(f, int) or isinstance(f, bool) or f < 0:
        raise UserError(f"aggregation.f: must be a whole number >= 0, got {f!r}")


def mean_nearest(ordered: np.ndarray, centre: np.ndarray, count: int) -> np.ndarray:
    """Return, in each coordinate, the mean of the `count` values nearest to a centre.

    Sorted values nearest to a point are neighbours in the order: a window of `count`.

    Parameters
    ----------
    ordered : (m, d) float32
        Each coordinate sorted.
    centre : (d,) float32
    count : int
        From 1 to m; of two windows that reach equally far the lesser counts.

    Returns
    -------
    mean : (d,) float32
    """
    result = np.empty(ordered.shape[1], dtype=np.float32)
    for at in range(0, ordered.shape[1], TILE):
        result[at : at + TILE] = _mean_nearest(ordered[:, at : at + TILE], centre[at : at + TILE], count)
    return result


def _mean_nearest(tile: np.ndarray, centre: np.ndarray, count: int) -> np.ndarray:
    # A window moves up while the value it would gain is nearer than the one it would lose.
    first = np.count_nonzero(tile[count:] - centre < centre - tile[: len(tile) - count], axis=0)
    order = np.arange(len(tile))[:, None]
    chosen = (order >= first) & (order < first + count)
    return _sum_where(tile, chosen) / count


def _sum_where(tile: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.where(chosen, tile, np.float32(0.0)).sum(axis=0, dtype=np.float64)


def _kept(n: int, f: int) -> int:
    return max(1, n - f)


def _median_of(ordered: np.ndarray) -> np.ndarray:
    n = len(ordered)
    return _mean_of(ordered[(n - 1) // 2 : n // 2 + 1])


def _trimmed(ordered: np.ndarray, f: int) -> np.ndarray:
    trimmed = min(f, (len(ordered) - 1) // 2)
    return _mean_of(ordered[trimmed : len(ordered) - trimmed])


def _mean_of(ordered: np.ndarray) -> np.ndarray:
    return ordered.mean(axis=0, dtype=np.float64).astype(np.float32)
