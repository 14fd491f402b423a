"""The network: times by hand, floods, bytes, losses, and equality with a slow twin."""

from __future__ import annotations

from math import erf, sqrt

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_twin import TwinNetwork

from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network.message import HEADER_BYTES
from simdfl.rng import Rng

KB = 1000
UP, DOWN = 8e6, 16e6  # 1 kB takes 1 ms up and 0.5 ms down


def flat(n, latency_s=0.01, jitter=0.0, up=UP, down=DOWN, loss=0.0, access_s=0.0):
    return Conditions(
        np.zeros(n, dtype=int),
        np.full((1, 1), latency_s),
        np.full((1, 1), jitter),
        np.full(n, access_s),
        np.broadcast_to(np.asarray(up, dtype=float), n),
        np.broadcast_to(np.asarray(down, dtype=float), n),
        loss,
    )


class World:
    """A network whose every delivery is logged."""

    def __init__(self, overlay, conditions, seed=0, validate_s=0.0):
        self.env = Environment()
        self.network = Network(self.env, overlay, conditions, Rng(seed), validate_s)
        self.log: list[tuple[float, int, Message]] = []
        self.network.transport.on_delivery = lambda *line: self.log.append(line)

    def times(self, digits=9):
        return [(round(time_s, digits), target) for time_s, target, _ in self.log]

    def play(self):
        self.env.run()
        return self.times()


def message(size_bytes=KB, sender=0, step=0, topic="X", traffic=Traffic.CONTROL, content=None):
    return Message(topic, step, sender, content, size_bytes - HEADER_BYTES, traffic)


def full(n):
    return nx.complete_graph(n)


# ---- one copy, by hand


def test_sizes_count_header_payload_and_signature():
    assert message(KB).size_bytes == KB
    assert Message("X", 0, 0, None, 100, Traffic.CONTROL, b"d", bytes(65)).size_bytes == HEADER_BYTES + 165


def test_one_copy_takes_latency_and_one_transmission():
    """Cut-through: the slower of the two lines counts, not their sum."""
    for up, down, expected_s in ((UP, DOWN, 0.011), (DOWN, UP, 0.011), (UP, UP, 0.011), (UP, UP / 10, 0.020)):
        world = World(full(2), flat(2, up=up, down=down))
        world.network.send(message(), 1)
        assert world.play() == [(expected_s, 1)]


def test_access_latencies_of_both_ends_count():
    conditions = flat(3, access_s=np.array([0.001, 0.002, 0.004]))
    world = World(full(3), conditions)
    world.network.send(message(), 2)
    assert world.play() == [(0.016, 2)]
    assert conditions.one_way_s(0, 1) == pytest.approx(0.013)


def test_the_uplink_is_first_in_first_out_and_free_after_transmission():
    """Two copies leave 1 ms apart although each is 10 ms under way: the link's latency holds nobody up."""
    world = World(full(3), flat(3))
    for target in (1, 2, 1):
        world.network.send(message(), target)
    assert world.play() == [(0.011, 1), (0.012, 2), (0.013, 1)]


def test_the_downlink_is_shared():
    """Three senders, one receiver: 0.5 ms each on its line, the first bits come together."""
    world = World(full(4), flat(4, down=4e6))  # 2 ms a copy down
    for sender in (1, 2, 3):
        world.network.send(message(sender=sender), 0)
    assert world.play() == [(0.012, 0), (0.014, 0), (0.016, 0)]


@pytest.mark.parametrize("side", ["up", "down"])
def test_bandwidths_are_read_by_host(side):
    speeds = np.array([1e6, 2e6, 4e6])
    world = World(full(3), flat(3, **{side: speeds, "down" if side == "up" else "up": 1e12}))
    for sender, target in ((0, 1), (1, 2), (2, 0)):
        world.network.send(message(sender=sender), target)
    slow = {0: 0.008, 1: 0.004, 2: 0.002}
    held = {t: slow[{1: 0, 2: 1, 0: 2}[t] if side == "up" else t] for t in range(3)}
    assert sorted(world.play()) == sorted((round(0.01 + held[target], 9), target) for target in range(3))


def test_regions_decide_the_latency_and_direction_matters():
    conditions = flat(2, up=1e12, down=1e12)
    latency = np.array([[0.0, 0.1], [0.2, 0.0]])
    conditions = Conditions(
        np.array([0, 1]), latency, np.zeros((2, 2)), np.zeros(2), conditions.up_bps, conditions.down_bps
    )
    world = World(full(2), conditions)
    world.network.send(message(sender=0), 1)
    world.network.send(message(sender=1), 0)
    assert world.times() == []
    assert [round(t, 6) for t, _ in world.play()] == [0.1, 0.2]


