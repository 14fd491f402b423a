"""Runs what is left of a sweep and keeps every result as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from simdfl.scenario.points import Plan, PlannedRun
from simdfl.sweep.folder import SweepFolder
from simdfl.sweep.work import Done, failure, run_one

AHEAD = 2
"""Runs submitted for each thread of the cluster: one runs, one waits."""
KILLED = "its worker process was ended {times} times, most often for lack of memory"


def run_missing(
    plan: Plan, done: dict[str, Done], folder: SweepFolder, client: Any, console: Console
) -> dict[str, Done]:
    """Run what is not done yet; return all results by key.

    A run whose worker was ended is reported as failed and not kept, so that the next start tries it again.
    """
    missing = {run.key: run for run in plan.runs if run.key not in done}
    results = dict(done)
    with _progress(console) as bar:
        task = bar.add_task(plan.sweep.name, total=len(missing), failed=0)
        for key, result, lasts in _results(missing, client):
            results[key] = folder.keep(key, result) if lasts else result
            failed = sum(found["outcome"] == "failed" for found in results.values())
            bar.update(task, advance=1, failed=failed)
            if not console.is_terminal:
                run = missing[key]
                console.print(
                    f"point {run.point}, seed {run.seed}, {run.run}: {result['outcome']}", soft_wrap=True
                )
    return results


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("runs, {task.fields[failed]} failed,"),
        TimeElapsedColumn(),
        TextColumn("so far, left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _results(missing: dict[str, PlannedRun], client: Any) -> Iterator[tuple[str, Done, bool]]:
    """Yield key, result and whether it lasts, as runs end; only a few are submitted ahead."""
    from distributed import as_completed

    waiting = iter(missing.values())
    flying: dict[str, PlannedRun] = {}
    ended = as_completed(with_results=False)
    submit = _submitter(client, flying, ended)
    for run in _first(waiting, AHEAD * _threads(client)):
        submit(run)
    while flying:
        future = next(ended)
        run = flying.pop(future.key)
        yield run.key, *_outcome(future, run)
        for following in _first(waiting, max(1, AHEAD * _threads(client)) - len(flying)):
            submit(following)


def _submitter(client: Any, flying: dict[str, PlannedRun], ended: Any) -> Callable[[PlannedRun], None]:
    def submit(run: PlannedRun) -> None:
        future = client.submit(run_one, run.scenario, key=f"simdfl-{run.key}", pure=False)
        flying[future.key] = run
        ended.add(future)

    return submit


def _first(runs: Iterator[PlannedRun], count: int) -> list[PlannedRun]:
    return [run for _, run in zip(range(count), runs)]


def _threads(client: Any) -> int:
    return sum(client.nthreads().values())


def _outcome(future: Any, run: PlannedRun) -> tuple[Done, bool]:
    """Return the result of an ended run and whether it lasts.

    Raises
    ------
    Exception
        What escaped from the run: our bug, and it keeps its traceback.
    """
    from distributed import KilledWorker
    from distributed.scheduler import NoValidWorkerError

    protocol = run.scenario.protocol.name
    if future.status == "cancelled":
        raise UserError("the Dask scheduler is gone; start the sweep again, finished runs are kept")
    error = future.exception()
    if isinstance(error, (KilledWorker, NoValidWorkerError)):
        return failure(protocol, KILLED.format(times=2)), False
    return future.result(), True
