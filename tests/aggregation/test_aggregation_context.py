"""Rules that know more than the rows: previous aggregates, seeds, roots, memories, layers."""

from __future__ import annotations

import numpy as np
import pytest
import rule_twins_paper as papers
from shelf import B, D, N, draw_liars, draw_rows

from simdfl.aggregation import PRE_AGGREGATORS, RuleContext, RuleSession, aggregate, make_rule, needs_root
from simdfl.aggregation.medians import GeometricMedian
from simdfl.errors import UserError
from simdfl.rng import Rng
from simdfl.scenario.sections import RuleConfig

SEED = b"t" * 32


def apply(rule, x, **context):
    return aggregate(rule, x, None, RuleContext(**{"seed": SEED, **context}))


def session(rule, layers=()):
    return RuleSession(rule, lambda step: Rng(step).key("rule"), layers)


def as_dict(x):
    return dict(enumerate(x))


def test_momentum_clip_starts_from_the_previous_aggregate():
    x, y = draw_rows(0), draw_rows(1)
    run = session(make_rule("centered_clip_momentum", {"tau": 0.5}, N, B))
    first = run.aggregate(0, as_dict(x), N)
    np.testing.assert_allclose(first, papers.momentum_clip(x, tau=0.5), atol=1e-5)
    np.testing.assert_allclose(run.aggregate(1, as_dict(y), N), papers.momentum_clip(y, first, 0.5), atol=1e-5)
    assert (
        np.linalg.norm(run.aggregate(2, as_dict(y * np.float32(-1e6)), N) - papers.momentum_clip(y, first, 0.5))
        <= 0.5 + 1e-3
    )


def test_sequential_clip_moves_by_one_group_after_another():
    x, start = draw_rows(0), np.zeros(D, dtype=np.float32)
    order = RuleContext(seed=SEED).generator("groups").permutation(N)
    v = start.astype(np.float64)
    for at in range(0, N, 3):
        move = x[order[at : at + 3]].astype(np.float64).mean(axis=0) - v
        v = v + move * min(1.0, 0.5 / np.linalg.norm(move))
    rule = make_rule("sequential_clip", {"tau": 0.5}, N, B)
    np.testing.assert_allclose(apply(rule, x, previous=start).value, v, atol=1e-5)