def test_to_oneself_is_free_and_the_host_is_reachable():
    world = World(full(2), flat(2))
    inbox = Inbox(world.env)
    world.network.attach(0, inbox)
    world.network.send(message(), 0)
    assert 0 in inbox.peek("X", 0)
    world.network.send(message(), world.network.host)
    assert world.play() == [(0.051, 2)]  # 50 ms to the host, 1 ms of upload
    assert world.network.bytes_by_class()["control"].tolist() == [KB, 0]


def test_later_traffic_queues_behind_earlier_traffic():
    world = World(full(2), flat(2))
    world.env.at(1.0, lambda: world.network.send(message(), 1))
    world.env.at(1.0005, lambda: world.network.send(message(), 1))
    world.env.at(2.0, lambda: world.network.send(message(), 1))
    assert world.play() == [(1.011, 1), (1.012, 1), (2.011, 1)]


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"up": 0.0}, "bandwidths"),
        ({"loss": 1.0}, "loss"),
        ({"latency_s": -1.0}, "latencies"),
        ({"loss": -0.1}, "loss"),
    ],
)
def test_impossible_conditions_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        flat(2, **wrong)


# ---- floods


@pytest.mark.parametrize("n, d", [(10, 3), (16, 4), (40, 8), (7, 6)])
def test_a_flood_reaches_all_exactly_once(n, d):
    world = World(nx.random_regular_graph(d, n, seed=1), flat(n, jitter=0.5), validate_s=0.001)
    world.network.broadcast(message(sender=3))
    world.play()
    assert sorted(target for _, target, _ in world.log) == [peer for peer in range(n) if peer != 3]
    assert world.network.transport.transmissions == n * (d - 1) + 1
    assert world.network.bytes_by_class()["control"].sum() == KB * (n * (d - 1) + 1)


def test_a_flood_travels_hop_by_hop_and_is_validated_before_it_is_relayed():
    world = World(nx.path_graph(4), flat(4), validate_s=0.1)
    world.network.broadcast(message())
    assert world.play() == [(0.011, 1), (0.122, 2), (0.233, 3)]


def test_the_sender_has_its_own_broadcast_at_once():
    world = World(full(3), flat(3))
    inbox = Inbox(world.env)
    world.network.attach(0, inbox)
    world.network.broadcast(message())
    assert list(inbox.peek("X", 0)) == [0]


def test_an_equivocator_sends_two_versions_and_both_reach_everybody():
    """First hops differ; gossip carries both versions on: every honest peer sees the conflict."""
    world = World(nx.cycle_graph(6), flat(6))
    conflicts = []
    for peer in range(6):
        inbox = Inbox(world.env)
        inbox.on_conflict(lambda *line, peer=peer: conflicts.append(peer))
        world.network.attach(peer, inbox)
    world.network.broadcast(message(content="one"), [1])
    world.network.broadcast(message(content="two"), [5])
    world.env.run()
    assert sorted(conflicts) == [0, 1, 2, 3, 4, 5]


def test_the_partition_of_an_overlay_is_not_crossed():
    world = World(nx.disjoint_union(full(3), full(2)), flat(5))
    world.network.broadcast(message())
    assert sorted(target for _, target in world.play()) == [1, 2]


# ---- bytes, jitter, losses


def chatter(world, n, rounds=5, size=KB):
    for k in range(rounds):
        for peer in range(n):
            traffic = list(Traffic)[(k + peer) % 4]
            note = message(size + peer, sender=peer, step=k, traffic=traffic)
            world.env.at(0.003 * k, lambda m=note: world.network.broadcast(m))
            direct = message(size, sender=peer, step=k, topic="D", traffic=traffic)
            world.env.at(0.002 * k, lambda m=direct: world.network.send(m, (m.sender + 1) % n))
    world.play()
    return world


def test_without_loss_every_byte_sent_is_received():
    world = chatter(World(nx.random_regular_graph(3, 8, seed=2), flat(8, jitter=1.0)), 8)
    sent, received = world.network.bytes_by_class(), world.network.received_by_class()
    assert set(sent) == {"gradient", "control", "beacon", "chain"}
    assert {name: sent[name].sum() for name in sent} == {name: received[name].sum() for name in sent}
    assert len(world.log) == 5 * 8 * (7 + 1)


def test_loss_costs_time_and_bytes_but_no_message():
    graph = nx.random_regular_graph(3, 8, seed=2)
    clean, lossy = (chatter(World(graph, flat(8, loss=loss)), 8) for loss in (0.0, 0.3))
    assert len(lossy.log) == len(clean.log)
    assert sum(t for t, *_ in lossy.log) > sum(t for t, *_ in clean.log) + 0.2
    spent = [sum(b.sum() for b in world.network.bytes_by_class().values()) for world in (clean, lossy)]
    assert spent[1] > 1.2 * spent[0]


@pytest.mark.parametrize("loss", [0.5, 0.95, 0.999999])
def test_the_worst_links_deliver_at_last(loss):
    world = World(full(2), flat(2, loss=loss))
    world.network.send(message(100 * KB), 1)
    assert len(world.play()) == 1


