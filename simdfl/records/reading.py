"""Reads the tables of a run's or a sweep's folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from simdfl.errors import UserError


def load(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a folder by name, see :func:`simdfl.load`."""
    folder = Path(folder)
    tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    if not tables:
        raise UserError(f"{folder}: holds no tables; give the folder of a finished run or sweep")
    return tables
