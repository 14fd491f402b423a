"""The cells of the matrix: which runs it takes, and what is measured in each.

A cell is one attack against one protocol. Its attack-free twin is the same scenario without the attackers; twins
that are the same run are run once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adversaries import ADVERSARIES, FAULTS
from simdfl.errors import UserError, unknown_name
from simdfl.matrix.concerns import concerns
from simdfl.matrix.settings import setting_of
from simdfl.scenario import Scenario, load
from simdfl.scenario.schema import scenario_digest
from simdfl.world.build import build
from simdfl.world.result import RunResult

KEY_CHARACTERS = 24


@dataclass(frozen=True)
class Cell:
    """One attack, or fault, against one protocol.

    ``column`` names the protocol as the scenario does: its own protocol's name, or a baseline's.
    """

    attack: str
    column: str
    scenario: Scenario
    twin: Scenario

    @property
    def is_fault(self) -> bool:
        """Whether honest peers fail here, and nobody attacks."""
        return self.attack in FAULTS


def key_of(scenario: Scenario) -> str:
    """Return the name under which a run's measurements are kept: equal scenarios have one."""
    return scenario_digest(scenario)[:KEY_CHARACTERS]


def plan(path: str | Path, attacks: Sequence[str], columns: Sequence[str], seed: int | None = None) -> list[Cell]:
    """Return all cells of the named attacks and columns (all, if none is named) that concern each other.

    Raises
    ------
    UserError
        If a name is unknown, or the scenario has no adversary group to put the attacks in.
    """
    everything = (*ADVERSARIES, *FAULTS)
    for name in attacks:
        if name not in everything:
            raise unknown_name("--attacks", name, everything)
    known = _runs(path, [], seed)
    for name in columns:
        if name not in known:
            raise unknown_name("--protocols", name, known)
    if not known[next(iter(known))].adversaries:
        raise UserError(f"{path}: adversaries is empty; give one group, whose place the attacks take")
    return [cell for attack in attacks or everything for cell in _row(path, attack, columns or list(known), seed)]


def _row(path: str | Path, attack: str, columns: Sequence[str], seed: int | None) -> list[Cell]:
    setting = setting_of(attack)
    twins = _runs(path, [*setting.overrides, "adversaries=[]"], seed)
    attacked = _runs(path, [*setting.overrides, *_cast(path, attack, setting.params)], seed)
    return [
        Cell(attack, column, attacked[column], twins[column])
        for column in columns
        if concerns(attack, attacked[column].protocol.name)
    ]


def _cast(path: str | Path, attack: str, params: str) -> list[str]:
    """Return the overrides that put an attack, or a fault of honest peers, in the place of the first group."""
    if attack in ADVERSARIES:
        return [f"adversaries.0.name={attack}", f"adversaries.0.params={params}"]
    group = load(path).scenario.adversaries[0]
    size = f"{group.size_key}: {getattr(group, group.size_key)}"
    return [
        "adversaries=[]",
        f"faults=[{{name: {attack}, {size}, start_step: {group.start_step}, params: {params}}}]",
    ]


def _runs(path: str | Path, overrides: Sequence[str], seed: int | None) -> dict[str, Scenario]:
    loaded = load(path, overrides, seed=seed)
    return {loaded.scenario.protocol.name: loaded.scenario, **loaded.baselines}


def measure(scenario: Scenario) -> dict[str, Any]:
    """Run one scenario and return its measurements, ready for JSON."""
    world = build(scenario)
    result = world.run()
    start = min((group.start_step for group in scenario.adversaries), default=0)
    gone = {row["peer"]: row["step"] for row in result.removals if row["byzantine"]}
    liars = scenario.byzantine_count
    return {
        "outcome": result.outcome,
        "accuracy": float(result.accuracy),
        "attack_success": result.attack_success,
        "step_s": _finite(result.summary["step_s"]),
        "caught_by": caught_by(result, byzantine=True),
        "honest_removed_for": caught_by(result, byzantine=False),
        "byzantine": liars,
        "byzantine_left": liars - len(gone),
        "last_removed_after": max(gone.values()) - start if liars and len(gone) == liars else None,
        "honest_banned": _count(result, "banned"),
        "honest_ejected": _count(result, "ejected"),
        "distinct_models": result.summary["distinct_models"],
        "trace_digest": result.trace_digest,
    }


def caught_by(result: RunResult, byzantine: bool) -> str:
    """Return for what peers were removed, with counts: ``failed validation 3``."""
    reasons = Counter(row["reason"] for row in result.removals if row["byzantine"] == byzantine)
    return "; ".join(
        f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))
    )


def _count(result: RunResult, kind: str) -> int:
    return len({row["peer"] for row in result.removals if row["kind"] == kind and not row["byzantine"]})


def _finite(value: float) -> float | None:
    return float(value) if value == value else None
