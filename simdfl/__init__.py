"""simdfl: a simulator of verifiable, Byzantine-tolerant decentralised federated learning."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

# The size of XLA's thread pool changes the bits of its results on a CPU; one thread makes a run the same on
# every machine of one kind, and processes, not threads, use the other cores. Read when jax is first imported.
os.environ.setdefault("NPROC", "1")
# For the same reason, and because threads of a BLAS that share a core cost many times the small products of the
# aggregation rules. Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What XLA has compiled is kept between processes; it is the same code, so no bit changes. Read as NPROC is.
import_module("simdfl.folders").use_compilation_cache()

__version__ = "0.1.0"


def load(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a run's or a sweep's folder by name, such as ``runs`` and ``steps``.

    Pandas is imported here, when it is needed. ``docs/columns.md`` documents every column.

    Raises
    ------
    UserError
        If the folder holds no tables.
    """
    tables: dict[str, pd.DataFrame] = import_module("simdfl.records.reading").load(folder)
    return tables
