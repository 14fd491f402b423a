"""The shelf's rules against their twins, and the promises that they share."""

from __future__ import annotations

import numpy as np
import pytest
import rule_twins as twins
import rule_twins_paper as papers
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import COMPOSED, NAMES, B, D, N, draw_liars, draw_rows, keeping, liars_of, make, root_like

from simdfl.aggregation import RULES, NoUsableRowsError, make_rule
from simdfl.aggregation.contract import PROMISES
from simdfl.errors import UserError
from simdfl.rng import Rng

FAIR = np.full(N, 3.0)
TWINS = {
    "mean": twins.mean,
    "centered_clip": lambda x: twins.centered_clip(x, np.ones(len(x)), 1.0),
    "centered_clip_momentum": papers.momentum_clip,
    "norm_clip": papers.norm_clip,
    "median": twins.median,
    "adaptive_median": papers.adaptive_median,
    "trimmed_mean": lambda x: twins.trimmed_mean(x, B),
    "meamed": lambda x: papers.meamed(x, B),
    "phocas": lambda x: papers.phocas(x, B),
    "krum": lambda x: twins.krum(x, B),
    "multi_krum": lambda x: twins.multi_krum(x, B, len(x) - B - 2),
    "bulyan": lambda x: papers.bulyan(x, 2),
    "geometric_median": twins.geometric_median,
    "rfa": papers.rfa,
    "autogm": papers.autogm,
    "mda": lambda x: papers.mda(x, B),
    "mva": lambda x: papers.mva(x, B),
    "smea": lambda x: papers.smea(x, B),
    "monna": lambda x: papers.monna(x, B),
    "cge": lambda x: papers.cge(x, B),
    "caf": lambda x: papers.caf(x, B),
    "dnc": lambda x: papers.dnc(x, B),
    "clipped_clustering": papers.clipped_clustering,
    "sign_sgd": papers.sign_sgd,
    "rlr": lambda x: papers.rlr(x, B + 1),
    "fltrust": lambda x: papers.fltrust(x, root_like(D)),
    "fools_gold": lambda x: papers.fools_gold(x, x.astype(np.float64)),
    "afa": lambda x: papers.afa(x, FAIR, FAIR)[0],
    "lasa": lambda x: papers.lasa(x, (D,)),
    "nnm+krum": lambda x: papers.nnm(x, B)[np.argmin(twins.krum_scores(papers.nnm(x, B), B))],
    "clip+mean": papers.norm_clip,
    "arc+nnm+trimmed_mean": lambda x: twins.trimmed_mean(papers.nnm(papers.arc(x, B), B), B),
}
WEIGHING = {"mean", "centered_clip", "geometric_median", "rfa"}
TWINS_ELSEWHERE = {"flame", "sign_guard", "sequential_clip", "median_of_means"}


def test_every_rule_has_a_twin():
    assert set(RULES) <= set(TWINS) | TWINS_ELSEWHERE


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("attack", [None, -1000.0, 0.25])
def test_rule_is_its_numpy_twin(name, seed, attack):
    x = draw_rows(seed)
    if attack is not None:
        x[draw_liars(seed, b=liars_of(name))] *= np.float32(attack)
    result = make(name)(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, TWINS[name](x), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "meamed", "phocas", "adaptive_median"])
def test_even_number_of_rows(name):
    x = draw_rows(0, n=10)
    np.testing.assert_allclose(make(name, n=10)(x), TWINS[name](x), rtol=1e-6)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16))
@pytest.mark.parametrize("name", keeping("order"))
def test_order_of_peers_does_not_matter(name, seed):
    x, rule = draw_rows(seed), make(name)
    order = Rng(seed).stream("order").permutation(N)
    np.testing.assert_allclose(rule(x[order]), rule(x), atol=3e-4)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16))
@pytest.mark.parametrize("name", keeping("shift"))
def test_a_shift_passes_through(name, seed):
    x, rule = draw_rows(seed), make(name)
    np.testing.assert_allclose(rule(x + np.float32(0.25)), rule(x) + 0.25, atol=1e-3)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([0.125, 8.0]))
@pytest.mark.parametrize("name", keeping("scale"))
def test_a_scale_passes_through(name, seed, scale):
    x, rule = draw_rows(seed), make(name)
    np.testing.assert_allclose(rule(x * np.float32(scale)) / scale, rule(x), atol=2e-3)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([-1e6, -1.0, 0.0, 5.0, 1e12]))
