"""Text: tokens, windows, and what a language model makes of them."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.learning import kernels
from simdfl.learning.datasets import load_dataset
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.models import MODELS, mlp
from simdfl.learning.optimisers import make_optimiser
from simdfl.learning.poison import Relabel
from simdfl.learning.texts import tokenise, windows
from simdfl.learning.transformer import transformer
from simdfl.rng import Rng

RNG = Rng(4)


def load(folder, **params):
    return load_dataset("text", {"file": "a.txt", **params}, Rng(1).stream("dataset"), str(folder))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("abcdefghij" * 30 + "é", encoding="utf-8")
    return tmp_path


def test_characters_and_bytes(folder):
    raw = (folder / "a.txt").read_bytes()
    letters, count = tokenise(raw, "characters", "a")
    assert (letters[:3].tolist(), int(letters[-1]), count) == ([0, 1, 2], 10, 11)
    octets, many = tokenise(raw, "bytes", "a")
    assert (octets.tolist(), many) == (list(raw), 256)


def test_windows_and_what_follows(folder):
    data = load(folder, context=4, stride=3)
    assert data.is_text
    assert (data.x_train[1].tolist(), data.y_train[1]) == ([3, 4, 5, 6], 7)
    assert (data.input_shape, data.n_classes) == ((4,), 11)
    cut = 301 - 30
    np.testing.assert_array_equal(data.x_test[0], (cut + np.arange(4)) % 10)  # no window of both sides
    assert data.n_train == (cut - 4 - 1) // 3 + 1
    assert len(load(folder, context=4).y_train) == (cut - 4 - 1) // 4 + 1
    assert len(windows(np.arange(4), 4, 1)[1]) == 0


@pytest.mark.parametrize(
    "params, sentence",
    [
        ({"file": "b.txt"}, r"params.file: .*b.txt cannot be read \(no such file\).*SIMDFL_DATA"),
        ({"file": "../a.txt"}, "no path inside the data folder"),
        ({"file": "/etc/hostname"}, "no path inside the data folder"),
        ({"context": 0}, "context and stride must be at least 1"),
        ({"stride": 0}, "context and stride must be at least 1"),
        ({"test_fraction": 1.0}, "test_fraction between 0 and 1"),
        ({"context": 50}, r"gives no window of 50 \+ 1 tokens in 30"),
        ({"n_test": 99, "context": 4}, "n_test: must be 1 to the"),
        ({"tokens": "words"}, "tokens: got 'words'"),
    ],
)
def test_mistakes_are_one_sentence(folder, params, sentence):
    with pytest.raises(UserError, match=sentence):
        load(folder, **params)


def test_bytes_that_are_no_text_are_refused_as_characters(folder):
    (folder / "a.txt").write_bytes(bytes(range(256)) * 3)
    assert load(folder, tokens="bytes", context=8).n_classes == 256
    with pytest.raises(UserError, match=r"not UTF-8 .* use tokens: bytes"):
        load(folder, context=8)


def test_models_and_data_must_speak_alike(folder):
    data = load(folder, context=4)
    with pytest.raises(
        UserError, match=r"'mlp' cannot read 'text', which is text; use a model such as 'transformer'"
    ):
        GradientEngine(mlp((4,), 11), data, 4)
    numbers = load_dataset("synthetic", {"dim": 4}, RNG.stream("data"))
    with pytest.raises(UserError, match="'transformer' cannot read 'synthetic', which is no text"):
        GradientEngine(transformer((4,), 4), numbers, 4)
    with pytest.raises(UserError, match=r"needs records \(context,\) of tokens"):
        transformer((8, 8, 1), 10)
    with pytest.raises(UserError, match="3 heads do not divide the width 16"):
        transformer((8,), 10, width=16, heads=3)


def numpy_transformer(model, flat: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Evaluate the model the slow way, in float64, one head and one place at a time."""
    pieces = iter([np.asarray(piece, dtype=np.float64) for piece in model.unflatten(flat)])
    take = lambda: next(pieces)  # noqa: E731

    def norm(h):
        scale, bias = take(), take()
        return (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5) * scale + bias

    def gelu(h):
        return 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))

    h = take()[x.astype(int)] + take()
    size = model.width // model.heads
    for _ in range(model.depth):
        mixed = norm(h) @ take() + take()
        query, key, value = np.split(mixed, 3, axis=-1)
        out = np.zeros_like(h)
        for head in range(model.heads):
            part = slice(head * size, (head + 1) * size)
            for place in range(x.shape[1]):
                scores = np.einsum("bd,bkd->bk", query[:, place, part], key[:, : place + 1, part]) / np.sqrt(size)
                weights = np.exp(scores - scores.max(-1, keepdims=True))
                weights /= weights.sum(-1, keepdims=True)
                out[:, place, part] = np.einsum("bk,bkd->bd", weights, value[:, : place + 1, part])
        h = h + out @ take() + take()
        inner = gelu(norm(h) @ take() + take())
        h = h + inner @ take() + take()
    return norm(h) @ take()


