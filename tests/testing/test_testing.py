"""The conformance checks pass every shelf entry and fail for what is deliberately broken."""

from __future__ import annotations

import itertools
from functools import partial

import networkx as nx
import numpy as np
import pytest

from simdfl.aggregation import RULES, InContext, RuleContext, make_rule
from simdfl.peers.behaviour import Byzantine
from simdfl.rng import Rng
from simdfl.testing import (
    LeastSquares,
    assert_rate,
    check_adversary,
    check_deterministic,
    check_rule,
    check_topology,
    make_coalition,
    make_turn,
)
from topologies import TOPOLOGIES, build

# ---- turns


def test_a_turn_holds_real_gradients():
    """The gradient is the slope of the loss, measured by central differences."""
    problem, at = LeastSquares(), np.zeros(21)
    weights = Rng(0).stream("weights").standard_normal((7, 3))
    records = Rng(0).stream("batch", 4, 2)
    features, labels = records.standard_normal((16, 7)), records.integers(3, size=16)

    def loss(flat):
        return ((features @ (weights + flat.reshape(7, 3)) - np.eye(3)[labels]) ** 2).sum() / 32

    slope = [(loss(at + 1e-4 * unit) - loss(at - 1e-4 * unit)) / 2e-4 for unit in np.eye(21)]
    np.testing.assert_allclose(make_turn(4, 2, problem=problem).own_gradient(), slope, rtol=1e-4, atol=1e-5)


def test_a_turn_computes_once_and_lends_read_only():
    turn = make_turn(0, 1)
    assert turn.own_gradient() is turn.own_gradient()
    assert not turn.own_gradient().flags.writeable
    assert turn.honest_gradients(make_coalition()).shape == (6, 21)


# ---- adversaries (the shelf itself is checked in tests/adversaries)


class Early(Byzantine):
    def gradient(self, turn):
        return -turn.own_gradient()


class Late(Byzantine):
    def gradient(self, turn):
        return turn.own_gradient() if turn.step < self.start_step else -turn.own_gradient()


class Restless(Byzantine):
    def reveals(self, turn):
        return not self.start_step <= turn.step < self.stop_step


class Short(Byzantine):
    def craft(self, turn):
        return turn.own_gradient()[:-1]


class Endless(Byzantine):
    def craft(self, turn):
        return turn.own_gradient() * np.float32(np.inf)


class Double(Byzantine):
    def gradient(self, turn):
        return turn.own_gradient().astype(np.float64)


class Overwriting(Byzantine):
    def craft(self, turn):
        gradient = turn.own_gradient()
        gradient *= -1
        return gradient


class Swallowing(Byzantine):
    def accuses(self, turn, liars):
        if self.is_attacking(turn.step):
            liars.clear()
        return liars


class Wild(Byzantine):
    def craft(self, turn):
        seed = int.from_bytes(repr(id(self.coalition)).encode()[-6:], "little")
        return np.random.Generator(np.random.PCG64([seed, next(COUNTER)])).standard_normal(21)


COUNTER = itertools.count()


class Mute(Byzantine):
    def sends_part(self, turn, receiver):
        return None


class Strange(Byzantine):
    def accuses(self, turn, liars):
        return [99] if self.is_attacking(turn.step) else liars


class Talkative(Byzantine):
    def votes(self, case, verdict):
        return (b"\x01\x00", b"", b"") if self.is_attacking(case["step"]) else verdict


class Rounding(Byzantine):
    def report(self, turn, projections, norms, shift):
        return (projections / 2, norms) if self.is_attacking(turn.step) else (projections, norms)


class Crashing(Byzantine):
    def aggregate(self, turn, value):
        return value[self.missing] if self.is_attacking(turn.step) else value


class Grumbling(Byzantine):
    def complains(self, turn, owners):
        return [*owners, 0, 0]


class Quiet(Byzantine):
    def attests(self, turn, target, is_right):
        return "yes" if self.is_attacking(turn.step) else is_right


