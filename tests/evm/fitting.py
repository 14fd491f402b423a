"""From measured calls to prices: exact solution of linear equations in what the calls did.

Each measured call says: what was left of its gas is the constant of its function plus a price for each thing
that it did, times how often. All calls of a function together are solved in rational numbers; where
measurements leave a choice, prices are zero as far as possible. A call that no choice of prices explains is a
conflict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from double import Measured

from contracts_model.computing import CONSTANT, reverting

Row = dict[int, Fraction]


def features_of(measured: Measured) -> dict[str, int]:
    """Return what a call did, its constant and the place of its revert included."""
    found = {name: times for name, times in measured.counts.items() if times}
    found[CONSTANT] = 1
    if measured.outcome.reason:
        found[reverting(measured.outcome.reason)] = 1
    return found


def by_function(rows: Iterable[Measured]) -> dict[tuple[str, str], list[tuple[dict[str, int], int]]]:
    """Return features and remaining gas by (contract, function)."""
    found = defaultdict(list)
    for row in rows:
        found[row.call.contract, row.call.function].append((features_of(row), row.spent - row.priced))
    return dict(found)


def _rank(name: str) -> tuple[int, str]:
    """Prefer prices of what names a path; reads and writes come last, since many things cause them."""
    if name == CONSTANT:
        return 0, name
    if name.startswith("reverts"):
        return 1, name
    if name.startswith("argument"):
        return 2, name
    if name.endswith(" write"):
        return 4, name
    return (5, name) if name.endswith(" read") else (3, name)


def solve(
    equations: list[tuple[dict[str, int], int]],
) -> tuple[dict[str, Fraction], list[tuple[dict[str, int], int]]]:
    """Return prices that explain all equations, and those equations that no prices explain with the others."""
    names = sorted({name for features, _ in equations for name in features}, key=_rank)
    place = {name: at for at, name in enumerate(names)}
    solved: dict[int, tuple[Row, Fraction]] = {}
    conflicts = []
    for features, gas in equations:
        row = {place[name]: Fraction(times) for name, times in features.items()}
        left = _reduce(row, Fraction(gas), solved)
        if row:
            pivot = min(row)
            solved[pivot] = ({at: value / row[pivot] for at, value in row.items()}, left / row[pivot])
        elif left:
            conflicts.append((features, gas))
    return {names[at]: price for at, price in _substitute(solved).items() if price}, conflicts


def _reduce(row: Row, left: Fraction, solved: Mapping[int, tuple[Row, Fraction]]) -> Fraction:
    """Subtract solved equations from a row, in place, until its first unknown is new; return what is left."""
    while row and (pivot := min(row)) in solved:
        other, gas = solved[pivot]
        factor = row[pivot]
        for at, value in other.items():
            changed = row.get(at, Fraction(0)) - factor * value
            if changed:
                row[at] = changed
            else:
                row.pop(at, None)
        left -= factor * gas
    return left


def _substitute(solved: Mapping[int, tuple[Row, Fraction]]) -> dict[int, Fraction]:
    prices: dict[int, Fraction] = {}
    for pivot in sorted(solved, reverse=True):
        row, gas = solved[pivot]
        prices[pivot] = gas - sum(
            (v * prices.get(at, Fraction(0)) for at, v in row.items() if at != pivot), Fraction(0)
        )
    return prices
