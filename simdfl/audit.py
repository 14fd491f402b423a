"""The door: ``python -m simdfl.audit RUN_FOLDER --level 1``, and ``... verify-certificate FILE``.

Exit status 0 when nothing was found, 1 for a violation, 2 where the input cannot be audited as asked, 130 when
interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from simdfl.errors import UserError

if TYPE_CHECKING:
    from simdfl.auditing.inspection import Outcome, Request

EXIT_VIOLATION = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130
VERIFY = "verify-certificate"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UserError(f"{message}; try: {self.prog} --help")


def make_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m simdfl.audit",
        description="Check a published run from its chain, its data and the code alone.",
        epilog=f"A certificate is checked by: python -m simdfl.audit {VERIFY} FILE [--folder RUN_FOLDER]",
    )
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--level", type=int, choices=(0, 1, 2), default=0, help="how deep to look (default 0)")
    parser.add_argument("--samples", type=int, help="gradients to recompute at level 1 (default 64)")
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS", help="time for level 1; without --samples, as many as fit"
    )
    parser.add_argument("--coin", type=int, help="seed of the auditor's draws (default: the system's entropy)")
    parser.add_argument(
        "--dealings", type=float, default=0.02, help="part of all sharings verified at level 0 (default 0.02)"
    )
    parser.add_argument(
        "--expect", default="", metavar="ADDRESS", help="address that the published files must have"
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="remember progress here and go on from it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report as an HTML page")
    parser.add_argument("--certify", type=Path, metavar="KEYFILE", help="sign a certificate of a clean audit")
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="where to (default RUN_FOLDER.certificate.json)"
    )
    return parser


def make_verifier() -> Parser:
    """Return the parser of ``verify-certificate``."""
    parser = Parser(prog=f"python -m simdfl.audit {VERIFY}", description="Check a certificate's signature.")
    parser.add_argument("file", type=Path, help="certificate")
    parser.add_argument("--folder", type=Path, help="run folder that it must be about")
    parser.add_argument("--auditor", default="", metavar="ADDRESS", help="address that must have signed it")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = sys.argv[1:] if argv is None else argv
    try:
        if given[:1] == [VERIFY]:
            return _verify(make_verifier().parse_args(given[1:]))
        return _audit(make_parser().parse_args(given))
    except UserError as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        print("simdfl: interrupted; with --resume the audit goes on from where it was", file=sys.stderr)
        return EXIT_INTERRUPTED


def _audit(arguments: argparse.Namespace) -> int:
    from simdfl.auditing.certificate import read_key
    from simdfl.auditing.inspection import inspect
    from simdfl.auditing.report import as_html, as_record, as_text

    key = read_key(arguments.certify) if arguments.certify is not None else None
    with _Bar() as bar:
        outcome = inspect(_request(arguments), bar.show)
    record = as_record(outcome)
    print(as_text(record), end="")
    if arguments.json is not None:
        _write(arguments.json, json.dumps(record, indent=2) + "\n")
    if arguments.html is not None:
        _write(arguments.html, as_html(record))
    if key is not None:
        _certify(arguments, outcome, key)
    return outcome.exit_status


def _request(arguments: argparse.Namespace) -> Request:
    from simdfl.auditing.inspection import Request
    from simdfl.rng import fresh_seed

    samples = arguments.samples
    if samples is None:
        samples = 64 if arguments.budget is None else sys.maxsize
    if samples < 1 or not 0.0 <= arguments.dealings <= 1.0 or (arguments.coin or 0) < 0:
        raise UserError("--samples takes at least 1, --dealings a number from 0 to 1, --coin a whole number")
    if arguments.budget is not None and not arguments.budget > 0:
        raise UserError("--budget takes a number of seconds above 0")
    return Request(
        arguments.folder,
        arguments.level,
        fresh_seed() if arguments.coin is None else arguments.coin,
        samples,
        math.inf if arguments.budget is None else arguments.budget,
        arguments.dealings,
        arguments.expect,
        arguments.resume,
    )


def _certify(arguments: argparse.Namespace, outcome: Outcome, key) -> None:  # type: ignore[no-untyped-def]
    from simdfl.auditing.certificate import certify

    folder = arguments.folder.resolve()
    target = arguments.certificate or folder.with_name(f"{folder.name}.certificate.json")
    _write(target, json.dumps(certify(outcome, key), indent=2, sort_keys=True) + "\n")
    print(f"Certificate: {target}")


def _verify(arguments: argparse.Namespace) -> int:
    from simdfl.auditing.certificate import BadCertificate, read_certificate
    from simdfl.auditing.inspection import Request, inspect

    try:
        found = read_certificate(arguments.file)
    except BadCertificate as error:
        print(f"simdfl: {error}", file=sys.stderr)
        return EXIT_VIOLATION
    statement = found["statement"]
    if arguments.auditor and arguments.auditor.lower().removeprefix("0x") != found["auditor"]:
        print(
            f"simdfl: {arguments.file}: signed by {found['auditor']}, not by the expected auditor",
            file=sys.stderr,
        )
        return EXIT_VIOLATION
    print(f"Signed by {found['auditor']}: {statement['verdict']} at level {statement['level']}")
    print(f"weights {statement['weights_sha256']}, job {statement['job']}, files {statement['address']}")
    if arguments.folder is None:
        return 0
    outcome = inspect(Request(arguments.folder, expected=statement["address"]))
    print(
        "The folder is the certified one." if not outcome.exit_status else "The folder is NOT the certified one."
    )
    return outcome.exit_status


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another file") from error


class _Bar:
    """A progress bar on standard error, if that is a terminal."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        self._bars = Bars(console=console, disable=not console.is_terminal, transient=True)
        self._tasks: dict[str, int] = {}
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def show(self, what: str, done: int, of: int) -> None:
        """Show how far a part of the audit is; `of` is 0 where the end is not known."""
        from rich.progress import TaskID

        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=of or None)
        self._bars.update(TaskID(self._tasks[what]), completed=done)


if __name__ == "__main__":
    sys.exit(main())
