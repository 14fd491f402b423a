"""Link transmissions per second when every peer broadcasts at once: the network engine against plain loops.

Run ``python tests/benchmarks/bench_network.py [--n 100 1000] [--degree 8] [--repeats 3]``.

All peers of a random regular overlay flood one message; a receiver relays the first copy to its other neighbours.
That is n (n (degree - 1) + 1) transmissions. Three programs do this in the same run:

engine
    ``simdfl.network``: shared up- and downlinks, jitter, bytes by class, delivery into inboxes.
heap
    A bare heap in one function: FIFO uplinks and a fixed latency; the least that an event loop can do.
SimPy
    One SimPy process per transmission, as one would first write it; the same links as the heap.

At more than a few hundred peers only some of them broadcast (``--sources``), as the rate does not depend on it;
SimPy gets a tenth of these. Rates are medians; the ratios are taken within a repeat.
"""

from __future__ import annotations

import argparse
import heapq
import os
import statistics
import time
from collections.abc import Callable

import networkx as nx
import numpy as np
import simpy

from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.rng import Rng

PAYLOAD_BYTES = 1000
BPS = 50e6
LATENCY_S = 0.05
VALIDATE_S = 1e-4


def make_overlay(n: int, degree: int) -> nx.Graph:
    return nx.random_regular_graph(degree, n, seed=1)


def make_message(sender: int) -> Message:
    return Message("BENCH", 0, sender, None, PAYLOAD_BYTES, Traffic.CONTROL)


def run_engine(overlay: nx.Graph, sources: int) -> int:
    """Flood by the simulator's network; return the transmissions."""
    n = overlay.number_of_nodes()
    env = Environment()
    conditions = Conditions(
        regions=np.zeros(n, dtype=int),
        region_latency_s=np.full((1, 1), LATENCY_S),
        region_jitter=np.full((1, 1), 0.01),
        access_latency_s=np.zeros(n),
        up_bps=np.full(n, BPS),
        down_bps=np.full(n, BPS),
    )
    network = Network(env, overlay, conditions, Rng(1), VALIDATE_S)
    for peer in range(n):
        network.attach(peer, Inbox(env))
    for sender in range(sources):
        network.broadcast(make_message(sender))
    env.run()
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


def rate(program: Callable[[nx.Graph, int], int], overlay: nx.Graph, sources: int) -> float:
    """Return transmissions per second; their number must be that of a flood."""
    n = overlay.number_of_nodes()
    degree = overlay.degree(0)
    start = time.perf_counter()
    count = program(overlay, sources)
    wall_s = time.perf_counter() - start
    assert count == sources * (n * (degree - 1) + 1), count
    return count / wall_s


def measure(n: int, degree: int, sources: int, repeats: int) -> None:
    """Measure one size and print its line."""
    overlay = make_overlay(n, degree)
    rows = [
        (
            rate(run_engine, overlay, sources),
            rate(run_heap, overlay, sources),
            rate(run_simpy, overlay, max(1, sources // 10)),
        )
        for _ in range(repeats)
    ]
    engine, heap, process = (statistics.median(column) for column in zip(*rows))
    to_heap = statistics.median(row[0] / row[1] for row in rows)
    to_simpy = statistics.median(row[0] / row[2] for row in rows)
    print(
        f"{n:6} {sources:8} {engine:12,.0f} {heap:12,.0f} {process:12,.0f} {to_heap:12.2f} {to_simpy:13.2f}",
        flush=True,
    )


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
    print(
        f"{'n':>6} {'sources':>8} {'engine':>12} {'heap':>12} {'SimPy':>12}",
        f"{'engine/heap':>12} {'engine/SimPy':>13}",
    )
    for n in options.n:
        measure(n, options.degree, min(options.sources, n), options.repeats)


if __name__ == "__main__":
    main()
