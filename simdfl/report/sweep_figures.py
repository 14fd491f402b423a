"""Figures of a sweep: accuracy with bands over seeds, and how costs grow, with fitted exponents.

Bands and intervals are Student's t intervals of the mean over seeds, 95 %.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from simdfl.records import intervals
from simdfl.records.cells import independent, short_names
from simdfl.records.intervals import LEVEL
from simdfl.report.cost_figures import stack
from simdfl.report.facets import facets_picture
from simdfl.report.facts import NONE, Sheet
from simdfl.report.picture import Picture
from simdfl.report.read import SweepFolder
from simdfl.report.style import canvas, label, legend, line_look

MOST_LINES = 8
MOST_BARS = 24
OVERHEADS = ("compute", "traffic", "chain", "waiting")
COSTS = ("step_s", "gradient_bytes", "control_bytes", "beacon_bytes", "chain_bytes", "gas", "gradients_per_step")
RESULTS = (
    *COSTS,
    "byzantine_removed",
    "honest_banned",
    "accuracy",
    "loss",
    "attack_success",
    "validations_per_step",
    "transactions",
    "simulated_s",
)


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return mean, lower and upper end of the interval; of one value the interval is the value.

    >>> mean_interval(np.array([2.0]))
    (2.0, 2.0, 2.0)
    """
    mean, low, high = intervals.mean_interval([float(value) for value in values])
    return (mean, low, high) if len(values) > 1 else (mean, mean, mean)


def parameters(source: SweepFolder) -> list[str]:
    """Return the columns that tell groups of seeds apart: the varied keys after ``point``, and the runs."""
    columns = [str(column) for column in source.runs]
    keys = columns[columns.index("point") + 1 : columns.index("seed")] if "point" in columns else []
    return [*keys, *[column for column in ("run", "protocol") if column in columns]]


def sweep_pictures(source: SweepFolder) -> list[Picture]:
    """Return the figures of a sweep."""
    keys = [key for key in parameters(source) if key not in ("run", "protocol")]
    made = (
        bands_picture(source),
        facets_picture(source.runs, keys),
        overhead_picture(source),
        *(growth_picture(source, key) for key in independent(source.runs, keys)),
    )
    return [picture for picture in made if picture is not None]