@pytest.mark.parametrize(
    "broken, sentence",
    [
        (Early, "Early: gradient of peer 1 in step 0 was not decided honestly, .* before start_step=3"),
        (Late, "in step 4 was not decided honestly, .* off the period=2"),
        (Restless, "reveals of peer 1 in step 4 was not decided honestly, .* off the period=2"),
        (Short, r"gradient of peer 1 in step 3 must be an array of shape \(21,\) and type float32"),
        (Endless, "must be finite"),
        (Double, "and type float32, got an array .* float64"),
        (Overwriting, "raised ValueError: .*read-only.*it must copy an array"),
        (Swallowing, "accuses of peer 1 in step 3 changed its inputs"),
        (Wild, "gradient of peer 1 in step 3 was decided differently by a second coalition"),
        (Mute, "sends_part of peer 1 in step 0 must be True or False, got None"),
        (Strange, "accuses of peer 1 in step 3 must be a list of distinct peers of the roster"),
        (Talkative, "votes .* must be None or three bit masks"),
        (Rounding, "report .* must be a pair of int64 arrays"),
        (Crashing, "aggregate .* raised AttributeError"),
        (Grumbling, "complains of peer 1 in step 0 must be a list of distinct peers"),
        (Quiet, "attests .* must be None or True or False, got 'yes'"),
    ],
)
def test_check_adversary_finds_what_is_broken(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_adversary(broken)


def test_check_adversary_finds_late_attacks():
    class NeverStops(Byzantine):
        def gradient(self, turn):
            is_on = turn.step >= self.start_step and (turn.step - self.start_step) % self.period == 0
            return -turn.own_gradient() if is_on else turn.own_gradient()

    with pytest.raises(AssertionError, match=r"step 9 was not decided honestly, .* not before stop_step=9"):
        check_adversary(NeverStops)


def test_check_adversary_passes_classes_and_names():
    check_adversary(Byzantine)
    check_adversary("sign_flip", scale=3)


@pytest.mark.parametrize("params", [{"scal": 1}, {"scale": "x"}, {"scale": -1}])
def test_check_adversary_tells_wrong_parameters(params):
    with pytest.raises(AssertionError, match=r"sign_flip cannot be built with .*scal"):
        check_adversary("sign_flip", **params)


# ---- rules


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n, d", [(11, 7), (16, 40)])
def test_every_rule_on_the_shelf_keeps_the_contract(name, n, d):
    root = np.linspace(-1.0, 2.0, d, dtype=np.float32)
    check_rule(InContext(make_rule(name, {}, n, 2), RuleContext(root=root)), n, d)


def usable(rows):
    return rows[np.isfinite(rows).all(axis=1)]


def overwriting(rows):
    rows[0] = 0
    return usable(rows).mean(axis=0)


@pytest.mark.parametrize(
    "broken, sentence",
    [
        (lambda rows: usable(rows)[0], "depends on the order"),
        (lambda rows: usable(rows).sum(axis=0), "does not return the row that all rows are"),
        (lambda rows: np.nan_to_num(rows, posinf=0, neginf=0).mean(axis=0), "a row of nan as if it were absent"),
        (lambda rows: np.nanmedian(rows, axis=0), "a row of inf as if it were absent"),
        (overwriting, "changed its rows"),
        (lambda rows: rows.mean(axis=0), "must be finite"),
        (lambda rows: usable(rows).mean(axis=0, dtype=np.float64), "must return an array of shape"),
        (lambda rows: usable(rows).mean(axis=1), "must return an array of shape"),
    ],
)
def test_check_rule_finds_what_is_broken(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_rule(broken, 9, 5)


# ---- topologies


@pytest.mark.parametrize("name", [name for name in TOPOLOGIES if name != "from_file"])
@pytest.mark.parametrize("n", [12, 30])
def test_every_topology_on_the_shelf_keeps_the_contract(name, n):
    check_topology(TOPOLOGIES[name], n)
    check_topology(partial(build, name), n)


def test_a_topology_from_a_file_keeps_the_contract(tmp_path):
    nx.write_edgelist(nx.cycle_graph(5), tmp_path / "ring.edgelist")
    check_topology(partial(TOPOLOGIES["from_file"], path=str(tmp_path / "ring.edgelist")), 5)


def looped(n, rng):
    graph = nx.cycle_graph(n)
    graph.add_edge(0, 0)
    return graph


def forgetful(n, rng):
    return nx.gnp_random_graph(n, 0.5, seed=next(COUNTER))


@pytest.mark.parametrize(
    "broken, sentence",
    [
        (lambda n, rng: nx.cycle_graph(range(1, n + 1)), "the peers must be 0 … 11"),
        (lambda n, rng: nx.cycle_graph(n - 1), "the peers must be 0 … 11"),
        (lambda n, rng: nx.empty_graph(n), "connected in none of 10 draws"),
        (lambda n, rng: nx.cycle_graph(n, nx.DiGraph), "must be simple"),
        (lambda n, rng: nx.cycle_graph(n, nx.MultiGraph), "must be simple"),
        (looped, "must be simple"),
        (forgetful, "differs for equal generators"),
        (lambda n, rng: [(0, 1)], "must be a networkx Graph"),
    ],
)
def test_check_topology_finds_what_is_broken(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_topology(broken, 12)


# ---- runs and rates


def test_check_deterministic():
    check_deterministic(lambda: Rng(1).key("digest").hex())
    with pytest.raises(AssertionError, match="same scenario and seed differ: '"):
        check_deterministic(lambda: f"{next(COUNTER)}")
    with pytest.raises(AssertionError, match="must return its digest as text"):
        check_deterministic(lambda: b"digest")


def test_assert_rate_is_hoeffdings_bound():
    """eps = sqrt(ln(2e6) / 20000) = 0.02693 for 10,000 trials."""
    assert_rate(5_269, 10_000, 0.5)
    assert_rate(4_731, 10_000, 0.5)
    for hits in (5_270, 4_730):
        with pytest.raises(AssertionError, match=r"further than 0\.0269 from p = 0\.5 "):
            assert_rate(hits, 10_000, 0.5)
    with pytest.raises(AssertionError, match="hits=3, n=2"):
        assert_rate(3, 2, 0.5)


def test_assert_rate_has_its_power():
    """A coin that is 2 eps off is found in every one of 200 experiments; missing one has probability 1e-4."""
    eps = np.sqrt(np.log(2e6) / 2e4)
    for hits in Rng(5).stream("coin").binomial(10_000, 0.5 + 2 * eps, size=200):
        with pytest.raises(AssertionError):
            assert_rate(int(hits), 10_000, 0.5)
