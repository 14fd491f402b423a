"""The door: ``python -m simdfl.matrix`` runs every attack against every protocol that it concerns.

Exit status 0 when all cells ran, 2 for a user's mistake, 130 when interrupted; finished cells are kept in any
case.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from simdfl.errors import UserError, unknown_name
from simdfl.run import EXIT_INTERRUPTED, EXIT_USER, Parser


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.matrix",
        description="Run every attack and fault against every protocol that it concerns; write a table.",
    )
    parser.add_argument("scenario", nargs="?", default="scenarios/matrix.yaml", help="base scenario (YAML)")
    parser.add_argument("--attacks", nargs="+", metavar="NAME", help="attacks and faults (default: all)")
    parser.add_argument("--protocols", nargs="+", metavar="NAME", help="protocols (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="root seed")
    parser.add_argument("--out", metavar="FOLDER", default="runs/matrix", help="folder of the results")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        return _main(make_parser().parse_args(argv))
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("simdfl: interrupted; finished cells are kept, the same command goes on", file=sys.stderr)
        return EXIT_INTERRUPTED


def _main(arguments: argparse.Namespace) -> int:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from adversaries import ADVERSARIES, FAULTS
    from simdfl.scenario import load
    from simdfl.study.cells import PROTOCOLS
    from simdfl.study.matrix import all_cells, run_matrix
    from simdfl.study.matrix_page import draw, frame_of, markdown

    shelf = [*ADVERSARIES, *FAULTS]
    attacks, protocols = arguments.attacks or shelf, arguments.protocols or list(PROTOCOLS)
    for kind, names, known in (("attack", attacks, shelf), ("protocol", protocols, PROTOCOLS)):
        for name in names:
            if name not in known:
                raise unknown_name(kind, name, known)
    if arguments.workers < 1:
        raise UserError(f"--workers: must be at least 1, got {arguments.workers}")
    path, folder = Path(arguments.scenario), Path(arguments.out)
    load(path)
    cells = all_cells(attacks, protocols)
    columns = (TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("cells", total=len(cells))
        rows = run_matrix(
            cells, path, arguments.seed, folder, arguments.workers, lambda done: bar.update(task, completed=done)
        )
    frame = frame_of(rows)
    command = f"python -m simdfl.matrix {path} --seed {arguments.seed}"
    frame.to_parquet(folder / "matrix.parquet", index=False)
    (folder / "matrix.md").write_text(markdown(frame, command), encoding="utf-8")
    draw(frame, folder / "matrix.png")
    print(f"{len(cells)} cells; the tables are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
