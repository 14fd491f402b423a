"""A scenario and its baselines, side by side in separate processes, with live progress.

Runs share nothing, so their results do not depend on how many processes there are. Each computes its numerics on
one thread, which keeps the bits of a run independent of the machine's load and core count.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn

from simdfl.errors import UserError
from simdfl.scenario import Scenario
from simdfl.store import NOTHING
from simdfl.world.build import build
from simdfl.world.progress import Progress
from simdfl.world.result import RunResult

REPORT_EVERY = 25
POLL_S = 0.1

_channel: Any = None


def _start_worker(channel: Any) -> None:
    global _channel
    _channel = channel
    guard()


def guard() -> None:
    """Let the main process decide when this one ends: it alone hears Ctrl-C, and nobody outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the main process, however it came; nobody would read a result any more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _run_one(name: str, scenario: Scenario, progress: Progress | None) -> RunResult:
    store = NOTHING if progress is None else progress.open(name, scenario)

    def report(step: int, now_s: float, accuracy: float | None, removed: int) -> None:
        _channel.put((name, step + 1, now_s, accuracy, removed))
        if progress is not None and (step + 1) % progress.every == 0:
            store.flush()

    return build(scenario, report, store).run()


def run_together(
    scenarios: dict[str, Scenario], console: Console, progress: Progress | None = None
) -> dict[str, RunResult]:
    """Run all scenarios and return their results in the same order; with `progress` they can be resumed.

    Raises
    ------
    UserError
        The first mistake that a shelf finds in any of them, or if the system ended one of them.
    """
    workers = max(1, min(len(scenarios), os.cpu_count() or 1))
    context = multiprocessing.get_context("spawn")
    channel = context.Queue()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (channel,))
    try:
        futures = _submit(pool, scenarios, progress)
        _follow(futures, scenarios, channel, console)
        return {name: future.result() for name, future in futures.items()}
    except BaseException as error:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                "a run was ended by the system, most often for lack of memory; "
                "use a smaller model, fewer peers or --no-baselines"
            ) from error
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, scenarios: dict[str, Scenario], progress: Progress | None
) -> dict[str, Future[RunResult]]:
    """Start all runs; their processes inherit a blocked SIGINT, as a terminal sends it to them too."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return {name: pool.submit(_run_one, name, scenario, progress) for name, scenario in scenarios.items()}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _follow(
    futures: dict[str, Future[RunResult]], scenarios: dict[str, Scenario], channel: Any, console: Console
) -> None:
    """Show progress until all are done; stop at the first failure."""
    bars = rich_progress.Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=30),
        TextColumn("step {task.completed:.0f}/{task.total:.0f} {task.fields[news]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bars:
        tasks = {
            name: bars.add_task(name, total=scenario.protocol.steps, news="")
            for name, scenario in scenarios.items()
        }
        while any(not future.done() for future in futures.values()):
            if any(future.done() and future.exception() for future in futures.values()):
                break
            _show_news(channel, bars, tasks, console)
        _show_news(channel, bars, tasks, console)


def _show_news(channel: Any, bars: rich_progress.Progress, tasks: dict[str, TaskID], console: Console) -> None:
    news: dict[str, str] = {}
    try:
        while True:
            name, done, now_s, accuracy, removed = channel.get(timeout=POLL_S)
            if accuracy is not None:
                news[name] = f"{now_s:.0f} s simulated, accuracy {accuracy:.3f}, removed {removed}"
                bars.update(tasks[name], news=news[name])
            bars.update(tasks[name], completed=done)
            if not console.is_terminal and done % REPORT_EVERY == 0:
                console.print(f"{name}: step {done}, {now_s:.0f} s simulated, removed {removed}")
    except queue.Empty:
        return
