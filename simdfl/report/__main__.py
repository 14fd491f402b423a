"""The door: ``python -m simdfl.report runs/byzantine_30pct-1``.

Exit status 0 when the page was written, 2 for a user's mistake, 130 when interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from simdfl.errors import UserError
from simdfl.run import EXIT_INTERRUPTED, EXIT_USER, Parser


def make_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.report",
        description="Write one self-contained HTML page about a run or sweep folder.",
    )
    parser.add_argument("folder", nargs="?", help="folder of a run or of a sweep")
    parser.add_argument("--out", metavar="FILE", help="the page (default: FOLDER/report.html)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        arguments = make_parser().parse_args(argv)
        if arguments.folder is None:
            raise UserError("no folder given; try: python -m simdfl.report runs/byzantine_30pct-1")
        from simdfl.report.write import write_report

        folder = Path(arguments.folder)
        page = Path(arguments.out) if arguments.out else folder / "report.html"
        write_report(folder, page)
        print(f"The report is {page}; figures and data are in {page.with_suffix('') / 'figures'}")
        return 0
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("simdfl: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
