"""Plays: who asked for what, and were the bits the same?"""

from __future__ import annotations

import jax
import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.learning import kernels
from simdfl.learning.data import make_synthetic
from simdfl.learning.gradients import EngineStats, GradientEngine, TrainingDivergedError
from simdfl.learning.models import MODELS
from simdfl.learning.poison import Relabel
from simdfl.learning.sampling import batch_indices
from simdfl.rng import Rng

RNG = Rng(5)
DATA = make_synthetic(RNG.stream("data"), n_train=200, n_test=100, dim=16, n_classes=3)
IMAGES = type(DATA)(
    "images",
    DATA.x_train.reshape(-1, 4, 4, 1).copy(),
    DATA.y_train,
    DATA.x_test.reshape(-1, 4, 4, 1).copy(),
    DATA.y_test,
    3,
)
SEEDS = [bytes([i]) * 32 for i in range(11)]


def make_engine(name: str = "mlp", lanes: int = 4, own_states: bool = False, **kwargs) -> GradientEngine:
    data = IMAGES if name == "cnn" else DATA
    params = {"mlp": {"hidden": [12]}, "cnn": {"channels": [3, 4]}, "logistic": {}}[name]
    model = MODELS[name](data.input_shape, data.n_classes, lanes=lanes, **params)
    return GradientEngine(model, data, 7, own_states=own_states, **kwargs)


def start(engine: GradientEngine, who: int = 0) -> np.ndarray:
    return engine.model.init(RNG.stream("init", who))


ENGINES = [("mlp", 4, False), ("mlp", 4, True), ("logistic", 8, False), ("cnn", 1, False), ("cnn", 1, True)]


@pytest.mark.parametrize("name, lanes, own", ENGINES)
def test_bits_do_not_depend_on_company_order_or_filling(name, lanes, own):
    asked_together, asked_alone = make_engine(name, lanes, own), make_engine(name, lanes, own)
    state = asked_together.put(start(asked_together))
    assert asked_alone.put(start(asked_alone)) == state

    together = {seed: asked_together.request(state, seed) for seed in SEEDS}
    for seed in reversed(SEEDS):
        alone = asked_alone.request(state, seed)
        assert alone.value().tobytes() == together[seed].value().tobytes()
        assert alone.loss() == together[seed].loss()

    assert asked_together.stats == EngineStats(requested=11, computed=11, served_from_memo=0, flushes=1)
    assert asked_alone.stats.flushes == 11


@pytest.mark.parametrize("own", [False, True])
def test_bits_do_not_depend_on_other_states(own):
    mixed, single = make_engine(own_states=own), make_engine(own_states=own)
    states = [mixed.put(start(mixed, who)) for who in range(3)]
    handles = {(s, seed): mixed.request(s, seed) for seed in SEEDS[:3] for s in states}
    single.put(start(single, 1))
    for seed in SEEDS[:3]:
        np.testing.assert_array_equal(single.request(states[1], seed).value(), handles[states[1], seed].value())


def test_filling_lanes_may_hold_anything():
    engine = make_engine(lanes=4)
    params = jax.device_put(start(engine))
    indices = np.tile(batch_indices(b"a", 200, 7).astype(np.int32), (4, 1))
    labels = DATA.y_train[indices]
    reference = np.asarray(kernels.shared_gradients(engine.model, params, DATA.x_train, indices, labels)[1])
    poisoned = DATA.x_train.copy()
    used = set(indices.ravel().tolist())
    poisoned[[i for i in range(200) if i not in used]] = np.nan
    unused = min(set(range(200)) - used)
    indices = indices.copy()
    indices[1:] = unused
    result = np.asarray(kernels.shared_gradients(engine.model, params, poisoned, indices, labels)[1])
    assert np.isnan(result[1:]).any()
    assert result[0].tobytes() == reference[0].tobytes()


@pytest.mark.parametrize("name, lanes, own", ENGINES)
def test_value_is_the_gradient(name, lanes, own):
    engine = make_engine(name, lanes, own)
    params = start(engine)
    state, model, data = engine.put(params), engine.model, engine.dataset
    handle = engine.request(state, b"seed")
    chosen = batch_indices(b"seed", data.n_train, 7)

    def loss(flat):
        return kernels.cross_entropy(model, model.unflatten(flat), data.x_train[chosen], data.y_train[chosen])

    expected = jax.grad(loss)(params)
    np.testing.assert_allclose(handle.value(), expected, rtol=1e-4, atol=1e-6)
    assert handle.loss() == pytest.approx(float(loss(params)), rel=1e-5)


