from __future__ import annotations

import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.learning.devices import DEVICES
from simdfl.learning.models import MODELS, cnn, logistic, mlp
from simdfl.rng import Rng


def rng() -> np.random.Generator:
    return Rng(1).stream("test")


def numpy_mlp(model, flat: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Evaluate a relu perceptron the slow way, in float64."""
    h, at = x.reshape(len(x), -1).astype(np.float64), 0
    for i, layer in enumerate(model.layers):
        a, b = layer.n_inputs, layer.n_outputs
        weight, bias = flat[at : at + a * b].reshape(a, b), flat[at + a * b : at + a * b + b]
        at += a * b + b
        h = h @ weight + bias
        if i < len(model.layers) - 1:
            h = np.maximum(h, 0.0)
    assert at == model.n_parameters
    return h


def numpy_conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    out = np.zeros((*x.shape[:3], weight.shape[3])) + bias
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + x.shape[1], column : column + x.shape[2]]
            out += window @ weight[row, column]
    return out


def numpy_cnn(model, flat: np.ndarray, x: np.ndarray) -> np.ndarray:
    pieces = [np.asarray(piece, dtype=np.float64) for piece in model.unflatten(flat)]
    for i in range(len(model.layers) - 1):
        x = np.maximum(numpy_conv(x, pieces[2 * i], pieces[2 * i + 1]), 0.0)
        b, h, w, c = x.shape
        x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    return x.reshape(len(x), -1) @ pieces[-2] + pieces[-1]


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_mlp_is_its_numpy_twin(hidden):
    model = mlp((4, 3), 5, hidden=hidden)
    flat, x = model.init(rng()), rng().standard_normal((6, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(model.apply(flat, x), numpy_mlp(model, flat, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 9, 2)])
def test_cnn_is_its_numpy_twin(shape):
    model = cnn(shape, 3, channels=(4, 5))
    flat, x = model.init(rng()), rng().standard_normal((3, *shape)).astype(np.float32)
    np.testing.assert_allclose(model.apply(flat, x), numpy_cnn(model, flat, x), rtol=1e-4, atol=1e-5)


def test_init_is_he_and_reproducible():
    model = mlp((400,), 10, hidden=(300,))
    flat = model.init(rng())
    assert flat.dtype == np.float32
    assert np.array_equal(flat, model.init(rng()))
    weight, bias = flat[: 400 * 300], flat[400 * 300 : 400 * 300 + 300]
    assert weight.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert not bias.any()


def test_flops_are_counted_by_layer():
    assert logistic((8, 8), 10).flops_per_sample == 3 * (2 * 64 * 10 + 10)
    expected = 64 * 2 * (2 * 9 + 1) + 16 * 3 * (2 * 18 + 1) + 2 * 12 * 5 + 5
    assert cnn((8, 8, 1), 5, channels=(2, 3)).flops_per_sample == 3 * expected


def test_lanes_are_part_of_the_model():
    assert [MODELS[name]((8, 8, 1), 10).lanes for name in ("logistic", "mlp", "cnn")] == [64, 16, 1]
    assert mlp((8,), 2, lanes=8) != mlp((8,), 2)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mlp((4,), 2, activation="rleu"), "did you mean 'relu'"),
        (lambda: mlp((4,), 2, hidden=(0,)), "at least 1"),
        (lambda: mlp((4,), 2, lanes=0), "model.lanes"),
        (lambda: cnn((64,), 2), "needs images"),
        (lambda: cnn((3, 8, 1), 2), "at least 4 pixels"),
    ],
)
def test_impossible_models_are_user_errors(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_devices_price_work():
    model = mlp((8, 8, 1), 10)
    slow, fast = DEVICES["raspberry_pi"], DEVICES["gpu_h100"]
    flops = model.flops_per_sample * 32
    assert slow.work_s(flops) > DEVICES["laptop_cpu"].work_s(flops) > fast.work_s(flops)
    assert DEVICES["laptop_cpu"].group_exp_s == 140e-6
    assert DEVICES["laptop_cpu"].hash_s(1_400_000_000) == pytest.approx(1.0)
    assert all(name == device.name for name, device in DEVICES.items())
