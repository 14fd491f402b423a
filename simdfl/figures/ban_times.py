"""How many attacked steps pass until the last attacker is banned.

Every step draws m pairs of validator and target among n peers, by the contracts' own function; a Byzantine target
of an honest validator is banned and gone from the next draw on. Simulated are the draws alone; the distribution's
mean stands against a Markov chain's. A gradient is checked in the step after its own, so a run of the protocol
takes one step more; ``tests/protocols/test_protocol_statistics.py`` holds whole runs against the same figures.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contracts_model.draw import draw_validators
from simdfl.figures.style import DASHES, SHADES

N, B = 16, 7
TRIALS = 4000
VALIDATORS = (1, 2)
LAG_STEPS = 1


def compute(trials: int, seed: int, cache: Path) -> pd.DataFrame:
    """Return how many jobs took how many steps until the last ban, by m, and the chain's expectation.

    Parameters
    ----------
    trials : int
        Simulated jobs for each m.
    seed : int
        Of the draws.
    cache : Path
        Not used: nothing here takes long.
    """
    rows = []
    for m in VALIDATORS:
        counts = Counter(last_ban(m, f"{seed}/{trial}") + LAG_STEPS for trial in range(trials))
        expected = expected_steps(m) + LAG_STEPS
        common = {"validators": m, "expected": expected}
        rows += [{**common, "steps": steps, "jobs": jobs} for steps, jobs in counts.items()]
    return pd.DataFrame(rows).sort_values(["validators", "steps"], ignore_index=True)


def last_ban(m: int, name: str) -> int:
    """Return after how many draws of m pairs all Byzantine peers have been a target of an honest validator."""
    active, step = list(range(N)), 0
    while active[0] < B:  # the first B are Byzantine
        randomness = hashlib.sha256(f"{m}/{name}/{step}".encode()).digest()
        caught = {u for v, u in draw_validators(randomness, active, active, m) if u < B <= v}
        active = [peer for peer in active if peer not in caught]
        step += 1
    return step


def expected_steps(m: int, n: int = N, b: int = B) -> float:
    """Return the expected number of draws until the last of b liars among n is caught.

    A Markov chain on the number k of liars left: with P_k(c) the probability that c pairs of one draw are
    an honest validator and a liar, E_k = (1 + sum_{c > 0} P_k(c) E_{k - c}) / (1 - P_k(0)).

    >>> round(expected_steps(1), 2), round(expected_steps(2), 2)
    (37.08, 18.32)
    """
    honest = n - b
    expected = [0.0]
    for k in range(1, b + 1):
        caught = caught_probabilities(m, honest, k)
        known = sum(p * expected[k - c] for c, p in enumerate(caught) if 0 < c <= k)
        expected.append((1.0 + known) / (1.0 - caught[0]))
    return expected[b]


def caught_probabilities(m: int, honest: int, liars: int) -> list[float]:
    """Return P(c pairs are an honest validator and a liar), c = 0 … m, for m disjoint pairs drawn in order."""
    found = [0.0] * (m + 1)
    for kinds in product((False, True), repeat=2 * m):  # validator, target, validator, …: True is a liar
        probability, left = 1.0, [honest, liars]
        for is_liar in kinds:
            probability *= max(0, left[is_liar]) / max(1, sum(left))
            left[is_liar] -= 1
        found[sum(u and not v for v, u in zip(kinds[::2], kinds[1::2]))] += probability
    return found


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure: the share of jobs in which an attacker is still left, by step."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for style, m in enumerate(VALIDATORS):
        rows = table[table["validators"] == m]
        steps, jobs = rows["steps"].to_numpy(), rows["jobs"].to_numpy()
        left = 1.0 - np.cumsum(jobs) / jobs.sum()
        mean, expected = float(steps @ jobs) / jobs.sum(), float(rows["expected"].iloc[0])
        label = f"m = {m}: mean {mean:.1f}, expected {expected:.1f}"
        axes.step(
            steps, left, where="post", color=SHADES[style], dashes=DASHES[style] or (None, None), label=label
        )
        axes.axvline(expected, color=SHADES[style], lw=0.8, ls=":")
    axes.set(xlabel="attacked steps", ylabel="jobs with an attacker left", xlim=(0, 120), ylim=(0, 1.02))
    axes.legend(frameon=False)
    return figure
