"""The fidelity ``event``: every copy is scheduled on one heap in plain Python; the reference of the others."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from simdfl.kernel import Environment
from simdfl.network.clock import NEVER_NS, to_seconds
from simdfl.network.conditions import JITTER_TABLE_SIZE, Conditions
from simdfl.network.links import (
    BINARY_PLACES,
    KEPT_ONE,
    KEPT_PLACES,
    MAXIMUM_ROUNDS,
    MAXIMUM_TIMEOUT_NS,
    MINIMUM_TIMEOUT_NS,
    PACKET_BYTES,
    resent_at,
    stall_ns,
    transmission_ns,
)
from simdfl.network.message import Message
from simdfl.network.transport import Copy, Sending, Transport
from simdfl.rng import Rng

ARRIVE, COMPLETE, RELAY, SERVED = range(4)
MASK = JITTER_TABLE_SIZE - 1


class Copies:
    """One message in flight and who has seen it."""

    __slots__ = ("is_frame", "message", "seen", "size_bytes", "validate_ns")

    def __init__(self, sending: Sending) -> None:
        self.message: Message = sending.message
        self.size_bytes = sending.message.size_bytes
        self.seen = {sending.source}
        self.validate_ns = sending.validate_ns
        self.is_frame = sending.is_frame


class SharedLine:
    """A downlink whose flows all have the same part of it (processor sharing).

    ``served_ns`` is how long each flow that is always there has had the line for itself; a flow ends when it has
    grown by the flow's own transmission time.
    """

    __slots__ = ("_kept", "flows", "served_ns", "since_ns", "version")

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.flows: list[tuple[int, int, int, int, Copies]] = []
        self.served_ns = self.since_ns = self.version = 0

    def catch_up(self, now_ns: int) -> None:
        """Serve all flows until now."""
        if self.flows:
            self.served_ns += (now_ns - self.since_ns) * self._kept_by_all() // (len(self.flows) << KEPT_PLACES)
        self.since_ns = now_ns

    def next_ns(self) -> int:
        """Return when the first flow ends, if none comes."""
        self.version += 1
        to_go = (self.flows[0][0] - self.served_ns) * len(self.flows)
        return self.since_ns - (-(to_go << KEPT_PLACES) // self._kept_by_all())

    def _kept_by_all(self) -> int:
        return self._kept if len(self.flows) > 1 else KEPT_ONE


Hop = tuple[int, int, int, Copies]
"""When, from where, to where and of what a copy is sent."""


class EventTransport(Transport):
    """See :class:`~simdfl.network.transport.Transport`."""

    name = "event"

    def __init__(
        self, env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng
    ) -> None:
        super().__init__(env, conditions, neighbours, rng)
        self._up_free = [0] * self._n
        self._down_free = [0] * self._n
        self._lines = [SharedLine(self.links.kept) for _ in range(self._n)]
        self._links: dict[int, list[int]] = {}  # latency, spread, copies sent so far
        self._heap: list[tuple[int, int, int, int, int, Copies]] = []
        self._sequence = 0
        self._transmissions = 0

    @property
    def transmissions(self) -> int:
        """How many copies were put on links so far."""
        self._hand_over()
        return self._transmissions

    def _accept(self, sendings: list[Sending]) -> None:
        hops: list[Hop] = []
        for sending in sendings:
            copies = Copies(sending)
            hops += [(sending.time_ns, sending.source, target, copies) for target in sending.targets]
        self._transmit(hops)

    def _link(self, source: int, target: int) -> list[int]:
        key = source * self._n + target
        found = self._links.get(key)
        if found is None:
            found = self._links[key] = [*self.links.between(source, target), 0]
        return found

    def change_links(self, change: object) -> None:
        """Change the links and what was remembered of them."""
        super().change_links(change)  # type: ignore[arg-type]
        for key, link in self._links.items():
            link[:2] = self.links.between(*divmod(key, self._n))

    def _transmit(self, hops: list[Hop]) -> None:
        """Put copies on the uplinks of their sources, one after the other or sharing them."""
        hops = [hop for hop in hops if hop[1] not in self.down]
        if not self.links.shares_lines:
            for now_ns, source, target, copies in hops:
                start = self._reserve(now_ns, source, copies.size_bytes)
                self._depart(now_ns, start, 0, source, target, copies)
            return
        together: dict[int, int] = {}
        for now_ns, source, _, copies in hops:
            start = self._reserve(now_ns, source, copies.size_bytes)
            together[source] = together.get(source, 0) + self._up_free[source] - start
        for now_ns, source, target, copies in hops:
            own = transmission_ns(copies.size_bytes, self.links.up_ps[source])
            self._depart(now_ns, self._up_free[source] - own, together[source], source, target, copies)

    def _reserve(self, now_ns: int, source: int, size: int) -> int:
        """Return when a copy starts on the uplink, which is then busy with it."""
        start = max(now_ns, self._up_free[source])
        self._up_free[source] = start + transmission_ns(size, self.links.up_ps[source])
        return start

    def _depart(
        self, now_ns: int, start: int, together_ns: int, source: int, target: int, copies: Copies
    ) -> None:
        """Let the first bit of a copy leave; it arrives after the link's latency."""
        links, size = self.links, copies.size_bytes
        link = self._link(source, target)
        latency, spread, count = link
        link[2] = count + 1
        offset = ((source * self._n + target) * 2654435761 + count * 40503) & MASK
        self._sent[copies.message.traffic, source] += size
        self._transmissions += 1
        if links.is_cut(source, target):
            start = resent_at(start, latency, links.heals_ns)
            if start >= NEVER_NS:
                return
        arrival = start + latency + ((spread * links.jitter[offset]) >> BINARY_PLACES)
        if links.is_lossy:
            arrival += self._retransmit(source, target, copies, start, latency, offset)
        if links.shares_lines and links.slow_start:
            share_ps = together_ns * 1000 // size
            arrival += stall_ns(size, max(share_ps, links.down_ps[target]), 2 * latency, links.window_bytes)
        if self.on_copy is not None:
            self.on_copy(self._seen_copy(source, target, copies, now_ns, start, arrival))
        self._push(arrival, ARRIVE, source, target, copies)

    def _seen_copy(
        self, source: int, target: int, copies: Copies, now_ns: int, start_ns: int, arrival_ns: int
    ) -> Copy:
        up_ns = transmission_ns(copies.size_bytes, self.links.up_ps[source])
        last_bit_ns = arrival_ns + max(up_ns, transmission_ns(copies.size_bytes, self.links.down_ps[target]))
        times = (to_seconds(time) for time in (now_ns, start_ns, start_ns + up_ns, last_bit_ns))
        return Copy(copies.message, source, target, *times)

    def _retransmit(
        self, source: int, target: int, copies: Copies, start: int, latency_ns: int, offset: int
    ) -> int:
        """Return the delay from lost packets: each round of losses costs one time-out, doubling."""
        links = self.links
        packets = -(-copies.size_bytes // PACKET_BYTES)
        timeout = max(MINIMUM_TIMEOUT_NS, 4 * latency_ns)
        delay = 0
        for _ in range(MAXIMUM_ROUNDS):
            offset = (offset * 40503 + 30011) & MASK
            bad = links.is_bursting(source, start + delay) + links.is_bursting(target, start + delay)
            if links.losses[offset] > packets * links.rates[bad]:
                break
            packets = max(1, int(packets * links.lost_shares[bad]))
            resent = packets * PACKET_BYTES
            self._sent[copies.message.traffic, source] += resent
            self._up_free[source] += transmission_ns(resent, links.up_ps[source])
            delay += min(timeout, MAXIMUM_TIMEOUT_NS)
            timeout = min(2 * timeout, MAXIMUM_TIMEOUT_NS)
        return delay

    # ---- running

    def _push(self, time_ns: int, what: int, source: int, target: int, copies: Copies) -> None:
        self._sequence += 1
        heappush(self._heap, (time_ns, self._sequence, what, source, target, copies))

    def _head_ns(self) -> int:
        return self._heap[0][0] if self._heap else NEVER_NS

    def _advance(self, limit_ns: int) -> None:
        heap = self._heap
        while heap and heap[0][0] < limit_ns:
            time_ns, _, what, source, target, copies = heappop(heap)
            if what == ARRIVE:
                self._arrive(time_ns, source, target, copies)
            elif what == RELAY:
                self._relay(time_ns, source, target, copies)
            elif what == SERVED:
                self._served(time_ns, source, target)
            else:
                self._complete(time_ns, source, target, copies)
                return

    def _arrive(self, time_ns: int, source: int, target: int, copies: Copies) -> None:
        """Carry an arriving copy over the downlink; a duplicate takes its time too."""
        links, size = self.links, copies.size_bytes
        self._received[copies.message.traffic, target] += size
        last_bit = time_ns + transmission_ns(size, links.up_ps[source])
        if links.shares_lines and links.down_ps[target]:
            self._join_line(time_ns, last_bit, source, target, copies)
            return
        if links.slow_start and not links.shares_lines:
            slower = max(links.up_ps[source], links.down_ps[target])
            last_bit += stall_ns(size, slower, 2 * self._link(source, target)[0], links.window_bytes)
        end = max(time_ns, self._down_free[target]) + transmission_ns(size, links.down_ps[target])
        self._down_free[target] = end
        self._is_here(max(end, last_bit), source, target, copies)

    def _is_here(self, at_ns: int, source: int, target: int, copies: Copies) -> None:
        if target not in copies.seen:
            copies.seen.add(target)
            self._push(at_ns, COMPLETE, source, target, copies)

    def _join_line(self, time_ns: int, last_bit: int, source: int, target: int, copies: Copies) -> None:
        """Let a copy share the downlink with all that are there."""
        line = self._lines[target]
        line.catch_up(time_ns)
        ends = line.served_ns + transmission_ns(copies.size_bytes, self.links.down_ps[target])
        self._sequence += 1
        heappush(line.flows, (ends, self._sequence, source, last_bit, copies))
        self._push(line.next_ns(), SERVED, line.version, target, copies)

    def _served(self, time_ns: int, version: int, target: int) -> None:
        """End the flow that is first to end, unless another one has come meanwhile."""
        line = self._lines[target]
        if version != line.version:
            return
        line.catch_up(time_ns)
        _, _, source, last_bit, copies = heappop(line.flows)
        if line.flows:
            self._push(line.next_ns(), SERVED, line.version, target, copies)
        self._is_here(max(time_ns, last_bit), source, target, copies)

    def _complete(self, time_ns: int, source: int, target: int, copies: Copies) -> None:
        """Hand the message over; a broadcast is relayed once it is validated."""
        if target in self.down:
            copies.seen.discard(target)
            return
        if copies.validate_ns >= 0:
            self._push(time_ns + copies.validate_ns, RELAY, source, target, copies)
        self._deliver(time_ns, source, target, copies.message, copies.is_frame)

    def _relay(self, time_ns: int, source: int, target: int, copies: Copies) -> None:
        relays = self.relays if target in self.may_refuse else None
        onward = [
            (time_ns, target, neighbour, copies)
            for neighbour in self._neighbours[target]
            if neighbour != source and (relays is None or relays(target, neighbour, copies.message))
        ]
        self._transmit(onward)
