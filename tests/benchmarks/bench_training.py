"""Contributed gradients per second: a whole verified run against a hand-written JAX loop on the same work.

Run ``python tests/benchmarks/bench_training.py [--n 16 32] [--batch 32 256] [--steps 12] [--real]``.

The run is everything that ``simdfl.run`` does for one scenario without attack: peers, gossip, chain, contracts,
hashes, signatures, validators. Its beacon uses the ideal group: the same messages and code path, no curve
arithmetic. With ``--real`` it is run once more on BLS12-381, and the wall time inside the beacon scheme is shown
apart.

The baseline is what one would write for the learning alone: per step one compiled function that computes the
same gradients (same model, data, batches) in one batch, splits them into the same parts, aggregates these by the
same CenteredClip and applies the same optimiser; whichever of one wide ``vmap`` and chunks of 16 lanes is faster.
No network, chain, hash or validation. It must end at the run's parameters, which is checked.

A rate is the contributors per step over the median wall time of a step, compilation and the first steps left
out; the least and the largest of the repeats stand beside the median. Numerics run on one thread, as in a run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simdfl.aggregation.clipping import centered_clip_parts
from simdfl.crypto.beacon import BeaconScheme
from simdfl.learning.kernels import cross_entropy
from simdfl.learning.sampling import batch_indices
from simdfl.scenario import loads
from simdfl.world import RunResult, World, build

SCENARIO = """
name: bench
protocol: {{steps: {steps}, validators: 2}}
peers: {{count: {n}}}
topology: {{name: random_regular, params: {{degree: 8}}}}
beacon: {{group: {group}}}
learning:
  model: {{name: mlp, params: {{hidden: [320, 240]}}}}
  batch_size: {batch}
  evaluate_every: 1000000
"""
WARM_STEPS = 3
CHUNK = 16
BEACON_CALLS = (
    "make_key",
    "prove_possession",
    "verify_possession",
    "deal",
    "commitment",
    "verify_dealing",
    "check_opening",
    "decrypt_share",
    "verify_share",
    "recover_secret",
    "output",
)
MAX_DIFFERENCE = 1e-3


class Stopwatch:
    """Wall time inside the outermost of nested calls."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._depth = 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, measured."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.total_s += time.perf_counter() - start

        return call


@contextmanager
def beacon_watched() -> Iterator[Stopwatch]:
    """Time all calls of the beacon scheme."""
    watch = Stopwatch()
    originals = {name: getattr(BeaconScheme, name) for name in BEACON_CALLS}
    for name, original in originals.items():
        setattr(BeaconScheme, name, watch.timed(original))
    try:
        yield watch
    finally:
        for name, original in originals.items():
            setattr(BeaconScheme, name, original)


def step_s(ends: list[float]) -> float:
    """Return the median wall time of a step, given when each ended."""
    return statistics.median(np.diff(ends)[WARM_STEPS - 1 :].tolist())


def run_verified(
    n: int, batch: int, steps: int, group: str
) -> tuple[World, RunResult, list[float], float, float]:
    """Run a scenario; return it with the ends of its steps, its wall time and the beacon's share of that."""
    ends: list[float] = []

    def note(step: int, now_s: float, accuracy: float | None, removed: int) -> None:
        ends.append(time.perf_counter())

    text = SCENARIO.format(n=n, batch=batch, steps=steps, group=group)
    world = build(loads(text, "bench").scenario, note)
    with beacon_watched() as watch:
        start = time.perf_counter()
        result = world.run()
        wall_s = time.perf_counter() - start
    assert result.completed, result.outcome
    assert not result.removals
    return world, result, ends, wall_s, watch.total_s


def contributors_of(world: World, step: int) -> list[int]:
    """Return who contributed in a step: all but its validators."""
    assert world.chain is not None
    history = world.chain.history
    validators = {validator for validator, _ in history.pairs[step]}
    return [peer for peer in history.rosters[step] if peer not in validators]


def batches_of(world: World, step: int) -> np.ndarray:
    """Return the records (c, batch) of all contributors of a step."""
    assert world.chain is not None
    randomness, training = world.chain.history.randomness[step], world.training
    engine = training.engine
    rows = [
        batch_indices(
            training.batch_seed(randomness, step, peer), engine.dataset.n_train, engine.batch_size
        ).astype(np.int32)
        for peer in contributors_of(world, step)
    ]
    return np.stack(rows)


