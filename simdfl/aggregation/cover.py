"""The n - f rows of least diameter, found exactly.

Rows of diameter at most D are those left when from every pair further apart one row is taken away: the removed
rows *cover* the graph of far pairs. The least D with a cover of f rows is found by bisection over the
distances, and covers by branching on the row with most far pairs: either it goes, or all rows far from it do. A
row far from more rows than may still go must go itself, which disposes of distant liars at once. Rows are sets
of bits.

References
----------
Downey and Fellows, "Parameterized complexity", 1999, section 3.2 (vertex cover by bounded search trees).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simdfl.errors import UserError

MOST_LOOKS = 20_000_000


def smallest_diameter(squares: np.ndarray, f: int) -> np.ndarray:
    """Return the indices of the m - f rows of least diameter.

    Parameters
    ----------
    squares : (m, m) float64
        Squared distances.
    f : int
        Rows to leave out, 0 to m - 1. Of sets of equal diameter the one with the least sum of squares is taken.

    Raises
    ------
    UserError
        If the search takes too many branches.
    """
    m = len(squares)
    budget = _Budget(m, f)
    levels = np.unique(squares[np.triu_indices(m, 1)])
    low, high = -1, len(levels) - 1  # a cover exists at high; level -1 stands for no distance allowed at all
    while high - low > 1:
        middle = (low + high) // 2
        covered = next(_covers(_far(squares, levels[middle]), f, budget), None) is not None
        low, high = (low, middle) if covered else (middle, high)
    covers = _covers(_far(squares, levels[high]), f, budget) if m > 1 else iter([0])
    return min((_complete(cover, squares, m, f) for cover in covers), key=lambda kept: _spread(squares, kept))


class _Budget:
    """Counts branches, each of which looks at all rows, and ends a search that takes too many."""

    def __init__(self, m: int, f: int) -> None:
        self._m, self._f, self._left = m, f, MOST_LOOKS // m

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UserError(
                f"aggregation: mda takes more than {MOST_LOOKS // self._m:,} branches for f={self._f} of "
                f"n={self._m}; use fewer peers, a smaller f, or multi_krum or nnm with mean, which approximate it"
            )


def _far(squares: np.ndarray, level: float) -> list[int]:
    """Return, for each row, the set of rows further away than `level`."""
    bits = np.packbits(squares > level, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in bits]


def _covers(far: list[int], allowed: int, budget: _Budget) -> Iterator[int]:
    """Yield covers of at most `allowed` rows of the graph `far`; among them all minimal ones."""
    everyone = (1 << len(far)) - 1
    stack = [(everyone, 0, allowed)]
    while stack:
        left, gone, allowed = stack.pop()
        budget.spend()
        degrees = [(far[row] & left).bit_count() if left >> row & 1 else 0 for row in range(len(far))]
        top = max(range(len(far)), key=degrees.__getitem__)
        if degrees[top] == 0:
            yield gone
        elif allowed > 0 and sum(degrees) <= 2 * allowed * degrees[top]:
            neighbours = far[top] & left
            if degrees[top] <= allowed:
                kept_out = neighbours | 1 << top
                stack.append((left & ~kept_out, gone | neighbours, allowed - degrees[top]))
            stack.append((left & ~(1 << top), gone | 1 << top, allowed - 1))


def _complete(cover: int, squares: np.ndarray, m: int, f: int) -> np.ndarray:
    """Return the rows left when `cover` goes, and further rows in the order of their spread until f are gone."""
    kept = np.array([row for row in range(m) if not cover >> row & 1])
    while len(kept) > m - f:
        kept = np.delete(kept, squares[np.ix_(kept, kept)].sum(axis=1)[::-1].argmax() * -1 - 1)
    return kept


def _spread(squares: np.ndarray, kept: np.ndarray) -> float:
    return float(squares[np.ix_(kept, kept)].sum())