def test_transformer_is_its_numpy_twin():
    model = transformer((6,), 7, width=8, depth=2, heads=2)
    rng = RNG.stream("twin")
    flat = rng.standard_normal(model.n_parameters).astype(np.float32) * 0.3
    x = rng.integers(0, 7, (3, 6)).astype(np.float32)
    np.testing.assert_allclose(
        jax.jit(model.apply)(flat, x), numpy_transformer(model, flat, x), rtol=1e-4, atol=1e-4
    )


def test_initial_weights_and_counts():
    model = transformer((16,), 20, width=32, depth=3, heads=4)
    flat = model.init(RNG.stream("init"))
    w, layer = 32, 12 * 32**2 + 13 * 32
    assert len(flat) == model.n_parameters == 20 * w + 16 * w + 3 * layer + 2 * w + w * 20
    pieces = model.unflatten(flat)
    assert np.std(pieces[4]) == pytest.approx(0.02, rel=0.05)  # query, key, value
    for end in (6, 12):  # what is added to the stream
        assert np.std(pieces[end]) == pytest.approx(0.02 / np.sqrt(6), rel=0.1)
    scales = [0, 6]
    for at, piece in enumerate(pieces[2:-3]):
        if piece.ndim == 1:
            assert np.all(np.asarray(piece) == (at % 12 in scales))
    assert np.all(np.asarray(pieces[-3]) == 1)
    assert not np.any(np.asarray(pieces[-2]))
    products = 16 * (3 * 12 * w**2 + 2 * 20 * w)
    assert model.forward_flops == 2 * products + 4 * 3 * 16**2 * w


def test_no_place_sees_what_follows():
    model = transformer((6,), 7, width=8, depth=2, heads=2)
    flat, x = model.init(RNG.stream("init")), np.array([[1, 2, 3, 4, 5, 6]], dtype=np.float32)
    changed = x.copy()
    changed[0, 4:] = 0
    apply = jax.jit(model.apply)
    before, after = np.asarray(apply(flat, x)), np.asarray(apply(flat, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any()


def test_loss_is_that_of_every_next_token():
    model = MODELS["transformer"]((3,), 5, width=8, depth=1, heads=2)
    flat = model.init(RNG.stream("init"))
    x, y = np.array([[0, 1, 2], [3, 4, 0]], dtype=np.float32), np.array([3, 1], dtype=np.int32)
    logs = np.asarray(jax.jit(lambda flat: jax.nn.log_softmax(model.apply(flat, x)))(flat))
    wanted = [[1, 2, 3], [4, 0, 1]]
    expected = -np.mean([logs[i, t, wanted[i][t]] for i in range(2) for t in range(3)])
    accuracy, loss = kernels.score(model, flat, x, y)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(accuracy) == pytest.approx(np.mean(logs.argmax(-1) == np.array(wanted)))
    np.testing.assert_array_equal(model.at_label(logs), logs[:, 2])


def test_a_language_model_learns_its_text(folder):
    """The text repeats ten letters: after a while the model knows which comes next, whoever asked for what."""
    data = load(folder, context=8, stride=1, n_test=16)
    model = transformer(data.input_shape, data.n_classes, width=16, depth=1, heads=2)
    engine, optimiser = GradientEngine(model, data, 16), make_optimiser("adam", {"learning_rate": 0.02})
    assert engine.self_test(RNG.stream("self-test")) is None
    params = model.init(RNG.stream("init"))
    state = optimiser.init(params)
    for step in range(25):
        handle, seed = engine.put(params), bytes([step])
        alone = engine.request(handle, seed).value()
        engine.request(handle, seed + b"poisoned", Relabel(tuple(range(10, -1, -1))))
        again = GradientEngine(model, data, 16)
        again.put(params)
        again.request(handle, b"company")
        if step % 8 == 0:
            assert again.request(handle, seed).value().tobytes() == alone.tobytes()
        params, state = optimiser.update(params, state, alone)
    assert engine.evaluate(params).accuracy > 0.9
