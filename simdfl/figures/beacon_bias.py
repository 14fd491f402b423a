"""How much a coalition can bend the draw of validators, by what happens to withheld secrets.

One of n = 16 peers validates (m = 1), b = 7 are Byzantine. Wanted is the probability that in a step an honest
validator looks at a Byzantine target. Three sources stand side by side: the formula, draws by the contracts'
own function over the outcomes that a coalition may choose from, and whole protocol runs with ``bias_beacon``, of
which the tosses count that were begun while the whole coalition was seated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from scipy.stats import binomtest

from contracts_model.draw import draw_validators
from simdfl.figures.style import SHADES
from simdfl.scenario import Scenario, loads
from simdfl.scenario.schema import scenario_digest
from simdfl.world.build import World, build
from simdfl.world.jobs import run_jobs

N, B = 16, 7
FAIR = B / N * (N - B) / (N - 1)
TRIALS = 40
"""Protocol runs a scheme; a hundred times as many bare draws."""
STEPS = 8
DRAWS_PER_RUN = 100
CONFIDENCE = 0.95
SCHEMES = {"pvss_ldei": "recovered", "commit_reveal": "tossed again", "randao": "left out"}
"""What becomes of a withheld secret."""
CHOICES = {"recovered": 0, "tossed again": 1, "left out": B}
"""Of 2^k outcomes the coalition takes the best."""
BYZANTINE = frozenset(range(B))
STAGE = f"""
name: beacon_bias_figure
protocol: {{steps: {STEPS}, validators: 1}}
peers: {{count: {N}}}
topology: {{name: random_regular, params: {{degree: 4}}}}
adversaries: [{{name: bias_beacon, count: {B}, params: {{scale: 1}}}}]
learning: {{model: {{name: logistic}}, batch_size: 1, evaluate_every: 1000}}
beacon: {{group: ideal, epoch_outputs: 16}}
contracts: {{deal_s: 22, reveal_s: 12}}
output: {{messages: false}}
"""


def compute(trials: int, seed: int, cache: Path) -> pd.DataFrame:
    """Return one row per treatment of withheld secrets and source, with exact 95 % intervals.

    Parameters
    ----------
    trials : int
        Protocol runs for each scheme.
    seed : int
        Of the first run; the others follow.
    cache : Path
        Where finished runs are kept.
    """
    rows: list[dict[str, Any]] = []
    for name, choices in CHOICES.items():
        rows.append({"withheld": name, "source": "formula", "rate": FAIR ** (2**choices)})
        hits = sum(_drawn_best(trial, choices, seed) for trial in range(trials * DRAWS_PER_RUN))
        rows.append({"withheld": name, "source": "draws", **_interval(hits, trials * DRAWS_PER_RUN)})
    jobs = {scenario_digest(run)[:24]: run for run in _runs(trials, seed)}
    for key, found in run_jobs(measure, jobs, cache, Console(), "runs").items():
        rows.append({"withheld": SCHEMES[jobs[key].beacon.scheme], "source": "protocol", **found})
    table = pd.DataFrame(rows)
    return _pooled(table)


def _runs(trials: int, seed: int) -> Iterator[Scenario]:
    for scheme in SCHEMES:
        for run in range(trials):
            yield loads(STAGE, "beacon_bias", [f"beacon.scheme={scheme}"], seed=seed + run).scenario


def _drawn_best(trial: int, choices: int, seed: int) -> bool:
    """Return whether all outcomes among which the coalition may choose expose one of it."""
    outcomes = product((0, 1), repeat=choices)
    return all(_exposes(hashlib.sha256(f"{seed}/{trial}/{chosen}".encode()).digest()) for chosen in outcomes)


def _exposes(randomness: bytes) -> bool:
    [(validator, target)] = draw_validators(randomness, range(N), range(N), 1)
    return target in BYZANTINE and validator not in BYZANTINE


def measure(scenario: Scenario) -> dict[str, Any]:
    """Run the protocol once; return in how many tosses an honest validator got a Byzantine target."""
    world = build(scenario)
    world.run()
    hits = list(_tosses(world))
    return {"hits": sum(hits), "trials": len(hits)}


def _tosses(world: World) -> Iterator[bool]:
    """Yield the outcome of every toss that began while the whole coalition was seated."""
    assert world.chain is not None
    history = world.chain.history
    liars = set(range(N)) - world.honest
    for step in sorted(history.pairs):
        if step > 0 and liars <= set(history.rosters[step - 1]):
            yield any(u in liars and v not in liars for v, u in history.pairs[step])


def _interval(hits: int, trials: int) -> dict[str, Any]:
    """Return the rate with its Clopper-Pearson interval."""
    bounds = binomtest(hits, trials).proportion_ci(CONFIDENCE, method="exact")
    return {"rate": hits / trials, "low": bounds.low, "high": bounds.high, "hits": hits, "trials": trials}


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with all runs of one scheme in one row."""
    runs = table[table["source"] == "protocol"]
    pooled = [
        {"withheld": name, "source": "protocol", **_interval(int(rows["hits"].sum()), int(rows["trials"].sum()))}
        for name, rows in runs.groupby("withheld", sort=False)
    ]
    return pd.concat([table[table["source"] != "protocol"], pd.DataFrame(pooled)], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure: three groups of three points with intervals."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.subplots()
    styles = {"formula": ("_", 0.0), "draws": ("s", 0.14), "protocol": ("o", 0.28)}
    for shade, (source, (marker, offset)) in zip(("black", SHADES[4], SHADES[0]), styles.items()):
        rows = table[table["source"] == source].set_index("withheld").loc[list(CHOICES)]
        x = [place + offset for place in range(len(rows))]
        spread = None if source == "formula" else [rows["rate"] - rows["low"], rows["high"] - rows["rate"]]
        axes.errorbar(
            x,
            rows["rate"],
            spread,
            fmt=marker,
            ms=14 if marker == "_" else 5,
            color=shade,
            capsize=3,
            label=source,
        )
        if source == "protocol":
            for at, rate in zip(x, rows["rate"]):
                axes.annotate(f"{100 * rate:.1f} %", (at, rate), (9, -3), textcoords="offset points", fontsize=8)
    axes.set_xticks([place + 0.14 for place in range(3)])
    axes.set_xticklabels([f"{scheme}\n({what})" for scheme, what in SCHEMES.items()])
    axes.set_xlabel("beacon (what becomes of a withheld secret)")
    axes.set(ylabel="chance that a liar is checked", ylim=(-0.015, 0.36), xlim=(-0.35, 2.75))
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, loc="upper right")
    return figure
