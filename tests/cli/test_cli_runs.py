"""Whole runs from the command line: results, replacement, aborts, interrupts, one's own adversary."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from subprocess import Popen

import pandas as pd
import pytest
from command_line import QUICK, TIMEOUT_S, is_group_alive, run_cli, started

MINE = """
import numpy as np
from simdfl.peers.behaviour import Byzantine, Turn


class Silence(Byzantine):
    '''Sends a gradient of zeros.'''

    def __init__(self, *, factor: float = 0.0, **base) -> None:
        super().__init__(**base)
        self.factor = factor

    def gradient(self, turn: Turn) -> np.ndarray:
        print("SILENCE IS ASKED")
        return turn.own_gradient() * np.float32(self.factor)
"""
BASELINES = """
baselines:
  twin: {protocol.name: all_reduce}
"""


@pytest.fixture(scope="module")
def quick_text() -> str:
    return Path(QUICK).read_text()


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_writes_its_folder_and_a_second_replaces_it(tmp_path: Path, quick_text: str) -> None:
    (tmp_path / "x.yaml").write_text(quick_text + BASELINES)
    first = run_cli("x.yaml", cwd=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert "quick: 5 steps, 6 peers, 0 of them Byzantine, seed 1; completed" in first.stdout
    assert first.stdout.rstrip().endswith("Everything is in runs/quick-1")
    folder = tmp_path / "runs" / "quick-1"
    before = read_files(folder)
    (folder / "stale.txt").write_text("of the first run")
    second = run_cli("x.yaml", cwd=tmp_path)
    assert second.returncode == 0
    after = read_files(folder)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] in ([], ["provenance.json"])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["quick-1"]
    assert set(pd.read_parquet(folder / "steps.parquet")["run"]) == {"main", "twin"}


def test_no_baselines_runs_the_scenario_alone(tmp_path: Path, quick_text: str) -> None:
    (tmp_path / "x.yaml").write_text(quick_text + BASELINES)
    done = run_cli("x.yaml", "--no-baselines", "--out", "out", "--set", "protocol.steps=1", cwd=tmp_path)
    assert done.returncode == 0
    assert set(pd.read_parquet(tmp_path / "out" / "steps.parquet")["run"]) == {"main"}


def test_an_aborted_job_ends_with_one_and_its_results(tmp_path: Path) -> None:
    """Fewer peers than the job needs are left after an elimination: it is given up, and that is a result."""
    changes = ["contracts.minimum_peers=6", "adversaries=[{name: withhold_part, count: 2, start_step: 2}]"]
    options = [word for change in changes for word in ("--set", change)]
    done = run_cli(QUICK, "--out", "out", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "seed 1; aborted: " in " ".join(done.stdout.split())
    assert "aborted: " in (tmp_path / "out" / "summary.txt").read_text()
    steps = pd.read_parquet(tmp_path / "out" / "steps.parquet")
    assert 1 <= len(steps) < 5
    assert not pd.read_parquet(tmp_path / "out" / "removals.parquet").empty


def test_ones_own_adversary_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    group = "adversaries=[{name: 'mine:Silence', count: 1, params: {factor: 0.5}}]"
    done = run_cli(QUICK, "--out", "out", "--set", group, "--set", "protocol.steps=2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of them Byzantine" in done.stdout
    assert "SILENCE IS ASKED" in done.stdout


@pytest.mark.slow
def test_odd_folder_names_are_printed_as_they_are(tmp_path: Path) -> None:
    done = run_cli(QUICK, "--out", "[/bold] ü", "--set", "protocol.steps=1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("Everything is in [/bold] ü")
    assert (tmp_path / "[/bold] ü" / "provenance.json").exists()


def wait_for_progress(process: Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("main: step"):
            return
    raise AssertionError(f"no progress was reported: {process.stderr.read() if process.stderr else ''}")


def wait_for_silence(group: int) -> None:
    """Wait until no process of a group is left."""
    end = time.monotonic() + 20.0
    while is_group_alive(group):
        assert time.monotonic() < end, "processes are left behind"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "number, to_group",
    [
        (signal.SIGINT, False),
        (signal.SIGINT, True),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
    ],
    ids=["interrupt", "interrupt of the group, as a terminal sends it", "termination"],
)
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, quick_text: str, number: signal.Signals, to_group: bool
) -> None:
    (tmp_path / "x.yaml").write_text(quick_text + BASELINES)
    with started("x.yaml", "--out", "out", "--set", "protocol.steps=5000", cwd=tmp_path) as process:
        wait_for_progress(process)
        (os.killpg if to_group else os.kill)(process.pid, number)
        _, complaint = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 130
        assert complaint == "simdfl: interrupted; nothing was written\n"
        wait_for_silence(process.pid)
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


@pytest.mark.slow
def test_an_interrupt_while_processes_start_is_quiet_too(tmp_path: Path) -> None:
    with started(QUICK, "--out", "out", "--set", "protocol.steps=5000", cwd=tmp_path) as process:
        time.sleep(2.0)
        os.killpg(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, complaint) == (130, "simdfl: interrupted; nothing was written\n")
        wait_for_silence(process.pid)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    with started(QUICK, "--out", "out", "--set", "protocol.steps=5000", cwd=tmp_path) as process:
        wait_for_progress(process)
        process.kill()
        process.wait(timeout=TIMEOUT_S)
        wait_for_silence(process.pid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_ended_by_the_system_is_a_sentence(tmp_path: Path) -> None:
    """As the kernel does when memory runs out: one worker is killed."""
    with started(QUICK, "--out", "out", "--set", "protocol.steps=5000", cwd=tmp_path) as process:
        wait_for_progress(process)
        for worker in workers_of(process.pid):
            os.kill(worker, signal.SIGKILL)
        _, complaint = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 2
        assert complaint.startswith("simdfl: a run was ended by the system, most often for lack of memory; use")
        assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def workers_of(parent: int) -> list[int]:
    """Return the worker processes, which are those that hold a compute library."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
