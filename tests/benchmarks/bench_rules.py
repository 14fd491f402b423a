"""Wall time of every aggregation rule, against the mean and, where it is installed, against ByzFL.

Run ``python tests/benchmarks/bench_rules.py [--size 100x100000 1000x10000] [--only krum nnm] [--no-byzfl]``. A
size is peers x parameters; at 1,000 peers the default has 10,000 parameters, as 1,000 x 100,000 float32 rows
and a sorted copy of them would need 0.8 GB. A tenth of the peers lie (gradients times -10), and rules know it.
Times are the best of a few rounds in milliseconds; "x mean" is the ratio to the mean of the same run, "ByzFL x
ours" what ByzFL's rule of the same kind takes, on the same rows as a torch tensor, in units of ours. Its
geometric median makes three steps, as our `rfa`; its centred clipping one step from a given start, as our
`centered_clip_momentum` does here. "-" stands for no such rule, "refused" for a search that our rule declines
as too long, "memory" where ByzFL asks for more than there is. Ratios travel better than times.

All libraries run on one thread. ByzFL's aggregators need torch alone; they are imported without the rest of that
package.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from byzfl_parts import load_byzfl

from simdfl.aggregation import RULES, InContext, RuleContext, make_rule
from simdfl.errors import UserError
from simdfl.rng import Rng
from simdfl.scenario.sections import RuleConfig

SIZES = ("100x100000", "1000x10000")
LIARS, ROUNDS, ENOUGH_S = 0.1, 3, 30.0
THEN_MEAN = RuleConfig(name="mean")
PEERS_OF_BYZFL: dict[str, Callable[[Any, Any, int], Any]] = {
    "mean": lambda rules, pre, f: rules.Average(),
    "median": lambda rules, pre, f: rules.Median(),
    "trimmed_mean": lambda rules, pre, f: rules.TrMean(f),
    "meamed": lambda rules, pre, f: rules.Meamed(f),
    "rfa": lambda rules, pre, f: rules.GeometricMedian(),
    "krum": lambda rules, pre, f: rules.Krum(f),
    "multi_krum": lambda rules, pre, f: rules.MultiKrum(f),
    "monna": lambda rules, pre, f: rules.MoNNA(f),
    "caf": lambda rules, pre, f: rules.CAF(f),
    "centered_clip_momentum": lambda rules, pre, f: rules.CenteredClipping(),
    "nnm": lambda rules, pre, f: pre.NNM(f),
    "bucketing": lambda rules, pre, f: pre.Bucketing(2),
    "clip": lambda rules, pre, f: pre.Clipping(1.0),
    "arc": lambda rules, pre, f: pre.ARC(f),
}


def draw_rows(n: int, d: int) -> np.ndarray:
    """Return rows (n, d) float32, a tenth of them of liars."""
    rng = Rng(0).stream("rows")
    rows = (rng.standard_normal(d, dtype=np.float32) + rng.standard_normal((n, d), dtype=np.float32)) / np.sqrt(d)
    rows[rng.choice(n, int(LIARS * n), replace=False)] *= -10.0
    return rows.astype(np.float32)


def best_ms(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the shortest wall time in ms after a first call that compiles; one call if that is long."""
    start = time.perf_counter()
    action()
    first_s = time.perf_counter() - start
    if first_s > ENOUGH_S:
        return 1e3 * first_s
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def our_ms(name: str, rows: np.ndarray) -> float | None:
    """Return the time of our rule; of a pre-aggregator, with the mean behind it; None if it is refused."""
    n, f = len(rows), int(LIARS * len(rows))
    rule = make_rule(name, {}, n, f, None if name in RULES else THEN_MEAN)
    ready = InContext(
        rule, RuleContext(root=rows.mean(axis=0), previous=np.zeros(rows.shape[1], dtype=np.float32))
    )
    try:
        return best_ms(lambda: ready(rows))
    except UserError:
        return None


def byzfl_ratio(name: str, rows: np.ndarray, ours: float | None, byzfl: tuple[Any, ...] | None) -> str:
    """Return the time of ByzFL's rule over ours, on fresh copies of the rows: some overwrite them."""
    if byzfl is None or ours is None or name not in PEERS_OF_BYZFL:
        return "-"
    rules, pre, torch = byzfl
    rule = PEERS_OF_BYZFL[name](rules, pre, int(LIARS * len(rows)))
    behind = (lambda x: x) if name in RULES else (lambda x: x.mean(dim=0))
    copies = [torch.from_numpy(rows.copy()) for _ in range(ROUNDS + 1)]
    try:
        return f"{best_ms(lambda: behind(rule(copies.pop()))) / ours:.1f}"
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        return "memory"


def report(n: int, d: int, names: list[str], byzfl: tuple[Any, ...] | None) -> None:
    """Print one line for every rule."""
    rows = draw_rows(n, d)
    base = our_ms("mean", rows)
    assert base is not None
    print(f"\n{n} peers, {d:,} parameters, {int(LIARS * n)} liars")
    print(f"{'rule':24} {'ms':>10} {'x mean':>8} {'ByzFL x ours':>13}")
    for name in names:
        ours = our_ms(name, rows)
        time_ms, ratio = ("refused", "-") if ours is None else (f"{ours:.1f}", f"{ours / base:.1f}")
        print(f"{name:24} {time_ms:>10} {ratio:>8} {byzfl_ratio(name, rows, ours, byzfl):>13}", flush=True)


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shelf = [*RULES, "nnm", "bucketing", "clip", "arc"]
    parser.add_argument("--size", nargs="+", default=SIZES, help="peers x parameters")
    parser.add_argument("--only", nargs="+", default=shelf, choices=shelf, metavar="RULE", help="these alone")
    parser.add_argument("--no-byzfl", action="store_true", help="do not look for ByzFL")
    arguments = parser.parse_args()
    byzfl = None if arguments.no_byzfl else load_byzfl("aggregators.aggregators", "aggregators.preaggregators")
    print("ByzFL: " + ("found" if byzfl else "not used"))
    for size in arguments.size:
        n, d = (int(part) for part in size.split("x"))
        report(n, d, arguments.only, byzfl)


if __name__ == "__main__":
    main()