@pytest.mark.parametrize("name", keeping("liars"))
def test_liars_cannot_carry_the_result_away(name, seed, scale):
    """Coordinate-wise rules stay in the honest range; the others within a few radii of the honest rows."""
    x = draw_rows(seed)
    liars = draw_liars(seed, b=liars_of(name))
    honest = np.delete(x, liars, axis=0)
    x[liars] *= np.float32(scale)
    result = make(name)(x)
    if name in ("median", "trimmed_mean"):
        assert (result >= honest.min(axis=0) - 1e-6).all()
        assert (result <= honest.max(axis=0) + 1e-6).all()
    radius = max(np.linalg.norm(row - honest.mean(axis=0)) for row in honest)
    assert np.linalg.norm(result - honest.mean(axis=0)) <= 8.0 * radius


@pytest.mark.parametrize("name", RULES)
def test_a_promise_said_to_be_broken_is_broken(name):
    """Nobody claims an exemption without need: some draw shows each broken promise."""
    rule = make(name)
    assert rule.breaks <= PROMISES
    shown = set()
    for seed in range(20):
        x = draw_rows(seed)
        result, huge, same = rule(x), x.copy(), np.repeat(x[:1], N, axis=0)
        huge[: liars_of(name)] *= np.float32(-1e5)
        order = Rng(seed).stream("order").permutation(N)
        trials = {
            "order": np.abs(rule(x[order]) - result).max() > 1e-3,
            "identical": np.abs(rule(same) - x[0]).max() > 1e-3,
            "shift": np.abs(rule(x + np.float32(2.0)) - 2.0 - result).max() > 1e-3,
            "scale": np.abs(rule(x * np.float32(8.0)) / 8.0 - result).max() > 1e-3,
            "liars": np.linalg.norm(rule(huge)) > 100.0,
        }
        shown |= {promise for promise, is_broken in trials.items() if is_broken}
    assert set(rule.breaks) <= shown


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


@pytest.mark.parametrize("name", keeping("identical"))
def test_identical_rows_come_back(name):
    x = np.repeat(draw_rows(6)[:1], N, axis=0)
    np.testing.assert_allclose(make(name)(x), x[0], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_row_left(name):
    x = np.full((N, 3), np.nan, dtype=np.float32)
    x[4] = [1.0, 2.0, 3.0]
    rule = make(name, root=x[4])
    assert np.isfinite(rule(x)).all()
    if name in keeping("identical"):
        np.testing.assert_allclose(rule(x), x[4], atol=1e-5)
    x[4, 0] = np.inf
    with pytest.raises(NoUsableRowsError, match="none of 11 rows"):
        rule(x)


@pytest.mark.parametrize("name", sorted({*RULES, *COMPOSED} - WEIGHING))
def test_counting_rules_refuse_unequal_weights(name):
    with pytest.raises(UserError, match="counts peers"):
        make(name)(draw_rows(0), np.arange(N, dtype=np.float32))


@pytest.mark.parametrize("name", sorted(WEIGHING))
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
        (("trimmed_mean", {}, 8, 4), "needs n > 2f, got n=8, f=4; use at least 9 peers or f <= 3"),
        (("krom", {}, 11, 4), "did you mean 'krum'"),
        (("centered_clip", {"tua": 1.0}, 11, 4), "did you mean 'tau'"),
        (("mean", {"f": 1}, 11, 4), "known parameters: none"),
        (("multi_krum", {"m": 12}, 11, 4), "between 1 and n=11"),
        (("bulyan", {}, 16, 4), r"needs n > 4f \+ 2, got n=16, f=4; use at least 19 peers or f <= 3"),
        (("trimmed_mean", {"f": -1}, 11, 4), "whole number >= 0"),
        (("trimmed_mean", {"f": 1.5}, 11, 4), "f: must be a whole number, got 1.5"),
        (("krum", {"neighbours": "n-f-3"}, 11, 4), "did you mean 'n-f-2'"),
        (("krum", {"squared": 1}, 11, 4), "squared: must be true or false, got 1"),
        (("nnm", {}, 11, 4), "name the rule, for instance then"),
        (("centered_clip", {"tau": 0.0}, 11, 4), "tau > 0"),
        (("geometric_median", {"nu": 0.0}, 11, 4), "nu > 0"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            make_rule(*arguments)


def test_f_defaults_to_b_and_equal_rules_are_equal():
    assert make_rule("krum", {}, 11, 4) == make_rule("krum", {"f": 4}, 11, 0)
    assert make_rule("multi_krum", {}, 11, 4).m == 5
