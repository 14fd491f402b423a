"""The door: ``python -m simdfl.sweep scenarios/sweeps/peers.yaml``.

Exit status 0 when every run completed, 1 when some did not (the table says which and why), 2 for a user's
mistake, 130 when interrupted or asked to end: finished runs are kept and the same command goes on.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from simdfl.errors import UserError
from simdfl.run import EXIT_ABORTED, EXIT_INTERRUPTED, EXIT_USER, Parser


def make_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.sweep",
        description="Run all points of a sweep on all seeds; write tables with every figure of every run.",
    )
    parser.add_argument("sweep", nargs="?", help="sweep file (YAML)")
    parser.add_argument("--out", metavar="FOLDER", help="folder of the results (default: sweeps/<name>)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per GPU, or per core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="use the Dask cluster there, e.g. tcp://host:8786")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--json-schema", action="store_true", help="print the sweeps' JSON Schema and stop")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _main(make_parser().parse_args(argv))
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("simdfl: interrupted; finished runs are kept, the same command goes on", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _main(arguments: argparse.Namespace) -> int:
    from simdfl.scenario.sweep import sweep_schema_text

    if arguments.json_schema:
        print(sweep_schema_text(), end="")
        return 0
    if arguments.sweep is None:
        raise UserError("no sweep given; try: python -m simdfl.sweep scenarios/sweeps/peers.yaml")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers}: use at least 1")
    if arguments.workers is not None and arguments.scheduler is not None:
        raise UserError("--workers and --scheduler are both given; that cluster has its own workers, keep one")
    return _sweep(arguments)


def _sweep(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from simdfl.scenario.points import load_plan
    from simdfl.sweep.folder import SweepFolder
    from simdfl.sweep.forecast import plan_sentences

    plan = load_plan(arguments.sweep)
    folder = SweepFolder(Path(arguments.out or Path("sweeps") / plan.sweep.name), plan)
    folder.check()
    console, done = Console(), folder.finished()
    workers = arguments.workers or os.cpu_count() or 1
    for sentence in plan_sentences(plan, done, None if arguments.scheduler else workers):
        console.print(sentence, soft_wrap=True, highlight=False)
    if arguments.dry_run:
        return 0
    folder.open()
    return _run(plan, folder, done, arguments, console)


def _run(plan: Any, folder: Any, done: dict[str, Any], arguments: argparse.Namespace, console: Any) -> int:
    from rich.markup import escape

    from simdfl.sweep.cluster import connect
    from simdfl.sweep.ending import print_ending, write_tables
    from simdfl.sweep.engine import run_missing

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # where a user's own adversary may lie
    if any(run.key not in done for run in plan.runs):
        with connect(arguments.scheduler, arguments.workers) as client:
            done = run_missing(plan, done, folder, client, console)
    frame = write_tables(plan, done, folder.path)
    print_ending(plan, frame, console)
    console.print(f"Everything is in [bold]{escape(str(folder.path))}[/bold]", soft_wrap=True)
    return 0 if (frame["outcome"] == "completed").all() else EXIT_ABORTED
