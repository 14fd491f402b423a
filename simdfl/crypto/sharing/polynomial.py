"""Polynomials over the scalars: evaluation, interpolation, the dual code.

Coefficients are listed from the constant upwards. Receivers own the points 1 .. n; secrets sit at 0, -1, ….
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import factorial


def evaluate(coefficients: Sequence[int], x: int, order: int) -> int:
    """Return the polynomial's value at a small `x`, modulo `order`.

    >>> evaluate([1, 2, 3], 2, 97)
    17
    """
    total = 0
    for coefficient in reversed(coefficients):
        total = total * x + coefficient  # x is a receiver's number: reducing once at the end is faster
    return total % order


def evaluate_many(coefficients: Sequence[int], points: Iterable[int], order: int) -> list[int]:
    """Return the values at all `points`."""
    return [evaluate(coefficients, x, order) for x in points]


def lagrange_at(x: int, indices: Sequence[int], order: int) -> list[int]:
    """Return the weights with which the values at `indices` give the value at `x`.

    Raises
    ------
    ValueError
        An index is `x` itself or comes twice, or there is none.

    Examples
    --------
    >>> lagrange_at(0, [1, 2], 97), lagrange_at(-1, [1, 2], 97)
    ([2, 96], [3, 95])
    """
    if not indices or any((i - x) % order == 0 for i in indices) or len(set(indices)) < len(indices):
        raise ValueError(f"interpolation at {x} needs distinct other indices, got {list(indices)}")
    weights = []
    for i in indices:
        numerator = denominator = 1
        for j in indices:
            if j != i:
                numerator = numerator * (j - x) % order
                denominator = denominator * (j - i) % order
        weights.append(numerator * pow(denominator, -1, order) % order)
    return weights


@lru_cache(maxsize=64)
def dual_weights(last: int, order: int) -> tuple[int, ...]:
    """Return w_i = prod_{j != i} (i - j)^-1 for the points i = 0 .. `last`.

    For every polynomial P of degree below `last`, the sum of w_i P(i) vanishes.

    >>> sum(w * i for w, i in zip(dual_weights(3, 97), range(4))) % 97
    0
    """
    weights = []
    for i in range(last + 1):
        product = factorial(i) * factorial(last - i) * (-1) ** (last - i)
        weights.append(pow(product, -1, order))
    return tuple(weights)
