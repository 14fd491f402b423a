"""The table of :mod:`simdfl.figures.defences` for ResNet-18 on CIFAR-10: ``scenarios/attack_table_cifar10.yaml``.

The data are downloaded into the data folder or lie there already. Ten runs of 16 peers and 2,000 steps are weeks
of one CPU core: an accelerator is what to compute it on.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from simdfl.figures import defences
from simdfl.figures.defences import TRIALS, draw

__all__ = ["SCENARIO", "TRIALS", "compute", "draw"]

SCENARIO = Path("scenarios") / "attack_table_cifar10.yaml"


def compute(trials: int, seed: int, cache: Path) -> pd.DataFrame:
    """Return the table of :func:`simdfl.figures.defences.compute` for this scenario."""
    return defences.compute(trials, seed, cache, SCENARIO)
