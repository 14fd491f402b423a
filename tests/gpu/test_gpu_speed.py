"""On an accelerator: the engine keeps up with the loop one would write, and its memory is what the page says."""

from __future__ import annotations

import time

import jax
import pytest
from accelerated import make_engine

from simdfl.learning import kernels
from simdfl.learning.sampling import batch_indices
from simdfl.learning.states import own_rows
from simdfl.rng import Rng

LEAST_SHARE = 0.5
"""Of the rate of a bare loop over the same kernel: handles, batch seeds and the copy to the host are the rest."""


@pytest.mark.parametrize("case", ["mlp", "transformer"])
def test_the_engine_keeps_up_with_a_bare_loop(case):
    engine = make_engine(case, batch=64)
    model, data = engine.model, engine.dataset
    flat = model.init(Rng(7).stream("init"))
    state, calls = engine.put(flat), 20
    seeds = [bytes([i // 256, i % 256]) for i in range(calls * model.lanes)]
    params, x = jax.device_put(flat), jax.device_put(data.x_train)

    def bare() -> None:
        for start in range(0, len(seeds), model.lanes):
            indices = [batch_indices(seed, data.n_train, 64) for seed in seeds[start : start + model.lanes]]
            chosen = jax.numpy.asarray(indices, dtype="int32")
            found = kernels.shared_gradients(model, params, x, chosen, data.y_train[chosen])
            jax.device_get(found)

    def lazily(round_: int) -> None:
        handles = [engine.request(state, bytes([round_]) + seed) for seed in seeds]
        assert all(handle.value() is not None for handle in handles)

    bare(), lazily(0)
    rates = []
    for work in (bare, lambda: lazily(1)):
        start = time.perf_counter()
        work()
        rates.append(len(seeds) / (time.perf_counter() - start))
    print(f"{case}: bare loop {rates[0]:.0f}, engine {rates[1]:.0f} gradients a second on {jax.devices()[0]}")
    assert rates[1] > LEAST_SHARE * rates[0]


def test_parameters_of_peers_take_five_quarters_of_their_size():
    device = jax.local_devices()[0]
    if device.memory_stats() is None:
        pytest.skip(f"{device.device_kind} does not tell its memory")
    engine = make_engine("mlp", own_states=True)
    n, d = 1000, engine.model.n_parameters
    from simdfl.learning.states import OwnStates

    before = device.memory_stats()["bytes_in_use"]
    states = OwnStates(own_rows(n), d, 16, [device])
    states.array.block_until_ready()
    grown = device.memory_stats()["bytes_in_use"] - before
    assert 1.25 * 4 * n * d <= grown < 1.3 * 4 * n * d
