"""Many independent runs on all cores, each kept as soon as it is done: an interrupted batch goes on where it was.

A result is a small JSON file in a folder. It is written beside its place and moved there when complete, so that a
batch that is killed leaves whole results only.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from simdfl.errors import UserError
from simdfl.world.together import guard

Result = dict[str, Any]


def run_jobs(
    work: Callable[[Any], Result],
    jobs: Mapping[str, Any],
    folder: Path,
    console: Console,
    title: str,
    workers: int = 0,
) -> dict[str, Result]:
    """Return ``work(job)`` of every job by its key, from the folder where it is there already.

    Parameters
    ----------
    work : callable
        A function of a module, so that other processes find it; its result is written as JSON.
    jobs : mapping of str to object
        By key, which names the result's file.
    folder : Path
        Where results are kept.
    console : Console
        Shows the progress.
    title : str
        What is counted.
    workers : int
        Processes; 0 is one for each core.

    Raises
    ------
    UserError
        If the folder cannot be written or the system ended a process; what is done so far is kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from error
    missing = {key: job for key, job in jobs.items() if not (folder / f"{key}.json").exists()}
    if missing:
        _run_missing(work, missing, folder, console, title, workers or os.cpu_count() or 1, len(jobs))
    return {key: json.loads((folder / f"{key}.json").read_text()) for key in jobs}


def _run_missing(
    work: Callable[[Any], Result],
    missing: Mapping[str, Any],
    folder: Path,
    console: Console,
    title: str,
    workers: int,
    total: int,
) -> None:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(missing)), context, guard)
    columns = (TextColumn(title), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
            task = bars.add_task(title, total=total, completed=total - len(missing))
            waiting = {pool.submit(_run_one, work, job, folder / f"{key}.json") for key, job in missing.items()}
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                bars.advance(task, len(done))
    except BaseException as error:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                f"{title}: a run was ended by the system; start again to go on where it was"
            ) from error
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_one(work: Callable[[Any], Result], job: Any, target: Path) -> None:
    write_whole(target, json.dumps(work(job), allow_nan=False).encode())


def write_whole(target: Path, content: bytes) -> None:
    """Write a file all or nothing."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
