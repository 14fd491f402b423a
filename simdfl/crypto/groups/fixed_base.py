"""Multiplication of one point by many scalars: a table of its multiples, then additions only.

With windows of w bits the table holds ``ceil(255 / w)`` rows of 2^w - 1 points. At w = 5 a product takes 51
additions (a quarter of a general multiplication), the table about 270 kB and the time of a dozen products.
"""

from __future__ import annotations

from simdfl.crypto.groups.base import Group, Point

WINDOW_BITS = 5


class FixedBase:
    """The map from k to k times `point`.

    Parameters
    ----------
    group : Group
        Where the point lives.
    point : Point
        The base.
    """

    def __init__(self, group: Group, point: Point) -> None:
        self._group = group
        self._rows = [self._row(base) for base in self._bases(point)]

    def _bases(self, point: Point) -> list[Point]:
        """Return point times 2^(w k) for every window k."""
        bases = [point]
        for _ in range((self._group.order.bit_length() - 1) // WINDOW_BITS):
            bases.append(self._group.mul(1 << WINDOW_BITS, bases[-1]))
        return bases

    def _row(self, base: Point) -> list[Point]:
        row = [self._group.identity]
        for _ in range((1 << WINDOW_BITS) - 1):
            row.append(row[-1] + base)
        return row

    def __call__(self, scalar: int) -> Point:
        """Return `scalar` times the base."""
        scalar %= self._group.order
        total = self._group.identity
        mask = (1 << WINDOW_BITS) - 1
        for row in self._rows:
            digit = scalar & mask
            if digit:
                total = total + row[digit]  # the operator, not group.add: half of the time is the call
            scalar >>= WINDOW_BITS
        return total
