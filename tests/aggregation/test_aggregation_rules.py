from __future__ import annotations

import numpy as np
import pytest
import rule_twins as twins
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.aggregation import RULES, NoUsableRowsError, make_rule
from simdfl.errors import UserError
from simdfl.rng import Rng

N, B = 11, 4
NAMES = sorted(RULES)
ROBUST = [name for name in NAMES if name != "mean"]
TWINS = {
    "mean": twins.mean,
    "centered_clip": lambda x: twins.centered_clip(x, np.ones(len(x)), 1.0),
    "median": twins.median,
    "trimmed_mean": lambda x: twins.trimmed_mean(x, B),
    "krum": lambda x: twins.krum(x, B),
    "multi_krum": lambda x: twins.multi_krum(x, B, len(x) - B - 2),
    "geometric_median": twins.geometric_median,
}


def draw_rows(seed: int, n: int = N, d: int = 9) -> np.ndarray:
    rng = Rng(seed).stream("rows")
    return (rng.standard_normal(d) + 0.5 * rng.standard_normal((n, d))).astype(np.float32)


def make(name: str, n: int = N, b: int = B):
    return make_rule(name, {}, n, b)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("attack", [None, -1000.0, 0.0])
def test_rule_is_its_numpy_twin(name, seed, attack):
    x = draw_rows(seed)
    if attack is not None:
        x[Rng(seed).stream("who").choice(N, B, replace=False)] *= np.float32(attack)
    result = make(name)(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, TWINS[name](x), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["median", "trimmed_mean"])
def test_even_number_of_rows(name):
    x = draw_rows(0, n=10)
    twin = {"median": twins.median(x), "trimmed_mean": twins.trimmed_mean(x, B)}[name]
    np.testing.assert_allclose(make(name, n=10)(x), twin, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16))
@pytest.mark.parametrize("name", NAMES)
def test_order_does_not_matter_and_shifts_pass_through(name, seed):
    x, rule = draw_rows(seed), make(name)
    order = Rng(seed).stream("order").permutation(N)
    result = rule(x)
    np.testing.assert_allclose(rule(x[order]), result, atol=2e-4)
    np.testing.assert_allclose(rule(x + np.float32(0.25)), result + 0.25, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([-1e6, -1.0, 0.0, 5.0, 1e12]))
@pytest.mark.parametrize("name", ROBUST)
def test_liars_cannot_carry_the_result_away(name, seed, scale):
    """Coordinate-wise rules stay in the honest range; the others within a few radii of the honest rows."""
    x = draw_rows(seed)
    liars = Rng(seed).stream("who").choice(N, B, replace=False)
    honest = np.delete(x, liars, axis=0)
    x[liars] *= np.float32(scale)
    result = make(name)(x)
    if name in ("median", "trimmed_mean"):
        assert (result >= honest.min(axis=0) - 1e-6).all()
        assert (result <= honest.max(axis=0) + 1e-6).all()
    radius = max(np.linalg.norm(row - honest.mean(axis=0)) for row in honest)
    assert np.linalg.norm(result - honest.mean(axis=0)) <= 8.0 * radius


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3.3e38])
def test_unusable_rows_are_excluded(name, poison):
    """A row of NaN wins nothing, and is not averaged in."""
    x = draw_rows(3)
    bad = x.copy()
    bad[2, 1] = poison
    bad[7] = poison
    result = make(name)(bad)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, make(name)(np.delete(x, [2, 7], axis=0)), atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_weight_zero_is_absence(name):
    x, w = draw_rows(4), np.full(N, 2.0, dtype=np.float32)
    w[[0, 5]] = 0.0
    np.testing.assert_allclose(make(name)(x, w), make(name)(np.delete(x, [0, 5], axis=0)), atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_input_is_untouched_and_result_is_no_view(name):
    x = draw_rows(5)
    before = x.copy()
    x.setflags(write=False)
    result = make(name)(x)
    assert x.tobytes() == before.tobytes()
    assert not np.shares_memory(result, x)


@pytest.mark.parametrize("name", NAMES)
def test_identical_rows_come_back(name):
    x = np.repeat(draw_rows(6)[:1], N, axis=0)
    np.testing.assert_allclose(make(name)(x), x[0], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_row_left(name):
    x = np.full((N, 3), np.nan, dtype=np.float32)
    x[4] = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(make(name)(x), x[4], atol=1e-5)
    x[4, 0] = np.inf
    with pytest.raises(NoUsableRowsError, match="none of 11 rows"):
        make(name)(x)


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "krum", "multi_krum"])
def test_counting_rules_refuse_unequal_weights(name):
    with pytest.raises(UserError, match="counts peers"):
        make(name)(draw_rows(0), np.arange(N, dtype=np.float32))


@pytest.mark.parametrize("name", ["mean", "centered_clip", "geometric_median"])
def test_weighing_rules_count_multiplicities(name):
    x, w = draw_rows(0), np.ones(N, dtype=np.float32)
    w[3] = 2.0
    np.testing.assert_allclose(make(name)(x, w), make(name)(np.concatenate([x, x[[3]]])), atol=2e-4)


def test_krum_counts_others_only_and_breaks_ties_downwards():
    x = np.array([[0.0], [0.1], [10.0], [11.0], [12.0]], dtype=np.float32)
    assert make_rule("krum", {"f": 1}, 5, 1)(x)[0] == 11.0  # with itself as a neighbour, 0.0 would win
    pairs = np.array([[5.0], [0.0], [0.0], [5.0], [99.0]], dtype=np.float32)
    assert make_rule("krum", {"f": 1}, 5, 1)(pairs)[0] == 5.0  # all four score 25: row 0 wins


def test_trimmed_mean_trims_on_both_sides():
    x = np.array([[1.0], [2.0], [3.0], [100.0], [-100.0]], dtype=np.float32)
    assert make_rule("trimmed_mean", {}, 5, 1)(x)[0] == 2.0
    assert make_rule("trimmed_mean", {"f": 0}, 5, 1)(x)[0] == pytest.approx(1.2)


def test_sizes_and_names_are_checked_with_one_sentence():
    cases = [
        (("krum", {}, 10, 4), r"needs n > 2f \+ 2, got n=10, f=4; use at least 11 peers or f <= 3"),
        (("trimmed_mean", {}, 8, 4), "needs n > 2f, got n=8, f=4; use f <= 3"),
        (("krom", {}, 11, 4), "did you mean 'krum'"),
        (("centered_clip", {"tua": 1.0}, 11, 4), "did you mean 'tau'"),
        (("mean", {"f": 1}, 11, 4), "known parameters: none"),
        (("multi_krum", {"m": 12}, 11, 4), "between 1 and n=11"),
        (("trimmed_mean", {"f": -1}, 11, 4), "whole number >= 0"),
        (("centered_clip", {"tau": 0.0}, 11, 4), "tau > 0"),
        (("geometric_median", {"nu": 0.0}, 11, 4), "nu > 0"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            make_rule(*arguments)


def test_f_defaults_to_b_and_equal_rules_are_equal():
    assert make_rule("krum", {}, 11, 4) == make_rule("krum", {"f": 4}, 11, 0)
    assert make_rule("multi_krum", {}, 11, 4).m == 5