def hand_written(world: World, chunk: int | None) -> tuple[np.ndarray, list[float]]:
    """Train on the run's own batches; return the parameters (d,) and the ends of the steps."""
    training, section = world.training, world.scenario.protocol
    model, dataset = training.engine.model, training.engine.dataset
    n, d = world.scenario.peers.count, training.n_parameters
    size = -(-d // n)
    data, labels = jax.device_put((dataset.x_train, dataset.y_train))

    @jax.jit
    def gradients(params: jax.Array, data: jax.Array, labels: jax.Array, indices: jax.Array) -> jax.Array:
        pieces = model.unflatten(params)

        def of_one(rows: jax.Array) -> jax.Array:
            parts = jax.grad(partial(cross_entropy, model))(pieces, data[rows], labels[rows])
            return jnp.concatenate([part.reshape(-1) for part in parts])

        flat = jax.vmap(of_one)(indices) if chunk is None else jax.lax.map(of_one, indices, batch_size=chunk)
        padded = jnp.pad(flat, ((0, 0), (0, n * size - d)))
        return padded.reshape(len(indices), n, size).transpose(1, 0, 2)

    indices = [batches_of(world, step) for step in range(section.steps)]
    params, opt_state = training.genesis.params, training.genesis.opt_state
    ends: list[float] = []
    for rows in indices:
        parts = gradients(params, data, labels, rows)
        values, _, _ = centered_clip_parts(
            parts,
            np.ones(len(rows), np.float32),
            section.clip_radius,
            section.clip_tolerance,
            section.clip_iterations,
        )
        params, opt_state = training.optimiser.update(params, opt_state, values.reshape(-1)[:d])
        ends.append(time.perf_counter())
    return params, ends


def spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):8.0f} ({min(rates):.0f} to {max(rates):.0f})"


def measure(n: int, batch: int, steps: int, repeats: int, real: bool) -> None:
    """Measure one size and print its line."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(repeats):
        world, result, ends, _, _ = run_verified(n, batch, steps, "ideal")
        contributors = len(contributors_of(world, WARM_STEPS))
        ours.append(contributors / step_s(ends))
        by_hand = [hand_written(world, chunk) for chunk in (None, CHUNK)]
        for params, _ in by_hand:
            difference = float(np.linalg.norm(params - result.params) / np.linalg.norm(result.params))
            assert difference < MAX_DIFFERENCE, f"the loop and the run differ by {difference:.1e}"
        theirs.append(contributors / min(step_s(ends) for _, ends in by_hand))
    ratios = [mine / other for mine, other in zip(ours, theirs)]
    line = f"{n:4} {batch:6} {spread(ours):>26} {spread(theirs):>26} {statistics.median(ratios):7.3f}"
    if real:
        _, _, ends, wall_s, beacon_s = run_verified(n, batch, steps, "bls12_381")
        whole = contributors * steps
        line += f" {whole / wall_s:9.0f} {whole / (wall_s - beacon_s):11.0f} {beacon_s / steps:9.3f}"
    print(line, flush=True)


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[16, 32], help="peers")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 256], help="records per gradient")
    parser.add_argument("--steps", type=int, default=12, help=f"steps, more than {WARM_STEPS + 1}")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median is taken")
    parser.add_argument("--real", action="store_true", help="also run with the real group; slow for many peers")
    options = parser.parse_args()
    if options.steps < WARM_STEPS + 2:
        parser.error(f"--steps must be at least {WARM_STEPS + 2}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"MLP 64-320-240-10, 100,250 parameters; {options.steps} steps, median (least to largest) of", end=" ")
    print(f"{options.repeats} repeats; {os.cpu_count()} cores, load {load}")
    print("baseline: hand-written vmapped JAX loop with CenteredClip and momentum on the same batches")
    heading = f"{'n':>4} {'batch':>6} {'verified run, 1/s':>26} {'baseline, 1/s':>26} {'ratio':>7}"
    if options.real:
        heading += f" {'real, 1/s':>9} {'less beacon':>11} {'beacon s/step':>9}"
    print(heading)
    for n in options.n:
        for batch in options.batch:
            measure(n, batch, options.steps, options.repeats, options.real)


if __name__ == "__main__":
    main()
