"""What lines and peers are like: bursts of loss, shared uplinks, address translation."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from test_network_conditions import KB, Line

from simdfl.errors import UserError
from simdfl.kernel import Inbox
from simdfl.network import Message, Traffic
from simdfl.network.conditions import Bursts, burst_table
from simdfl.network.nat import CIRCUIT_BYTES, dial_publicly, draw_nat, draw_relays
from simdfl.rng import Rng

both = pytest.mark.parametrize("fidelity", ["event", "kernel"])


# ---- bursts


def test_a_line_is_bad_for_the_share_of_time_that_was_asked_for():
    """64 lines of 32 bursts each: the share's standard deviation is 0.005, and 5 of it are 0.025."""
    changes = burst_table(Bursts(9.0, 1.0, 0.5), 64, Rng(1).stream("b"))
    lengths = np.diff(changes, axis=1, prepend=0)
    assert lengths[:, 1::2].sum() / lengths.sum() == pytest.approx(0.1, abs=0.025)
    assert lengths[:, 1::2].mean() == pytest.approx(1e9, rel=0.15)


@both
def test_losses_come_in_bursts(fidelity):
    """A line loses in its bad state alone, and then many packets in a row."""
    line = Line(fidelity, nx.path_graph(2), bursts=Bursts(20.0, 5.0, 0.5))
    for k in range(2000):
        line.send(0.25 * k, 0, 1)
    in_time = {round(time_s - 0.011, 6) for time_s, _ in line.play()}
    late = np.array([round(0.25 * k, 6) not in in_time for k in range(2000)])
    share = late.mean()
    assert 0.03 < share < 0.4
    assert np.mean(late[1:][late[:-1]]) > 2.0 * share  # given a late one, the next is late more often
    links = line.network.transport.links
    calm = [k for k in range(2000) if not any(links.is_bursting(p, int(0.25e9 * k)) for p in (0, 1))]
    assert len(calm) > 500
    assert not late[calm].any()


@both
def test_the_infrastructure_never_bursts(fidelity):
    line = Line(fidelity, nx.path_graph(2), bursts=Bursts(1.0, 1.0, 0.5))
    assert len(line.network.transport.links.bursts) == 2
    assert not line.network.transport.links.is_bursting(line.network.host, 10**9)


# ---- the shared uplink


@both
def test_copies_that_leave_together_end_together(fidelity):
    """Three copies of 1 ms share the uplink: all have left after 3 ms; one alone has it for itself."""
    line = Line(fidelity, nx.star_graph(3), shares_lines=True, down_bps=np.full(4, np.inf))
    message = Message("X", 0, 0, None, KB - 24, Traffic.CONTROL)
    line.env.at(0.0, lambda: line.network.broadcast(message))
    line.send(1.0, 0, 2)
    assert line.play() == [(0.013, 1), (0.013, 2), (0.013, 3), (1.011, 2)]


@both
def test_a_relay_shares_its_uplink_among_its_neighbours(fidelity):
    graph = nx.Graph([(0, 1), (1, 2), (1, 3)])
    line = Line(fidelity, graph, shares_lines=True)
    line.env.at(0.0, lambda: line.network.broadcast(Message("X", 0, 0, None, KB - 24, Traffic.CONTROL)))
    assert line.play() == [(0.011, 1), (0.023, 2), (0.023, 3)]


@both
def test_a_greater_initial_window_shortens_slow_start(fidelity):
    times = []
    for window in (2, 10, 100):
        line = Line(fidelity, nx.path_graph(2), slow_start=True, initial_window=window)
        line.send(0.0, 0, 1, size=100 * KB)
        times.append(line.play()[0][0])
    assert times[0] > times[1] > times[2] == 0.11


# ---- address translation


def test_no_link_joins_two_hidden_peers_and_links_are_moved_not_lost():
    graph, hidden = nx.random_regular_graph(6, 40, seed=1), draw_nat(40, 0.5, Rng(1).stream("nat"))
    dialled = dial_publicly(graph, hidden, Rng(1).stream("dialled"))
    assert len(hidden) == 20
    assert not any(hidden.issuperset(link) for link in dialled.edges)
    assert dialled.number_of_edges() == graph.number_of_edges()
    assert nx.is_connected(dialled)


def test_nobody_left_to_dial_is_refused():
    with pytest.raises(UserError, match=r"network\.nat\.share"):
        draw_nat(4, 0.9, Rng(1).stream("nat"))


@both
def test_hidden_peers_speak_by_a_relay_whose_bytes_are_counted(fidelity):
    """10 ms and 1 ms a hop: 22 ms by the relay, 11 ms where one of the two is public."""
    line = Line(fidelity, nx.star_graph(3), relays={1: 3, 2: 3})
    for peer in range(4):
        line.network.attach(peer, Inbox(line.env))
    heard = []
    line.network.transport.on_delivery = lambda time_s, to, m: heard.append((round(time_s, 4), to, m.topic))
    line.send(0.0, 1, 2)
    line.send(1.0, 0, 2)
    line.env.run()
    assert [(t, to) for t, to, topic in heard if topic == "X"] == [(0.0220, 2), (1.011, 2)]
    assert line.network.bytes_by_class()["control"].tolist() == [KB, KB + CIRCUIT_BYTES, 0, KB]


def test_relays_are_public():
    hidden = frozenset({1, 2, 5})
    relays = draw_relays(8, hidden, Rng(3).stream("relays"))
    assert set(relays) == hidden
    assert not hidden & set(relays.values())


# ---- the shared downlink


@both
def test_a_shared_downlink_serves_all_flows_alike(fidelity):
    """1 ms and 3 ms of work come together: the short one ends after 2 ms, the long one after 4."""
    line = Line(fidelity, nx.complete_graph(3), shares_lines=True, up_bps=np.full(3, np.inf))
    line.send(0.0, 0, 2, size=3 * KB)
    line.send(0.0, 1, 2, size=KB)
    assert line.play() == [(0.012, 2), (0.014, 2)]


@both
def test_who_comes_later_slows_down_who_is_there(fidelity):
    """2 ms of work, alone for 1 ms, then at half the speed: ends after 3 ms; the later one has 1 ms left."""
    line = Line(fidelity, nx.complete_graph(3), shares_lines=True, up_bps=np.full(3, np.inf))
    line.send(0.0, 0, 2, size=2 * KB)
    line.send(0.001, 1, 2, size=2 * KB)
    assert line.play() == [(0.013, 2), (0.014, 2)]


@both
def test_contention_costs_a_share_while_flows_compete(fidelity):
    """Two of 1 ms at half the speed: both end after 4 ms; one alone is as fast as ever."""
    line = Line(fidelity, nx.complete_graph(3), shares_lines=True, contention=0.5, up_bps=np.full(3, np.inf))
    line.send(0.0, 0, 2)
    line.send(0.0, 1, 2)
    line.send(1.0, 1, 2)
    assert line.play() == [(0.014, 2), (0.014, 2), (1.011, 2)]
