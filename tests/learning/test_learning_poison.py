"""Poison: what it does to a batch, that it is part of the key, and that it moves no bit of an honest gradient."""

from __future__ import annotations

import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.learning import kernels
from simdfl.learning.data import Dataset, make_synthetic
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.models import MODELS
from simdfl.learning.poison import EdgeCase, Noise, Poison, RandomLabels, Relabel, Stamp, rarest
from simdfl.learning.sampling import batch_indices
from simdfl.rng import Rng

RNG = Rng(5)
FLAT = make_synthetic(RNG.stream("data"), n_train=200, n_test=100, dim=16, n_classes=3)
IMAGES = Dataset(
    "images",
    FLAT.x_train.reshape(-1, 4, 4, 1).copy(),
    FLAT.y_train,
    FLAT.x_test.reshape(-1, 4, 4, 1).copy(),
    FLAT.y_test,
    3,
)
POISONS = [
    Relabel((2, 1, 0)),
    RandomLabels(0.5),
    Noise(0.5, 0.5),
    Stamp(target=1, side=2, value=9.0, share=0.5),
    Stamp(target=1, side=2, value=9.0, share=0.5, piece=1, pieces=3),
    EdgeCase(source=2, target=0, tail=0.2, share=0.5),
]
SEEDS = [bytes([i]) * 32 for i in range(6)]


def make_engine(data: Dataset = FLAT, lanes: int = 4, own_states: bool = False) -> GradientEngine:
    return GradientEngine(
        MODELS["mlp"](data.input_shape, 3, hidden=[12], lanes=lanes), data, 8, own_states=own_states
    )


def batch(data: Dataset, seed: bytes = SEEDS[0]) -> tuple[np.ndarray, np.ndarray]:
    indices = batch_indices(seed, data.n_train, 8)
    x, y = data.x_train[indices], data.y_train[indices]
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


@pytest.mark.parametrize("own_states", [False, True])
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("poison", POISONS, ids=repr)
def test_honest_bits_do_not_change_in_poisoned_company(poison, lanes, own_states):
    calm, attacked = (
        make_engine(lanes=lanes, own_states=own_states),
        make_engine(lanes=lanes, own_states=own_states),
    )
    params = calm.model.init(RNG.stream("init"))
    state = calm.put(params)
    assert attacked.put(params) == state
    poisoned = [attacked.request(state, SEEDS[0], poison), attacked.request(state, SEEDS[3], poison)]
    for seed in SEEDS:
        honest, company = calm.request(state, seed), attacked.request(state, seed)
        poisoned.append(attacked.request(state, seed, poison))
        assert company.value().tobytes() == honest.value().tobytes()
        assert company.loss() == honest.loss()
    assert all(not np.array_equal(p.value(), calm.request(state, SEEDS[0]).value()) for p in poisoned[:1])


@pytest.mark.parametrize("data", [FLAT, IMAGES], ids=["flat", "images"])
@pytest.mark.parametrize("poison", POISONS, ids=repr)
def test_a_poisoned_value_is_the_gradient_of_the_poisoned_batch(poison, data):
    import jax

    engine = make_engine(data)
    params = engine.model.init(RNG.stream("init"))
    handle = engine.request(engine.put(params), SEEDS[0], poison)
    x, y = poison.apply(*batch(data), data, SEEDS[0])

    def loss(flat):
        return kernels.cross_entropy(engine.model, engine.model.unflatten(flat), x, y)

    np.testing.assert_allclose(handle.value(), jax.grad(loss)(params), rtol=1e-4, atol=1e-6)


def test_equal_poisons_are_one_request_and_are_computed_together():
    engine = make_engine(lanes=4)
    state = engine.put(engine.model.init(RNG.stream("init")))
    for _ in range(2):
        for seed in SEEDS[:4]:
            engine.request(state, seed, Stamp(1))
    engine.flush()
    assert (engine.stats.computed, engine.stats.served_from_memo, engine.stats.flushes) == (4, 4, 1)
    assert (
        engine.request(state, SEEDS[0], Stamp(2)).value() is not engine.request(state, SEEDS[0], Stamp(1)).value()
    )


