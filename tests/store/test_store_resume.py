"""A run whose process is killed goes on from its store to the same result, whatever the tail lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from simdfl.scenario import Scenario, loads
from simdfl.store import NOTHING, Nothing
from simdfl.world import RunResult, build
from simdfl.world.progress import Progress, run_context

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
name: killed
protocol: {steps: 8}
peers: {count: 6}
topology: {name: complete}
learning: {model: {name: logistic}, evaluate_every: 2}
adversaries: [{name: sign_flip, count: 1, params: {scale: 3.0}}]
"""
CHILD = """
import sys
from pathlib import Path
from simdfl.scenario import loads
from simdfl.world import build
from simdfl.world.progress import Progress

scenario = loads(sys.argv[1]).scenario
store = Progress(Path(sys.argv[2]), 1, False).open("main", scenario)


def report(step, now_s, accuracy, removed):
    store.flush()
    print(step, flush=True)
    if step == 4:
        sys.stdin.read()  # until somebody kills us


build(scenario, report, store).run()
"""


def scenario() -> Scenario:
    return loads(TEXT).scenario


def run(store: Nothing = NOTHING) -> RunResult:
    return build(scenario(), None, store).run()


@cache
def whole() -> RunResult:
    return run()


def kill_in_the_middle(folder: Path) -> None:
    """Run in a process of its own up to its fifth step and kill it there."""
    command = [sys.executable, "-c", CHILD, TEXT, str(folder)]
    pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(5)] == [f"{step}\n" for step in range(5)]
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def same(one: RunResult, other: RunResult) -> bool:
    tables = ("steps", "peers", "removals", "calls", "traffic", "assurance", "topology", "summary")
    assert np.array_equal(one.params, other.params)
    assert all(getattr(one, table) == getattr(other, table) for table in tables)
    return one.trace_digest == other.trace_digest


def test_a_killed_process_is_resumed_to_the_same_result(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path)
    store = Progress(tmp_path, 1, resume=True).open("main", scenario())
    assert same(run(store), whole())
    assert store.found > 100
    store.close()
    torn = (tmp_path / "main.store").read_bytes()[:-1000]
    (tmp_path / "main.store").write_bytes(torn)
    store = Progress(tmp_path, 1, resume=True).open("main", scenario())
    assert same(run(store), whole())
    store.close()
    Progress(tmp_path, 1, resume=True).discard()
    assert not tmp_path.exists()


def test_what_a_store_is_bound_to() -> None:
    def context(*overrides: str) -> bytes:
        return run_context(loads(TEXT, "killed", overrides).scenario)

    assert context("output.trace=full", "output.perfetto=true") == context()
    assert len({context(), context("seed=2"), context("peers.count=7"), context("learning.batch_size=16")}) == 4
