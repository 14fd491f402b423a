"""Whole sweeps in processes: tables, failures, killed workers, kill -9 and resumption, an existing scheduler."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from sweeping import BASE, ENDLESS, TIMEOUT_S, TINY, command, run_sweep, started, tables

import simdfl
from simdfl.scenario.points import load_plan
from simdfl.sweep.ending import print_ending

DEADLY = '''
import os
import signal

from simdfl.peers.behaviour import Byzantine


class Deadly(Byzantine):
    """Ends the process that simulates it."""

    def gradient(self, turn):
        os.kill(os.getpid(), signal.SIGKILL)
'''
MIXED = f"""name: mixed
{BASE}set: {{protocol.steps: 2, protocol.name: all_reduce}}
grid:
  adversaries: [[], [{{name: "deadly:Deadly", count: 1}}], [{{name: sign_flp, count: 1}}]]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted sweep on two processes."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "s.yaml").write_text(TINY)
    done = run_sweep("s.yaml", "--out", "out", "--workers", "2", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny: 3 points, 1 seeds, 1 runs each: 3 rows, 3 different runs, 0 of them done." in done.stdout
    return folder / "out"


def test_a_sweep_gives_tidy_tables_with_provenance(whole: Path) -> None:
    found = simdfl.load(whole)
    runs = found["runs"]
    assert runs["peers.count"].tolist() == [4, 5, 6]
    assert runs["outcome"].tolist() == ["completed"] * 3
    assert runs["gradients_per_step"].tolist() == [4.0, 5.0, 6.0]
    assert runs.attrs["sweep"] == "tiny"
    assert set(runs.attrs["columns"]) == set(runs.columns)
    assert len(found["steps"]) == 6


@pytest.mark.parametrize(
    ("width", "headings"), [(60, ["count", "done", "accuracy", "step"]), (24, ["count", "done", "step"])]
)
def test_the_ending_shows_what_the_screen_has_room_for(whole: Path, width: int, headings: list[str]) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_ending(load_plan(whole.parent / "s.yaml"), simdfl.load(whole)["runs"], console)
    lines = console.file.getvalue().splitlines()
    heading = next(line.split() for line in lines if "done" in line)
    assert heading == headings
    rows = [line.split()[:2] for line in lines if "100%" in line]
    assert rows == [["4", "100%"], ["5", "100%"], ["6", "100%"]]


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "done").glob("*.json"))


def test_killed_at_any_time_it_goes_on_to_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY)
    words = command("s.yaml", "--out", "out", "--workers", "1")
    with started(*words, cwd=tmp_path) as process:
        wait_for(lambda: kept(tmp_path / "out"), "no run was finished")
        process.kill()
        process.wait(TIMEOUT_S)
        first = kept(tmp_path / "out")[0]
        stamp = first.stat().st_mtime_ns
    again = run_sweep("s.yaml", "--out", "out", "--workers", "1", cwd=tmp_path)
    assert again.returncode == 0
    assert first.stat().st_mtime_ns == stamp
    assert tables(tmp_path / "out") == tables(whole)


def test_the_folder_of_another_sweep_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY.replace("[4, 5, 6]", "[4, 5]"))
    before = tables(whole)
    done = run_sweep("s.yaml", "--out", str(whole), cwd=tmp_path)
    assert done.returncode == 2
    assert "holds another sweep" in done.stderr
    assert tables(whole) == before
    occupied = run_sweep("s.yaml", "--out", ".", cwd=tmp_path)
    assert (occupied.returncode, "holds no sweep" in occupied.stderr) == (2, True)


@pytest.mark.slow
def test_failed_runs_are_recorded_and_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "s.yaml").write_text(MIXED)
    done = run_sweep("s.yaml", "--out", "out", "--workers", "2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    runs = simdfl.load(tmp_path / "out")["runs"]
    assert runs["outcome"].tolist() == ["completed", "failed", "failed"]
    assert "worker process was ended" in runs["reason"][1]
    assert "did you mean 'sign_flip'" in runs["reason"][2]
    assert len(kept(tmp_path / "out")) == 2  # the killed run is tried again by the next start


def simulating(parent: int) -> Iterator[psutil.Process]:
    """Yield the processes below `parent` that hold a compute library."""
    for child in psutil.Process(parent).children(recursive=True):
        try:
            if any("jaxlib" in region.path for region in child.memory_maps()):
                yield child
        except psutil.Error:
            continue


@pytest.mark.slow
def test_a_worker_killed_once_costs_nothing_but_time(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY)
    with started(*command("s.yaml", "--out", "out", "--workers", "1"), cwd=tmp_path) as process:
        wait_for(lambda: list(simulating(process.pid)), "no worker runs")
        next(simulating(process.pid)).kill()
        process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0
    assert tables(tmp_path / "out") == tables(whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_processes_and_listens_on_loopback_till_then(tmp_path: Path, number: int) -> None:
    (tmp_path / "s.yaml").write_text(ENDLESS)
    with started(*command("s.yaml", "--out", "out", "--workers", "2"), cwd=tmp_path) as process:
        wait_for(lambda: list(simulating(process.pid)), "no worker runs")
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        ports = [port for one in family for port in one.net_connections() if port.status == psutil.CONN_LISTEN]
        assert {port.laddr.ip for port in ports} == {"127.0.0.1"}
        os.kill(process.pid, number)
        _, complaint = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 130
        assert complaint == "simdfl: interrupted; finished runs are kept, the same command goes on\n"
        assert psutil.wait_procs(family, timeout=20.0)[1] == []
    assert kept(tmp_path / "out") == []


@pytest.mark.slow
def test_an_existing_scheduler_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY)
    dask = (sys.executable, "-m", "dask")
    address = "tcp://127.0.0.1:{port}"
    port = free_port()
    serve = (
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
        "--dashboard-address",
        ":0",
    )
    work = ("worker", address.format(port=port), "--nthreads", "1", "--nworkers", "2", "--no-dashboard")
    with started(*dask, *serve, cwd=tmp_path), started(*dask, *work, cwd=tmp_path):
        done = run_sweep("s.yaml", "--out", "out", "--scheduler", address.format(port=port), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert tables(tmp_path / "out") == tables(whole)


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
