"""All figures of one run as a flat row: what a sweep keeps of it, and what its tables are made of."""

from __future__ import annotations

import math
from typing import Any

from simdfl.records.columns import FIGURES
from simdfl.world.result import Row, RunResult

CLASSES = ("gradient", "control", "beacon", "chain")
SUMMARY = (
    *("step_s", "compute_s", "traffic_s", "chain_s", "waiting_s", "gradient_work_s", "extra_work_s"),
    *(f"{name}_bytes" for name in CLASSES),
    *("gradients_per_step", "validations_per_step", "transactions", "channel_calls", "failed_transactions"),
    *("gas", "fees_wei", "base_fee_max_wei", "raised_bids", "reorganisations", "stale_blocks", "distinct_models"),
)
OVERHEAD = ("step", "compute", "traffic", "chain", "waiting")


def run_figures(result: RunResult) -> Row:
    """Return the figures of a run, by the names in :data:`~simdfl.records.columns.FIGURES`; None: undefined."""
    removals = result.removals
    banned = [row for row in removals if row["kind"] == "banned"]
    liars = {row["peer"] for row in result.peers if row["byzantine"]}
    caught = {row["peer"]: row["time_s"] for row in removals if row["peer"] in liars}
    summary, work_s = result.summary, result.summary["gradient_work_s"] + result.summary["extra_work_s"]
    row: Row = {
        "steps": summary["steps"],
        "simulated_s": result.simulated_s,
        "accuracy": result.accuracy,
        "loss": result.loss,
        "attack_success": result.attack_success,
        **{key: summary[key] for key in SUMMARY},
        "validation_share": _share(summary["validations_per_step"], summary["gradients_per_step"]),
        "extra_work_share": _share(summary["extra_work_s"], work_s),
        "fees_wei": str(summary["fees_wei"]),
        "byzantine": len(liars),
        "byzantine_removed": len(caught),
        "honest_banned": len({row["peer"] for row in banned} - liars),
        "honest_ejected": len({row["peer"] for row in removals if row["kind"] == "ejected"} - liars),
        "last_ban_s": max((row["time_s"] for row in banned), default=None),
        "last_ban_step": max((row["step"] for row in banned), default=None),
        "trace_digest": result.trace_digest,
    }
    return {key: _finite(row[key]) for key in FIGURES}


def overhead(row: Row, twin: Row) -> Row:
    """Return what a run takes beyond its unverified twin on the same seed; None where either has no figure."""
    added = {f"overhead_{name}_s": _minus(row[f"{name}_s"], twin[f"{name}_s"]) for name in OVERHEAD}
    extra = [row[f"{name}_bytes"] for name in CLASSES if name != "gradient"]
    known = None if None in extra else sum(extra)
    return {
        **added,
        "overhead_time_ratio": _share(added["overhead_step_s"], twin["step_s"]),
        "overhead_compute_ratio": _share(added["overhead_compute_s"], twin["compute_s"]),
        "overhead_bytes_ratio": _share(known, twin["gradient_bytes"]),
    }


def _minus(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
