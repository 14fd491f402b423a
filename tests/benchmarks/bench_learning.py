"""Gradients per second: the lazy batched engine against a hand-written vmapped loop on the same work.

Run ``python tests/benchmarks/bench_learning.py [--peers 64] [--batch 32] [--rounds 5]``.

The engine is asked by handles for every peer's gradient at a common model, read one by one. The loop is what one
would write: one compiled ``vmap`` over all peers' batches, and one over chunks of as many lanes as the engine
has; the faster counts. Both compute the same batches, draw them from public seeds, and bring the gradients to the
host; that the two agree is checked. Where byzfl is installed its client computes the same gradients, one peer
after another; it is PyTorch, so a ratio to it is also one between frameworks. Numerics run on one thread, as in a
run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from byzfl_parts import load_byzfl

from simdfl.learning.data import Dataset
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.kernels import cross_entropy
from simdfl.learning.models import MODELS
from simdfl.learning.sampling import batch_indices
from simdfl.rng import Rng

CASES = {
    "logistic 650": ("logistic", {}, (8, 8, 1)),
    "mlp 100 k": ("mlp", {"hidden": [320, 240]}, (8, 8, 1)),
    "cnn 6 k": ("cnn", {}, (8, 8, 1)),
    "transformer 112 k": ("transformer", {}, (64,)),
}
TOLERANCE = 1e-3


def records(shape: tuple[int, ...], n: int = 1024) -> Dataset:
    """Return noise in the shape of a data set of ten classes."""
    rng = Rng(1).stream("records", *shape)
    is_text = len(shape) == 1
    x = (rng.integers(0, 10, (n, *shape)) if is_text else rng.random((n, *shape))).astype(np.float32)
    y = rng.integers(0, 10, n).astype(np.int32)
    return Dataset("noise", x, y, x[:64].copy(), y[:64].copy(), 10, is_text)


def hand_written(engine: GradientEngine, width: int) -> Callable[[np.ndarray, list[bytes]], np.ndarray]:
    """Return a loop over chunks of `width` peers that returns all gradients (n, d)."""
    model, data = engine.model, engine.dataset
    x, y = jax.device_put(data.x_train), jax.device_put(data.y_train)

    @jax.jit
    def chunk(params: jax.Array, x: jax.Array, y: jax.Array, indices: jax.Array) -> jax.Array:
        def one(flat: jax.Array, chosen: jax.Array) -> jax.Array:
            return cross_entropy(model, model.unflatten(flat), x[chosen], y[chosen])

        return jax.vmap(jax.grad(one), in_axes=(None, 0))(params, indices)

    def run(params: np.ndarray, seeds: list[bytes]) -> np.ndarray:
        indices = np.stack([batch_indices(seed, data.n_train, engine.batch_size) for seed in seeds])
        found = [chunk(params, x, y, indices[at : at + width]) for at in range(0, len(seeds), width)]
        return np.concatenate([np.asarray(part) for part in found])

    return run


def lazily(engine: GradientEngine, params: np.ndarray, seeds: list[bytes]) -> np.ndarray:
    """Return all gradients (n, d) by way of handles."""
    state = engine.put(params)
    handles = [engine.request(state, seed) for seed in seeds]
    return np.stack([handle.value() for handle in handles])


def rate(
    work: Callable[[np.ndarray, list[bytes]], np.ndarray], params: np.ndarray, peers: int, rounds: int
) -> float:
    """Return gradients a second, the median of some rounds after one that compiles."""
    times = []
    for round_ in range(rounds + 1):
        seeds = [bytes([round_]) + peer.to_bytes(4, "little") for peer in range(peers)]
        start = time.perf_counter()
        work(params, seeds)
        times.append(time.perf_counter() - start)
    return peers / statistics.median(times[1:])


def byzfl_rate(engine: GradientEngine, peers: int, rounds: int) -> float | None:
    """Return the rate of byzfl's client on a perceptron of the same widths, or None if it is not installed."""
    byzfl = load_byzfl("fed_framework.client") if engine.model.name == "mlp" else None
    if byzfl is None:
        return None
    clients, torch = byzfl
    torch.set_num_threads(1)
    data, batch = engine.dataset, engine.batch_size
    x = torch.tensor(data.x_train.reshape(data.n_train, -1).copy())
    y = torch.tensor(data.y_train.astype(np.int64))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=batch, shuffle=True)
    client = clients.Client(
        {
            "model_name": "fc_mnist",
            "device": "cpu",
            "loss_name": "CrossEntropyLoss",
            "LabelFlipping": False,
            "nb_labels": 10,
            "momentum": 0.0,
            "learning_rate": 0.1,
            "weight_decay": 0.0,
            "milestones": [],
            "learning_rate_decay": 1.0,
            "optimizer_name": "SGD",
            "training_dataloader": loader,
            "store_per_client_metrics": False,
        }
    )
    shapes = [shape[::-1] for shape in engine.model.shapes if len(shape) == 2]
    layers = [torch.nn.Linear(shape[1], shape[0]) for shape in shapes]
    steps = [step for layer in layers for step in (layer, torch.nn.ReLU())][:-1]
    client.model = torch.nn.Sequential(*steps)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(peers):
            client.compute_gradients()
            client.get_flat_gradients()
        times.append(time.perf_counter() - start)
    return peers / statistics.median(times[1:])


def main() -> None:
    """Print one line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, {arguments.peers} peers, batch {arguments.batch}; gradients a second")
    for title, (name, params, shape) in CASES.items():
        engine = GradientEngine(MODELS[name](shape, 10, **params), records(shape), arguments.batch)
        flat = engine.model.init(Rng(1).stream("init"))
        seeds = [bytes([255]) + bytes([peer % 256, peer // 256]) for peer in range(arguments.peers)]
        widths = sorted({engine.model.lanes, arguments.peers})
        loops = {width: hand_written(engine, width) for width in widths}
        ours = lazily(engine, flat, seeds)
        for width, loop in loops.items():
            other = loop(flat, seeds)
            error = np.linalg.norm(ours - other) / np.linalg.norm(ours)
            assert error < TOLERANCE, f"{title}, width {width}: gradients differ by {error:.1e}"
        own = rate(partial(lazily, engine), flat, arguments.peers, arguments.rounds)
        rates = {width: rate(loop, flat, arguments.peers, arguments.rounds) for width, loop in loops.items()}
        best = max(rates, key=lambda width: rates[width])
        line = (
            f"{title:18} engine {own:8.0f}, loop {rates[best]:8.0f} (width {best}), ratio {own / rates[best]:.2f}"
        )
        theirs = byzfl_rate(engine, arguments.peers, arguments.rounds)
        print(line + ("" if theirs is None else f"; byzfl {theirs:.0f}, ratio {own / theirs:.2f}"))
    if load_byzfl("fed_framework.client") is None:
        print("byzfl: not compared, it is not installed (pip install byzfl)")


if __name__ == "__main__":
    main()
