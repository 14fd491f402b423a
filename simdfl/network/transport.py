"""The event engine: every copy of every message is moved over FIFO uplinks and downlinks.

A copy leaves when the sender's uplink is free, holds it for size/bandwidth, travels for the link's latency, and
enters the receiver's downlink in the order of first bits; it is complete when both the downlink has carried it
and its last bit has left the sender (cut-through: one megabyte between equal lines takes one transmission time,
not two). The uplink is free again after transmission, not after arrival.

Copies live on one bare heap. SimPy sees a single wake-up for its head, and the engine runs ahead until the next
SimPy event: nothing can act before, so the result is that of running every copy as an event of its own. Ties
break by the order of scheduling. A lost packet is sent again one retransmission time-out later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

import numpy as np

from simdfl.kernel import Environment, Inbox
from simdfl.network.conditions import JITTER_TABLE_SIZE, Conditions, jitter_table, loss_table
from simdfl.network.message import Message, Traffic
from simdfl.rng import Rng

PACKET_BYTES = 1448
MINIMUM_TIMEOUT_S = 0.2
"""Lower bound of TCP's retransmission time-out as Linux has it."""
MAXIMUM_TIMEOUT_S = 60.0
"""Upper bound of the doubled time-out (RFC 6298, section 2.5)."""
MAXIMUM_ROUNDS = 1_000
"""So often is a packet sent again at most; reached only at losses far beyond what a link can be used at."""

ARRIVE, COMPLETE, RELAY = 0, 1, 2
MASK = JITTER_TABLE_SIZE - 1


@dataclass(frozen=True)
class Copy:
    """A copy on its way: asked to be sent, on the uplink from start to end, its last bit at the target.

    ``arrives_s`` leaves out what waits on the target's downlink before it.
    """

    message: Message
    source: int
    target: int
    asked_s: float
    start_s: float
    end_s: float
    arrives_s: float


class Flood:
    """One broadcast in flight: the message and who has seen it."""

    __slots__ = ("message", "seen", "size_bits", "size_bytes", "validate_s")

    def __init__(self, message: Message, origin: int, validate_s: float) -> None:
        self.message = message
        self.size_bytes = message.size_bytes
        self.size_bits = 8.0 * self.size_bytes
        self.seen = {origin}
        self.validate_s = validate_s


