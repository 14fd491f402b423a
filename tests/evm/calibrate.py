"""Measure the prices of arithmetic and memory: ``python tests/evm/calibrate.py [--plays N]``.

Random plays run on the compiled twins of the contracts; ``contracts_model/data/computing_gas.csv`` is written
anew. To be run after any change of a contract, its twin or the compiler; takes some forty minutes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import anchorage  # noqa: E402
import improvise  # noqa: E402
from double import Measured, Sampled  # noqa: E402
from fitting import by_function, solve_all  # noqa: E402

from contracts_model.computing import TABLE  # noqa: E402

OFTEN = 2
CALLS = 400


def measure(plays: int) -> list[Measured]:
    """Return what the calls of so many plays cost, each kind of call at most twice."""
    seen: Counter[Any] = Counter()
    rows: list[Measured] = []
    for seed in range(plays):
        settings = improvise.SETTINGS[seed % len(improvise.SETTINGS)]
        job = Sampled(seen, OFTEN, **settings)
        improvise.Play(job, Random(seed)).run(CALLS)
        rows += job.rows
        print(f"play {seed + 1} of {plays}: {len(rows)} of {sum(seen.values())} calls measured", file=sys.stderr)
    for seed in range(max(6, plays // 8)):
        settings = anchorage.SETTINGS[seed % len(anchorage.SETTINGS)]
        anchored = anchorage.AnchorSampled(seen, OFTEN, **settings)
        anchorage.AnchorPlay(anchored, Random(seed)).run(CALLS // 2)
        rows += anchored.rows
    return rows


def main() -> int:
    """Measure, solve, write; fail where a price is no whole number or something is left unexplained."""
    parser = argparse.ArgumentParser(description="Measure the prices of arithmetic and memory on the twins.")
    parser.add_argument("--plays", type=int, default=3_500)
    table, problems = [], []
    rows = measure(parser.parse_args().plays)
    solutions = solve_all(by_function(rows))
    for (contract, function), (prices, conflicts) in sorted(solutions.items()):
        for features, gas in conflicts[:3]:
            problems.append(f"{contract}.{function}: {gas} gas is not explained by {features}")
        for what, price in prices.items():
            if price.denominator != 1:
                problems.append(f"{contract}.{function}: {what} would cost {price}")
            table.append((contract, function, what, str(price)))
    with TABLE.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("contract", "function", "what", "gas"))
        writer.writerows(table)
    print(f"{len(table)} prices from {len(rows)} measured calls; {len(problems)} problems")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
