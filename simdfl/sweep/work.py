"""One run of a sweep, as a worker process does it: from a scenario to plain rows."""

from __future__ import annotations

import time
from typing import Any

from simdfl import __version__
from simdfl.errors import UserError
from simdfl.scenario import Scenario

Done = dict[str, Any]
"""``outcome``, ``reason``, ``protocol``, ``figures``, ``steps`` (rows) and ``wall_s`` of a finished run."""


def run_one(scenario: Scenario) -> Done:
    """Run a scenario; a mistake that its shelves find is an outcome, not an exception."""
    from simdfl.records.figures import run_figures
    from simdfl.world import build

    started = time.perf_counter()
    try:
        result = build(scenario).run()
    except UserError as error:
        return failure(scenario.protocol.name, str(error))
    outcome, _, reason = result.outcome.partition(": ")
    return {
        "outcome": outcome,
        "reason": reason,
        "protocol": result.protocol,
        "figures": run_figures(result),
        "steps": result.steps,
        "wall_s": time.perf_counter() - started,
    }


def failure(protocol: str, reason: str) -> Done:
    """Return the record of a run without a result."""
    return {
        "outcome": "failed",
        "reason": reason,
        "protocol": protocol,
        "figures": {},
        "steps": [],
        "wall_s": None,
    }


def worker_version() -> str:
    """Return the version of simdfl that a worker runs."""
    return __version__
