"""Accuracy over the steps under attack, by defence: ``scenarios/attack_table.yaml`` and its baselines.

The dataset and the model are whatever the scenario names; nothing here depends on them. The same table for
photographs is :mod:`simdfl.figures.defences_cifar10`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from simdfl.figures.style import DASHES, SHADES
from simdfl.scenario import Scenario, load
from simdfl.scenario.schema import scenario_digest
from simdfl.world.build import build
from simdfl.world.jobs import run_jobs

SCENARIO = Path("scenarios") / "attack_table.yaml"
TRIALS = 1
"""Seeds; the mean over them is drawn."""
LABELS = {
    "main": "verified, τ = 1",
    "verified_tau_10": "verified, τ = 10",
    "server_centered_clip": "server, CenteredClip",
    "server_geometric_median": "server, geometric median",
    "mean": "all-reduce, mean",
}


def compute(trials: int, seed: int, cache: Path, scenario: Path = SCENARIO) -> pd.DataFrame:
    """Return one row per seed, defence, attack or none, and evaluated step.

    Parameters
    ----------
    trials : int
        Seeds to run, from `seed` on.
    seed : int
        The first.
    cache : Path
        Where finished runs are kept.
    scenario : Path
        With the defences of ``LABELS`` as its run and baselines.
    """
    plan: dict[str, tuple[int, str, str, Scenario]] = {}
    for number in range(seed, seed + trials):
        for attack, overrides in (("sign flip", []), ("none", ["adversaries=[]"])):
            loaded = load(scenario, overrides, seed=number)
            for defence, run in {"main": loaded.scenario, **loaded.baselines}.items():
                plan[scenario_digest(run)[:24]] = (number, defence, attack, run)
    found = run_jobs(measure, {key: run for key, (_, _, _, run) in plan.items()}, cache, Console(), "runs")
    return pd.DataFrame(
        {"seed": number, "defence": defence, "attack": attack, "step": step, "accuracy": accuracy}
        for key, (number, defence, attack, _) in plan.items()
        for step, accuracy in found[key]["accuracy"]
    )


def measure(scenario: Scenario) -> dict[str, Any]:
    """Run one scenario; return its accuracy by step and who was banned when."""
    result = build(scenario).run()
    evaluated = [(row["step"], row["accuracy"]) for row in result.steps if row["accuracy"] is not None]
    return {"accuracy": evaluated, "outcome": result.outcome, "banned": [row["step"] for row in result.removals]}


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure: one panel with the attack, one without."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    for axes, attack in zip(figure.subplots(1, 2, sharey=True), ("sign flip", "none")):
        shown = table[table["attack"] == attack].groupby(["defence", "step"])["accuracy"].mean()
        for style, (defence, label) in enumerate(LABELS.items()):
            curve = shown.loc[defence]
            axes.plot(
                curve.index, curve, color=SHADES[style], dashes=DASHES[style] or (None, None), lw=1.4, label=label
            )
        axes.set(title=f"attack: {attack}", xlabel="step", ylim=(0, 1))
    figure.axes[0].set_ylabel("accuracy on test records")
    figure.axes[1].legend(frameon=False, fontsize=7, loc="lower right")
    return figure
