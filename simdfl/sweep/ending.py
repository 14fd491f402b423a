"""The end of a sweep: its tables, and the overhead of every point on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from simdfl.records.cells import independent, short_names
from simdfl.records.sweep_tables import csv_bytes, parquet_bytes, points_frame, runs_frame, steps_frame
from simdfl.scenario.points import MAIN, Plan
from simdfl.sweep.folder import write_at_once
from simdfl.sweep.work import Done

COLUMNS = {
    "accuracy": "accuracy",
    "step_s": "step",
    "overhead_step_s": "overhead",
    "overhead_compute_s": "compute",
    "overhead_traffic_s": "traffic",
    "overhead_chain_s": "chain",
    "overhead_waiting_s": "waiting",
    "overhead_time_ratio": "ratio",
}
NARROW = ("overhead_traffic_s", "overhead_compute_s", "accuracy", "overhead_waiting_s", "overhead_chain_s")
"""What a narrow screen goes without, first to last."""
WIDE = 1_000
PROFILE = "Cost profile: learned figures are those of a small stand-in model."


def write_tables(plan: Plan, results: Mapping[str, Done], folder: Path) -> pd.DataFrame:
    """Write all tables of a finished sweep; return the runs."""
    runs = runs_frame(plan, results)
    write_at_once(folder / "runs.parquet", parquet_bytes(runs))
    write_at_once(folder / "steps.parquet", parquet_bytes(steps_frame(plan, results)))
    write_at_once(folder / "points.csv", csv_bytes(points_frame(runs, plan.sweep.keys)))
    return runs


def print_ending(plan: Plan, runs: pd.DataFrame, console: Console) -> None:
    """Print a row for every point, as many columns as the screen has room for, and what went wrong."""
    points = points_frame(runs, plan.sweep.keys)
    points = points[points["run"] == MAIN]
    shown = {name: heading for name, heading in COLUMNS.items() if name in points}
    table = _table(plan, points, shown)
    for name in NARROW:
        if console.measure(table, options=console.options.update(width=WIDE)).maximum <= console.width:
            break
        shown.pop(name, None)
        table = _table(plan, points, shown)
    console.print(table)
    if any(run.scenario.learning.nominal_parameters is not None for run in plan.runs):
        console.print(PROFILE, soft_wrap=True)
    for reason, count in runs[runs["outcome"] != "completed"].groupby(["outcome", "reason"]).size().items():
        outcome, why = reason if isinstance(reason, tuple) else (reason, "")
        console.print(f"{count} {outcome}: {why}", soft_wrap=True, markup=False, highlight=False)


def _table(plan: Plan, points: pd.DataFrame, shown: dict[str, str]) -> Table:
    table = Table(
        title=f"{plan.sweep.name}, means over seeds, times in seconds",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    keys = independent(points, plan.sweep.keys)
    for key in keys:
        last = key.rpartition(".")[2]
        table.add_column(last if sum(other.endswith(f".{last}") for other in keys) == 1 else key, no_wrap=True)
    for heading in ["done", *shown.values()]:
        table.add_column(heading, justify="right", no_wrap=True)
    names = [short_names(points[key]) for key in keys]
    for index, row in enumerate(points.to_dict("records")):
        figures = [_figure(row[name]) for name in shown]
        table.add_row(*[column[index] for column in names], f"{row['completed']:.0%}", *figures)
    return table


def _figure(value: float) -> str:
    """Return three significant digits, none beyond a thousandth."""
    return "–" if value != value else f"{round(value, 3):.3g}"
