"""The door: ``python -m simdfl.figures sum_check``.

Writes NAME.png and NAME.csv into the folder. Runs of the protocol are kept in ``runs/figures`` and not repeated.
Exit status 0 when the figure was written, 2 for a user's mistake, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from simdfl.errors import UserError, unknown_name
from simdfl.figures import NAMES
from simdfl.run import EXIT_INTERRUPTED, EXIT_USER, Parser


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(prog="python -m simdfl.figures", description="Compute one figure; write it as PNG and CSV.")
    parser.add_argument("name", help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--trials", type=int, help="repetitions, in the unit of the figure (default: its own)")
    parser.add_argument("--seed", type=int, default=1, help="root seed")
    parser.add_argument("--out", metavar="FOLDER", default="docs/figures", help="folder of PNG and CSV")
    parser.add_argument("--cache", metavar="FOLDER", default="runs/figures", help="folder of finished runs")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        _main(make_parser().parse_args(argv))
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("simdfl: interrupted; finished runs are kept, start again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _main(arguments: argparse.Namespace) -> None:
    if arguments.name not in NAMES:
        raise unknown_name("figure", arguments.name, NAMES)
    if arguments.trials is not None and arguments.trials < 1:
        raise UserError(f"--trials: got {arguments.trials}; use at least 1")
    from simdfl.figures.style import paper_style, png_bytes
    from simdfl.world.jobs import write_whole

    figure = importlib.import_module(f"simdfl.figures.{arguments.name}")
    trials = arguments.trials or figure.TRIALS
    folder = Path(arguments.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from error
    table = figure.compute(trials, arguments.seed, Path(arguments.cache) / arguments.name)
    with paper_style():
        picture = png_bytes(figure.draw(table))
    write_whole(folder / f"{arguments.name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
    write_whole(folder / f"{arguments.name}.png", picture)
    print(f"{folder}/{arguments.name}.png and .csv: {len(table)} rows, trials {trials}, seed {arguments.seed}")


if __name__ == "__main__":
    sys.exit(main())
