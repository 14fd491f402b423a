"""The door: ``python -m simdfl.run scenarios/byzantine_30pct.yaml``.

Exit status 0 when every run completed, 1 when one was aborted by its protocol, 2 for a user's mistake, 130 when
interrupted or asked to end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from simdfl.errors import UserError

if TYPE_CHECKING:
    from simdfl.scenario import Loaded

EXIT_ABORTED = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130
RESUME_EVERY = 10


TRACES = {"full": "output.trace=full", "perfetto": "output.perfetto=true"}
"""What ``--trace`` stands for."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, like all others."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UserError(f"{message}; try: {self.prog} --help")


def make_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.run",
        description="Run a scenario and its baselines; print a summary and write a run folder.",
    )
    parser.add_argument("scenario", nargs="?", help="scenario file (YAML)")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        action="append",
        default=[],
        help="override one value, for instance chain.block_time_s=12; may be repeated",
    )
    parser.add_argument("--seed", type=int, help="root seed")
    parser.add_argument("--out", metavar="FOLDER", help="run folder (default: runs/<name>-<seed>)")
    parser.add_argument("--protocol", help="training protocol")
    parser.add_argument(
        "--trace",
        choices=list(TRACES),
        action="append",
        default=[],
        help="also keep all trace events (full), or a timeline for ui.perfetto.dev (perfetto); may be repeated",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=int,
        metavar="K",
        help="bring what is computed to the disk every K steps, so that --resume can go on after a crash",
    )
    parser.add_argument("--resume", action="store_true", help="go on where a run that was ended had got to")
    parser.add_argument("--no-baselines", action="store_true", help="run the scenario alone")
    parser.add_argument("--show", action="store_true", help="print the scenario with every default and stop")
    parser.add_argument("--json-schema", action="store_true", help="print the scenarios' JSON Schema and stop")
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
        print("simdfl: interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ABORTED
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(number: int, frame: Any) -> NoReturn:
    """End as on Ctrl-C: with nothing half-written and no process left behind."""
    raise KeyboardInterrupt


def _main(arguments: argparse.Namespace) -> int:
    from simdfl.scenario import json_schema, load, show

    if arguments.json_schema:
        print(json.dumps(json_schema(), indent=2))
        return 0
    if arguments.scenario is None:
        raise UserError("no scenario given; try: python -m simdfl.run scenarios/byzantine_30pct.yaml")
    loaded = load(
        arguments.scenario,
        [*arguments.overrides, *[TRACES[trace] for trace in arguments.trace]],
        seed=arguments.seed,
        out=arguments.out,
        protocol=arguments.protocol,
    )
    if arguments.checkpoint_every is not None and arguments.checkpoint_every < 1:
        raise UserError(f"--checkpoint-every {arguments.checkpoint_every}: must be at least 1 step")
    if arguments.show:
        print(show(loaded.scenario), end="")
        return 0
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # where a user's own adversary may lie
    every = arguments.checkpoint_every or (RESUME_EVERY if arguments.resume else None)
    return _run(loaded, not arguments.no_baselines, every, arguments.resume)


def _run(loaded: Loaded, with_baselines: bool, every: int | None, resume: bool) -> int:
    from rich.console import Console
    from rich.markup import escape

    from simdfl.records.folder import check_target, write_run
    from simdfl.records.summary import print_summary, summary_text
    from simdfl.world.progress import Progress, progress_folder
    from simdfl.world.together import run_together

    scenario = loaded.scenario
    folder = Path(scenario.output.folder or Path("runs") / f"{scenario.name}-{scenario.seed}")
    check_target(folder)
    started = time.perf_counter()
    console = Console()
    baselines = loaded.baselines if with_baselines else {}
    progress = None if every is None else Progress(progress_folder(folder), every, resume)
    results = run_together({"main": scenario, **baselines}, console, progress)
    write_run(folder, loaded, results, summary_text(scenario, results), time.perf_counter() - started)
    if progress is not None:
        progress.discard()
    print_summary(console, scenario, results)
    console.print(f"Everything is in [bold]{escape(str(folder))}[/bold]", soft_wrap=True)
    return 0 if all(result.completed for result in results.values()) else EXIT_ABORTED


if __name__ == "__main__":
    sys.exit(main())
