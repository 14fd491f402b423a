"""What compiled code pays for arithmetic and memory: the gas that no opcode with a price of its own explains.

Every function has a constant, and a price for each thing that its work grows with: slots read and written,
events, message calls, rounds of loops, words of dynamic arguments, and the place where it reverts. The prices
are those of the Vyper twins in ``vyper/``; ``data/computing_gas.csv`` holds them, and ``data/README.md`` says
how they are measured. With them the gas of a call is that of the twin on an EVM, to the unit.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from contracts_model.abi import STATIC
from contracts_model.gas import Meter, words

TABLE = Path(__file__).parent / "data" / "computing_gas.csv"
CONSTANT = "call"


@cache
def prices() -> dict[tuple[str, str], dict[str, int]]:
    """Return the prices by (contract, function): gas of each thing counted, and of the call itself."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    with TABLE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            found.setdefault((row["contract"], row["function"]), {})[intern(row["what"])] = int(row["gas"])
    return found


def reverting(reason: str) -> str:
    """Return the name under which the price of a revert stands.

    >>> reverting("banned")
    'reverts: banned'
    """
    return f"reverts: {reason}"


def computing_gas(contract: str, function: str, reason: str, counts: Mapping[str, int]) -> int:
    """Return the gas of a call's arithmetic and memory.

    Parameters
    ----------
    contract, function : str
        What was called.
    reason : str
        Why it reverted; empty if it did not.
    counts : mapping of str to int
        What the call did (:attr:`contracts_model.gas.Meter.counts`).
    """
    return _gas_of(contract, function, reason, tuple(counts), tuple(counts.values()))


@lru_cache(4096)
def _gas_of(contract: str, function: str, reason: str, whats: tuple[str, ...], times: tuple[int, ...]) -> int:
    """Return the same; most calls do exactly what another has done."""
    table = prices().get((contract, function), {})
    gas = table.get(CONSTANT, 0) + sum(table.get(what, 0) * count for what, count in zip(whats, times))
    return gas + table.get(reverting(reason), 0) if reason else gas


def count_arguments(meter: Meter, types: tuple[str, ...], arguments: Sequence[Any]) -> None:
    """Note how long the dynamic arguments are."""
    counts = meter.counts
    for position, kind, in_words, in_items, in_any in dynamic_arguments(types):
        value = arguments[position]
        if kind == "bytes":
            counts[in_words] += words(len(value))
            continue
        counts[in_items] += len(value)
        if kind == "bytes[]":
            counts[in_any] += len(value) > 0
            counts[in_words] += sum(words(len(item)) for item in value)


@cache
def dynamic_arguments(types: tuple[str, ...]) -> list[tuple[int, str, str, str, str]]:
    """Return places, types, and the names under which words, items and non-empty lists are counted."""
    names = [(place, kind, f"argument {place}") for place, kind in enumerate(types) if kind not in STATIC]
    return [(place, kind, f"{name} words", f"{name} items", f"{name} any") for place, kind, name in names]
