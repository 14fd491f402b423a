"""Link transmissions per second when peers broadcast at once: the fidelities against plain loops.

Run ``python tests/benchmarks/bench_network.py [--n 100 1000] [--degree 8] [--sources 100] [--repeats 3]``.

Peers of a random regular overlay flood one message each; a receiver relays the first copy to its other
neighbours. That is n (degree - 1) + 1 transmissions a message. Five programs do this in the same run:

event, kernel
    ``simdfl.network``: shared up- and downlinks, jitter, bytes by class; every peer is an actor that waits until
    it has all messages.
arrival
    The same actors on lines without limits and without jitter, which is all that this fidelity represents.
heap
    A bare heap in one function: FIFO uplinks and a fixed latency; the least that an event loop can do.
SimPy
    One SimPy process per transmission, as one would first write it; the same links as the heap.

The kernel is warmed up first, as its machine code is kept on disk. The slow programs get fewer sources, as the
rate does not depend on them: event a fifth, SimPy a tenth. Rates are medians by processor time, which a busy
machine disturbs less than wall time; ratios are taken within a repeat.

A second table says what part of the kernel's time its compiled loop takes, and how many transmissions the loop
makes in a second of its own: what compares with loops that serve no actors. The rest is SimPy, the inboxes of the
actors and the network's construction.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import networkx as nx
import numpy as np
import simpy

from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic, compiled_transport
from simdfl.rng import Rng

PAYLOAD_BYTES = 1000
BPS = 50e6
LATENCY_S = 0.05
VALIDATE_S = 1e-4


def make_overlay(n: int, degree: int) -> nx.Graph:
    return nx.random_regular_graph(degree, n, seed=1)


def make_message(sender: int) -> Message:
    return Message("BENCH", 0, sender, None, PAYLOAD_BYTES, Traffic.CONTROL)


def run_actors(overlay: nx.Graph, sources: int, fidelity: str) -> int:
    """Flood by the simulator's network among actors; return the transmissions."""
    n = overlay.number_of_nodes()
    env = Environment()
    bps, jitter = (np.inf, 0.0) if fidelity == "arrival" else (BPS, 0.01)
    conditions = Conditions(
        regions=np.zeros(n, dtype=int),
        region_latency_s=np.full((1, 1), LATENCY_S),
        region_jitter=np.full((1, 1), jitter),
        access_latency_s=np.zeros(n),
        up_bps=np.full(n, bps),
        down_bps=np.full(n, bps),
    )
    network = Network(env, overlay, conditions, Rng(1), VALIDATE_S, host_bandwidth_bps=bps, fidelity=fidelity)
    satisfied = []

    def live(peer: int, inbox: Inbox):  # type: ignore[no-untyped-def]
        if peer < sources:
            network.broadcast(make_message(peer))
        got = yield inbox.collect("BENCH", 0, sources)
        satisfied.append(len(got.messages))

    for peer in range(n):
        inbox = Inbox(env)
        network.attach(peer, inbox)
        env.process(live(peer, inbox))
    env.run()
    assert satisfied == [sources] * n
    return network.transport.transmissions


def run_heap(overlay: nx.Graph, sources: int) -> int:
    """Flood by a bare heap; return the transmissions."""
    n = overlay.number_of_nodes()
    neighbours = [sorted(overlay.neighbors(peer)) for peer in range(n)]
    transmission_s = 8.0 * make_message(0).size_bytes / BPS
    free = [0.0] * n
    seen = [bytearray(n) for _ in range(sources)]
    heap: list[tuple[float, int, int, int, int]] = []
    sequence = 0

    def relay(now_s: float, peer: int, source: int, message: int) -> None:
        nonlocal sequence
        for target in neighbours[peer]:
            if target != source:
                start = free[peer] if free[peer] > now_s else now_s
                free[peer] = start + transmission_s
                sequence += 1
                heapq.heappush(heap, (start + transmission_s + LATENCY_S, sequence, target, peer, message))

    for sender in range(sources):
        seen[sender][sender] = 1
        relay(0.0, sender, -1, sender)
    while heap:
        now_s, _, peer, source, message = heapq.heappop(heap)
        if not seen[message][peer]:
            seen[message][peer] = 1
            relay(now_s + VALIDATE_S, peer, source, message)
    return sequence


