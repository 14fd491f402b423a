"""A slow, readable twin of the network engine: one SimPy process for every copy of every message.

No heap of its own, no running ahead: a copy waits for the uplink, travels, waits for the downlink, arrives. Its
clock counts whole nanoseconds, like the engine's.
"""

from __future__ import annotations

import networkx as nx

from simdfl.kernel import Environment
from simdfl.network import Conditions, Message
from simdfl.network.conditions import JITTER_ONE, jitter_table

NS = 10**9


class TwinNetwork:
    """The same peers and lines; `arrivals` lists (time, target, message) as they happen."""

    def __init__(
        self, env: Environment, overlay: nx.Graph, conditions: Conditions, validate_s: float, rng
    ) -> None:
        self.env, self.overlay, self.c = env, overlay, conditions
        self.validate_ns = round(validate_s * NS)
        self.n_hosts = conditions.n_hosts + 1  # the engine has an infrastructure host besides
        self.up_free = [0] * conditions.n_hosts
        self.down_free = [0] * conditions.n_hosts
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

    def busy(self, message: Message, bps: float) -> int:
        """Return how long a line of that bandwidth carries the message: a byte takes whole picoseconds."""
        return (message.size_bytes * round(8e12 / bps) + 500) // 1000

    def start(self, message: Message, source: int, target: int, relay: bool) -> None:
        """Take a place in the uplink's queue now; travel in a process."""
        leaves = max(self.now(), self.up_free[source])
        upload = self.busy(message, self.c.up_bps[source])
        self.up_free[source] = leaves + upload
        first_bit = leaves + self.latency(source, target)
        self.env.process(self.travel(message, source, target, first_bit, upload, relay))

    def now(self) -> int:
        near = round(self.env.now * NS)
        return near + (near / NS < self.env.now)

    def latency(self, source: int, target: int) -> int:
        count = self.sent.get((source, target), 0)
        self.sent[source, target] = count + 1
        place = ((source * self.n_hosts + target) * 2654435761 + count * 40503) % len(self.jitter)
        here, there = self.c.regions[source], self.c.regions[target]
        parts_s = (
            self.c.region_latency_s[here, there],
            self.c.access_latency_s[source],
            self.c.access_latency_s[target],
        )
        latency = sum(round(part_s * NS) for part_s in parts_s)
        spread = latency * round(self.c.region_jitter[here, there] * JITTER_ONE) // JITTER_ONE
        return latency + spread * self.jitter[place] // JITTER_ONE

    def until(self, time_ns: int):
        return self.env.until_time(time_ns / NS)

    def travel(self, message, source, target, first_bit, upload, relay):
        yield self.until(first_bit)
        begins = max(first_bit, self.down_free[target])
        ends = begins + self.busy(message, self.c.down_bps[target])
        self.down_free[target] = ends
        if target in self.seen[message]:
            return
        self.seen[message].add(target)
        yield self.until(max(ends, first_bit + upload))
        self.arrivals.append((self.env.now, target, message))
        if not relay:
            return
        yield self.until(self.now() + self.validate_ns)
        for neighbour in sorted(self.overlay.neighbors(target)):
            if neighbour != source:
                self.start(message, target, neighbour, relay=True)
