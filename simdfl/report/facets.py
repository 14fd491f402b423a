"""Facets of a sweep: what varied first along the axes, second a row of panels, the rest a line each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simdfl.records.cells import independent, short_names
from simdfl.records.intervals import LEVEL, mean_interval
from simdfl.report.picture import Picture
from simdfl.report.style import label, line_look

MOST_LINES = 6
MOST_ROWS = 6
SPREAD = 10.0
"""Numeric values whose largest is more than this times the smallest stand on a logarithmic axis."""

Figures = Callable[[pd.DataFrame], pd.Series]

MEASURES: dict[str, tuple[str, tuple[str, ...], Figures]] = {
    "step_s": ("time of a step, s", ("step_s",), lambda runs: runs["step_s"]),
    "assurance_kB": (
        "assurance, kB per step",
        ("control_bytes", "beacon_bytes", "chain_bytes"),
        lambda runs: (runs["control_bytes"] + runs["beacon_bytes"] + runs["chain_bytes"]) / 1e3,
    ),
    "gas": ("gas of a step, millions", ("gas",), lambda runs: runs["gas"] / 1e6),
    "accuracy": ("accuracy, %", ("accuracy",), lambda runs: 100.0 * runs["accuracy"]),
    "attack_success": ("attack success, %", ("attack_success",), lambda runs: 100.0 * runs["attack_success"]),
}
"""Panels: axis label, columns needed, and the figure of a run."""


def facets_picture(runs: pd.DataFrame, keys: list[str]) -> Picture | None:
    """Return means with intervals of every measure over the first varied key; None where nothing varies.

    Parameters
    ----------
    runs : DataFrame
        One row per run of a sweep.
    keys : list of str
        The varied keys of the scenario, in the order of the sweep.
    """
    varied = independent(runs, keys)
    measures = {name: entry for name, entry in MEASURES.items() if _is_told(runs, entry)}
    if not varied or not measures:
        return None
    across, down, others = varied[0], varied[1:2], varied[2:]
    lines = [*others, *independent(runs, ["run"] if "run" in runs else [])]
    data = _points(runs, across, down, lines, measures)
    rows = list(dict.fromkeys(data["row"]))[:MOST_ROWS]
    figure = Figure(figsize=(2.9 * max(3, len(measures)), 0.9 + 2.5 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(measures), squeeze=False, sharex=True, sharey="col")
    for place, row in enumerate(rows):
        for axes, (name, (what, _, _)) in zip(grid[place], measures.items()):
            _draw(axes, data[(data["row"] == row) & (data["measure"] == name)], _is_wide(runs[across]))
            title = f"{down[0]}: {row}" if down and axes is grid[place][0] else ""
            label(axes, title, across if place == len(rows) - 1 else "", what)
    handles, names = grid[0][0].get_legend_handles_labels()
    if len(names) > 1:
        figure.legend(handles, names, loc="outside lower left", ncols=4, fontsize=9, handlelength=2.6)
    more = " Not all settings are drawn; the numbers beside hold them all." * (
        data["row"].nunique() > MOST_ROWS or data["line"].nunique() > MOST_LINES
    )
    return Picture(
        "facets",
        "Facets",
        f"Means over seeds with {LEVEL:.0%} t intervals, {across} along the axes"
        + (f", a row of panels for each {down[0]}" if down else "")
        + (f", a line for each {', '.join(lines)}" if lines else "")
        + f".{more}",
        f"{len(rows)} by {len(measures)} panels: {_message(data)}",
        figure,
        data.drop(columns="place"),
    )


def _is_told(runs: pd.DataFrame, entry: tuple[str, tuple[str, ...], Figures]) -> bool:
    """Say whether all columns are there and the figure is not zero or missing in every run."""
    _, needed, figure = entry
    return set(needed) <= set(runs) and bool((figure(runs).fillna(0.0) != 0.0).any())


def _is_wide(values: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(values) or (values <= 0).any():
        return False
    return bool(values.max() > SPREAD * values.min())


def _points(
    runs: pd.DataFrame,
    across: str,
    down: list[str],
    lines: list[str],
    measures: dict[str, tuple[str, tuple[str, ...], Figures]],
) -> pd.DataFrame:
    """Return a row per drawn point: its panel, its line, its place on the axis, mean and interval."""
    numeric = pd.api.types.is_numeric_dtype(runs[across])
    names = short_names(runs[across])
    others = [short_names(runs[name]) for name in lines]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    drawn = pd.DataFrame(
        {
            "row": short_names(runs[down[0]]) if down else "all",
            "line": [", ".join(parts) for parts in zip(*others)] if others else "all",
            "x": names,
            "place": runs[across].astype(float) if numeric else [float(order[name]) for name in names],
        },
        index=runs.index,
    )
    rows = []
    for measure, (_, _, figure) in measures.items():
        values = figure(runs).astype(float)
        for (row, line, x, place), members in values.groupby(
            [drawn["row"], drawn["line"], drawn["x"], drawn["place"]], sort=False
        ):
            told = [float(value) for value in members.dropna()]
            if told:
                estimate = mean_interval(told)
                rows.append((measure, row, line, x, place, *estimate))
    return pd.DataFrame(rows, columns=["measure", "row", "line", "x", "place", "mean", "low", "high"])


def _draw(axes: Axes, points: pd.DataFrame, wide: bool) -> None:
    for index, (line, members) in enumerate(points.groupby("line", sort=False)):
        if index >= MOST_LINES:
            break
        members = members.sort_values("place")
        reach = np.array([members["mean"] - members["low"], members["high"] - members["mean"]])
        axes.errorbar(
            members["place"], members["mean"], np.nan_to_num(reach), label=line, capsize=2, **line_look(index)
        )
    if wide:
        axes.set_xscale("log")
    ticks = points.drop_duplicates("place")
    axes.set_xticks(ticks["place"], ticks["x"], rotation=30 if ticks["x"].str.len().max() > 5 else 0)
    axes.minorticks_off()


def _message(data: pd.DataFrame) -> str:
    spans = data.groupby("measure", sort=False)["mean"].agg(["min", "max"])
    return "; ".join(f"{name} from {low:.3g} to {high:.3g}" for name, low, high in spans.itertuples()) + "."
