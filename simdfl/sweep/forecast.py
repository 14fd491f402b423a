"""What a sweep will take, before it starts."""

from __future__ import annotations

from collections.abc import Mapping

from simdfl.scenario import Scenario
from simdfl.scenario.points import Plan
from simdfl.sweep.work import Done

RATES = {"verified": 110.0, "btard": 110.0}
"""Peer steps a second of a whole run on one core with a small model, as ``bench_training.py`` measures them."""
OTHER_RATE = 1000.0
CROWD = 48
"""Peers at which what grows with their square, messages and checks for each other, takes as long as the rest."""
RUN_S = 1.5
"""Setting up one run, and writing its tables."""
START_S = 6.0
"""A worker's first run loads the libraries and compiles."""


def work_of(scenario: Scenario) -> float:
    """Return what a run takes in seconds at the shipped rates: peers by steps, and how many peers hear each."""
    peers = scenario.peers.count
    alone = peers * scenario.protocol.steps / RATES.get(scenario.protocol.name, OTHER_RATE)
    return RUN_S + alone * (1 + (peers / CROWD) ** 2)


def estimate_s(plan: Plan, done: Mapping[str, Done], workers: int) -> float:
    """Return the wall time that is left: the shipped rates, corrected by the runs that are done."""
    scenarios = {run.key: run.scenario for run in plan.runs}
    timed = {key: done[key]["wall_s"] for key in scenarios if key in done and done[key]["wall_s"]}
    factor = sum(timed.values()) / sum(work_of(scenarios[key]) for key in timed) if timed else 1.0
    left = [work_of(scenario) for key, scenario in scenarios.items() if key not in done]
    return factor * sum(left) / max(1, min(workers, len(left))) + START_S * bool(left)


def plan_sentences(plan: Plan, done: Mapping[str, Done], workers: int | None) -> list[str]:
    """Return what will be run; `workers` is None on a cluster whose size is not known yet."""
    keys = {run.key for run in plan.runs}
    seeds = len({run.seed for run in plan.runs})
    runs = 1 + len(plan.sweep.twins)
    left = len(keys) - len(keys & set(done))
    sentences = [
        f"{plan.sweep.name}: {plan.n_points} points, {seeds} seeds, {runs} runs each: {len(plan.runs)} rows, "
        f"{len(keys)} different runs, {len(keys) - left} of them done."
    ]
    if left and workers is not None:
        basis = "the runs that are done" if done else "the rates this version ships with"
        time = format_duration(estimate_s(plan, done, workers))
        sentences.append(f"About {time} on {workers} processes, by {basis}.")
    return sentences


def format_duration(seconds: float) -> str:
    """Return a rough duration.

    >>> format_duration(42.0), format_duration(3720.0)
    ('42 s', '62 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
