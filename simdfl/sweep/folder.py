"""A sweep's folder: one small file for every finished run, written at once or not at all.

Whatever ends a sweep, the runs in ``done`` are whole; the same command goes on from there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from simdfl import __version__
from simdfl.errors import UserError
from simdfl.scenario.points import Plan
from simdfl.sweep.work import Done

MARKER = "sweep.json"


class SweepFolder:
    """Results of one sweep.

    Parameters
    ----------
    path : Path
        The folder.
    plan : Plan
        The runs that belong there.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self._plan = plan
        self._done = path / "done"

    def check(self) -> None:
        """Check, writing nothing, that the folder is this sweep's or free.

        Raises
        ------
        UserError
            If something else is there.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path}: is a file; choose another folder with --out")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        marker = self.path / MARKER
        if not marker.is_file():
            raise UserError(f"{self.path}: is not empty and holds no sweep; choose another folder with --out")
        if json.loads(marker.read_text(encoding="utf-8")).get("sweep_digest") != self._plan.digest:
            raise UserError(
                f"{self.path}: holds another sweep, or this one before it was changed; choose another folder "
                "with --out or remove it"
            )

    def open(self) -> None:
        """Make the folder.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        facts = {
            "format": "simdfl.sweep.v1",
            "simdfl": __version__,
            "sweep": self._plan.sweep.name,
            "sweep_digest": self._plan.digest,
            "runs": len(self._plan.runs),
        }
        try:
            self._done.mkdir(parents=True, exist_ok=True)
            write_at_once(self.path / MARKER, (json.dumps(facts, indent=2) + "\n").encode())
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror}); choose another folder with --out"
            ) from error

    def finished(self) -> dict[str, Done]:
        """Return what is done of this sweep, by key."""
        found = {}
        for run in self._plan.runs:
            path = self._done / f"{run.key}.json"
            if run.key not in found and path.is_file():
                found[run.key] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def keep(self, key: str, done: Done) -> Done:
        """Keep a finished run; return it as a later reader will find it."""
        text = json.dumps(done, allow_nan=False)
        write_at_once(self._done / f"{key}.json", text.encode())
        kept: Done = json.loads(text)
        return kept


def write_at_once(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, whatever happens meanwhile."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
