"""Three fidelities of one network: equal where they apply, refused by name where they do not."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.errors import UserError
from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network.conditions import Bursts
from simdfl.network.message import HEADER_BYTES
from simdfl.network.schedule import Schedule, Spell
from simdfl.rng import Rng

KB = 1000
PAIR = ("event", "kernel")


def conditions(n, rng=None, **change):
    """Return equal fast lines, or lines drawn from few values, so that ties happen."""
    given = {
        "regions": np.zeros(n, dtype=int) if rng is None else rng.integers(0, 2, n),
        "region_latency_s": np.full((2, 2), 0.01) if rng is None else rng.choice([0.0, 0.01, 0.05], (2, 2)),
        "region_jitter": np.zeros((2, 2)) if rng is None else rng.choice([0.0, 0.3], (2, 2)),
        "access_latency_s": np.zeros(n) if rng is None else rng.choice([0.0, 0.002], n),
        "up_bps": np.full(n, 8e6) if rng is None else rng.choice([1e6, 8e6, np.inf], n),
        "down_bps": np.full(n, 8e6) if rng is None else rng.choice([1e6, 8e6, np.inf], n),
    }
    return Conditions(**{**given, **change})


class Stage:
    """A network whose actors wait, listen and notice conflicts; `log` says what they saw, and when."""

    def __init__(self, fidelity, graph, links, seed=0, validate_s=0.0, waits=(), listens=False):
        self.env = Environment()
        self.network = Network(
            self.env, graph, links, Rng(seed), validate_s, host_bandwidth_bps=np.inf, fidelity=fidelity
        )
        self.log: list[tuple] = []
        self.inboxes = [Inbox(self.env) for _ in graph]
        for peer, inbox in enumerate(self.inboxes):
            self.network.attach(peer, inbox)
            inbox.on_conflict(lambda *what, peer=peer: self.note("conflict", peer, *what[:3]))
            if listens:
                inbox.listen("L", lambda step, sender, note, peer=peer: self.hear(peer, step, sender))
        for wait in waits:
            self.env.process(self.wait(*wait))

    def note(self, *what):
        self.log.append((self.env.now, *what))

    def hear(self, peer, step, sender):
        """Answer what one hears, so that handlers send within the run of the engine."""
        self.note("heard", peer, step, sender)
        if sender != peer:
            self.network.send(note("A", step, peer), sender)

    def wait(self, peer, from_s, topic, step, need, patience_s):
        yield self.env.until_time(from_s)
        deadline_s = None if patience_s is None else from_s + patience_s
        got = yield self.inboxes[peer].collect(topic, step, need, deadline_s)
        self.note("collected", peer, topic, step, list(got.messages), got.complete)

    def at(self, time_s, act):
        self.env.at(time_s, act)

    def end(self):
        """Return the log, the counts, and the content of all inboxes in the order of arrival."""
        self.env.run()
        kept = [
            [(topic, step, list(inbox.peek(topic, step))) for topic in "XYA" for step in range(3)]
            for inbox in self.inboxes
        ]
        transport = self.network.transport
        return (
            self.log,
            kept,
            transport.transmissions,
            transport.sent_bytes.tolist(),
            transport.received_bytes.tolist(),
        )


def note(topic="X", step=0, sender=0, size=KB, content=None):
    return Message(topic, step, sender, content, max(0, size - HEADER_BYTES), Traffic.CONTROL)


@st.composite
def plays(draw):
    """Draw a graph, lines, and what everybody does."""
    n, seed = draw(st.integers(2, 7)), draw(st.integers(0, 10**6))
    peer, time_s = st.integers(0, n - 1), st.sampled_from([0.0, 0.004, 0.011, 0.0333333333])
    sends = st.tuples(
        time_s,
        peer,
        st.one_of(st.none(), peer),
        st.sampled_from("XXXYL"),
        st.integers(0, 2),
        st.integers(HEADER_BYTES, 40 * KB),
        st.integers(0, 1),
    )
    need = st.one_of(st.integers(1, n), st.sets(peer, min_size=1))
    waits = st.tuples(
        peer, time_s, st.sampled_from("XYA"), st.integers(0, 2), need, st.sampled_from([None, 0.05])
    )
    outages = st.tuples(time_s, peer, st.sampled_from([0.01, 0.1]))
    spells = st.builds(
        Spell,
        at_s=time_s,
        for_s=st.just(0.02),
        scale_latency=st.sampled_from([1.0, 3.0]),
        scale_bandwidth=st.sampled_from([1.0, 0.3]),
        loss=st.sampled_from([0.0, 0.2]),
        split=st.sampled_from([(), ((0,),), ((0,), (1,))]),
    )
    return {
        "n": n,
        "seed": seed,
        "density": draw(st.sampled_from([0.4, 0.8, 1.0])),
        "validate_s": draw(st.sampled_from([0.0, 0.001])),
        "loss": draw(st.sampled_from([0.0, 0.0, 0.2])),
        "tail": draw(st.sampled_from(["exponential", "pareto"])),
        "slow_start": draw(st.booleans()),
        "initial_window": draw(st.sampled_from([1, 10])),
        "shares_lines": draw(st.booleans()),
        "contention": draw(st.sampled_from([0.0, 0.4])),
        "bursts": draw(st.sampled_from([None, Bursts(0.03, 0.01, 0.3), Bursts(0.3, 0.3, 0.05)])),
        "sends": draw(st.lists(sends, max_size=12)),
        "waits": draw(st.lists(waits, max_size=6)),
        "outages": draw(st.lists(outages, max_size=2)),
        "spells": draw(st.lists(spells, max_size=1)),
        "refuses": draw(st.sampled_from([(), (1,)])),
    }


def perform(fidelity, play):
    n, rng = play["n"], Rng(play["seed"])
    graph = nx.gnp_random_graph(n, play["density"], seed=play["seed"])
    links = conditions(
        n,
        rng.stream("lines"),
        loss=play["loss"],
        jitter_tail=play["tail"],
        slow_start=play["slow_start"],
        initial_window=play["initial_window"],
        shares_lines=play["shares_lines"],
        contention=play["contention"],
        bursts=play["bursts"],
    )
    stage = Stage(fidelity, graph, links, play["seed"], play["validate_s"], play["waits"], listens=True)
    if play["refuses"]:
        stage.network.filter_relays(lambda peer, to, message: (peer + to) % 2 == 0, play["refuses"])
    Schedule(stage.env, stage.network, play["spells"])
    for time_s, peer, for_s in play["outages"]:
        stage.at(time_s, lambda p=peer: stage.network.set_down(p, True))
        stage.at(time_s + for_s, lambda p=peer: stage.network.set_down(p, False))
    for time_s, sender, target, topic, step, size, content in play["sends"]:
        message = note(topic, step, sender, size, content)
        if target is None:
            stage.at(time_s, lambda m=message: stage.network.broadcast(m))
        else:
            stage.at(time_s, lambda m=message, t=target: stage.network.send(m, t))
    return stage.end()


@settings(deadline=None, max_examples=150)
@given(plays())
def test_the_compiled_network_equals_the_event_network(play):
    """Same waits end at the same time with the same messages in the same order, same bytes to the last one."""
    assert perform("kernel", play) == perform("event", play)


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 12),
    seed=st.integers(0, 10**6),
    sources=st.integers(1, 4),
    validate_s=st.sampled_from([0.0, 0.003]),
)
def test_arrival_times_are_those_of_the_event_network_where_nobody_queues(n, seed, sources, validate_s):
    rng = Rng(seed).stream("lines")
    graph = nx.connected_watts_strogatz_graph(n, min(4, n - 1), 0.5, seed=seed) if n > 3 else nx.path_graph(n)
    links = conditions(
        n,
        rng,
        region_latency_s=rng.random((2, 2)),
        region_jitter=np.zeros((2, 2)),
        access_latency_s=rng.random(n),
        up_bps=np.full(n, np.inf),
        down_bps=np.full(n, np.inf),
    )

    def run(fidelity):
        stage = Stage(fidelity, graph, links, seed, validate_s)
        arrivals = []
        stage.network.transport.on_delivery = lambda time_s, to, m: arrivals.append((time_s, to, m.sender))
        for sender in range(min(n, sources)):
            stage.at(0.1 * sender, lambda s=sender: stage.network.broadcast(note(sender=s)))
        stage.at(0.05, lambda: stage.network.send(note("Y", size=9 * KB), n - 1))
        return sorted(arrivals), stage.end()[2:]

    assert run("arrival") == run("event")


@pytest.mark.parametrize(
    "change, reason",
    [
        ({}, "queue"),
        ({"up_bps": np.full(3, np.inf), "down_bps": np.full(3, np.inf), "loss": 0.1}, "loss"),
        (
            {"up_bps": np.full(3, np.inf), "down_bps": np.full(3, np.inf), "region_jitter": np.ones((2, 2))},
            "jitter",
        ),
        ({"up_bps": np.full(3, np.inf), "down_bps": np.full(3, np.inf), "slow_start": True}, "slow start"),
    ],
)
def test_arrival_refuses_what_it_cannot_represent(change, reason):
    with pytest.raises(UserError, match=f"arrival cannot represent .*{reason}.*; use event or kernel"):
        Stage("arrival", nx.path_graph(3), conditions(3, **change))


def test_arrival_refuses_changes_during_a_run():
    free = np.full(3, np.inf)
    network = Stage("arrival", nx.path_graph(3), conditions(3, up_bps=free, down_bps=free)).network
    for act in (
        lambda: network.set_down(0, True),
        lambda: network.transport.change_links(lambda links: None),
        lambda: network.filter_relays(lambda *asked: True),
    ):
        with pytest.raises(UserError, match="arrival cannot represent"):
            act()
    network.filter_relays(lambda *asked: True, [])


def test_an_unknown_fidelity_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="kernel"):
        Stage("kernal", nx.path_graph(2), conditions(2))


@pytest.mark.parametrize("fidelity", PAIR)
def test_a_conflict_is_noticed_when_the_second_version_arrives_not_when_somebody_looks(fidelity):
    stage = Stage(fidelity, nx.path_graph(3), conditions(3))
    stage.at(0.0, lambda: stage.network.broadcast(note(content="one")))
    stage.at(1.0, lambda: stage.network.broadcast(note(content="two")))
    log = stage.end()[0]
    assert [(round(time_s, 6), peer) for time_s, _, peer, *_ in log] == [(1.0, 0), (1.011, 1), (1.022, 2)]


@pytest.mark.parametrize("fidelity", PAIR)
def test_who_starts_to_listen_hears_what_is_already_under_way(fidelity):
    stage = Stage(fidelity, nx.path_graph(2), conditions(2))
    stage.at(0.0, lambda: stage.network.broadcast(note("L")))
    stage.at(0.005, lambda: stage.inboxes[1].listen("L", lambda *heard: stage.note("heard", *heard[:2])))
    assert stage.end()[0] == [(0.011, "heard", 0, 0)]


def test_the_compiled_network_forgets_what_has_arrived():
    """A thousand floods one after another need the places of few."""
    stage = Stage("kernel", nx.complete_graph(4), conditions(4))
    for k in range(1000):
        stage.at(float(k), lambda k=k: stage.network.broadcast(note(step=k)))
        stage.at(k + 0.5, lambda: [inbox.forget(("X",), 10**6) for inbox in stage.inboxes])
    assert stage.end()[2] == 1000 * (3 + 3 * 2)
    state = stage.network.transport._state
    assert len(state.messages) == 1024
    assert len(state.seen) == 16
