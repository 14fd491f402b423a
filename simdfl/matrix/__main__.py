"""The door: ``python -m simdfl.matrix scenarios/matrix.yaml --attacks sign_flip equivocate``.

Finished cells are kept in the folder and not run again; remove the folder after changing code. Exit status 0 when
the whole matrix was written, 2 for a user's mistake, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from simdfl.errors import UserError
from simdfl.run import EXIT_INTERRUPTED, EXIT_USER, Parser


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.matrix",
        description="Run every attack and fault against every protocol that it concerns.",
    )
    parser.add_argument("scenario", nargs="?", default="scenarios/matrix.yaml", help="scenario file (YAML)")
    parser.add_argument("--attacks", nargs="+", default=[], help="attacks and faults (default: the whole shelf)")
    parser.add_argument("--protocols", nargs="+", default=[], help="the scenario's protocol and baselines (all)")
    parser.add_argument("--seed", type=int, help="root seed")
    parser.add_argument("--out", metavar="FOLDER", help="folder (default: runs/matrix-<seed>)")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one for each core)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        _main(make_parser().parse_args(argv))
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("simdfl: interrupted; finished cells are kept, start again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _main(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from simdfl.matrix.cells import key_of, measure, plan
    from simdfl.matrix.heatmap import heatmap_png
    from simdfl.matrix.table import make_table, markdown
    from simdfl.world.jobs import run_jobs, write_whole

    cells = plan(arguments.scenario, arguments.attacks, arguments.protocols, arguments.seed)
    if not cells:
        raise UserError(
            "none of these attacks concerns any of these protocols; name others or leave one option out"
        )
    runs = {key_of(run): run for cell in cells for run in (cell.scenario, cell.twin)}
    seed = cells[0].scenario.seed
    folder = Path(arguments.out or Path("runs") / f"matrix-{seed}")
    console = Console()
    results = run_jobs(measure, runs, folder / "cells", console, "runs", arguments.workers)
    table = make_table(cells, results)
    parquet = io.BytesIO()
    table.to_parquet(parquet, index=False)
    write_whole(folder / "matrix.parquet", parquet.getvalue())
    write_whole(folder / "matrix.md", markdown(table).encode())
    write_whole(folder / "matrix.png", heatmap_png(table))
    console.print(f"{len(table)} cells, {len(runs)} runs, seed {seed}: {folder}/matrix.parquet, .md, .png")


if __name__ == "__main__":
    sys.exit(main())
