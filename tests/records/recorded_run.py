"""A small verified run and its folder, for tests: ten peers, ideal group, three baselines."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from simdfl.records.folder import write_run
from simdfl.records.summary import summary_text
from simdfl.scenario import Loaded, loads
from simdfl.world import RunResult, build

TEXT = """
name: small
protocol: {steps: 6, validators: 2}
peers: {count: 10}
topology: {name: random_regular, params: {degree: 4}}
beacon: {group: ideal, epoch_outputs: 4}
contracts: {deal_s: 22}
learning: {model: {name: logistic}, evaluate_every: 2}
adversaries: [{name: sign_flip, count: 3, params: {scale: 3.0}}]
output: {trace: full}
baselines:
  verified_honest: {adversaries: []}
  unverified_attacked: {protocol.name: all_reduce}
  unverified_honest_all_reduce: {protocol.name: all_reduce, adversaries: []}
"""
WALL_S = 1.25


def run_all() -> tuple[Loaded, dict[str, RunResult]]:
    """Run the scenario and its baselines afresh."""
    loaded = loads(TEXT, "small")
    scenarios = {"main": loaded.scenario, **loaded.baselines}
    return loaded, {name: build(scenario).run() for name, scenario in scenarios.items()}


@cache
def small_run() -> tuple[Loaded, dict[str, RunResult]]:
    """Return the scenario with its results, run once for all tests of a process."""
    return run_all()


def write_small(folder: Path, wall_s: float = WALL_S) -> Path:
    """Write the small run's folder."""
    loaded, results = small_run()
    write_run(folder, loaded, results, summary_text(loaded.scenario, results), wall_s)
    return folder
