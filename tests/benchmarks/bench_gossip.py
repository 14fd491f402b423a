"""Steps per second of D-PSGD: a whole run against a hand-written vmapped JAX loop on the same work.

Run ``python tests/benchmarks/bench_gossip.py [--n 16 64 256] [--batch 32] [--steps 12] [--repeats 3]``.

The run is everything that ``simdfl.run`` does for one ``gossip_sgd`` scenario without attack: peers, messages
over links, barriers between neighbours, a digest of every model in every step. The baseline is what one would
write for the learning alone: all models as one (n, d) array, per step one compiled function that computes all
gradients by ``vmap`` (or in chunks of 16 lanes), mixes by the faster of a dense product with the mixing matrix
and a sum over gathered neighbours, and applies the momentum; no network, no digest, no observer. It trains on
the run's own batches and must end at the run's models, which is checked. Both run on one thread.

A rate is peers over the median wall time of a step, compilation and first steps left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from functools import partial
from typing import Any

os.environ.update(NPROC="1", OPENBLAS_NUM_THREADS="1")

import jax
import jax.numpy as jnp
import numpy as np

from simdfl.aggregation import metropolis_weights
from simdfl.learning.kernels import cross_entropy
from simdfl.learning.sampling import batch_indices
from simdfl.scenario import loads
from simdfl.world import World, build

SCENARIO = """
name: bench
protocol: {{name: gossip_sgd, steps: {steps}}}
peers: {{count: {n}}}
topology: {{name: random_regular, params: {{degree: 8}}}}
learning:
  model: {{name: mlp, params: {{hidden: [320, 240]}}}}
  batch_size: {batch}
  evaluate_every: 1000000
"""
WARM_STEPS = 3
CHUNK = 16
RATE, BETA = 0.1, 0.9
MAX_DIFFERENCE = 1e-3


def step_s(ends: list[float]) -> float:
    """Return the median wall time of a step, given when each ended; the last is evaluated and left out."""
    return statistics.median(np.diff(ends)[WARM_STEPS - 1 : -1].tolist())


def run_simulated(n: int, batch: int, steps: int) -> tuple[World, list[float]]:
    """Run a scenario; return it with the times at which its steps were first finished."""
    ends: list[float] = []
    text = SCENARIO.format(n=n, batch=batch, steps=steps)
    world = build(loads(text, "bench").scenario, lambda *news: ends.append(time.perf_counter()))
    assert world.run().completed
    return world, ends


def hand_written(world: World, chunk: int | None, is_dense: bool) -> tuple[np.ndarray, list[float]]:
    """Train on the run's own batches; return the models (n, d) and the ends of the steps."""
    training: Any = world.training
    engine, job, n = training.engine, world.peers[0].job, world.scenario.peers.count  # type: ignore[attr-defined]
    model, dataset = engine.model, engine.dataset
    matrix = metropolis_weights(world.network.overlay).astype(np.float32)
    around = np.array([[peer, *world.network.neighbours(peer)] for peer in range(n)])
    shares = np.take_along_axis(matrix, around, axis=1)
    data, labels = jax.device_put((dataset.x_train, dataset.y_train))

    def of_one(params: jax.Array, rows: jax.Array, data: jax.Array, labels: jax.Array) -> jax.Array:
        parts = jax.grad(partial(cross_entropy, model))(model.unflatten(params), data[rows], labels[rows])
        return jnp.concatenate([part.reshape(-1) for part in parts])

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(x: jax.Array, m: jax.Array, rows: jax.Array, data: jax.Array, labels: jax.Array) -> Any:
        one = partial(of_one, data=data, labels=labels)
        if chunk is None:
            gradients = jax.vmap(one)(x, rows)
        else:
            gradients = jax.lax.map(lambda pair: one(*pair), (x, rows), batch_size=chunk)
        mixed = matrix @ x if is_dense else sum(shares[:, k, None] * x[around[:, k]] for k in range(9))
        m = BETA * m + gradients
        return mixed - RATE * m, m

    batches = [
        np.stack(
            [batch_indices(job.batch_seed(k, peer), dataset.n_train, engine.batch_size) for peer in range(n)]
        )
        for k in range(job.steps)
    ]
    x = jnp.tile(training.genesis.params, (n, 1))
    m, ends = jnp.zeros_like(x), []
    for rows in batches:
        x, m = step(x, m, rows.astype(np.int32), data, labels)
        x.block_until_ready()
        ends.append(time.perf_counter())
    return np.asarray(x), ends


def measure(n: int, batch: int, steps: int, repeats: int) -> None:
    """Print one line of the table."""
    ours, theirs = [], []
    for _ in range(repeats):
        world, ends = run_simulated(n, batch, steps)
        ours.append(n / step_s(ends))
        models = np.stack([peer.state.params for peer in world.peers])  # type: ignore[attr-defined]
        best = 0.0
        for chunk, is_dense in itertools.product((None, CHUNK), (False, True)):
            by_hand, ends = hand_written(world, chunk, is_dense)
            difference = float(np.linalg.norm(by_hand - models) / np.linalg.norm(models))
            assert difference < MAX_DIFFERENCE, f"the loop and the run differ by {difference:.1e}"
            best = max(best, n / step_s(ends))
        theirs.append(best)
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{n:4} {batch:6} {mine / n:9.2f} {other / n:9.2f} {mine:9.0f} {other:9.0f} {ratio:7.2f}", flush=True)


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[16, 64, 256], help="peers")
    parser.add_argument("--batch", type=int, nargs="+", default=[32], help="records per gradient")
    parser.add_argument("--steps", type=int, default=12, help=f"steps, more than {WARM_STEPS + 2}")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median is taken")
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"MLP 64-320-240-10, 100,250 parameters, degree 8; {os.cpu_count()} cores, load {load}")
    print("   n  batch   steps/s   by hand   peers/s   by hand   ratio")
    for n in options.n:
        for batch in options.batch:
            measure(n, batch, options.steps, options.repeats)


if __name__ == "__main__":
    main()
