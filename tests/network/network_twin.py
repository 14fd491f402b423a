"""A slow, readable twin of the network engine: one SimPy process for every copy of every message.

No heap of its own, no running ahead: a copy waits for the uplink, travels, waits for the downlink, arrives.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

from simdfl.kernel import Environment
from simdfl.network import Conditions, Message
from simdfl.network.conditions import jitter_table


class TwinNetwork:
    """The same peers and lines; `arrivals` lists (time, target, message) as they happen."""

    def __init__(
        self, env: Environment, overlay: nx.Graph, conditions: Conditions, validate_s: float, rng
    ) -> None:
        self.env, self.overlay, self.c, self.validate_s = env, overlay, conditions, validate_s
        self.n_hosts = conditions.n_hosts + 1  # the engine has an infrastructure host besides
        self.up_free = np.zeros(conditions.n_hosts)
        self.down_free = np.zeros(conditions.n_hosts)
        self.jitter = jitter_table(rng.stream("jitter"))
        self.sent: dict[tuple[int, int], int] = {}
        self.seen: dict[Message, set[int]] = {}
        self.arrivals: list[tuple[float, int, Message]] = []

    def broadcast(self, message: Message) -> None:
        self.seen[message] = {message.sender}
        for neighbour in sorted(self.overlay.neighbors(message.sender)):
            self.start(message, message.sender, neighbour, relay=True)

    def send(self, message: Message, target: int) -> None:
        self.seen[message] = {message.sender}
        self.start(message, message.sender, target, relay=False)

    def start(self, message: Message, source: int, target: int, relay: bool) -> None:
        """Take a place in the uplink's queue now; travel in a process."""
        leaves_s = max(self.env.now, self.up_free[source])
        upload_s = 8.0 * message.size_bytes / self.c.up_bps[source]
        self.up_free[source] = leaves_s + upload_s
        latency_s = self.latency(source, target)
        self.env.process(self.travel(message, source, target, leaves_s + latency_s, upload_s, relay))

    def latency(self, source: int, target: int) -> float:
        count = self.sent.get((source, target), 0)
        self.sent[source, target] = count + 1
        place = ((source * self.n_hosts + target) * 2654435761 + count * 40503) % len(self.jitter)
        spread = self.c.region_jitter[self.c.regions[source], self.c.regions[target]]
        return self.c.one_way_s(source, target) * (1.0 + spread * self.jitter[place])

    def travel(self, message, source, target, first_bit_s, upload_s, relay):
        yield self.env.until_time(first_bit_s)
        begins_s = max(first_bit_s, self.down_free[target])
        ends_s = begins_s + 8.0 * message.size_bytes / self.c.down_bps[target]
        self.down_free[target] = ends_s
        if target in self.seen[message]:
            return
        self.seen[message].add(target)
        yield self.env.until_time(max(ends_s, first_bit_s + upload_s))
        self.arrivals.append((self.env.now, target, message))
        if not relay:
            return
        yield self.env.until_time(self.env.now + self.validate_s)
        for neighbour in sorted(self.overlay.neighbors(target)):
            if neighbour != source:
                self.start(message, target, neighbour, relay=True)
