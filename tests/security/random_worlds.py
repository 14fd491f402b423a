"""Scenarios drawn at random over everything that a verified job can be, small enough for a fraction of a second.

A scenario is a function of its seed alone: a violation is reproduced by ``python
tests/security/random_worlds.py SEED`` from the root of the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from adversaries import ADVERSARIES
from simdfl.rng import Rng
from simdfl.scenario import Scenario, loads

BASE = """
name: random
topology: {name: complete}
beacon: {group: ideal}
learning: {dataset: {name: synthetic, params: {n_train: 200, n_test: 50, dim: 4, n_classes: 3}},
  model: {name: logistic}, batch_size: 4, evaluate_every: 100}
output: {messages: false}
"""
SCHEMES = ("pvss_ldei", "pvss_scrape", "pvss_schoenmakers", "albatross", "commit_reveal", "randao", "ideal")
BLOCK_TIMES_S = (1, 2, 4, 12)
JOINERS = {"sybil_join"}
"""They take a place that must be left free at the start."""


def draw_overrides(seed: int) -> list[str]:
    """Return the overrides of the scenario of this seed."""
    rng = Rng(seed).stream("random-world")
    n = int(rng.integers(5, 11))
    byzantine = int(rng.integers(0, (n - 1) // 2 + 1))
    steps = int(rng.integers(4, 9))
    protocol = "btard" if rng.random() < 0.15 else "verified"
    policy = str(rng.choice(["step", "step", "epoch", "dispute"])) if protocol == "verified" else "step"
    is_channel = protocol == "btard" or policy != "step"
    return [
        f"peers.count={n}",
        f"protocol.steps={steps}",
        f"protocol.name={protocol}",
        f"protocol.validators={rng.integers(1, min(3, (n + 1) // 2))}",
        f"protocol.anchoring={{policy: {policy}}}",
        f"protocol.clip_radius={rng.choice([0.1, 1.0, 10.0])}",
        f"protocol.projections={rng.integers(1, 3)}",
        f"protocol.canary_permille={rng.choice([0, 0, 100, 500])}",
        f"protocol.arithmetic={{name: {'tolerant' if rng.random() < 0.3 else 'exact'}}}",
        f"learning.privacy={{data: {'private' if rng.random() < 0.2 else 'public'}}}",
        *_pace(rng, is_channel),
        f"contracts.jury_size={rng.choice([0, 0, 3, 5])}",
        f"contracts.minimum_peers={rng.integers(3, 5)}",
        f"contracts.assumed_byzantine={rng.choice(['null', str(byzantine)])}",
        f"network.loss={rng.choice([0.0, 0.0, 0.05, 0.3])}",
        f"network.latency_ms={rng.choice(['null', '5', '100', '400'])}",
        f"peers.speed_spread={rng.choice([0.0, 0.5])}",
        *_cast(rng, n, byzantine, steps),
    ]


def _pace(rng: np.random.Generator, is_channel: bool) -> list[str]:
    """Draw beacon, block time and the deadlines that depend on them."""
    block_s = int(rng.choice(BLOCK_TIMES_S))
    outputs = 16 if is_channel else int(rng.choice([4, 5, 16]))
    return [
        f"beacon.scheme={rng.choice(SCHEMES)}",
        f"beacon.epoch_outputs={outputs}",
        f"chain.block_time_s={block_s}",
        f"contracts.deal_s={14 if is_channel else max(11 * block_s, 14)}",
        f"protocol.anchoring.challenge_s={rng.choice([60, 600])}",
    ]


def _cast(rng: np.random.Generator, n: int, byzantine: int, steps: int) -> list[str]:
    """Draw attackers, honest peers that fail, and comings and goings; the honest that stay are a majority."""
    attacks = [str(name) for name in rng.choice(sorted(ADVERSARIES), size=rng.integers(1, 4), replace=False)]
    sizes = np.bincount(rng.integers(len(attacks), size=byzantine), minlength=len(attacks))
    groups = [
        f"{{name: {name}, count: {size}, start_step: {rng.integers(0, 4)}, period: {rng.choice([1, 1, 2])}}}"
        for name, size in zip(attacks, sizes)
        if size
    ]
    spare = (n - 1) // 2 - byzantine
    failing = int(rng.integers(0, spare + 1)) if spare and rng.random() < 0.5 else 0
    faults = [_fault(rng) for _ in range(failing)]
    moving = _moving(rng, steps) if spare - failing > 0 and rng.random() < 0.5 else []
    probation = int(rng.integers(1, 3)) if moving or rng.random() < 0.3 or set(attacks) & JOINERS else 0
    return [
        f"adversaries=[{', '.join(groups)}]",
        f"faults=[{', '.join(faults)}]",
        f"membership=[{', '.join(moving)}]",
        f"contracts.probation_steps={probation}",
    ]


def _fault(rng: np.random.Generator) -> str:
    kind = str(
        rng.choice(
            [
                "name: straggler, params: {factor: 20}",
                "name: late, params: {delay_s: 3}",
                "name: late, params: {delay_s: 200}",
                "name: crash",
                "name: crash, params: {return_after_s: 30}",
            ]
        )
    )
    return f"{{count: 1, start_step: {rng.integers(0, 5)}, {kind}}}"


def _moving(rng: np.random.Generator, steps: int) -> list[str]:
    when = "join_step" if rng.random() < 0.5 else "leave_step"
    return [f"{{count: 1, {when}: {rng.integers(1, steps)}}}"]


def draw_scenario(seed: int, more: Sequence[str] = ()) -> Scenario:
    """Return the scenario of this seed, with more overrides on top."""
    return loads(BASE, "random", [*draw_overrides(seed), *more], seed=seed).scenario


def main(arguments: list[str]) -> None:
    """Run scenarios by number and print what is wrong with them: ``SEED``, or ``FIRST LAST``, then overrides."""
    from invariants import examine

    numbers = [int(word) for word in arguments if word.isdigit()]
    more = [word for word in arguments if not word.isdigit()]
    for seed in range(numbers[0], numbers[-1] + 1):
        wrong, outcome = _examine(examine, seed, more)
        if wrong:
            print(seed, outcome, *wrong, *draw_overrides(seed), sep="\n  ", flush=True)
        elif len(numbers) == 1:
            print(seed, outcome, *draw_overrides(seed), sep="\n  ")
    print("done", numbers[0], numbers[-1])


def _examine(examine: Any, seed: int, more: list[str]) -> tuple[list[str], str]:
    try:
        return examine(draw_scenario(seed, more))  # type: ignore[no-any-return]
    except Exception as error:  # what a run must never do: reported with its seed like any other violation
        import traceback

        return [f"{type(error).__name__}: {error}", traceback.format_exc()], "raised"


if __name__ == "__main__":
    main(sys.argv[1:])
