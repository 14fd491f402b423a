"""A long audit's memory on disk: where it is and what it has found, so that it can be interrupted.

The file is the auditor's own and is trusted; it is bound to the published files, the level and the coin.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simdfl.auditing.findings import Check, Findings, Unusable, Violation

SAVE_EVERY_S = 2.0


class Journal:
    """Saves the state of levels 1 and 2 now and then.

    Parameters
    ----------
    path : Path or None
        Where to; None saves nothing.
    key : str
        Names the audit; a file of another audit is refused.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path = path
        self._key = key
        self._saved_s = time.perf_counter()

    def load(self, findings: Findings) -> tuple[int, dict[str, Any]]:
        """Restore findings; return the position to go on from and the tally (0 and empty for a new audit).

        Raises
        ------
        Unusable
            If the file belongs to another audit.
        """
        if self._path is None or not self._path.exists():
            return 0, {}
        try:
            saved = json.loads(self._path.read_text(encoding="utf-8"))
            if saved["key"] != self._key:
                raise Unusable(f"{self._path}: belongs to another audit; choose another file with --resume")
            for record in saved["checks"]:
                record["violations"] = [Violation(**violation) for violation in record["violations"]]
                findings.checks[record["name"]] = Check(**record)
            return int(saved["position"]), dict(saved["tally"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unusable(f"{self._path}: is no audit's journal; choose another file with --resume") from error

    def save(self, position: int, findings: Findings, tally: dict[str, Any], at_once: bool = False) -> None:
        """Write the state, unless that was done a moment ago."""
        now_s = time.perf_counter()
        if self._path is None or (now_s - self._saved_s < SAVE_EVERY_S and not at_once):
            return
        self._saved_s = now_s
        checks = [asdict(check) for check in findings.checks.values()]
        text = json.dumps({"key": self._key, "position": position, "tally": tally, "checks": checks})
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self._path)
