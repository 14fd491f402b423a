"""Reading what a report is about: a run folder, or a sweep's tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from simdfl.errors import UserError
from simdfl.records.columns import TABLES

PROVENANCE = "provenance.json"
NEEDED = ("steps", "peers", "removals", "calls", "traffic")
OPTIONAL = ("assurance", "accounts", "topology")
"""Tables that earlier versions did not write."""


@dataclass(frozen=True)
class RunFolder:
    """One scenario with its baselines: tables by name, and what ``provenance.json`` says."""

    path: Path
    provenance: dict[str, Any]
    tables: dict[str, pd.DataFrame]

    @property
    def runs(self) -> list[str]:
        """Names of the runs in their order, ``main`` first."""
        return list(self.provenance["runs"])

    def of(self, run: str, table: str) -> pd.DataFrame:
        """Return the rows of one run."""
        frame = self.tables[table]
        return frame[frame["run"] == run].reset_index(drop=True)

    def figures(self, run: str) -> dict[str, Any]:
        """Return the summary figures of one run."""
        summary: dict[str, Any] = self.provenance["runs"][run]["summary"]
        return summary


@dataclass(frozen=True)
class SweepFolder:
    """Many runs: a row per run, and a row per run and step."""

    path: Path
    runs: pd.DataFrame
    steps: pd.DataFrame


def read_folder(path: Path) -> RunFolder | SweepFolder:
    """Read a run folder or a sweep's tables.

    Raises
    ------
    UserError
        If the folder does not exist, holds neither, or holds a damaged table.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give one that simdfl.run or simdfl.sweep has written")
    if (path / PROVENANCE).exists() and (path / "peers.parquet").exists():
        return _read_run(path)
    if (path / "runs.parquet").exists() and (path / "steps.parquet").exists():
        return SweepFolder(path, _table(path, "runs"), _table(path, "steps"))
    raise UserError(f"{path}: holds neither a run nor a sweep; give a folder that simdfl.run has written")


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table with its columns as attributes."""
    yield from frame.itertuples(index=False)


def _read_run(path: Path) -> RunFolder:
    try:
        provenance = json.loads((path / PROVENANCE).read_text(encoding="utf-8"))
        known = provenance["format"] == "simdfl.run.v1" and isinstance(provenance["runs"], dict)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path / PROVENANCE}: cannot be read; run the scenario again") from error
    if not known:
        raise UserError(f"{path / PROVENANCE}: is of another format; run the scenario again")
    tables = {name: _table(path, name) for name in NEEDED}
    for name in OPTIONAL:
        is_there = (path / f"{name}.parquet").exists()
        tables[name] = _table(path, name) if is_there else pd.DataFrame(columns=["run", *TABLES[name]])
    return RunFolder(path, provenance, tables)


def _table(path: Path, name: str) -> pd.DataFrame:
    file = path / f"{name}.parquet"
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{file}: is missing or damaged; run the scenario again") from error
