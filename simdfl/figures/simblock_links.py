"""SimBlock's model of links, to see where its published medians come from; the simulator has its own.

It differs from :mod:`simdfl.network` where a link should not be so: a table of round trips is taken for one
way, an uplink is free again only when what it sent has arrived, downlinks are not shared, and a transfer goes at
the slower of the two regions' lines.

References
----------
Y. Aoki, K. Otsuki, T. Kaneko, R. Banno, K. Shudo, "SimBlock: a blockchain network simulator", CryBlock 2019; the
program's NetworkConfiguration, Network (Pareto latencies), Node and the tasks for messages.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import networkx as nx
import numpy as np

EXTRA_S = 0.010
"""Added to every announcement and request."""
PROCESSING_S = 0.002
"""Added to every block that is sent."""
SPREAD = 0.2
OFFSET_MS = 5.0
INV, REQUEST, BLOCK = range(3)


def arrivals(
    overlay: nx.Graph,
    regions: np.ndarray,
    round_trip_ms: np.ndarray,
    line_bps: tuple[np.ndarray, np.ndarray],
    size_bytes: int,
    origin: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return when every node has the block, (n,) seconds, announced and requested node by node.

    Parameters
    ----------
    overlay : networkx.Graph
        Links, used both ways.
    regions : (n,) int
    round_trip_ms : (r, r) float64
        Between regions; Pareto-distributed with shape a fifth of the mean.
    line_bps : pair of (n,) float64
        Uplinks and downlinks.
    size_bytes : int
    origin : int
    rng : np.random.Generator
    """
    up_bps, down_bps = line_bps
    neighbours = [list(overlay[node]) for node in range(overlay.number_of_nodes())]
    had_s = np.full(len(neighbours), np.inf)
    asked = np.zeros(len(neighbours), dtype=bool)
    waiting: list[list[int]] = [[] for _ in neighbours]
    is_sending = np.zeros(len(neighbours), dtype=bool)
    events: list[tuple[float, int, int, int, int]] = []
    order = count()

    def latency_s(a: int, b: int) -> float:
        mean_ms = round_trip_ms[regions[a], regions[b]]
        return float((mean_ms - OFFSET_MS) * (1.0 - rng.random()) ** (-1.0 / (SPREAD * mean_ms))) / 1e3

    def post(at_s: float, kind: int, a: int, b: int) -> None:
        heappush(events, (at_s, next(order), kind, a, b))

    def take(node: int, now_s: float) -> None:
        had_s[node] = now_s
        for other in neighbours[node]:
            post(now_s + latency_s(node, other) + EXTRA_S, INV, node, other)

    def send_next(node: int, now_s: float) -> None:
        is_sending[node] = bool(waiting[node])
        if waiting[node]:
            other = waiting[node].pop(0)
            transfer_s = 8.0 * size_bytes / min(up_bps[node], down_bps[other])
            post(now_s + latency_s(node, other) + transfer_s + PROCESSING_S, BLOCK, node, other)

    asked[origin] = True
    take(origin, 0.0)
    while events:
        now_s, _, kind, a, b = heappop(events)
        if kind == INV and not asked[b]:
            asked[b] = True
            post(now_s + latency_s(b, a) + EXTRA_S, REQUEST, b, a)
        elif kind == REQUEST:
            waiting[b].append(a)
            if not is_sending[b]:
                send_next(b, now_s)
        elif kind == BLOCK:
            send_next(a, now_s)
            take(b, now_s)
    return had_s
