"""The queue of the compiled network against a sorted list, and deliveries taken many at a time."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network import compiled_queue as queue
from simdfl.network.clock import NEVER_NS
from simdfl.network.compiled_state import START, make_room, make_state
from simdfl.network.links import Links
from simdfl.rng import Rng

SLICE_NS = 1 << queue.SLICE_SHIFT


def conditions(n, latency_s=0.01, jitter=0.0, bps=np.inf):
    return Conditions(
        regions=np.zeros(n, dtype=int),
        region_latency_s=np.full((1, 1), latency_s),
        region_jitter=np.full((1, 1), jitter),
        access_latency_s=np.zeros(n),
        up_bps=np.full(n, bps),
        down_bps=np.full(n, bps),
    )


class Queue:
    """The queue alone; entries are numbered in the order in which they are added."""

    def __init__(self):
        self.state, _ = make_state(Links(conditions(2), Rng(0)), [[1], [0]])
        self.added = 0

    def put(self, time):
        self.state = make_room(self.state, 1)
        queue.put(self.state, time, self.added)
        self.added += 1

    def take(self):
        """Return (time, number) of what is next, None if there is nothing."""
        while not queue.settle(self.state):
            self.state = make_room(self.state, 2)
        time = queue.head_time(self.state)
        return None if time == NEVER_NS else (time, queue.take(self.state, time))


delays = st.one_of(
    st.integers(0, 3),
    st.integers(0, 3 * SLICE_NS),
    st.integers(0, 2 * queue.SPAN),
    st.sampled_from([SLICE_NS - 1, SLICE_NS, queue.SPAN - 1, queue.SPAN, queue.SPAN + SLICE_NS]),
)
bursts = st.tuples(delays, st.integers(1, 40), st.sampled_from([0, 1, 300, 7919]))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.lists(bursts, max_size=4), st.integers(0, 60)), min_size=1, max_size=8))
@example([([(10, START + 5, 0), (SLICE_NS, 3 * START, 7)], 0)])
def test_entries_come_by_time_and_of_one_time_in_the_order_they_were_added(play):
    """The twin is a list that is sorted before each look."""
    entries, twin, now = Queue(), [], 0
    for additions, n_taken in [*play, ([], 10**6)]:
        for delay, count, stride in additions:
            for k in range(count):
                twin.append((now + delay + k * stride, entries.added))
                entries.put(now + delay + k * stride)
        twin.sort()
        for _ in range(min(n_taken, len(twin) + 1)):
            head = entries.take()
            assert head == (twin.pop(0) if twin else None)
            now = now if head is None else head[0]


def flood_all(fidelity, latency_s, jitter, bps, waits):
    """Let all peers broadcast at once; return when each had all, in which order, and the counts."""
    n, env, log = 40, Environment(), []
    graph = nx.random_regular_graph(20, n, seed=1)
    network = Network(env, graph, conditions(n, latency_s, jitter, bps), Rng(3), 1e-5, fidelity=fidelity)
    inboxes = [Inbox(env) for _ in range(n)]

    def live(peer):
        network.broadcast(Message("X", 0, peer, None, 1000, Traffic.CONTROL))
        got = yield inboxes[peer].collect("X", 0, n)
        log.append((env.now, peer, list(got.messages)))

    for peer, inbox in enumerate(inboxes):
        network.attach(peer, inbox)
        if waits:
            env.process(live(peer))
        else:
            env.at(0.0, lambda p=peer: network.broadcast(Message("X", 0, p, None, 1000, Traffic.CONTROL)))
    env.run()
    orders = [list(inbox.peek("X", 0)) for inbox in inboxes]
    transport = network.transport
    return log, orders, transport.transmissions, transport.sent_bytes.tolist(), transport.received_bytes.tolist()


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("latency_s, jitter, bps", [(0.01, 0.0, np.inf), (0.01, 0.3, 50e6), (0.0, 0.0, 1e9)])
def test_many_copies_in_one_slice_equal_the_event_network(latency_s, jitter, bps, waits):
    play = (latency_s, jitter, bps, waits)
    assert flood_all("kernel", *play) == flood_all("event", *play)


class Shelf:
    """A backlog that gives what it is told to."""

    def __init__(self, *batches):
        self.batches = list(batches)

    def pull(self):
        batches, self.batches = self.batches, []
        return batches

    def watch(self, topic, step, missing):
        pass

    def listen(self, topic):
        pass


def batch(topic, *senders):
    return list(senders), [Message(topic, 0, sender, k, 0, Traffic.CONTROL) for k, sender in enumerate(senders)]


def contents(inbox, topic):
    return [(sender, message.content) for sender, message in inbox.peek(topic, 0).items()]


def test_a_slot_takes_many_in_the_order_of_arrival_and_the_first_of_a_sender_counts():
    inbox = Inbox(Environment())
    inbox.take_from(Shelf(batch("X", 3, 1, 2), batch("Y", 5, 4, 5)))
    assert contents(inbox, "X") == [(3, 0), (1, 1), (2, 2)]
    assert contents(inbox, "Y") == [(5, 0), (4, 1)]
    inbox.take_from(Shelf(batch("X", 9, 8), batch("Y", 7, 4)))
    assert contents(inbox, "X") == [(3, 0), (1, 1), (2, 2), (9, 0), (8, 1)]
    assert contents(inbox, "Y") == [(5, 0), (4, 1), (7, 0)]
