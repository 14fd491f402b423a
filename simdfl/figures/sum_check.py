"""How small a shift of an aggregated part V2 finds: the sum of projections against its tolerance.

An aggregator moves its part from CenteredClip's fixed point by s times the clipping radius, in a direction drawn
before the projections are, which is all it can do: they come out of the beacon when aggregates are final. All
differences lie within the radius, so the clipped differences then sum to the shift times their number. A shift
passes if all K projections of that sum stay within the tolerance.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import erf

from simdfl.figures.style import DASHES, MARKERS, SHADES
from simdfl.protocols.parts import (
    FIXED_ONE,
    ClipSettings,
    PartMath,
    commit_gradient,
    make_aggregate,
    project,
    random_vector,
    to_fixed,
)
from simdfl.rng import Rng

TRIALS = 2000
CONTRIBUTORS, SIZE, RADIUS = 16, 256, 1.0
PROJECTIONS = (1, 2, 4)
SHIFTS = np.logspace(-6.5, -2.5, 25)


def compute(trials: int, seed: int, cache: Path) -> pd.DataFrame:
    """Return one row per shift and K: the share that V2 flags, and the normal curve's.

    Parameters
    ----------
    trials : int
        Directions and projections drawn for each shift.
    seed : int
        Of gradients and directions.
    cache : Path
        Not used: nothing here takes long.
    """
    settings = ClipSettings(RADIUS, 1e-6, 500, max(PROJECTIONS), 10.0)
    rng = Rng(seed).stream("sum-check")
    spread = 0.5 * RADIUS / np.sqrt(SIZE)
    gradients = (1.0 + spread * rng.standard_normal((CONTRIBUTORS, SIZE))).astype(np.float32)
    fixed_point = PartMath(settings, CONTRIBUTORS).aggregate([commit_gradient(g, 1) for g in gradients])[0].values
    allowed = settings.sum_tolerance(SIZE)
    excess = np.empty((len(SHIFTS), trials, max(PROJECTIONS)))
    for row, shift in enumerate(SHIFTS):
        for trial in range(trials):
            direction = rng.standard_normal(SIZE)
            moved = fixed_point + shift * RADIUS * direction / np.linalg.norm(direction)
            beacon = hashlib.sha256(f"{seed}/{row}/{trial}".encode()).digest()
            excess[row, trial] = _sums(gradients, moved, beacon) / (allowed * CONTRIBUTORS)
    return pd.DataFrame(
        {
            "shift": shift,
            "projections": count,
            "flagged": float((excess[row, :, :count] > 1.0).any(axis=1).mean()),
            "expected": flagged(shift * RADIUS, allowed / FIXED_ONE, count),
            "trials": trials,
        }
        for row, shift in enumerate(SHIFTS)
        for count in PROJECTIONS
    )


def _sums(gradients: np.ndarray, moved: np.ndarray, beacon: bytes) -> np.ndarray:
    """Return the magnitudes (K,) of the summed reports about a moved part, in units of 2^-40."""
    z = np.stack([random_vector(beacon, 0, k, SIZE) for k in range(max(PROJECTIONS))])
    published = make_aggregate(moved.astype(np.float32)).values
    projections, _ = project(gradients, published, z, RADIUS)
    return np.abs(to_fixed(projections).sum(axis=0))


def flagged(shift: float, allowed: float, count: int) -> float:
    """Return the probability that one of `count` projections of a shift exceeds what is allowed.

    The entries of z are uniform on (-1, 1), so <z, delta> is close to normal with deviation ||delta|| / sqrt(3):
    1 - erf(allowed / (||delta|| sqrt(2 / 3)))^K.

    >>> flagged(1e-3, 1e-9, 1) > 0.999, flagged(1e-9, 1e-3, 4)
    (True, 0.0)
    """
    return float(1.0 - erf(allowed / (shift * np.sqrt(2.0 / 3.0))) ** count)


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure: measured points on the expected curves."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for style, (count, rows) in enumerate(table.groupby("projections")):
        axes.plot(
            rows["shift"], rows["expected"], color=SHADES[style], dashes=DASHES[style] or (None, None), lw=1.0
        )
        axes.plot(rows["shift"], rows["flagged"], MARKERS[style], color=SHADES[style], ms=4, label=f"K = {count}")
    axes.set(
        xscale="log", xlabel="shift, in units of the clipping radius", ylabel="P(V2 flags it)", ylim=(-0.03, 1.03)
    )
    axes.legend(frameon=False, title="projections")
    return figure
