"""What a step of each attack on the vector costs, against the sign flip in the same run.

Run ``python tests/benchmarks/bench_attacks.py [n] [d]``: n contributors of whom 30 % lie, gradients of d entries.
A step is what all accomplices together spend on their vectors; the honest gradients are given.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from adversaries import ADVERSARIES, make_adversary
from adversaries.aggregation import AggregationShift
from adversaries.data import DataAttack
from simdfl.learning.poison import Poison
from simdfl.peers.behaviour import Byzantine, Coalition, Turn
from simdfl.rng import Rng

STEPS = 3
BASELINE = "sign_flip"


def make_turns(n: int, d: int) -> list[Turn]:
    """Return turns on random gradients with a common mean; a poisoned gradient is its peer's own."""
    rng = Rng(0).stream("gradients")
    mean = 0.1 * rng.standard_normal(d, dtype=np.float32)
    rows = mean + rng.standard_normal((n, d), dtype=np.float32)
    rows.flags.writeable = False
    everyone = range(n)

    def gradient_of(peer: int, poison: Poison | None = None) -> np.ndarray:
        return rows[peer]

    return [Turn(step, 0, everyone, everyone, gradient_of) for step in range(STEPS + 1)]


def step_s(name: str, turns: list[Turn], n: int) -> float:
    """Return the median wall time of a step, after one step that compiles."""
    members = range(0, n, 3)[: round(0.3 * n)]
    coalition = Coalition(frozenset(members), n, 10, Rng(1))
    peers: dict[int, Byzantine] = {peer: make_adversary(name, {}, coalition=coalition) for peer in members}
    taken = []
    for turn in turns:
        start = time.perf_counter()
        for peer in members:
            peers[peer].gradient(Turn(turn.step, peer, turn.roster, turn.contributors, turn.gradient_of))
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def main(n: int = 100, d: int = 100_000) -> None:
    """Print the table."""
    turns = make_turns(n, d)
    names = [name for name, attack in ADVERSARIES.items() if shapes_the_vector(attack)]
    base = step_s(BASELINE, turns, n)
    print(f"{n} contributors, {round(0.3 * n)} of them Byzantine, d = {d}; median of {STEPS} steps")
    print(f"{'attack':<22}{'ms a step':>12}{'times sign_flip':>18}")
    for name in names:
        taken = base if name == BASELINE else step_s(name, turns, n)
        print(f"{name:<22}{1e3 * taken:>12.1f}{taken / base:>18.1f}")


def shapes_the_vector(attack: type[Byzantine]) -> bool:
    """Return whether an attack computes on vectors, not on data alone."""
    return attack.craft not in (Byzantine.craft, DataAttack.craft) and attack is not AggregationShift


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:3]])
