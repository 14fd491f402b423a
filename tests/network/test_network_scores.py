"""Peer scores of gossipsub: who withholds, forges or breaks rules leaves the meshes of honest peers."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network.peer_scores import PeerScores, ScoreParameters
from simdfl.network.strategies import make_gossip
from simdfl.rng import Rng

N, SILENT = 30, frozenset(range(6))
both = pytest.mark.parametrize("fidelity", ["event", "kernel"])


def note(sender, step=0):
    return Message("X", step, sender, None, 1000, Traffic.CONTROL)


class Town:
    """Thirty peers with ten links each; the first six relay nothing."""

    def __init__(self, params, fidelity="event", silent=SILENT, n_messages=40):
        self.env = Environment()
        free = np.full(N, np.inf)
        links = Conditions(
            np.zeros(N, dtype=int), np.full((1, 1), 0.02), np.zeros((1, 1)), np.zeros(N), free, free
        )
        graph = nx.random_regular_graph(10, N, seed=4)
        gossip = make_gossip("gossipsub", params)
        self.network = Network(self.env, graph, links, Rng(2), 0.0, fidelity=fidelity, gossip=gossip)
        self.network.filter_relays(lambda peer, to, message: False, silent)
        self.gossip = self.network.gossip
        self.log = []
        for peer in range(N):
            self.network.attach(peer, Inbox(self.env))
        self.network.transport.on_delivery = lambda time_s, to, m: self.log.append((time_s, to, m.step))
        for step in range(n_messages):
            sender = 6 + step % (N - 6)
            self.env.at(float(step), lambda s=sender, k=step: self.network.broadcast(note(s, k)))

    def members(self, among=SILENT):
        """Return how many places in honest meshes peers of `among` hold."""
        return sum(len(self.gossip.mesh[peer] & among) for peer in range(6, N))


@both
def test_silent_relays_are_pruned_from_honest_meshes(fidelity):
    scored, blind = (Town({**params, "backoff_s": 1e6}, fidelity) for params in ({"score": {}}, {}))
    before = scored.members()
    for town in (scored, blind):
        town.env.run()
        assert len(town.log) > 0.99 * 40 * (N - 1)  # names go around who is silent
    assert before > 20
    assert scored.members() == 0
    assert blind.members() > 20
    kept = scored.members(frozenset(range(6, N)))
    assert kept > 4 * (N - 6)  # honest peers keep each other


def test_both_fidelities_score_alike():
    ends = []
    for fidelity in ("event", "kernel"):
        town = Town({"score": {}}, fidelity)
        town.env.run()
        scores = [town.gossip.score(peer, other) for peer in range(N) for other in town.gossip.neighbours[peer]]
        ends.append((town.log, town.gossip.sent, town.gossip.mesh, scores))
    assert ends[0] == ends[1]


def test_a_forger_is_pruned_and_its_names_are_not_asked_for():
    """P4: the first invalid message costs a place in the mesh; nobody passes one on."""
    town = Town({"score": {}}, silent=(), n_messages=20)
    town.gossip.is_valid = lambda peer, message: message.sender != 2
    for step in range(100, 115):
        town.env.at(float(step - 100) + 0.5, lambda k=step: town.network.broadcast(note(2, k)))
    town.env.run()
    around = town.gossip.neighbours[2]
    assert {to for _, to, step in town.log if step >= 100} <= set(around)
    assert max(step for *_, step in town.log if step >= 100) < 110
    assert all(2 not in town.gossip.mesh[other] for other in around)
    assert any(town.gossip.score(other, 2) < town.gossip.score_p.gossip_threshold for other in around)


def test_a_graylisted_neighbour_is_not_heard():
    town = Town({"score": {}}, silent=(), n_messages=0)
    other = town.gossip.neighbours[6][0]
    for k, n_forged in enumerate((2, 1)):  # -20 * 2**2 is the threshold itself, 3 lie below it
        for _ in range(n_forged):
            town.gossip.scores[6].forges(other)
        town.gossip.give(other, 6, note(other, k))
        town.env.run(until=town.env.now + 1.0)
    assert [step for _, to, step in town.log if to == 6] == [0]


def test_who_grafts_during_back_off_is_held_to_account():
    town = Town({"score": {}}, silent=(), n_messages=1)
    peer, other = 6, town.gossip.neighbours[6][0]
    town.gossip._leave(peer, other)
    for _ in range(3):
        town.gossip.hear("GRAFT", peer, other, None)
    assert other not in town.gossip.mesh[peer]
    assert town.gossip.score(peer, other) == -10.0 * 3**2
    assert town.gossip.sent["PRUNE"] >= 3


def test_a_mesh_of_little_worth_is_given_better_members():
    params = {"score": {"opportunistic_beats": 1, "opportunistic_threshold": 5.0}, "d_lo": 2, "d": 2, "d_hi": 12}
    town = Town(params, silent=(), n_messages=1)
    mesh = town.gossip.mesh[6]
    outside = next(other for other in town.gossip.neighbours[6] if other not in mesh)
    for k in range(3):
        town.gossip.scores[6].delivers(outside, note(9, k), 0.0, is_first=True)
    town.gossip.beat(6)
    assert outside in mesh


def test_a_score_is_the_sum_of_its_terms():
    p = ScoreParameters(mesh_message_activation_s=5.0, mesh_message_threshold=2.0)
    scores = PeerScores(p)
    scores.joins(1, 0.0)
    scores.delivers(1, note(3), 1.0, is_first=True)
    assert scores.score(1, 4.0) == pytest.approx(0.01 * 4.0 + 1.0)
    assert scores.score(1, 6.0) == pytest.approx(0.01 * 6.0 + 1.0 - (2.0 - 1.0) ** 2)
    scores.leaves(1, 6.0)
    assert scores.score(1, 6.0) == pytest.approx(1.0 - 1.0)  # P3b: the deficit sticks
    scores.forges(1)
    scores.promises(1, [note(4)], 6.0)
    scores.beat(set(), 10.0)  # 3 s are over: the promise is broken
    assert scores.score(1, 10.0) == pytest.approx(0.9 - 0.9 - 20.0 * 0.99**2 - 10.0 * 0.9**2)


def test_a_late_copy_does_not_count():
    scores = PeerScores(ScoreParameters(mesh_message_window_s=0.5))
    scores.joins(1, 0.0)
    scores.joins(2, 0.0)
    scores.delivers(3, note(0), 1.0, is_first=True)
    scores.delivers(1, message := next(iter(scores._arrivals)), 1.4, is_first=False)
    scores.delivers(1, message, 1.45, is_first=False)
    scores.delivers(2, message, 1.6, is_first=False)
    assert [scores._of(other).mesh for other in (1, 2)] == [1.0, 0.0]


@pytest.mark.parametrize(
    "score, key",
    [
        ({"invalid_weight": 1.0}, "invalid_weight"),
        ({"mesh_message_decay": 1.0}, "mesh_message_decay"),
        ({"publish_threshold": -5.0}, "gossip_threshold"),
        ({"invalid_weigth": -1.0}, "invalid_weight"),
        ({"promise_s": "soon"}, "promise_s"),
        ([1], ""),
    ],
)
def test_wrong_scores_are_refused_by_name(score, key):
    with pytest.raises(UserError, match=rf"network\.gossip\.params\.score.*{key}"):
        make_gossip("gossipsub", {"score": score})