def run_simpy(overlay: nx.Graph, sources: int) -> int:
    """Flood with one SimPy process per transmission; return the transmissions."""
    n = overlay.number_of_nodes()
    env = simpy.Environment()
    neighbours = [sorted(overlay.neighbors(peer)) for peer in range(n)]
    transmission_s = 8.0 * make_message(0).size_bytes / BPS
    free = [0.0] * n
    seen = [bytearray(n) for _ in range(sources)]
    count = 0

    def relay(peer: int, source: int, message: int) -> None:
        nonlocal count
        for target in neighbours[peer]:
            if target != source:
                count += 1
                env.process(transmit(peer, target, message))

    def transmit(source: int, target: int, message: int):  # type: ignore[no-untyped-def]
        start = max(free[source], env.now)
        free[source] = start + transmission_s
        yield env.timeout(free[source] + LATENCY_S - env.now)
        if not seen[message][target]:
            seen[message][target] = 1
            yield env.timeout(VALIDATE_S)
            relay(target, source, message)

    for sender in range(sources):
        seen[sender][sender] = 1
        relay(sender, -1, sender)
    env.run()
    return count


PROGRAMS: dict[str, tuple[Callable[[nx.Graph, int], int], float]] = {
    "event": (partial(run_actors, fidelity="event"), 0.2),
    "kernel": (partial(run_actors, fidelity="kernel"), 1.0),
    "arrival": (partial(run_actors, fidelity="arrival"), 1.0),
    "heap": (run_heap, 1.0),
    "SimPy": (run_simpy, 0.1),
}


def rate(name: str, overlay: nx.Graph, sources: int) -> float:
    """Return transmissions per second of processor time; their number must be that of a flood."""
    program, share = PROGRAMS[name]
    n, degree, sources = overlay.number_of_nodes(), overlay.degree(0), max(1, round(sources * share))
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)  # as the simulator's runs do
    start = time.process_time()
    count = program(overlay, sources)
    spent_s = time.process_time() - start
    gc.set_threshold(*thresholds)
    assert count == sources * (n * (degree - 1) + 1), count
    return count / spent_s


@contextmanager
def timed_loop() -> Iterator[list[float]]:
    """Collect the seconds of processor time that each entry of the compiled loop takes."""
    advance, spent_s = compiled_transport._advance, []

    def timed(*arguments: object) -> int:
        start = time.process_time()
        reason = advance(*arguments)
        spent_s.append(time.process_time() - start)
        return reason

    compiled_transport._advance = timed
    try:
        yield spent_s
    finally:
        compiled_transport._advance = advance


def measure_loop(n: int, degree: int, sources: int, repeats: int) -> None:
    """Measure the compiled loop of one size and print its line."""
    overlay, rows = make_overlay(n, degree), []
    count = sources * (n * (degree - 1) + 1)
    for _ in range(repeats):
        with timed_loop() as spent_s:
            whole_s = count / rate("kernel", overlay, sources)
        rows.append((count / whole_s, whole_s, count / sum(spent_s), sum(spent_s) / whole_s, len(spent_s)))
    whole, whole_s, loop, share, entries = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"{n:6} {sources:8} {whole:10,.0f} {whole_s:8.2f} {loop:10,.0f} {share:8.2f} {entries:8.0f}", flush=True
    )


def measure(n: int, degree: int, sources: int, repeats: int) -> None:
    """Measure one size and print its line."""
    overlay = make_overlay(n, degree)
    rows = [{name: rate(name, overlay, sources) for name in PROGRAMS} for _ in range(repeats)]
    rates = [statistics.median(row[name] for row in rows) for name in PROGRAMS]
    ratios = [
        statistics.median(row["kernel"] / row["heap"] for row in rows),
        statistics.median(row["kernel"] / row["SimPy"] for row in rows),
        statistics.median(row["kernel"] / row["event"] for row in rows),
    ]
    line = f"{n:6} {sources:8} " + " ".join(f"{value:10,.0f}" for value in rates)
    print(line, " ".join(f"{value:12.1f}" for value in ratios), flush=True)


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[100, 1000], help="peers")
    parser.add_argument("--degree", type=int, default=8, help="neighbours of each")
    parser.add_argument("--sources", type=int, default=100, help="peers that broadcast, at most all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median is taken")
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"link transmissions per second, {options.degree}-regular overlay; {os.cpu_count()} cores, load {load}")
    names = " ".join(f"{name:>10}" for name in PROGRAMS)
    print(f"{'n':>6} {'sources':>8} {names} {'kernel/heap':>12} {'kernel/SimPy':>12} {'kernel/event':>12}")
    rate("kernel", make_overlay(50, options.degree), 50)
    for n in options.n:
        measure(n, options.degree, min(options.sources, n), options.repeats)
    print(f"\n{'n':>6} {'sources':>8} {'kernel':>10} {'seconds':>8} {'its loop':>10} {'share':>8} {'entries':>8}")
    for n in options.n:
        measure_loop(n, options.degree, min(options.sources, n), options.repeats)


if __name__ == "__main__":
    main()
