"""The door: ``python -m simdfl.incentives scenarios/*.yaml`` compares what lies earn with the deposits they risk.

Exit status 0 when the table was printed, 2 for a user's mistake.
"""

from __future__ import annotations

import sys
from pathlib import Path

from simdfl.errors import UserError
from simdfl.run import EXIT_USER, Parser


def make_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.incentives",
        description="Compare what a wrong gradient earns with the deposit it risks, scenario by scenario.",
    )
    parser.add_argument("scenario", nargs="+", type=Path, help="scenario files (YAML)")
    parser.add_argument("--compute-wei", type=int, help="price of one gradient, wei (default: 6 * 10^15)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    try:
        arguments = make_parser().parse_args(argv)
        from simdfl.study.incentives import MINUTE_WEI, table, verified_stakes

        price_wei = MINUTE_WEI if arguments.compute_wei is None else arguments.compute_wei
        if price_wei < 0:
            raise UserError(f"--compute-wei: got {price_wei}; allowed is 0 or more")
        print(table(list(verified_stakes(arguments.scenario, price_wei))))
        return 0
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_USER


if __name__ == "__main__":
    sys.exit(main())
