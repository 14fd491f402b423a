"""The end of a sweep: its tables, and the overhead of every point on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from simdfl.records.sweep_tables import csv_bytes, parquet_bytes, points_frame, runs_frame, steps_frame
from simdfl.scenario.points import MAIN, Plan
from simdfl.sweep.folder import write_at_once
from simdfl.sweep.work import Done

COLUMNS = {
    "accuracy": "accuracy",
    "step_s": "step, s",
    "overhead_step_s": "overhead, s",
    "overhead_compute_s": "compute",
    "overhead_traffic_s": "traffic",
    "overhead_chain_s": "chain",
    "overhead_waiting_s": "waiting",
    "overhead_time_ratio": "time ratio",
}
PROFILE = "Cost profile: learned figures are those of a small stand-in model."


def write_tables(plan: Plan, results: Mapping[str, Done], folder: Path) -> pd.DataFrame:
    """Write all tables of a finished sweep; return the runs."""
    runs = runs_frame(plan, results)
    write_at_once(folder / "runs.parquet", parquet_bytes(runs))
    write_at_once(folder / "steps.parquet", parquet_bytes(steps_frame(plan, results)))
    write_at_once(folder / "points.csv", csv_bytes(points_frame(runs, plan.sweep.keys)))
    return runs


def print_ending(plan: Plan, runs: pd.DataFrame, console: Console) -> None:
    """Print a row for every point and what went wrong."""
    points = points_frame(runs, plan.sweep.keys)
    points = points[points["run"] == MAIN]
    shown = {name: heading for name, heading in COLUMNS.items() if name in points}
    table = Table(
        title=f"{plan.sweep.name}, means over seeds", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in [*plan.sweep.keys, "completed", *shown.values()]:
        table.add_column(heading, justify="right", overflow="fold")
    for row in points.to_dict("records"):
        cells = [str(row[key]) for key in plan.sweep.keys] + [f"{row['completed']:.0%}"]
        table.add_row(*cells, *["–" if row[name] != row[name] else f"{row[name]:.3g}" for name in shown])
    console.print(table)
    if any(run.scenario.learning.nominal_parameters is not None for run in plan.runs):
        console.print(PROFILE, soft_wrap=True)
    for reason, count in runs[runs["outcome"] != "completed"].groupby(["outcome", "reason"]).size().items():
        outcome, why = reason if isinstance(reason, tuple) else (reason, "")
        console.print(f"{count} {outcome}: {why}", soft_wrap=True, markup=False, highlight=False)