def _names(frame: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Return a short name per row from the keys that tell rows apart."""
    kept = [key for key in keys if key in frame]
    kept = independent(frame, kept) or kept[:1]
    if not kept:
        return pd.Series("all", frame.index)
    parts = [short_names(frame[key]) for key in kept]
    return pd.Series([", ".join(words) for words in zip(*parts)], frame.index)


def _named_steps(source: SweepFolder) -> pd.DataFrame:
    """Return evaluated steps with the name of their group of seeds."""
    steps = source.steps.dropna(subset=["accuracy"])
    return steps.assign(group=_names(steps, parameters(source)))


def bands_picture(source: SweepFolder) -> Picture:
    """Return accuracy and loss over steps: a line per group, a band over its seeds."""
    steps = _named_steps(source)
    figure, panels = canvas(2)
    rows = []
    for index, (group, members) in enumerate(steps.groupby("group", sort=False)):
        for axes, column, factor in zip(panels, ("accuracy", "loss"), (100.0, 1.0)):
            found = [(step, *mean_interval(part[column].to_numpy())) for step, part in members.groupby("step")]
            rows += [(group, column, *line) for line in found]
            if index < MOST_LINES:
                step, mean, low, high = np.array(found).T
                axes.plot(step, factor * mean, label=group, **line_look(index))
                axes.fill_between(step, factor * low, factor * high, color=line_look(index)["color"], alpha=0.2)
    label(panels[0], "Accuracy on the test records", "step", "accuracy, %")
    label(panels[1], "Loss on the test records", "step", "mean cross-entropy, nats")
    legend(panels[0])
    data = pd.DataFrame(rows, columns=["group", "figure", "step", "mean", "low", "high"])
    more = f" The first {MOST_LINES} of {steps['group'].nunique()} groups." * (
        steps["group"].nunique() > MOST_LINES
    )
    return Picture(
        "bands",
        "Accuracy and loss over seeds",
        f"Means over seeds with {LEVEL:.0%} t intervals of the mean as bands.{more}",
        f"Two line charts with bands for {steps['group'].nunique()} groups of runs.",
        figure,
        data,
    )


def fit_exponent(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Return the exponent k of y ~ x^k by least squares on logarithms, and half its interval; None if undefined.

    >>> k, half = fit_exponent(np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 12.0, 48.0, 192.0]))
    >>> round(k, 6), half < 1e-6
    (2.0, True)
    """
    usable = (x > 0) & (y > 0)
    if len(np.unique(x[usable])) < 3:
        return None
    fit = stats.linregress(np.log(x[usable]), np.log(y[usable]))
    half = stats.t.ppf(0.5 + LEVEL / 2, usable.sum() - 2) * fit.stderr
    return float(fit.slope), float(half)


def overhead_picture(source: SweepFolder) -> Picture | None:
    """Return what assurance adds to a step of every point, by component; None where no twin was run."""
    runs = source.runs
    columns = {f"overhead_{part}_s": part for part in OVERHEADS}
    if not set(columns) <= set(runs) or runs[list(columns)].isna().all().all():
        return None
    keys = [key for key in parameters(source) if key not in ("run", "protocol")]
    mine = runs[runs["run"] == "main"] if "run" in runs else runs
    data = mine.groupby(_names(mine, keys), sort=False)[list(columns)].mean().rename_axis("point").reset_index()
    shown = data.head(MOST_BARS).assign(**{name: data[name].clip(lower=0.0) for name in columns})
    figure, [axes] = canvas(1, height=1.6 + 0.32 * len(shown))
    stack(axes, shown, "point", columns)
    label(axes, "", "s per step beyond the unverified twin", "")
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    total = data[list(columns)].sum(axis=1)
    return Picture(
        "overhead",
        "Overhead by component",
        f"Means over seeds; {', '.join(independent(mine, keys)) or 'one point'}. Components below zero, where "
        f"bytes travel while a peer computes, are drawn as zero.",
        f"Stacked bars for {len(data)} points: {total.min():.3g} to {total.max():.3g} s a step.",
        figure,
        data,
    )


def growth_picture(source: SweepFolder, key: str) -> Picture | None:
    """Return how costs grow with one numeric parameter; None for names or fewer than three values."""
    runs = source.runs[source.runs["run"] == "main"] if "run" in source.runs else source.runs
    costs = [cost for cost in COSTS if cost in runs]
    if not pd.api.types.is_numeric_dtype(runs[key]) or runs[key].nunique() < 3 or not costs:
        return None
    figure, [axes] = canvas(1, height=3.8)
    rows = []
    for index, cost in enumerate(costs):
        means = runs.groupby(key)[cost].mean()
        means = means[(means > 0) & (means.index > 0)]
        fit = fit_exponent(runs[key].to_numpy(dtype=float), runs[cost].to_numpy(dtype=float))
        if fit is None or means.empty:
            continue
        name = f"{cost}: exponent {fit[0]:.2f} ± {fit[1]:.2f}"
        axes.plot(means.index, means / means.iloc[0], label=name, **line_look(index))
        rows.append((cost, *fit))
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, f"Growth with {key}", key, "cost, relative to the smallest")
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    said = "; ".join(f"{cost} grows with exponent {k:.2f} ± {half:.2f}" for cost, k, half in rows)
    return Picture(
        f"growth-{key.replace('.', '-')}",
        f"Growth with {key}",
        f"Means over all other settings, both axes logarithmic; exponents by least squares with {LEVEL:.0%} "
        f"intervals.",
        said,
        figure,
        pd.DataFrame(rows, columns=["cost", "exponent", "half_interval"]),
    )


def sweep_sheet(source: SweepFolder) -> Sheet:
    """Return the results per group of seeds: mean and half the interval."""
    keys = parameters(source)
    results = [name for name in RESULTS if name in source.runs]
    groups = source.runs.groupby(keys, sort=False, dropna=False) if keys else [((), source.runs)]
    rows = []
    names = {key: dict(zip(source.runs[key], short_names(source.runs[key]))) for key in keys}
    for group, members in groups:
        places = [
            names[key].get(place, place)
            for key, place in zip(keys, group if isinstance(group, tuple) else (group,))
        ]
        cells = [_cell(members[name].dropna().to_numpy(dtype=float)) for name in results]
        rows.append((*[str(place) for place in places], str(len(members)), *cells))
    headings = (*keys, "runs", *results)
    numeric = (*[False] * len(keys), *[True] * (1 + len(results)))
    note = f"Mean ± half the {LEVEL:.0%} t interval of the mean over seeds."
    return Sheet("groups", "Results", headings, rows, numeric, note)


def _cell(values: np.ndarray) -> str:
    if not len(values):
        return NONE
    mean, low, _ = mean_interval(values)
    return f"{mean:.4g}" if len(values) < 2 else f"{mean:.4g} ± {mean - low:.2g}"
