from __future__ import annotations

import jax
import numpy as np
import pytest

from simdfl.errors import CryptoError, UserError
from simdfl.learning.optimisers import OPTIMISERS, make_optimiser
from simdfl.learning.schedules import Cosine, Step, make_schedule
from simdfl.rng import Rng

RNG = Rng(3)
START = RNG.stream("start").standard_normal(5).astype(np.float32)
GRADIENTS = RNG.stream("gradients").standard_normal((6, 5)).astype(np.float32)


def numpy_run(name: str, rate: float) -> np.ndarray:
    """Run the slow twin of each rule, in float64."""
    x, m, v = START.astype(np.float64), np.zeros(5), np.zeros(5)
    for t, g in enumerate(GRADIENTS.astype(np.float64), start=1):
        if name == "sgd":
            x = x - rate * g
        elif name == "momentum":
            m = 0.9 * m + g
            x = x - rate * m
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            x = x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_optimiser_is_its_numpy_twin(name):
    optimiser = make_optimiser(name, {"learning_rate": 0.05})
    x, state = START, optimiser.init(START)
    for gradient in GRADIENTS:
        x, state = optimiser.update(x, state, gradient)
    np.testing.assert_allclose(x, numpy_run(name, 0.05), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rate", [0.1, {"name": "cosine", "initial": 0.1, "steps": 10}])
@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_state_round_trips_and_training_continues(name, rate):
    optimiser = make_optimiser(name, {"learning_rate": rate})
    x, state = START, optimiser.init(START)
    for gradient in GRADIENTS[:3]:
        x, state = optimiser.update(x, state, gradient)
    raw = optimiser.state_bytes(state)
    restored = optimiser.state_from_bytes(raw, 5)
    assert optimiser.state_bytes(restored) == raw
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for gradient in GRADIENTS[3:]:
        (x, state), (y, restored) = (
            optimiser.update(x, state, gradient),
            optimiser.update(x, restored, gradient),
        )
        assert x.tobytes() == y.tobytes()


def test_foreign_state_bytes_are_refused():
    optimiser = make_optimiser("adam", {})
    raw = optimiser.state_bytes(optimiser.init(START))
    for bad in (b"", raw[:-1], raw + b"\0", b"x" + raw[1:]):
        with pytest.raises(CryptoError):
            optimiser.state_from_bytes(bad, 5)
    with pytest.raises(CryptoError):
        optimiser.state_from_bytes(raw, 6)


def test_schedules():
    cosine, steps = Cosine(1.0, 10, final=0.2), Step(1.0, every=3, factor=0.5)
    assert [round(float(cosine(t)), 6) for t in (0, 5, 10, 99)] == [1.0, 0.6, 0.2, 0.2]
    assert [float(steps(t)) for t in (0, 2, 3, 6)] == [1.0, 1.0, 0.5, 0.25]
    assert float(make_schedule(0.25)(7)) == 0.25


@pytest.mark.parametrize("rate", [{"name": "step", "initial": 0.4, "every": 2, "factor": 0.5}])
def test_schedule_drives_the_update(rate):
    optimiser = make_optimiser("sgd", {"learning_rate": rate})
    x, state, moved = np.zeros(1, np.float32), optimiser.init(np.zeros(1, np.float32)), []
    for _ in range(4):
        new, state = optimiser.update(x, state, np.ones(1, np.float32))
        moved.append(round(float(x[0] - new[0]), 6))
        x = new
    assert moved == [0.4, 0.4, 0.2, 0.2]


@pytest.mark.parametrize(
    "name, params, message",
    [
        ("sdg", {}, "did you mean 'sgd'"),
        ("sgd", {"learning_rat": 1}, "did you mean 'learning_rate'"),
        ("sgd", {"learning_rate": -1}, "must be positive"),
        ("sgd", {"learning_rate": {"name": "cosin"}}, "did you mean 'cosine'"),
        ("sgd", {"learning_rate": {"name": "cosine", "initial": 1}}, "'steps' is missing"),
        ("momentum", {"beta": 1.0}, "below 1"),
    ],
)
def test_mistakes_are_user_errors(name, params, message):
    with pytest.raises(UserError, match=message):
        make_optimiser(name, params)
