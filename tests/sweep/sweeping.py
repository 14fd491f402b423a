"""Tiny sweeps, and the sweep's command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600.0
BASE = f"base: {ROOT / 'scenarios' / 'quick.yaml'}\n"
TINY = (
    f"name: tiny\n{BASE}set: {{protocol.steps: 2, protocol.name: all_reduce}}\ngrid: {{peers.count: [4, 5, 6]}}\n"
)
ENDLESS = TINY.replace("steps: 2", "steps: 200_000")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simdfl.sweep", *arguments]


def run_sweep(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run to the end and return what came out."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextmanager
def started(*words: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a process group of its own; whatever is left of it is killed at the end."""
    process = subprocess.Popen(
        list(words),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with process:
            yield process
            process.kill()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)


def tables(folder: Path) -> dict[str, bytes]:
    """Return the bytes of a sweep's tables."""
    return {name: (folder / name).read_bytes() for name in ("runs.parquet", "steps.parquet", "points.csv")}