def test_gradient_agrees_with_finite_differences():
    engine = make_engine("logistic")
    params = start(engine)
    gradient = engine.request(engine.put(params), b"s").value()
    chosen = batch_indices(b"s", 200, 7)

    def loss(flat: np.ndarray) -> float:
        logits = DATA.x_train[chosen].astype(np.float64) @ flat[:48].reshape(16, 3) + flat[48:]
        shifted = logits - logits.max(axis=1, keepdims=True)
        picked = shifted[np.arange(7), DATA.y_train[chosen]]
        return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - picked))

    for i in range(0, 51, 5):
        bump = np.zeros(51)
        bump[i] = 1e-5
        slope = (loss(params + bump) - loss(params - bump)) / 2e-5
        assert gradient[i] == pytest.approx(slope, abs=1e-5)


def test_same_key_is_computed_once():
    engine = make_engine()
    state = engine.put(start(engine))
    contributor, validator = engine.request(state, b"x"), engine.request(state, b"x")
    assert contributor.value() is validator.value()
    assert engine.request(state, b"x").value() is contributor.value()
    assert engine.stats == EngineStats(requested=3, computed=1, served_from_memo=2, flushes=1)


def test_label_map_is_part_of_the_key():
    engine = make_engine()
    state = engine.put(start(engine))
    honest, flipped = engine.request(state, b"x"), engine.request(state, b"x", Relabel((2, 1, 0)))
    same = engine.request(state, b"x", Relabel((0, 1, 2)))
    assert not np.array_equal(honest.value(), flipped.value())
    assert np.array_equal(honest.value(), same.value())
    with pytest.raises(UserError, match="needs 3 labels"):
        engine.request(state, b"y", Relabel((0, 1)))


def test_handles_outlive_both_caches():
    engine = make_engine(memo=2, states=1)
    first = engine.put(start(engine, 0))
    early = engine.request(first, SEEDS[0])
    late = [engine.request(engine.put(start(engine, 1)), seed) for seed in SEEDS]
    assert np.isfinite(early.value()).all()
    assert all(np.isfinite(handle.value()).all() for handle in late)
    with pytest.raises(KeyError, match="not registered"):
        engine.request(first, b"new")


def test_memo_obeys_its_bytes():
    engine = make_engine(memo_bytes=1)
    state = engine.put(start(engine))
    a = engine.request(state, b"a").value()
    engine.request(state, b"b").value()
    again = engine.request(state, b"a").value()
    assert again is not a
    assert again.tobytes() == a.tobytes()
    assert engine.stats.served_from_memo == 0


def test_values_and_states_cannot_be_changed():
    engine = make_engine()
    params = start(engine)
    state = engine.put(params)
    handle = engine.request(state, b"x")
    params[:] = 0.0  # the engine took a copy
    value = handle.value()
    fresh = make_engine()
    assert np.array_equal(value, fresh.request(fresh.put(start(fresh)), b"x").value())
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1.0


def test_minus_zero_is_zero():
    engine = make_engine()
    params = start(engine)
    negative = params.copy()
    params[0], negative[0] = 0.0, -0.0
    assert engine.put(params) == engine.put(negative)


def test_divergence_has_its_own_name():
    engine = make_engine()
    params = start(engine)
    params[3] = np.inf
    with pytest.raises(TrainingDivergedError, match="not finite"):
        engine.put(params)


@pytest.mark.parametrize("name, lanes, own", ENGINES)
def test_self_test_is_quiet_on_this_machine(name, lanes, own):
    engine = make_engine(name, lanes, own)
    assert engine.self_test(RNG.stream("self-test")) is None
    assert engine.model.lanes == lanes


def test_self_test_falls_back_to_one_lane(monkeypatch):
    engine = make_engine(lanes=4)
    truth = kernels.shared_gradients

    def lane_dependent(model, params, data, indices, labels):
        losses, gradients = truth(model, params, data, indices, labels)
        return losses, gradients * (1 + np.arange(len(indices))[:, None] * 1e-6)

    monkeypatch.setattr(kernels, "shared_gradients", lane_dependent)
    notice = engine.self_test(RNG.stream("self-test"))
    assert notice is not None
    assert "one at a time (was 4)" in notice
    assert engine.model.lanes == 1
    assert engine.request(engine.put(start(engine)), b"x").value().shape == (engine.model.n_parameters,)


def test_training_learns():
    engine = make_engine()
    params = start(engine)
    before = engine.evaluate(params)
    for step in range(60):
        state = engine.put(params)
        handles = [engine.request(state, bytes([step, peer])) for peer in range(4)]
        params = params - 0.2 * np.mean([h.value() for h in handles], axis=0, dtype=np.float32)
    after = engine.evaluate(params)
    assert after.loss < before.loss
    assert after.accuracy > 0.9


def test_model_must_fit_the_data():
    with pytest.raises(UserError, match=r"input shape \(8, 8, 1\)"):
        GradientEngine(MODELS["mlp"]((8, 8, 1), 10), DATA, 4)
    with pytest.raises(UserError, match="2 classes are too few"):
        GradientEngine(MODELS["mlp"]((16,), 2), DATA, 4)
    with pytest.raises(UserError, match="at least 1"):
        GradientEngine(MODELS["mlp"]((16,), 3), DATA, 0)
