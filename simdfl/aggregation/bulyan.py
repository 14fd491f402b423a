"""Bulyan: Krum again and again, then a trimmed mean around the median."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.aggregation.contract import RowRule
from simdfl.aggregation.coordinatewise import Median, check_liars, mean_nearest
from simdfl.aggregation.krum import KrumScore
from simdfl.aggregation.span import squared_distances


@dataclass(frozen=True)
class Bulyan(RowRule):
    """Select n - 2 f rows by repeated Krum; in each coordinate average their n - 4 f values nearest the median.

    Each selection scores the rows that are left by the sum of squared distances to their m - f - 2 nearest
    others among the m left (at least one), takes the best and removes it (where one neighbour counts, the two
    rows nearest each other score alike: the one with the lesser sum over all rows left). The median of an even
    number is the mean of the two middle values. Breakdown: n >= 4 f + 3; every coordinate averages values that
    honest values surround. If absent rows leave fewer, at least one row is selected and one value averaged.
    Weights count peers: 0 or one common value.

    Parameters
    ----------
    f : int
        Liars to withstand.

    References
    ----------
    El Mhamdi, Guerraoui, Rouault, "The hidden vulnerability of distributed learning in Byzantium", ICML 2018,
    section 4.
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        selected = max(1, len(rows) - 2 * self.f)
        chosen = np.sort(select_by_krum(squared_distances(rows), self.f, selected))
        ordered = np.sort(rows[chosen], axis=0)
        return mean_nearest(ordered, Median().combine(ordered), max(1, selected - 2 * self.f))


def select_by_krum(squares: np.ndarray, f: int, count: int) -> list[int]:
    """Select rows one by one, each time the Krum winner among those left.

    When one row goes, every score loses exactly one term: the gone row if it was among the neighbours counted,
    else the furthest of them, as one neighbour fewer is counted. Neighbours are sorted once, and a pointer to
    the furthest counted one moves down each list: O(n²) for all selections together, after O(n² log n).

    Parameters
    ----------
    squares : (m, m) float64
        Squared distances.
    f, count : int

    Returns
    -------
    selected : list of int
        In the order of selection.
    """
    neighbours = _Neighbours(squares, f)
    selected = []
    for _ in range(count):
        winner = neighbours.winner()
        selected.append(winner)
        neighbours.remove(winner)
    return selected


class _Neighbours:
    """Scores of the rows left, kept up while rows are removed."""

    def __init__(self, squares: np.ndarray, f: int) -> None:
        m = len(squares)
        self._f, self._squares = f, squares.copy()
        np.fill_diagonal(self._squares, np.inf)
        self._order = np.argsort(self._squares, axis=1, kind="stable")
        self._rank = np.empty_like(self._order)
        np.put_along_axis(self._rank, self._order, np.arange(m)[None, :], axis=1)
        self._left = np.ones(m, dtype=bool)
        self._furthest = np.full(m, m - f - 3)
        self._scores = np.take_along_axis(self._squares, self._order[:, : max(0, m - f - 2)], axis=1).sum(axis=1)

    def winner(self) -> int:
        """Return the row left with the least score, the lowest index among equals."""
        left = np.flatnonzero(self._left)
        if len(left) - self._f - 2 >= 2:
            return int(left[self._scores[left].argmin()])
        # So few are left that one neighbour counts, and the two rows nearest each other have the same score.
        squares = self._squares[np.ix_(left, left)]
        np.fill_diagonal(squares, 0.0)
        scores = KrumScore(self._f)(squares) if len(left) > 1 else np.zeros(1)
        return int(left[np.lexsort((squares.sum(axis=1), scores))[0]])

    def remove(self, gone: int) -> None:
        """Take a row away and lower every score by one term."""
        everyone = np.arange(len(self._left))
        counted = self._rank[:, gone] <= self._furthest
        last = self._order[everyone, np.maximum(self._furthest, 0)]
        self._scores -= np.where(counted, self._squares[:, gone], self._squares[everyone, last])
        self._left[gone] = False
        self._furthest -= ~counted
        while True:
            at = np.maximum(self._furthest, 0)
            stale = ~self._left[self._order[everyone, at]] & (self._furthest >= 0)
            if not stale.any():
                return
            self._furthest -= stale
