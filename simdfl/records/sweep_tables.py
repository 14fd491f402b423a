"""The tables of a sweep, in the order of its plan whatever the order in which runs ended."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from simdfl import __version__
from simdfl.records.columns import FIGURES, OUTCOME_COLUMNS, OVERHEAD_COLUMNS, SWEEP_COLUMNS, TABLES
from simdfl.records.figures import overhead
from simdfl.records.intervals import mean_interval, proportion_interval
from simdfl.scenario.points import MAIN, Plan, PlannedRun
from simdfl.world.result import Row

TEXTS = {"fees_wei", "trace_digest"}
COUNTS = {"steps", "byzantine", "byzantine_removed", "honest_banned", "honest_ejected", "failed_transactions"}
DIGITS = 6
"""Significant digits in ``points.csv``."""


def runs_frame(plan: Plan, results: Mapping[str, Row]) -> pd.DataFrame:
    """Return one row per run: the varied values, the outcome and every figure.

    Parameters
    ----------
    plan : Plan
    results : mapping of str to dict
        By the key of a planned run: ``outcome``, ``reason``, ``protocol`` and ``figures``.
    """
    rows = [_run_row(plan, run, results) for run in plan.runs]
    first = ["point", *plan.sweep.keys, "seed", "run", "protocol", *OUTCOME_COLUMNS]
    frame = pd.DataFrame(rows, columns=[*first, *FIGURES, *OVERHEAD_COLUMNS])
    for name in [*FIGURES, *OVERHEAD_COLUMNS]:
        frame[name] = frame[name].astype("str" if name in TEXTS else "Int64" if name in COUNTS else "float64")
    return _with_provenance(frame, plan)


def _run_row(plan: Plan, run: PlannedRun, results: Mapping[str, Row]) -> Row:
    result = results[run.key]
    figures: Row = dict.fromkeys(FIGURES) | result["figures"]
    row = _place(run) | {
        "protocol": result["protocol"],
        "outcome": result["outcome"],
        "reason": result["reason"],
        "scenario_digest": run.digest,
        **figures,
    }
    twin = _twin(plan, run)
    if run.run == MAIN and twin is not None and results[twin.key]["figures"] and result["figures"]:
        row |= overhead(figures, results[twin.key]["figures"])
    return {key: "" if value is None and key in TEXTS else value for key, value in row.items()}


def _twin(plan: Plan, run: PlannedRun) -> PlannedRun | None:
    """Return the run of the first twin on the same point and seed."""
    if not plan.sweep.twins:
        return None
    index = plan.runs.index(run) if run.run == MAIN else -1
    return plan.runs[index + 1] if index >= 0 else None


def steps_frame(plan: Plan, results: Mapping[str, Row]) -> pd.DataFrame:
    """Return one row per run and step."""
    rows = [
        _place(run) | {"protocol": results[run.key]["protocol"]} | step
        for run in plan.runs
        for step in results[run.key]["steps"]
    ]
    columns = ["point", *plan.sweep.keys, *[name for name in SWEEP_COLUMNS if name != "point"], *TABLES["steps"]]
    frame = pd.DataFrame(rows, columns=columns)
    for name in ("accuracy", "loss", "attack_success"):
        frame[name] = frame[name].astype("float64")
    return _with_provenance(frame, plan)


def _place(run: PlannedRun) -> Row:
    varied = {key: _cell(value) for key, value in run.varied.items()}
    return {"point": run.point, **varied, "seed": run.seed, "run": run.run}


def _cell(value: Any) -> Any:
    """Return a varied value as a table holds it: lists and mappings as JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value


def _with_provenance(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    for name in plan.sweep.keys:
        if len({isinstance(value, str) for value in frame[name]}) > 1:
            frame[name] = [value if isinstance(value, str) else json.dumps(value) for value in frame[name]]
    known = {**SWEEP_COLUMNS, **OUTCOME_COLUMNS, **FIGURES, **OVERHEAD_COLUMNS, **TABLES["steps"]}
    frame.attrs = {
        "sweep": plan.sweep.name,
        "sweep_digest": plan.digest,
        "seeds": sorted({run.seed for run in plan.runs}),
        "simdfl": __version__,
        "columns": {name: known.get(name, "varied value of this key of the scenario") for name in frame.columns},
    }
    return frame


def points_frame(runs: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return means over seeds with 95 % intervals, one row per point and run."""
    rows = []
    for (point, name), group in runs.groupby(["point", "run"], sort=False):
        completed = group[group["outcome"] == "completed"]
        share = proportion_interval(len(completed), len(group))
        row: Row = {"point": point, **{key: group[key].iloc[0] for key in keys}, "run": name, "seeds": len(group)}
        row |= {"completed": share.estimate, "completed_low": share.low, "completed_high": share.high}
        for figure in [name for name in [*FIGURES, *OVERHEAD_COLUMNS] if name not in TEXTS]:
            row |= _estimate(figure, completed[figure].dropna())
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.dropna(axis="columns", how="all")


def _estimate(name: str, values: Iterable[float]) -> Row:
    numbers = [float(value) for value in values]
    if not numbers:
        return {name: math.nan}
    mean, low, high = mean_interval(numbers)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV with a few significant digits, to be read and kept beside a text."""
    return frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n").encode()


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet, its provenance included; the bytes depend on the table alone."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
