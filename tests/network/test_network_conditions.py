"""Conditions: splits that heal, schedules, churn, slow start, heavy tails; and traps of other simulators."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from simdfl.errors import UserError
from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network.churn import Churn, start_churn
from simdfl.network.conditions import JITTER_ONE, jitter_table
from simdfl.network.message import HEADER_BYTES
from simdfl.network.schedule import Schedule, Spell
from simdfl.rng import Rng

KB = 1000
both = pytest.mark.parametrize("fidelity", ["event", "kernel"])


class Line:
    """Peers on one path or another, 10 ms apart, 8 Mbit/s: 1 kB takes 1 ms."""

    def __init__(self, fidelity, graph, relays=None, **change):
        n = graph.number_of_nodes()
        given = {
            "regions": np.zeros(n, dtype=int),
            "region_latency_s": np.full((1, 1), 0.01),
            "region_jitter": np.zeros((1, 1)),
            "access_latency_s": np.zeros(n),
            "up_bps": np.full(n, 8e6),
            "down_bps": np.full(n, 8e6),
        }
        self.env = Environment()
        links = Conditions(**{**given, **change})
        self.network = Network(self.env, graph, links, Rng(1), 0.0, fidelity=fidelity, relays=relays)
        self.log = []
        self.network.transport.on_delivery = lambda time_s, to, m: self.log.append((round(time_s, 6), to))

    def send(self, at_s, sender, target, size=KB):
        note = Message("X", 0, sender, None, size - HEADER_BYTES, Traffic.CONTROL)
        self.env.at(at_s, lambda: self.network.send(note, target))

    def play(self):
        self.env.run()
        return self.log


@both
def test_a_split_holds_messages_up_until_tcp_tries_again_after_it_has_healed(fidelity):
    """Time-outs of 0.2, 0.4, 0.8 … s: sent at 1.001 s behind another, tried until 4.001; healed at 3 s."""
    line = Line(fidelity, nx.complete_graph(4))
    Schedule(line.env, line.network, [Spell(0.5, 2.5, split=((0, 1), (2, 3)))])
    line.send(1.0, 0, 1)
    line.send(1.0, 3, 2)
    line.send(1.0, 0, 2)
    line.send(3.5, 1, 2)
    assert line.play() == [(1.011, 1), (1.011, 2), (3.511, 2), (4.012, 2)]


@both
def test_a_split_without_end_is_never_crossed_and_the_host_is_on_every_side(fidelity):
    line = Line(fidelity, nx.complete_graph(3))
    Schedule(line.env, line.network, [Spell(0.5, split=((0,),))])
    line.send(1.0, 0, 1)
    line.send(1.0, 0, line.network.host)
    line.send(1.0, 2, 1)
    assert line.play() == [(1.011, 1), (1.052, 3)]  # the host is 50 ms away, behind what was sent in vain


@both
def test_a_spell_scales_latency_and_bandwidth_and_ends(fidelity):
    line = Line(fidelity, nx.complete_graph(2))
    Schedule(line.env, line.network, [Spell(1.0, 1.0, scale_latency=3.0, scale_bandwidth=0.5)])
    for at_s in (0.5, 1.5, 2.5):
        line.send(at_s, 0, 1)
    assert line.play() == [(0.511, 1), (1.532, 1), (2.511, 1)]


@both
def test_a_spell_of_losses_ends(fidelity):
    line = Line(fidelity, nx.complete_graph(2))
    Schedule(line.env, line.network, [Spell(100.0, 100.0, loss=0.5)])
    for k in range(300):
        line.send(float(k), 0, 1, size=20 * KB)
    late = [0, 0, 0]
    for time_s, _ in line.play():
        late[min(2, int(time_s // 100))] += time_s % 1.0 > 0.1
    assert late[0] == 0
    assert late[1] > 50
    assert late[2] <= 5  # of the last losses, some are repaired after the spell


def test_two_splits_at_one_time_are_refused():
    line = Line("event", nx.complete_graph(2))
    spells = [Spell(1.0, 10.0, split=((0,),)), Spell(5.0, 1.0, split=((1,),))]
    with pytest.raises(UserError, match=r"network\.schedule: the split at 5 s begins before"):
        Schedule(line.env, line.network, spells)


@both
def test_churn_takes_peers_off_and_on_again(fidelity):
    line = Line(fidelity, nx.complete_graph(2))
    returned = []
    churn = Churn(session_s=10.0, absence_s=5.0, lengths="exponential", after_s=100.0)
    start_churn(line.env, line.network, churn, [1], lambda peer: Rng(5).stream("churn", peer), returned.append)
    for k in range(4000):
        line.send(k + 0.5, 0, 1)
    line.env.run(until=4001.0)
    heard = np.array([time_s for time_s, _ in line.log])
    assert np.sum(heard < 100.5) == 100
    assert abs(np.mean(np.diff(heard) < 1.5) - 0.9) < 0.1
    share = np.sum(heard > 100.5) / 3900
    assert abs(share - 10 / 15) < 0.12  # 260 sessions: the share's spread is 0.02, and 6 of it are 0.12
    assert 200 < len(returned) < 330


@pytest.mark.parametrize("lengths", ["exponential", "lognormal"])
def test_the_mean_length_is_what_was_asked_for(lengths):
    rng, churn = Rng(1).stream("lengths"), Churn(10.0, 5.0, lengths)
    assert np.mean([churn.draw(10.0, rng) for _ in range(100_000)]) == pytest.approx(10.0, rel=0.1)


@both
def test_slow_start_delays_large_messages_only(fidelity):
    """14,480 B fit the first window; 43,440 B wait for a round trip of 20 ms less the 14.48 ms of the first."""
    line = Line(fidelity, nx.complete_graph(2), slow_start=True)
    line.send(0.0, 0, 1, size=14_480)
    line.send(1.0, 0, 1, size=43_440)
    assert line.play() == [(0.02448, 1), (round(1.01 + 0.04344 + 0.02 - 0.01448, 6), 1)]


def test_the_heavy_tail_has_the_same_90th_percentile_and_more_beyond():
    small, heavy = (np.array(jitter_table(Rng(1).stream("j"), tail)) for tail in ("exponential", "pareto"))
    assert np.quantile(heavy, 0.9) == pytest.approx(np.quantile(small, 0.9), rel=0.05)
    assert np.quantile(heavy, 0.999) > 3 * np.quantile(small, 0.999)
    assert small.mean() == pytest.approx(JITTER_ONE, rel=0.05)


# ---- traps of other simulators


@both
def test_an_uplink_is_free_after_transmission_not_after_arrival(fidelity):
    line = Line(fidelity, nx.complete_graph(3))
    line.send(0.0, 0, 1)
    line.send(0.0, 0, 2)
    assert line.play() == [(0.011, 1), (0.012, 2)]


@both
def test_the_downlink_is_read_and_shared(fidelity):
    line = Line(fidelity, nx.complete_graph(3), down_bps=np.array([1e6, 8e6, 8e6]))
    line.send(0.0, 1, 0)
    line.send(0.0, 2, 0)
    assert line.play() == [(0.018, 0), (0.026, 0)]


@both
def test_ties_break_by_the_order_of_sending_never_by_identity(fidelity):
    line = Line(fidelity, nx.complete_graph(6))
    order = [4, 1, 5, 2, 3]
    for sender in order:
        line.send(0.0, sender, 0)
    senders = []
    line.network.transport.on_delivery = lambda time_s, to, m: senders.append(m.sender)
    line.env.run()
    assert senders == order


@both
def test_who_is_absent_hears_nothing_and_says_nothing(fidelity):
    line = Line(fidelity, nx.complete_graph(3))
    line.network.attach(1, Inbox(line.env))
    line.env.at(0.0, lambda: line.network.set_down(1, True))
    line.send(0.5, 0, 1)
    line.send(0.5, 1, 2)
    line.env.at(1.0, lambda: line.network.set_down(1, False))
    line.send(1.5, 0, 1)
    assert line.play() == [(1.511, 1)]
    assert line.network.bytes_by_class()["control"].tolist() == [2 * KB, 0, 0]


@both
def test_the_median_delay_does_not_grow_with_the_network_as_such(fidelity):
    """A flood among 16 times as many peers takes a few hops more, of 10 ms each: no more than double."""
    medians = []
    for n in (32, 512):
        line = Line(fidelity, nx.random_regular_graph(8, n, seed=1), up_bps=np.full(n, np.inf))
        line.env.at(0.0, lambda net=line.network: net.broadcast(Message("X", 0, 0, None, 8, Traffic.CONTROL)))
        medians.append(np.median([time_s for time_s, _ in line.play()]))
    assert medians[1] < 2.1 * medians[0]