class Transport:
    """Moves copies between hosts.

    Parameters
    ----------
    env : Environment
        The clock.
    conditions : Conditions
        Links of all hosts.
    neighbours : sequence of sequence of int
        Overlay neighbours of each host, ascending: where floods go.
    rng : Rng
        Root of the jitter and loss draws.
    """

    def __init__(
        self, env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng
    ) -> None:
        self._env = env
        self._neighbours = neighbours
        n = conditions.n_hosts
        self._up_bps: list[float] = conditions.up_bps.tolist()
        self._down_bps: list[float] = conditions.down_bps.tolist()
        self._up_free = [0.0] * n
        self._down_free = [0.0] * n
        self._regions: list[int] = conditions.regions.tolist()
        self._latency: list[list[float]] = conditions.region_latency_s.tolist()
        self._spread: list[list[float]] = conditions.region_jitter.tolist()
        self._access: list[float] = conditions.access_latency_s.tolist()
        self._loss = conditions.loss
        self._jitter = jitter_table(rng.stream("jitter"))
        self._losses = loss_table(rng.stream("loss"))
        self._sent_on_link: dict[int, int] = {}
        self._n = n
        self._heap: list[tuple[float, int, int, int, int, Flood]] = []
        self._sequence = 0
        self._wake_at = inf
        self._running = False
        self.inboxes: list[Inbox | None] = [None] * n
        self.sent_bytes = np.zeros((len(Traffic), n), dtype=np.int64)
        self.received_bytes = np.zeros((len(Traffic), n), dtype=np.int64)
        self.down: set[int] = set()
        self.relays: Callable[[int, int, Message], bool] | None = None
        self.transmissions = 0
        self.on_delivery: Callable[[float, int, Message], None] | None = None
        self.on_copy: Callable[[Copy], None] | None = None

    # ---- sending

    def flood(
        self, message: Message, origin: int, validate_s: float, first_hops: Sequence[int] | None = None
    ) -> None:
        """Send a broadcast from `origin` to its neighbours (or `first_hops`); receivers relay it."""
        copies = Flood(message, origin, validate_s)
        for target in self._neighbours[origin] if first_hops is None else first_hops:
            self._transmit(self._env.now, origin, target, copies)
        self._arm()

    def direct(self, message: Message, source: int, target: int) -> None:
        """Send one copy over a direct connection."""
        self._transmit(self._env.now, source, target, Flood(message, source, -1.0))
        self._arm()

    def _transmit(self, now_s: float, source: int, target: int, copies: Flood) -> None:
        """Put a copy on the uplink of `source`; its first bit arrives after the link's latency."""
        if source in self.down:
            return
        start = self._up_free[source]
        if start < now_s:
            start = now_s
        self._up_free[source] = start + copies.size_bits / self._up_bps[source]
        region, other = self._regions[source], self._regions[target]
        latency = self._latency[region][other] + self._access[source] + self._access[target]
        link = source * self._n + target
        count = self._sent_on_link.get(link, 0)
        self._sent_on_link[link] = count + 1
        offset = (link * 2654435761 + count * 40503) & MASK
        arrival = start + latency * (1.0 + self._spread[region][other] * self._jitter[offset])
        self.sent_bytes[copies.message.traffic, source] += copies.size_bytes
        self.transmissions += 1
        if self._loss:
            arrival += self._retransmit(source, copies, latency, offset)
        if self.on_copy is not None:
            up_s, down_s = (copies.size_bits / bps for bps in (self._up_bps[source], self._down_bps[target]))
            last_bit_s = arrival + max(up_s, down_s)
            self.on_copy(Copy(copies.message, source, target, now_s, start, start + up_s, last_bit_s))
        self._sequence += 1
        heappush(self._heap, (arrival, self._sequence, ARRIVE, source, target, copies))

    def _retransmit(self, source: int, copies: Flood, latency_s: float, offset: int) -> float:
        """Return the delay from lost packets: each round of losses costs one time-out, doubling."""
        packets = -(-copies.size_bytes // PACKET_BYTES)
        timeout_s = max(MINIMUM_TIMEOUT_S, 4.0 * latency_s)
        delay_s, round_number = 0.0, 0
        while round_number < MAXIMUM_ROUNDS:
            offset = (offset * 40503 + 30011) & MASK
            survive_all = (1.0 - self._loss) ** packets
            if self._losses[offset] < survive_all:
                break
            packets = max(1, int(packets * self._loss))
            resent = packets * PACKET_BYTES
            self.sent_bytes[copies.message.traffic, source] += resent
            self._up_free[source] += resent * 8.0 / self._up_bps[source]
            delay_s += min(timeout_s * 2.0 ** min(round_number, 30), MAXIMUM_TIMEOUT_S)
            round_number += 1
        return delay_s

    # ---- running

    def _arm(self) -> None:
        """Ask SimPy to wake us at the head of the heap, unless it does so early enough already."""
        if not self._heap or self._running:
            return
        head = self._heap[0][0]
        if head < self._wake_at:
            self._wake_at = head
            self._env.at(head, lambda: self._run(head))

    def _run(self, woken_at: float) -> None:
        if woken_at != self._wake_at:
            return
        self._wake_at = inf
        self._running = True
        heap, env = self._heap, self._env
        handlers = (self._arrive, self._complete, self._relay)
        while heap and (heap[0][0] <= env.now or heap[0][0] < env.peek()):
            time_s, _, what, source, target, copies = heappop(heap)
            handlers[what](time_s, source, target, copies)
        self._running = False
        self._arm()

    def _arrive(self, time_s: float, source: int, target: int, copies: Flood) -> None:
        """Carry an arriving copy over the downlink; a duplicate takes its time too."""
        start = self._down_free[target]
        if start < time_s:
            start = time_s
        end = start + copies.size_bits / self._down_bps[target]
        self._down_free[target] = end
        self.received_bytes[copies.message.traffic, target] += copies.size_bytes
        if target in copies.seen:
            return
        copies.seen.add(target)
        last_bit = time_s + copies.size_bits / self._up_bps[source]
        self._sequence += 1
        heappush(
            self._heap,
            (end if end > last_bit else last_bit, self._sequence, COMPLETE, source, target, copies),
        )

    def _complete(self, time_s: float, source: int, target: int, copies: Flood) -> None:
        """Hand the message over; a broadcast is relayed once it is validated."""
        if target in self.down:
            copies.seen.discard(target)
            return
        message = copies.message
        inbox = self.inboxes[target]
        if inbox is not None:
            inbox.deliver(message.topic, message.step, message.sender, message, time_s)
        if self.on_delivery is not None:
            self.on_delivery(time_s, target, message)
        if copies.validate_s >= 0.0:
            self._sequence += 1
            relay_at = time_s + copies.validate_s
            heappush(self._heap, (relay_at, self._sequence, RELAY, source, target, copies))

    def _relay(self, time_s: float, source: int, target: int, copies: Flood) -> None:
        relays = self.relays
        for neighbour in self._neighbours[target]:
            if neighbour != source and (relays is None or relays(target, neighbour, copies.message)):
                self._transmit(time_s, target, neighbour, copies)
