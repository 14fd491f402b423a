from __future__ import annotations

import numpy as np
import pytest
import rule_twins as twins
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.aggregation.clipping import centered_clip, centered_clip_parts
from simdfl.aggregation.rows import NoUsableRowsError
from simdfl.errors import UserError
from simdfl.rng import Rng

N, B, D = 16, 7, 40
ONES = np.ones(N, dtype=np.float32)


def draw_rows(seed: int = 0, liars: int = 0, factor: float = -1000.0, d: int = D) -> np.ndarray:
    """Draw honest rows about one centre; `liars` drawn peers send their row times `factor`."""
    rng = Rng(seed).stream("rows")
    x = (rng.standard_normal(d) + 0.7 * rng.standard_normal((N, d))) / np.sqrt(d)
    x[rng.choice(N, liars, replace=False)] *= factor
    return x.astype(np.float32)


@pytest.mark.parametrize("tau", [0.125, 1.0, 10.0])
@pytest.mark.parametrize("liars", [0, B])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fixed_point_is_that_of_the_published_iteration(tau, liars, seed):
    x = draw_rows(seed, liars)
    result = centered_clip(x, None, tau)
    assert result.residual <= 1e-6
    np.testing.assert_allclose(result.value, twins.centered_clip(x, ONES, tau), atol=2e-5)
    assert np.linalg.norm(twins.clip_step(x, ONES, result.value, tau)) <= 2e-6


def test_attack_is_withstood_where_the_mean_is_lost():
    honest, attacked = draw_rows(), draw_rows(liars=B)
    centre = honest.mean(axis=0)
    assert np.linalg.norm(centered_clip(attacked, None, 0.5).value - centre) < 1.0
    assert np.linalg.norm(attacked.mean(axis=0) - centre) > 100.0


def test_reported_residual_is_true():
    x = draw_rows(liars=B)
    for limit in (1, 3):
        result = centered_clip(x, None, 1.0, eps=1e-6, max_iterations=limit)
        true = np.linalg.norm(twins.clip_step(x, ONES, result.value, 1.0))
        assert result.residual == pytest.approx(true, abs=3e-7)
        assert result.iterations <= 2 * limit


def test_infinite_radius_is_the_weighted_mean():
    x, w = draw_rows(liars=B), np.arange(N, dtype=np.float32)
    expected = w.astype(np.float64) @ x / w.sum()
    np.testing.assert_allclose(centered_clip(x, w, np.inf).value, expected, rtol=1e-5, atol=1e-4)


def test_start_does_not_matter():
    x = draw_rows(liars=B)
    values = [
        centered_clip(x, None, 1.0, start=start).value
        for start in (None, np.zeros(D), x[0], np.full(D, 50.0, dtype=np.float32))
    ]
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], atol=3e-5)


def test_weights_are_multiplicities():
    x, w = draw_rows(liars=3), np.ones(N, dtype=np.float32)
    w[2], w[5] = 3.0, 0.0
    repeated = np.concatenate([np.delete(x, 5, axis=0), x[[2, 2]]])
    np.testing.assert_allclose(
        centered_clip(x, w, 1.0).value, centered_clip(repeated, None, 1.0).value, atol=1e-5
    )


def test_parts_are_independent_problems():
    parts = np.stack([draw_rows(seed, liars) for seed, liars in ((0, 0), (1, B), (2, 3))])
    values, residual, iterations = centered_clip_parts(parts, ONES, 1.0)
    assert values.shape == (3, D)
    assert residual.max() <= 1e-6
    assert iterations.shape == (3,)
    for part, value in zip(parts, values):
        np.testing.assert_allclose(value, centered_clip(part, None, 1.0).value, atol=1e-5)


def test_same_input_same_bits_and_input_untouched():
    parts = np.stack([draw_rows(seed, B) for seed in range(4)])
    before = parts.copy()
    first, second = (centered_clip_parts(parts, ONES, 0.125) for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second))
    assert parts.tobytes() == before.tobytes()


def test_part_without_rows_is_marked_and_disturbs_no_other():
    parts = np.stack([draw_rows(0), draw_rows(1)])
    parts[0] = np.nan
    values, residual, _ = centered_clip_parts(parts, ONES, 1.0)
    assert not values[0].any()
    assert residual[0] == np.inf
    np.testing.assert_allclose(values[1], centered_clip(draw_rows(1), None, 1.0).value, atol=1e-5)
    with pytest.raises(NoUsableRowsError):
        centered_clip(parts[0], None, 1.0)


@pytest.mark.parametrize("huge", [np.nan, np.inf, -np.inf, 3e38])
def test_unusable_row_is_as_if_never_sent(huge):
    x = draw_rows(liars=2)
    x[4, 3] = huge
    expected = centered_clip(np.delete(x, 4, axis=0), None, 1.0).value
    np.testing.assert_allclose(centered_clip(x, None, 1.0).value, expected, atol=1e-5)


def test_large_but_usable_rows_do_not_overflow():
    x = draw_rows()
    x[:B] *= np.float32(1e15)
    result = centered_clip(x, None, 1.0)
    assert result.residual <= 1e-6
    np.testing.assert_allclose(result.value, twins.centered_clip(x, ONES, 1.0), atol=1e-4)


def test_identical_rows():
    x = np.repeat(draw_rows()[:1], N, axis=0)
    np.testing.assert_allclose(centered_clip(x, None, 0.1).value, x[0], atol=1e-6)
    assert not centered_clip(np.zeros((3, 2), np.float32), None, 0.1).value.any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), liars=st.integers(0, B), tau=st.sampled_from([0.125, 1.0, 10.0]))
def test_properties(seed, liars, tau):
    x = draw_rows(seed, liars, d=8)
    result = centered_clip(x, None, tau)
    order = Rng(seed).stream("order").permutation(N)
    np.testing.assert_allclose(centered_clip(x[order], None, tau).value, result.value, atol=5e-5)
    shift = np.float32(0.5)
    np.testing.assert_allclose(centered_clip(x + shift, None, tau).value, result.value + shift, atol=3e-4)
    assert np.linalg.norm(twins.clip_step(x, ONES, result.value, tau)) <= max(2e-6, 2 * result.residual)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: centered_clip(np.ones((2, 2)), None, 0.0), "tau and eps must be positive"),
        (lambda: centered_clip(np.ones((2, 2)), None, float("nan")), "tau and eps must be positive"),
        (lambda: centered_clip(np.ones(2), None, 1.0), "must be a matrix"),
        (lambda: centered_clip(np.ones((2, 2)), np.array([1.0, -1.0]), 1.0), "weights must be"),
        (lambda: centered_clip(np.ones((2, 2)), None, 1.0, start=np.ones(3)), "start must have shape"),
        (lambda: centered_clip_parts(np.ones((2, 2)), np.ones(2), 1.0), "needs parts"),
    ],
)
def test_mistakes_are_user_errors(call, message):
    with pytest.raises(UserError, match=message):
        call()