def test_the_rate_of_losses():
    """Single packets: a first loss has probability 0.2; Hoeffding over 4,000 tries, alpha 1e-6."""
    tries = 4_000
    world = World(full(2), flat(2, loss=0.2, up=1e12, down=1e12))
    for k in range(tries):
        world.env.at(float(k * 100), lambda: world.network.send(message(), 1))
    world.play()
    late = sum(time_s % 100 > 0.1 for time_s, *_ in world.log)
    assert abs(late / tries - 0.2) < sqrt(np.log(2 / 1e-6) / (2 * tries))


def test_jitter_is_one_sided_and_has_the_mean_of_its_spread():
    """Latency 10 ms (1 + 0.5 E): at least 10 ms, mean 15 ms; 6 standard errors, about 2e-9."""
    tries = 5_000
    world = World(full(2), flat(2, jitter=0.5, up=1e15, down=1e15))
    for k in range(tries):
        world.env.at(float(k), lambda: world.network.send(message(), 1))
    world.play()
    delays = np.array([time_s % 1.0 for time_s, *_ in world.log])
    assert delays.min() >= 0.01 - 1e-9
    assert abs(delays.mean() - 0.015) < 6 * 0.005 / sqrt(tries)
    assert 1 - erf(6 / sqrt(2)) < 1e-8


def test_same_seed_same_times_other_seed_other_times():
    def run(seed):
        return chatter(
            World(nx.random_regular_graph(3, 8, seed=2), flat(8, jitter=1.0, loss=0.1), seed), 8
        ).times(15)

    assert run(1) == run(1)
    assert run(1) != run(2)


# ---- laws


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_a_busy_uplink_is_an_m_d_1_queue(load):
    """Poisson arrivals, equal sizes: mean wait = load / (2 (1 - load)) services (Pollaczek–Khinchine).

    Means of 40 independent runs, Student's t with 39 degrees: |t| < 6.0 has a false alarm of about 5e-7. Each
    run starts empty and drops its first fifth.
    """
    service_s, jobs = 0.001, 1_000
    means = []
    for run in range(40):
        world = World(full(2), flat(2, latency_s=0.0, down=1e15))
        gaps = Rng(run).stream("arrivals", str(load)).exponential(service_s / load, jobs)
        starts = np.cumsum(gaps)
        for start_s in starts:
            world.env.at(float(start_s), lambda net=world.network: net.send(message(), 1))
        world.play()
        waits = np.array([time_s for time_s, *_ in world.log]) - starts - service_s
        assert waits.min() > -1e-9
        means.append(waits[jobs // 5 :].mean())
    means = np.array(means)
    expected_s = service_s * load / (2 * (1 - load))
    assert abs(means.mean() - expected_s) < 6.0 * means.std(ddof=1) / sqrt(len(means))
    assert means.mean() > 0.5 * expected_s


# ---- the slow twin


@st.composite
def small_worlds(draw):
    n = draw(st.integers(2, 7))
    seed = draw(st.integers(0, 10**6))
    graph = nx.gnp_random_graph(n, draw(st.sampled_from([0.4, 0.7, 1.0])), seed=seed)
    rng = Rng(seed).stream("world")
    regions = rng.integers(0, 2, n)
    conditions = Conditions(
        regions,
        rng.choice([0.0, 0.01, 0.05], (2, 2)),
        rng.choice([0.0, 0.3], (2, 2)),
        rng.choice([0.0, 0.002], n),
        rng.choice([1e6, 8e6, 1e8], n),
        rng.choice([1e6, 8e6, 1e8], n),
    )
    sends = st.tuples(
        st.one_of(st.sampled_from([0.0, 0.004, 0.011]), st.floats(0, 0.1)),
        st.integers(0, n - 1),
        st.one_of(st.none(), st.integers(0, n - 1)),
        st.integers(HEADER_BYTES, 20 * KB),
    )
    return graph, conditions, draw(st.sampled_from([0.0, 0.001])), draw(st.lists(sends, max_size=8)), seed


@settings(deadline=None, max_examples=150)
@given(small_worlds())
def test_the_engine_equals_one_process_per_copy(drawn):
    graph, conditions, validate_s, sends, seed = drawn
    world = World(graph, conditions, seed, validate_s)
    env = Environment()
    twin = TwinNetwork(env, graph, conditions, validate_s, Rng(seed))
    for k, (time_s, sender, target, size) in enumerate(sends):
        note = message(size, sender=sender, step=k)
        if target == sender:
            continue
        for clock, net in ((world.env, world.network), (env, twin)):
            if target is None:
                clock.at(time_s, lambda m=note, net=net: net.broadcast(m))
            else:
                clock.at(time_s, lambda m=note, t=target, net=net: net.send(m, t))
    world.play()
    env.run()

    def table(arrivals):
        return {(m.step, target): time_s for time_s, target, m in arrivals}

    fast, slow = table(world.log), table(twin.arrivals)
    assert len(world.log) == len(fast)
    assert fast == slow