@pytest.mark.parametrize("poison", POISONS, ids=repr)
def test_a_poison_is_a_pure_function_that_leaves_its_inputs_alone(poison):
    x, y = batch(FLAT)
    before = x.copy(), y.copy()
    first, second = poison.apply(x, y, FLAT, SEEDS[0]), poison.apply(x, y, FLAT, SEEDS[0])
    for a, b, c in zip(first, second, (x, y)):
        np.testing.assert_array_equal(a, b)
        assert (a.shape, a.dtype) == (c.shape, c.dtype)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def changed(poison: Poison, data: Dataset = FLAT) -> tuple[list[int], list[int]]:
    """Return which records and which labels of the batch a poison changes."""
    x, y = batch(data)
    poisoned, labels = poison.apply(x, y, data, SEEDS[0])
    return np.flatnonzero((poisoned != x).reshape(8, -1).any(axis=1)).tolist(), np.flatnonzero(
        labels != y
    ).tolist()


def test_labels_alone_leave_the_records_alone():
    assert changed(Relabel((2, 1, 0)))[0] == []
    assert changed(RandomLabels(1.0))[0] == []
    assert set(changed(RandomLabels(0.5))[1]) <= {0, 1, 2, 3}


def test_a_share_of_the_batch_is_touched():
    assert changed(Noise(1.0, 0.25)) == ([0, 1], [])
    assert changed(Stamp(1, 2, 9.0, 0.5))[0] == [0, 1, 2, 3]
    assert changed(Stamp(1, 2, 9.0, 0.01))[0] == [0]


def test_a_trigger_is_a_square_and_its_pieces_make_the_whole():
    x, y = batch(IMAGES)
    whole, labels = Stamp(1, 2, 9.0, 1.0).apply(x, y, IMAGES, b"")
    assert (whole[:, :2, :2] == 9.0).all()
    np.testing.assert_array_equal(whole[:, 2:], x[:, 2:])
    np.testing.assert_array_equal(whole[:, :2, 2:], x[:, :2, 2:])
    assert (labels == 1).all()
    pieces = [Stamp(1, 2, 9.0, 1.0, piece, 3).apply(x, y, IMAGES, b"")[0] == 9.0 for piece in range(3)]
    assert (sum(piece.astype(int) for piece in pieces) == (whole == 9.0)).all()


def test_goals_are_test_records_with_wanted_labels():
    x, wanted = Stamp(1, 2, 9.0, 0.1).goal(IMAGES)
    assert len(x) == (IMAGES.y_test != 1).sum()
    assert (x[:, :2, :2] == 9.0).all()
    assert (wanted == 1).all()
    x, wanted = Relabel((0, 2, 2)).goal(FLAT)
    assert len(x) == (FLAT.y_test == 1).sum()
    assert (wanted == 2).all()
    x, wanted = EdgeCase(2, 0, 0.2).goal(FLAT)
    assert len(x) == round(0.2 * (FLAT.y_test == 2).sum())
    assert (wanted == 0).all()
    assert Noise(1.0).goal(FLAT) is None


def test_edge_cases_are_the_farthest_from_their_class():
    rare = rarest(FLAT.x_train, FLAT.y_train, 2, 0.1)
    distances = np.linalg.norm(FLAT.x_train - FLAT.x_train[FLAT.y_train == 2].mean(axis=0), axis=1)
    others = np.setdiff1d(np.flatnonzero(FLAT.y_train == 2), rare)
    assert distances[rare].min() >= distances[others].max()
    x, _ = EdgeCase(2, 0, 0.1, 1.0).apply(*batch(FLAT), FLAT, SEEDS[0])
    assert all(any((row == FLAT.x_train[i]).all() for i in rare) for row in x)


def test_success_is_the_share_labelled_as_wished():
    engine = make_engine()
    params = engine.model.init(RNG.stream("init"))
    guesses = np.asarray(engine.model.apply(params, FLAT.x_test)).argmax(axis=1).astype(np.int32)
    assert engine.success(params, (FLAT.x_test, guesses)) == 1.0
    assert engine.success(params, (FLAT.x_test, (guesses + 1) % 3)) == 0.0
    assert np.isnan(engine.success(params, (FLAT.x_test[:0], guesses[:0])))


@pytest.mark.parametrize(
    "poison, sentence",
    [
        (Stamp(3), "trigger: target must be a class 0 to 2 of 'images', got 3"),
        (Stamp(0, side=5), "trigger: side 5 must fit records of shape"),
        (Stamp(0, side=1, pieces=2), "give each of 2 accomplices a cell"),
        (EdgeCase(7, 0), "edge case: source must be a class 0 to 2"),
        (Relabel((0, 1)), "label map: needs 3 labels 0 to 2"),
    ],
)
def test_a_poison_that_does_not_fit_the_data_is_one_sentence(poison, sentence):
    with pytest.raises(UserError) as caught:
        poison.apply(*batch(IMAGES), IMAGES, SEEDS[0])
    assert sentence in str(caught.value)
