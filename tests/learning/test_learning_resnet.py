"""ResNet-18 against a slow twin; bfloat16 against float32."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.learning import kernels
from simdfl.learning.data import Dataset, make_synthetic
from simdfl.learning.devices import DEVICES
from simdfl.learning.gradients import SCORED_TOGETHER, GradientEngine
from simdfl.learning.models import MODELS
from simdfl.learning.norms import group_norm
from simdfl.learning.resnet import resnet18
from simdfl.learning.sampling import batch_indices
from simdfl.rng import Rng

RNG = Rng(6)
SMALL = resnet18((8, 8, 3), 4, width=4, groups=2)


def images(n: int, n_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = RNG.stream("images", n)
    return rng.random((n, 8, 8, 3)).astype(np.float32), rng.integers(0, n_classes, n).astype(np.int32)


DATA = Dataset("images", *images(40), *images(10), 4)


def numpy_conv(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Convolve with padding so that ceil(side / stride) remain, as the frameworks' SAME does."""
    kernel, side = weight.shape[0], x.shape[1]
    out_side = -(-side // stride)
    pad = max((out_side - 1) * stride + kernel - side, 0)
    low = pad // 2
    padded = np.pad(x, ((0, 0), (low, pad - low), (low, pad - low), (0, 0)))
    out = np.zeros((len(x), out_side, out_side, weight.shape[3]))
    for row in range(out_side):
        for column in range(out_side):
            y, z = row * stride, column * stride
            window = padded[:, y : y + kernel, z : z + kernel]
            out[:, row, column] = np.tensordot(window, weight, axes=([1, 2, 3], [0, 1, 2]))
    return out


def numpy_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, groups: int) -> np.ndarray:
    out, size = np.zeros_like(x), x.shape[-1] // groups
    for image in range(len(x)):
        for group in range(groups):
            part = x[image, ..., group * size : (group + 1) * size]
            out[image, ..., group * size : (group + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return out * scale + bias


def numpy_resnet(flat: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Evaluate the small one in float64, written out from the paper's table and not from the module."""
    cuts = np.cumsum([int(np.prod(shape)) for shape in SMALL.shapes])[:-1]
    pieces = iter(
        [piece.reshape(shape) for piece, shape in zip(np.split(flat.astype(np.float64), cuts), SMALL.shapes)]
    )

    def unit(x, stride):
        x = numpy_conv(x, next(pieces), stride)
        return numpy_norm(x, next(pieces), next(pieces), 2)

    x = np.maximum(unit(x.astype(np.float64), 1), 0)
    for stage in range(4):
        for block in range(2):
            changes = stage > 0 and block == 0
            inner = np.maximum(unit(x, 2 if changes else 1), 0)
            inner = unit(inner, 1)
            x = np.maximum(inner + (unit(x, 2) if changes else x), 0)
    return x.mean(axis=(1, 2)) @ next(pieces) + next(pieces)


def test_resnet_is_its_numpy_twin():
    rng = RNG.stream("twin")
    flat = SMALL.init(rng)
    flat += 0.1 * rng.standard_normal(len(flat)).astype(np.float32)  # scales and biases that matter
    x, _ = images(3)
    np.testing.assert_allclose(jax.jit(SMALL.apply)(flat, x), numpy_resnet(flat, x), rtol=1e-3, atol=1e-3)


def test_size_and_work_are_those_of_the_literature():
    model = MODELS["resnet18"]((32, 32, 3), 10)
    assert model.n_parameters == 11_173_962
    assert model.forward_flops == pytest.approx(2 * 0.556e9, rel=0.02)  # 0.56 G multiply-adds
    assert sum(np.prod(shape) for shape in SMALL.shapes) == len(SMALL.init(RNG.stream("init")))


def test_group_norm_leaves_groups_centred():
    x = np.asarray(RNG.stream("norm").standard_normal((2, 3, 3, 6)) * 5 + 2, dtype=np.float32)
    out = np.asarray(group_norm(x, np.ones(6, np.float32), np.zeros(6, np.float32), 3)).reshape(2, 9, 3, 2)
    np.testing.assert_allclose(out.mean(axis=(1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=(1, 3)), 1, atol=1e-3)


def make_engine(precision: str, lanes: int = 1) -> GradientEngine:
    return GradientEngine(replace(SMALL, precision=precision, lanes=lanes), DATA, 4)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_are_flat_float32_and_equal_whenever_they_are_computed(precision):
    first, second = make_engine(precision), make_engine(precision)
    params = SMALL.init(RNG.stream("init"))
    state = first.put(params)
    assert second.put(params) == state
    values = [first.request(state, bytes([i])) for i in range(3)]
    alone = second.request(state, bytes([2])).value()
    assert (alone.dtype, alone.shape) == (np.float32, (SMALL.n_parameters,))
    assert alone.tobytes() == values[2].value().tobytes()
    assert first.self_test(RNG.stream("self-test")) is None


def test_bfloat16_gradients_are_near_but_others():
    data = make_synthetic(RNG.stream("data"), n_train=60, n_test=20, dim=8, n_classes=3)
    gradients = []
    for precision in ("float32", "bfloat16"):
        engine = GradientEngine(replace(MODELS["mlp"]((8,), 3, hidden=[9]), precision=precision), data, 5)
        gradients.append(engine.request(engine.put(engine.model.init(RNG.stream("init"))), b"x").value())
    exact, low = gradients
    assert low.dtype == np.float32
    assert 2.0**-12 < np.linalg.norm(low - exact) / np.linalg.norm(exact) < 2.0**-5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lanes_are_independent_in_both_precisions(precision):
    data = make_synthetic(RNG.stream("data"), n_train=60, n_test=20, dim=8, n_classes=3)
    model = replace(MODELS["mlp"]((8,), 3, hidden=[9], lanes=4), precision=precision)
    together, alone = GradientEngine(model, data, 5), GradientEngine(model, data, 5)
    assert together.self_test(RNG.stream("self-test")) is None
    state = together.put(model.init(RNG.stream("init")))
    alone.put(model.init(RNG.stream("init")))
    handles = [together.request(state, bytes([i])) for i in range(6)]
    for i, handle in enumerate(handles):
        assert alone.request(state, bytes([i])).value().tobytes() == handle.value().tobytes()


def test_bfloat16_takes_half_the_time_where_a_device_knows_it():
    gpu, pi = DEVICES["gpu_h100"], DEVICES["raspberry_pi"]
    assert gpu.gradient_s(1e12, "bfloat16") == gpu.gradient_s(1e12, "float32") / 2 == gpu.work_s(1e12) / 2
    assert pi.gradient_s(1e12, "bfloat16") == pi.work_s(1e12)


def test_many_records_are_scored_in_pieces():
    n = SCORED_TOGETHER + 37
    data = make_synthetic(RNG.stream("data"), n_train=10, n_test=n, dim=4, n_classes=3)
    engine = GradientEngine(MODELS["logistic"]((4,), 3), data, 4)
    params = engine.model.init(RNG.stream("init"))
    found = engine.evaluate(params)
    accuracy, loss = kernels.score(engine.model, params, data.x_test, data.y_test)
    assert found.accuracy == pytest.approx(float(accuracy), abs=1e-6)
    assert found.loss == pytest.approx(float(loss), rel=1e-5)
    guesses = np.asarray(engine.model.apply(params, data.x_test)).argmax(axis=1)
    assert engine.success(params, (data.x_test, guesses)) == pytest.approx(1.0)


def test_impossible_ones_are_user_errors():
    for shape, params, sentence in (
        ((64,), {}, "'resnet18' needs images"),
        ((8, 8, 1), {"width": 6, "groups": 4}, "4 groups do not divide the width 6"),
        ((8, 8, 1), {"width": 0}, "at least 1"),
    ):
        with pytest.raises(UserError, match=sentence):
            resnet18(shape, 10, **params)


@pytest.mark.slow
def test_gradient_is_that_of_the_loss():
    engine = make_engine("float32")
    params = SMALL.init(RNG.stream("init"))
    value = engine.request(engine.put(params), b"s").value()
    direction = RNG.stream("direction").standard_normal(len(params)).astype(np.float32)
    direction /= np.linalg.norm(direction)
    ends = [engine_loss(engine, params.astype(np.float64) + sign * 1e-5 * direction) for sign in (1, -1)]
    assert value @ direction == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=2e-2, abs=2e-3)


def engine_loss(engine: GradientEngine, params: np.ndarray) -> float:
    chosen = batch_indices(b"s", DATA.n_train, 4)
    x, y = DATA.x_train[chosen].astype(np.float64), DATA.y_train[chosen]
    logits = numpy_resnet(params, x)
    logs = logits - logits.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return float(-np.mean(logs[np.arange(4), y]))
