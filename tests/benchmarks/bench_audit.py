"""What each level of an audit costs beside the training itself: CPU seconds and peak memory, one process each.

``python tests/benchmarks/bench_audit.py`` trains and audits runs of 250 and 1,000 steps (6 peers, a logistic
model on ``synthetic``, the ``ideal`` group) and the demo without baselines. Imports and compiling are included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = """name: long
protocol: {{steps: {steps}, validators: 1}}
peers: {{count: 6}}
topology: {{name: complete}}
learning:
  dataset: {{name: synthetic}}
  model: {{name: logistic}}
  batch_size: 16
  evaluate_every: {steps}
beacon: {{group: ideal}}
"""
KIB_PER_MB = 1e6 / 1024


class Cost(NamedTuple):
    """CPU seconds, user and system, and the peak of the resident set in MB."""

    cpu_s: float
    peak_mb: float


def cost_of(*words: str) -> Cost:
    """Run a module in a process of its own and return what it cost.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    command = [sys.executable, "-m", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB_PER_MB)


def row(name: str, scenario: Path, folder: Path, *overrides: str) -> str:
    """Train, audit at every level, and return a line of the table."""
    train = cost_of("simdfl.run", str(scenario), "--out", str(folder), *overrides)
    levels = [
        cost_of("simdfl.audit", str(folder), "--level", str(level), "--coin", "1", *extra)
        for level, extra in ((0, ()), (1, ("--samples", "100")), (2, ()))
    ]
    cells = [f"{train.cpu_s:.1f} s, {train.peak_mb:.0f} MB"]
    cells += [f"{cost.cpu_s:.1f} s ({cost.cpu_s / train.cpu_s:.2f}), {cost.peak_mb:.0f} MB" for cost in levels]
    published = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"| {name} | {' | '.join(cells)} | {published / 1e6:.1f} MB |"


def main() -> None:
    """Print a row per run; ratios to the training in brackets."""
    print("| run | training | level 0 | level 1, 100 samples | level 2 | folder |\n" + "| --- " * 6 + "|")
    with tempfile.TemporaryDirectory() as place:
        for steps in (250, 1000):
            scenario = Path(place) / f"long_{steps}.yaml"
            scenario.write_text(SCENARIO.format(steps=steps))
            print(row(f"{steps:,} steps, 6 peers", scenario, Path(place) / str(steps)), flush=True)
        demo = ROOT / "scenarios" / "byzantine_30pct.yaml"
        print(row("the demo, 20 peers", demo, Path(place) / "demo", "--no-baselines"), flush=True)


if __name__ == "__main__":
    main()
