"""From measured calls to prices: exact solution of linear equations in what the calls did.

Each measured call says: what was left of its gas is the constant of its function plus a price for each thing
that it did, times how often. All calls of a function together are solved in rational numbers; where
measurements leave a choice, prices are zero as far as possible. A call that no choice of prices explains is a
conflict.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from double import Measured

from contracts_model.computing import CONSTANT, reverting

Row = dict[int, Fraction]
ARGUMENTS = 2
"""Ranks up to this one belong to a function alone: its constant, its reverts, its arguments."""


def features_of(measured: Measured) -> dict[str, int]:
    """Return what a call did, its constant and the place of its revert included."""
    found = {name: times for name, times in measured.counts.items() if times}
    found[CONSTANT] = 1
    if measured.outcome.reason:
        found[reverting(measured.outcome.reason)] = 1
    return found


def by_function(rows: Iterable[Measured]) -> dict[tuple[str, str], list[tuple[dict[str, int], int]]]:
    """Return features and remaining gas by (code, function)."""
    found = defaultdict(list)
    for row in rows:
        found[row.code, row.call.function].append((features_of(row), row.spent - row.priced))
    return dict(found)


def _rank(name: str) -> tuple[int, str]:
    """Prefer prices of what names a path; reads and writes come last, since many things cause them."""
    if name == CONSTANT:
        return 0, name
    if name.startswith("reverts"):
        return 1, name
    if name.startswith("argument"):
        return ARGUMENTS, name
    if name.endswith(" write"):
        return 4, name
    return (5, name) if name.endswith(" read") else (3, name)


Equations = list[tuple[dict[str, int], int]]
Prices = dict[str, Fraction]


def solve_all(measured: Mapping[Any, Equations]) -> dict[Any, tuple[Prices, Equations]]:
    """Return prices and conflicts by function.

    Where a function's calls leave a choice and no whole numbers come out, prices are taken from other functions,
    one by one: the same thing mostly costs the same wherever it is called from, since the same code does it.
    """
    alone = {function: solve(equations) for function, equations in measured.items()}
    found: dict[str, Counter[Fraction]] = defaultdict(Counter)
    for prices, _ in alone.values():
        for name, price in prices.items():
            if _rank(name)[0] > ARGUMENTS and price.denominator == 1:
                found[name][price] += 1
    usual = {name: votes.most_common(1)[0][0] for name, votes in found.items()}
    return {function: solve(equations, usual) for function, equations in measured.items()}


def solve(equations: Equations, usual: Mapping[str, Fraction] | None = None) -> tuple[Prices, Equations]:
    """Return prices that explain all equations, and those equations that no prices explain with the others.

    Parameters
    ----------
    equations : list of (features, gas)
        Of one function.
    usual : mapping of str to Fraction, optional
        Prices to take where the equations leave a choice.
    """
    names = sorted({name for features, _ in equations for name in features}, key=_rank)
    place = {name: at for at, name in enumerate(names)}
    solved: dict[int, tuple[Row, Fraction]] = {}
    conflicts = []
    for features, gas in equations:
        row = {place[name]: Fraction(times) for name, times in features.items()}
        left = _reduce(row, Fraction(gas), solved)
        if row:
            _keep(row, left, solved)
        elif left:
            conflicts.append((features, gas))
    for name in [name for name in names if usual and name in usual]:
        row = {place[name]: Fraction(1)}
        left = _reduce(row, usual[name] if usual else Fraction(0), solved)
        if row:
            tried = dict(solved)
            _keep(row, left, tried)
            solved = tried if _fractions(tried) < _fractions(solved) else solved
    return {names[at]: price for at, price in _substitute(solved).items() if price}, conflicts


def _fractions(solved: Mapping[int, tuple[Row, Fraction]]) -> int:
    """Return how many prices would be no whole numbers."""
    return sum(price.denominator != 1 for price in _substitute(solved).values())


def _keep(row: Row, left: Fraction, solved: dict[int, tuple[Row, Fraction]]) -> None:
    pivot = min(row)
    solved[pivot] = ({at: value / row[pivot] for at, value in row.items()}, left / row[pivot])


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