def test_median_of_means_is_the_median_of_the_means_of_the_groups_dealt():
    x = draw_rows(0)
    order = RuleContext(seed=SEED).generator("groups").permutation(N)
    means = np.array([x[order[group::4]].mean(axis=0) for group in range(4)], dtype=np.float32)
    rule = make_rule("median_of_means", {"k": 4}, N, 1)
    np.testing.assert_allclose(apply(rule, x).value, GeometricMedian()(means), atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_sign_guard_is_its_twin(seed):
    x = draw_rows(seed, d=60)
    x[draw_liars(seed)] *= np.float32(-1.0)
    drawn = np.sort(RuleContext(seed=SEED).generator("sign_guard").choice(60, 30, replace=False))
    rule = make_rule("sign_guard", {"share": 0.5}, N, B)
    np.testing.assert_allclose(apply(rule, x).value, papers.sign_guard(x, drawn), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_flame_is_hdbscan_and_clipping_and_noise(seed):
    x = draw_rows(seed, n=15)
    x[draw_liars(seed, 15, 5)] *= np.float32(-2.0)
    quiet = apply(make_rule("flame", {"noise": 0.0}, 15, 5), x).value
    np.testing.assert_allclose(quiet, papers.flame_without_noise(x), atol=1e-5)
    loud = apply(make_rule("flame", {"noise": 0.1}, 15, 5), x).value
    assert 0.02 < (loud - quiet).std() / np.median(papers.norms(x)) < 0.3


def test_clipped_clustering_remembers_all_norms():
    x, y = draw_rows(0), np.float32(3.0) * draw_rows(1)
    rule = make_rule("clipped_clustering", {}, N, B)
    first = apply(rule, x)
    second = apply(rule, y, memory=first.memory)
    np.testing.assert_allclose(second.value, papers.clipped_clustering(y, tuple(papers.norms(x))), atol=1e-5)
    assert len(second.memory) == 2 * N


def test_fools_gold_judges_the_sum_of_a_peers_rows():
    x, y = draw_rows(0), draw_rows(1)
    y[[2, 7]] = y[5]
    rule = make_rule("fools_gold", {}, N, B)
    first = apply(rule, x)
    second = apply(rule, y, memory=first.memory)
    sums = x.astype(np.float64) + y
    np.testing.assert_allclose(second.memory, sums, atol=1e-5)
    np.testing.assert_allclose(second.value, papers.fools_gold(y, sums), atol=1e-4)


def test_afa_keeps_reputations_and_blocks():
    rule, good, bad, memory = make_rule("afa", {}, N, B), np.full(N, 3.0), np.full(N, 3.0), None
    liars = draw_liars(3, b=3)
    for seed in range(12):
        x = draw_rows(seed)
        x[liars] *= np.float32(-1.0)
        wanted, good, bad = papers.afa(x, good, bad)
        value, memory = apply(rule, x, memory=memory)
        np.testing.assert_allclose(value, wanted, atol=1e-4)
        np.testing.assert_array_equal(memory, [good, bad])
    assert (bad[liars] > good[liars]).all()
    assert (np.delete(good, liars) > 3.0).all()


def test_lasa_judges_layers_apart():
    x = draw_rows(0)
    x[draw_liars(0, b=2), :4] *= np.float32(-4.0)
    rule = make_rule("lasa", {}, N, B)
    np.testing.assert_allclose(apply(rule, x, layers=(4, 5)).value, papers.lasa(x, (4, 5)), atol=1e-5)
    np.testing.assert_allclose(apply(rule, x, layers=(4, 4)).value, papers.lasa(x, (D,)), atol=1e-5)


def test_fltrust_follows_its_root_whatever_the_majority():
    root = draw_rows(0)[0]
    x = np.concatenate([np.repeat(-root[None], 9, axis=0), 5.0 * root[None], root[None]]).astype(np.float32)
    rule = make_rule("fltrust", {}, N, 5)
    assert needs_root(rule)
    np.testing.assert_allclose(apply(rule, x, root=root).value, root, atol=1e-5)
    assert not apply(rule, -np.abs(x), root=np.abs(root)).value.any()
    with pytest.raises(UserError, match="needs a trusted gradient"):
        apply(rule, x)


def test_a_pre_aggregator_hands_on_root_memory_and_absence():
    then = RuleConfig(name="fltrust")
    assert needs_root(make_rule("arc", {}, N, B, then))
    rule = make_rule("nnm", {}, N, B, RuleConfig(name="afa"))
    x, w = draw_rows(0), np.ones(N, dtype=np.float32)
    w[[1, 4]] = 0.0
    memory = aggregate(rule, x, w, RuleContext(seed=SEED)).memory
    assert memory.good[[1, 4]].tolist() == memory.bad[[1, 4]].tolist() == [3.0, 3.0]
    assert len(memory.good) == N


def test_nested_pre_aggregators_draw_apart():
    twice = RuleConfig(name="bucketing", then=RuleConfig(name="mean"))
    rule = make_rule("bucketing", {}, 12, 1, twice)
    x = np.eye(12, dtype=np.float32)
    drawn = RuleContext(seed=SEED).generator("bucketing").permutation(12)
    assert sorted(drawn) == list(range(12))
    np.testing.assert_allclose(apply(rule, x).value, np.full(12, 1 / 12), atol=1e-6)
    assert rule.then.first.prepare(x[:6], RuleContext(seed=SEED)).shape == (3, 12)


@pytest.mark.parametrize(
    "name", ["bucketing", "dnc", "flame", "median_of_means", "sequential_clip", "sign_guard"]
)
def test_equal_seeds_give_equal_bits_and_others_do_not(name):
    then = RuleConfig(name="krum") if name in PRE_AGGREGATORS else None
    params = {"dnc": {"sample": 3}}.get(name, {})
    rule, x = make_rule(name, params, N, 1, then), draw_rows(0)
    values = [apply(rule, x, seed=bytes([seed]) * 32).value.tobytes() for seed in range(8)]
    assert values == [apply(rule, x, seed=bytes([seed]) * 32).value.tobytes() for seed in range(8)]
    assert len(set(values)) > 1


def test_a_session_knows_absent_peers_by_number():
    run = session(make_rule("afa", {}, 4, 1))
    x = draw_rows(0, n=4)
    value = run.aggregate(0, {0: x[0], 3: x[3]}, 4)
    np.testing.assert_allclose(value, (x[0] + x[3]) / 2, atol=1e-6)
    with pytest.raises(UserError, match="no peer sent anything"):
        run.aggregate(1, {}, 4)
