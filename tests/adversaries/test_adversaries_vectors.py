"""Each attack on the vector against its formula, written again in NumPy, and against the rule it is made for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from adversaries import make_adversary
from adversaries.crowd import gram_of, mean_of, moments, norms_of, products, squared_distances
from adversaries.evasive import Span
from adversaries.fang import krum_chooses
from adversaries.optimised import COORDINATES, SmallCopy, draw_columns
from simdfl.aggregation import Krum, make_rule
from simdfl.peers.behaviour import Turn
from simdfl.rng import Rng
from simdfl.testing import LeastSquares, make_coalition, make_turn

MEMBERS, N = (1, 2, 5), 12
HONEST = tuple(peer for peer in range(N) if peer not in MEMBERS)
PROBLEM = LeastSquares(n_features=40)


def adversary(name: str, coalition=None, **params):
    coalition = coalition or make_coalition(MEMBERS, N)
    return make_adversary(name, params, coalition=coalition)


def turn_of(peer: int = 1, step: int = 0, validators=()) -> Turn:
    return make_turn(step, peer, N, validators, PROBLEM)


def honest(step: int = 0) -> np.ndarray:
    return np.stack([PROBLEM.gradient(step, peer) for peer in HONEST])


def sent(name: str, peer: int = 1, step: int = 0, **params) -> np.ndarray:
    return adversary(name, **params).gradient(turn_of(peer, step)).astype(np.float64)


# ---- statistics


@pytest.mark.parametrize("shape", [(1, 5), (7, 100), (4, 20_000)])
def test_statistics_block_by_block_are_those_of_numpy(shape):
    rows = Rng(0).stream("rows").standard_normal(shape).astype(np.float32)
    exact = rows.astype(np.float64)
    mean, std = moments(rows)
    np.testing.assert_allclose(mean, exact.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(mean_of(rows), exact.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(std, exact.std(axis=0) if len(rows) > 1 else abs(exact[0]), rtol=1e-9)
    np.testing.assert_allclose(gram_of(rows), exact @ exact.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(norms_of(rows), np.linalg.norm(exact, axis=1), rtol=1e-12)
    np.testing.assert_allclose(products(rows, mean), exact @ mean, rtol=1e-9, atol=1e-9)
    apart = ((exact[:, None] - exact[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(gram_of(rows)), apart, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["ipm", "alie", "min_max", "fang_krum", "anti_clustering", "alie_optimised"])
def test_who_knows_its_coalition_alone_uses_nobody_elses_gradient(name):
    asked = []

    def gradient_of(peer, poison=None):
        asked.append(peer)
        return PROBLEM.gradient(0, peer)

    turn = replace(turn_of(2), gradient_of=gradient_of)
    vector = adversary(name, knowledge="coalition").gradient(turn)
    assert set(asked) == set(MEMBERS)
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("name", ["ipm", "alie", "min_max", "min_sum", "fang_krum", "carlini_wagner", "rop"])
def test_a_coalition_of_one_can_go_by_its_own_gradient(name):
    alone = adversary(name, make_coalition((4,), N), knowledge="coalition")
    vector = alone.gradient(turn_of(4))
    assert np.isfinite(vector).all()
    if name == "alie":  # the spread of a lone gradient is its magnitude
        own = PROBLEM.gradient(0, 4).astype(np.float64)
        z = (own - vector)[np.abs(own) > 1e-3] / np.abs(own)[np.abs(own) > 1e-3]
        np.testing.assert_allclose(z, z[0], rtol=1e-3)


# ---- noise, constants, copies


def test_noise_is_fresh_and_as_large_as_it_says():
    draws = [sent("gaussian", peer, step, mean=5.0, std=2.0) for peer in MEMBERS for step in (0, 1)]
    assert len({draw.tobytes() for draw in draws}) == 6
    together = np.concatenate(draws)  # 720 values: mean within 6 sigma, variance likewise
    assert abs(together.mean() - 5.0) < 6 * 2.0 / np.sqrt(720)
    assert abs(together.var() / 4.0 - 1.0) < 6 * np.sqrt(2 / 720)
    uniform = sent("uniform", scale=3.0)
    assert -3.0 <= uniform.min() < -2.0
    assert 2.0 < uniform.max() < 3.0


def test_constants_are_constant():
    assert (sent("zero") == 0.0).all()
    assert (sent("same_value", value=-2.5) == -2.5).all()
    assert np.isnan(sent("nan")).all()
    np.testing.assert_array_equal(sent("inf"), np.where(PROBLEM.gradient(0, 1) > 0, -np.inf, np.inf))


def test_partial_drop_makes_the_same_holes_for_all():
    coalition = make_coalition(MEMBERS, N)
    holes = []
    for peer in MEMBERS:
        vector = adversary("partial_drop", coalition, share=0.25).gradient(turn_of(peer))
        own = PROBLEM.gradient(0, peer)
        assert ((vector == own) | (vector == 0.0)).all()
        holes.append(vector == 0.0)
    assert (holes[0] == holes[1]).all()
    assert 0.1 < holes[0].mean() < 0.4


def test_duplicates_are_one_vector():
    for of, whose in (("honest", HONEST), ("accomplice", MEMBERS[:1])):
        coalition = make_coalition(MEMBERS, N)
        vectors = {adversary("duplicate", coalition, of=of).gradient(turn_of(peer)).tobytes() for peer in MEMBERS}
        assert len(vectors) == 1
        assert vectors <= {PROBLEM.gradient(0, peer).tobytes() for peer in whose}


@pytest.mark.parametrize("choice", ["fixed", "heuristic", "adaptive"])
def test_mimic_finds_the_peer_that_differs(choice):
    """Peer 7 lies off along one direction; to a fixed mimic all peers are equal."""
    rng, odd = Rng(3), np.zeros(60)
    odd[0] = 5.0

    def gradient_of(step):
        def of(peer, poison=None):
            noise = rng.stream("noise", step, peer).standard_normal(60)
            return (noise + (peer == 7) * odd).astype(np.float32)

        return of

    peer, chosen = adversary("mimic", choice=choice, warmup=8), []
    for step in range(16):
        turn = replace(turn_of(1, step), gradient_of=gradient_of(step))
        vector = peer.gradient(turn)
        chosen.append(next(p for p in HONEST if (turn.gradient_of(p) == vector).all()))
    if choice == "fixed":
        assert len(set(chosen)) == 1
    else:
        assert set(chosen[8:]) == {7}


# ---- margins


@pytest.mark.parametrize("direction", ["unit", "sign", "std"])
def test_min_max_and_min_sum_touch_their_bounds(direction):
    rows = honest().astype(np.float64)
    apart = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    farthest = ((sent("min_max", direction=direction) - rows) ** 2).sum(axis=1).max()
    total = ((sent("min_sum", direction=direction) - rows) ** 2).sum()
    assert farthest == pytest.approx(apart.max(), rel=1e-5)
    assert total == pytest.approx(apart.sum(axis=1).max(), rel=1e-5)


@pytest.mark.parametrize("direction", ["unit", "sign", "std"])
def test_margin_vectors_lie_on_their_line(direction):
    mean, std = honest().mean(axis=0, dtype=np.float64), honest().std(axis=0, dtype=np.float64)
    p = {"unit": -mean / np.linalg.norm(mean), "sign": -np.sign(mean), "std": -std}[direction]
    step = sent("min_max", direction=direction) - mean
    gamma = step @ p / (p @ p)
    assert gamma > 0
    np.testing.assert_allclose(step, gamma * p, atol=1e-5)


# ---- against a rule


@pytest.mark.parametrize("n_liars", [1, 2, 3])
def test_the_small_krum_is_krum(n_liars):
    rng = Rng(n_liars).stream("krum")
    outcomes = set()
    for scale in np.linspace(0.0, 3.0, 25):
        rows = rng.standard_normal((9, 30)).astype(np.float32)
        liar = (scale * rng.standard_normal(30)).astype(np.float32)
        chosen = Krum(n_liars)(np.concatenate([rows, np.repeat(liar[None], n_liars, axis=0)]))
        far = ((rows.astype(np.float64) - liar) ** 2).sum(axis=1)
        says = krum_chooses(squared_distances(gram_of(rows)), far, n_liars)
        assert says == np.array_equal(chosen, liar)
        outcomes.add(says)
    assert outcomes == {True, False}


def test_fang_makes_krum_choose_it_on_the_wrong_side():
    vector = sent("fang_krum")
    mean = honest().mean(axis=0, dtype=np.float64)
    shift = np.abs(vector).max()
    np.testing.assert_allclose(vector, -shift * np.sign(mean), rtol=1e-5)
    rows = np.concatenate([honest(), np.repeat(vector[None].astype(np.float32), 3, axis=0)])
    np.testing.assert_array_equal(Krum(3)(rows), vector.astype(np.float32))


def test_fang_against_the_trimmed_mean_lies_just_beyond_the_extreme():
    rows, vector = honest().astype(np.float64), sent("fang_trimmed_mean")
    low, high = rows.min(axis=0), rows.max(axis=0)
    up = rows.mean(axis=0) > 0
    assert (vector[up] <= low[up] + 1e-6).all()
    assert (vector[~up] >= high[~up] - 1e-6).all()
    near, far = np.where(up, low, high), np.maximum(abs(2 * low), abs(2 * high))
    assert (np.abs(vector) <= far + 1e-6).all()
    assert (np.abs(vector) >= np.abs(near) / 2 - 1e-6).all()
    assert not np.array_equal(vector, sent("fang_trimmed_mean", peer=2))


@pytest.mark.parametrize("name", ["mean", "krum", "multi_krum", "geometric_median", "centered_clip", "median"])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_small_copy_moves_the_rule_as_far_as_the_problem_itself(name, factor):
    rows = honest()
    mean, std = moments(rows)
    rule = make_rule(name, {}, N, 3)
    columns = np.arange(len(mean))
    small = SmallCopy(rows, mean, -std, name, columns).deviation(rule, 3, factor)
    liars = np.repeat((mean - factor * std)[None], 3, axis=0)
    real = rule(np.concatenate([rows, liars]).astype(np.float32))
    assert small == pytest.approx(np.linalg.norm(real - mean), rel=1e-3)


def test_columns_stand_for_all_of_a_large_problem():
    columns = draw_columns(make_coalition(), 10 * COORDINATES)
    assert len(set(columns.tolist())) == COORDINATES
    assert columns.max() < 10 * COORDINATES


def deviation(rule_name: str, vector: np.ndarray) -> float:
    rule = make_rule(rule_name, {}, N, 3)
    rows = np.concatenate([honest(), np.repeat(vector[None], 3, axis=0)]).astype(np.float32)
    return float(np.linalg.norm(rule(rows) - honest().mean(axis=0)))


@pytest.mark.parametrize("rule", ["krum", "median", "trimmed_mean", "geometric_median"])
@pytest.mark.parametrize(
    "optimised, fixed",
    [
        ("alie_optimised", [("alie", {}), *(("alie", {"z": z}) for z in (0.25, 0.5, 1.0, 2.0))]),
        ("ipm_optimised", [("ipm", {"epsilon": epsilon}) for epsilon in (0.1, 0.6, 2.0)]),
    ],
)
def test_optimised_attacks_move_the_rule_more_than_fixed_ones(rule, optimised, fixed):
    best = deviation(rule, sent(optimised, rule=rule))
    others = [deviation(rule, sent(name, **params)) for name, params in fixed]
    assert best >= 0.99 * max(others)
    assert best > min(others)


# ---- along the mean, the spread, and time


def test_inverse_turns_the_plain_mean():
    vector, rows = sent("inverse", scale=0.5), honest().astype(np.float64)
    plain = (rows.sum(axis=0) + 3 * vector) / N
    np.testing.assert_allclose(plain, -0.5 * rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(sent("sign_flip", scale=2.0, of="mean"), -2.0 * rows.mean(axis=0), atol=1e-6)


def test_rop_is_relocated_and_at_its_angle():
    peer = adversary("rop", relocation=0.8, angle_deg=90.0, scale=2.0)
    means = [honest(step).mean(axis=0, dtype=np.float64) for step in (0, 1)]
    vectors = [peer.gradient(turn_of(1, step)) for step in (0, 1)]
    reference = 0.8 * means[0] + 0.2 * means[1]
    push = vectors[1] - reference
    assert np.linalg.norm(push) == pytest.approx(2.0 * np.linalg.norm(means[1]), rel=1e-5)
    assert push @ reference == pytest.approx(0.0, abs=1e-4)
    against = sent("rop", relocation=0.0, angle_deg=180.0, scale=2.0)
    np.testing.assert_allclose(against, -means[0], atol=1e-5)


def test_sparse_hybrid_is_hard_on_few_coordinates():
    mean, std = moments(honest())
    z = (mean - sent("sparse_hybrid", share=0.1, strong=5.0, weak=0.25)) / std
    strong = np.abs(mean) >= np.sort(np.abs(mean))[-12]
    np.testing.assert_allclose(z[strong], 5.0, rtol=1e-3)
    np.testing.assert_allclose(z[~strong], 0.25, rtol=1e-2)


def test_slow_drift_is_a_constant_push_of_its_relative_length():
    coalition = make_coalition(MEMBERS, N)
    peer, pushes = adversary("slow_drift", coalition, relative=0.05), []
    for step in range(3):
        own = PROBLEM.gradient(step, 1)
        push = peer.gradient(turn_of(1, step)) - own
        assert np.linalg.norm(push) == pytest.approx(0.05 * np.linalg.norm(own), rel=1e-3)
        pushes.append(push / np.linalg.norm(push))
    assert all(a @ b > 0.999 for a, b in itertools.pairwise(pushes))


# ---- filters


def test_anti_cge_is_shorter_than_as_many_honest_gradients_as_there_are_accomplices():
    vector, norms = sent("anti_cge"), np.linalg.norm(honest(), axis=1)
    assert (norms > np.linalg.norm(vector)).sum() >= 3
    assert vector @ honest().mean(axis=0) < 0


def test_anti_signguard_keeps_sign_counts_and_median_norm():
    vector, mean = sent("anti_signguard"), honest().mean(axis=0, dtype=np.float64)
    assert [(vector > 0).sum(), (vector < 0).sum()] == [(mean > 0).sum(), (mean < 0).sum()]
    assert np.linalg.norm(vector) == pytest.approx(np.median(np.linalg.norm(honest(), axis=1)), rel=1e-5)
    assert vector @ mean < 0


def test_anti_clustering_is_at_the_largest_honest_angle():
    vector, rows = sent("anti_clustering"), honest().astype(np.float64)
    mean = rows.mean(axis=0)

    def cosine(row):
        return row @ mean / np.linalg.norm(row) / np.linalg.norm(mean)

    assert cosine(vector) == pytest.approx(min(cosine(row) for row in rows), abs=1e-5)
    assert np.linalg.norm(vector) == pytest.approx(np.median(np.linalg.norm(rows, axis=1)), rel=1e-5)


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_carlini_wagner_passes_and_harms_more_than_the_straight_line(noise):
    rng = Rng(1).stream("rows")
    rows = (rng.standard_normal(300) + noise * rng.standard_normal((15, 300))).astype(np.float32)
    span = Span(gram_of(rows), 3)

    def judged(a):
        along = span.gram @ a
        return span.score(a, along)[0], span.harm(along)

    score, harm = judged(span.most_harmful(0.95))
    assert score <= 0.95 * span.limit * (1 + 1e-9)
    line = [judged(np.full(15, (1.0 - t) / 15)) for t in np.linspace(0.0, 4.0, 401)]
    assert harm > max((h for s, h in line if s <= 0.95 * span.limit), default=-np.inf)
    x = span.most_harmful(0.95) @ rows.astype(np.float64)
    assert score == pytest.approx(np.sort(np.linalg.norm(rows - x, axis=1))[:3].mean(), rel=1e-4)
    apart = np.sort(np.linalg.norm(rows[:, None].astype(np.float64) - rows[None], axis=2), axis=1)
    assert span.limit == pytest.approx(apart[:, 1:4].mean(axis=1).max(), rel=1e-4)


# ---- gossip


def test_dissensus_at_strength_one_cancels_the_honest_pull():
    vectors = {peer: Rng(0).stream("vector", peer).standard_normal(5) for peer in range(N)}
    around = {0: [1, 2, 3, 4], 3: [0, 5, 6]}
    turn = replace(turn_of(1), vector_of=vectors.__getitem__, neighbours_of=around.__getitem__)
    for receiver, peers in around.items():
        told = adversary("dissensus").vector_for(turn, receiver, vectors[1])
        pull = sum((told if peer in MEMBERS else vectors[peer]) - vectors[receiver] for peer in peers)
        np.testing.assert_allclose(pull, 0.0, atol=1e-5)
    np.testing.assert_array_equal(adversary("dissensus").vector_for(turn, 2, vectors[1]), vectors[1])
