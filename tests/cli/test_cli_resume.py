"""A run killed in its middle goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from subprocess import Popen

import pytest
from command_line import QUICK, TIMEOUT_S, run_cli, started

OPTIONS = ("--set", "protocol.steps=9", "--set", "beacon.group=ideal", "--checkpoint-every", "2")
ENOUGH_BYTES = 60_000
TABLES = ("steps", "peers", "removals", "calls", "traffic", "assurance", "topology")


def wait_for_progress(process: Popen[str], store: Path) -> None:
    """Wait until a run has brought something to the disk."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (store.exists() and store.stat().st_size > ENOUGH_BYTES):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_folder(folder: Path) -> dict[str, bytes]:
    names = [*(f"{table}.parquet" for table in TABLES), "chain.jsonl.gz", "messages.jsonl.gz", "model.npy"]
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_digest_and_tables(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = run_cli(QUICK, *OPTIONS, cwd=tmp_path / "whole")
    assert (whole.returncode, whole.stderr) == (0, "")
    progress = tmp_path / "killed" / "runs" / ".quick-1.progress"
    with started(QUICK, *OPTIONS, cwd=tmp_path / "killed") as process:
        wait_for_progress(process, progress / "main.store")
        os.killpg(process.pid, signal.SIGKILL)
    assert not (tmp_path / "killed" / "runs" / "quick-1").exists()

    other = run_cli(QUICK, *OPTIONS, "--seed", "2", "--out", "runs/quick-1", "--resume", cwd=tmp_path / "killed")
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "holds the progress of another scenario" in other.stderr

    resumed = run_cli(QUICK, *OPTIONS, "--resume", cwd=tmp_path / "killed")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    folders = [tmp_path / name / "runs" / "quick-1" for name in ("whole", "killed")]
    assert run_folder(folders[0]) == run_folder(folders[1])
    runs = [json.loads((folder / "provenance.json").read_text())["runs"] for folder in folders]
    assert runs[0] == runs[1]
    assert not progress.exists()


def test_a_checkpoint_needs_a_positive_number_of_steps() -> None:
    ended = run_cli(QUICK, "--checkpoint-every", "0")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "simdfl: --checkpoint-every 0: must be at least 1 step\n"
