"""Optimiser steps in lanes: the same bits alone, together and in any order, and the optimiser's own result."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from simdfl.learning.local_steps import StepEngine
from simdfl.learning.optimisers import OPTIMISERS, make_optimiser
from simdfl.rng import Rng

D = 57


def handles(count: int):
    rows = Rng(5).stream("gradients").standard_normal((count, D)).astype(np.float32)
    return [SimpleNamespace(value=lambda row=row: row) for row in rows]


def bits(result) -> list[bytes]:
    change, state = result
    return [change.tobytes(), *(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_step_does_not_see_the_other_lanes(name) -> None:
    optimiser = make_optimiser(name, {"learning_rate": {"name": "cosine", "initial": 0.1, "steps": 9}})
    gradients = handles(6)
    states = [optimiser.init(np.zeros(D, dtype=np.float32)) for _ in gradients]
    engine = StepEngine(optimiser, 4)
    together = [engine.request(*pair) for pair in zip(gradients, states)]
    turned = [engine.request(*pair) for pair in list(zip(gradients, states))[::-1]][::-1]
    alone = []
    for pair in zip(gradients, states):
        alone.append(engine.request(*pair))
        alone[-1].value()
    for three in zip(together, turned, alone):
        assert len({tuple(bits(handle.value())) for handle in three}) == 1


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_add_up_to_the_optimiser_s_updates(name) -> None:
    optimiser = make_optimiser(name, {"learning_rate": 0.1})
    engine, params = StepEngine(optimiser, 4), np.ones(D, dtype=np.float32)
    reached, state, own = params, optimiser.init(params), optimiser.init(params)
    for gradient in handles(5):
        params, own = optimiser.update(params, own, gradient.value())
        change, state = engine.request(gradient, state).value()
        reached = reached + change
    assert reached == pytest.approx(params, abs=1e-6)
    assert optimiser.state_bytes(state) == optimiser.state_bytes(own)
