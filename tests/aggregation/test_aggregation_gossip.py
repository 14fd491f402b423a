"""Gossip rules: one neighbourhood at a time, against readable twins, and mixing over whole graphs."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import rule_twins as twins
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import draw_rows

from simdfl.aggregation import GOSSIP_RULES, GossipContext, make_gossip_rule, metropolis_weights
from simdfl.errors import UserError
from simdfl.rng import Rng

K, B = 8, 2
NAMES = [*GOSSIP_RULES, "krum", "monna", "geometric_median"]
WEIGHING = {"mixing", "self_centred_clip", "adaptive_self_centred_clip"}


def loss(vector):
    return float(np.sum((np.asarray(vector, dtype=np.float64) - 1.0) ** 2))


CONTEXT = GossipContext(step=3, steps=10, loss=loss)


def draw(seed, k=K):
    x = draw_rows(seed, n=k + 1)
    w = Rng(seed).stream("weights").random(k + 1)
    return x[0], x[1:], w / w.sum()


def clipped(row, radius):
    return row * min(1.0, radius / max(np.linalg.norm(row), 1e-300))


def mean_with_own(own, chosen, alpha=0.5):
    return alpha * own + (1 - alpha) * np.mean(chosen, axis=0) if len(chosen) else own


def twin(name, own, x, w):
    own, x = own.astype(np.float64), x.astype(np.float64)
    lengths = [np.linalg.norm(row - own) for row in x]
    near = [x[i] for i in np.argsort(lengths, kind="stable")]
    if name == "mixing":
        return w[0] * own + sum(w[j + 1] * row for j, row in enumerate(x))
    if name == "self_centred_clip":
        return own + sum(w[j + 1] * clipped(row - own, 1.0) for j, row in enumerate(x))
    if name == "adaptive_self_centred_clip":
        held = np.argsort(lengths, kind="stable")[: len(x) - B]
        tau = math.sqrt(sum(w[j + 1] * lengths[j] ** 2 for j in held) / sum(sorted(w[1:])[-B:]))
        return own + sum(w[j + 1] * clipped(row - own, tau) for j, row in enumerate(x))
    if name == "neighbour_trimmed_mean":
        return np.array([np.mean([o, *sorted(column)[B : len(x) - B]]) for o, column in zip(own, x.T)])
    if name in ("ubar", "mozi"):
        stage1 = near[: math.ceil(0.5 * len(x))]
        stage2 = [row for row in stage1 if loss(row) <= loss(own)] or [min(stage1, key=loss)]
        return mean_with_own(own, stage2)
    if name == "balance":
        reach = 0.3 * math.exp(-0.3) * np.linalg.norm(own)
        return mean_with_own(own, [row for row, length in zip(x, lengths) if length <= reach])
    everyone = np.concatenate([own[None], x])
    if name == "krum":
        return twins.krum(everyone, B)
    if name == "monna":
        return np.mean([own, *near[: len(x) - B]], axis=0)
    return twins.geometric_median(everyone)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("attack", [1.0, -50.0])
def test_a_neighbourhood_is_mixed_as_the_twin_does(name, seed, attack):
    own, x, w = draw(seed)
    x[[1, 4]] *= np.float32(attack)
    before = own.copy(), x.copy(), w.copy()
    result = make_gossip_rule(name, {}, K, B)(own, x, w, CONTEXT)
    assert (result.shape, result.dtype) == (own.shape, np.float32)
    np.testing.assert_allclose(result, twin(name, own, x, w), rtol=1e-4, atol=3e-4)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, (own, x, w)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("poison", [np.nan, np.inf, 3e38])
def test_an_unusable_neighbour_is_absent_and_its_weight_is_ours(name, poison):
    own, x, w = draw(1)
    x[3, 2] = poison
    given = np.delete(w, 4)
    given[0] += w[4]
    rule = make_gossip_rule(name, {}, K, B)
    expected = rule(own, np.delete(x, 3, axis=0), given, CONTEXT)
    np.testing.assert_allclose(rule(own, x, w, CONTEXT), expected, atol=1e-5)
    x[:] = np.nan
    np.testing.assert_array_equal(rule(own, x, w, CONTEXT), own)


@pytest.mark.parametrize("name", NAMES)
def test_agreement_is_a_fixed_point(name):
    own, _, w = draw(2)
    same = np.repeat(own[None], K, axis=0)
    np.testing.assert_allclose(make_gossip_rule(name, {}, K, B)(own, same, w, CONTEXT), own, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([-1e6, 0.0, 1e10]))
@pytest.mark.parametrize("name", [name for name in NAMES if name != "mixing"])
def test_lying_neighbours_cannot_carry_a_peer_away(name, seed, scale):
    own, x, w = draw(seed)
    x[:B] *= np.float32(scale)
    result = make_gossip_rule(name, {}, K, B)(own, x, w, CONTEXT)
    honest = np.concatenate([own[None], x[B:]])
    radius = max(np.linalg.norm(row - own) for row in honest)
    if name == "adaptive_self_centred_clip":
        tau = radius / math.sqrt(np.sort(w[1:])[-B:].sum())
        assert np.linalg.norm(result - own) <= radius + tau + 1e-3
    else:
        assert np.linalg.norm(result - own) <= 4.0 * radius + 1.0 + 0.3 * np.linalg.norm(own)


@pytest.mark.parametrize("graph", [nx.star_graph(9), nx.cycle_graph(12), nx.barabasi_albert_graph(60, 3, seed=1)])
def test_metropolis_weights_are_doubly_stochastic(graph):
    w = metropolis_weights(graph)
    np.testing.assert_allclose(w.sum(axis=0), 1.0, rtol=0, atol=1e-15 * len(w))
    np.testing.assert_allclose(w.sum(axis=1), 1.0, rtol=0, atol=1e-15 * len(w))
    assert (w >= 0).all()
    assert (w == w.T).all()
    linked = nx.to_numpy_array(graph, nodelist=range(len(w))) > 0
    assert ((w > 0) == (linked | np.eye(len(w), dtype=bool) & (w > 0))).all()


def test_mixing_reaches_the_mean_at_the_pace_of_the_spectral_gap():
    graph = nx.random_regular_graph(4, 20, seed=3)
    w, rule = metropolis_weights(graph), make_gossip_rule("mixing", {}, 4, 0)
    x = draw_rows(0, n=20)
    mean = x.mean(axis=0)
    second = sorted(abs(np.linalg.eigvalsh(w)))[-2]
    start = np.linalg.norm(x - mean)
    for _ in range(30):
        x = np.stack(
            [rule(x[i], x[list(graph[i])], np.array([w[i, i], *(w[i, j] for j in graph[i])])) for i in range(20)]
        )
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=1e-5)
    assert np.linalg.norm(x - mean) <= second**30 * start + 1e-4


def test_mistakes_have_one_sentence():
    own, x, w = draw(0)
    rule = make_gossip_rule("mixing", {}, K, B)
    cases = [
        (lambda: rule(own, x, 2 * w), "9 numbers >= 0 of sum 1, own first"),
        (lambda: rule(own, x[:, :3], w), r"needs own \(d,\) and neighbours \(k, d\)"),
        (lambda: rule(own * np.nan, x, w), "training has diverged"),
        (lambda: make_gossip_rule("ubar", {}, K, B)(own, x, w), "give GossipContext"),
        (lambda: make_gossip_rule("ubr", {}, K, B), "did you mean 'ubar'"),
        (lambda: make_gossip_rule("balance", {"gama": 1.0}, K, B), "did you mean 'gamma'"),
        (
            lambda: make_gossip_rule("neighbour_trimmed_mean", {}, 4, 2),
            "at least 5 neighbours for f=2, got k=4",
        ),
        (lambda: make_gossip_rule("krum", {}, 4, 2), r"krum needs n > 2f \+ 2, got n=5, f=2"),
        (lambda: make_gossip_rule("ubar", {}, K, B, then=object()), "nothing can follow 'ubar'"),
        (lambda: metropolis_weights(nx.DiGraph([(0, 1)])), "undirected graph without loops"),
    ]
    for call, message in cases:
        with pytest.raises(UserError, match=message):
            call()
