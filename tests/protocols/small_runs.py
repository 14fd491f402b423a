"""Small verified runs for tests: ten peers, a linear model, the ideal group (same code path, no real proofs)."""

from __future__ import annotations

from typing import Any

from simdfl.scenario import loads
from simdfl.world import RunResult, World, build

SMALL = """
name: small
protocol: {steps: 12, validators: 2}
peers: {count: 10}
topology: {name: random_regular, params: {degree: 4}}
beacon: {group: ideal, epoch_outputs: 4}
contracts: {deal_s: 22}
learning: {model: {name: logistic}, evaluate_every: 4}
"""


def build_small(*overrides: str, seed: int = 1) -> World:
    """Return a small world with `overrides` (key.path=value) applied."""
    return build(loads(SMALL, "small", overrides, seed=seed).scenario)


def run_small(*overrides: str, seed: int = 1) -> tuple[World, RunResult]:
    """Run a small world; money must be conserved in every one of them."""
    world = build_small(*overrides, seed=seed)
    result = world.run()
    if world.chain is not None:
        world.chain.job.check_conservation()
    return world, result


def attack(name: str, count: int = 3, **params: Any) -> str:
    """Return the override for one adversary group."""
    inside = ", ".join(f"{key}: {value}" for key, value in params.items())
    return f"adversaries=[{{name: {name}, count: {count}, start_step: 2, params: {{{inside}}}}}]"


def removed(result: RunResult, kind: str, byzantine: bool) -> set[int]:
    """Return who was banned or ejected among the Byzantine or honest peers."""
    return {r["peer"] for r in result.removals if r["kind"] == kind and r["byzantine"] == byzantine}


def reasons(result: RunResult) -> set[str]:
    """Return for what peers were removed."""
    return {row["reason"] for row in result.removals}
