"""What happened when, for a timeline viewer: phases, work, copies of messages, blocks, queues.

It watches from outside through callbacks and schedules nothing, so the run and its trace digest are the same with
and without it. Copies are thinned evenly when they become too many: at the bound every second one is dropped, and
from then on only every second, fourth, eighth ... is taken.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from math import isinf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simdfl.chain.block import Block, Reorganised
from simdfl.errors import UserError
from simdfl.network.transport import Copy

if TYPE_CHECKING:
    from simdfl.world.build import World

T = TypeVar("T")
SAMPLE_S = 0.05
"""Simulated time between two values of one counter at least."""
MOST_SAMPLES = 20_000


class Thinned(Generic[T]):
    """At most `most` items of a sequence, evenly spread over it.

    >>> thinned = Thinned(4)
    >>> for item in range(11):
    ...     thinned.add(item)
    >>> thinned.items
    [0, 4, 8]
    """

    def __init__(self, most: int) -> None:
        self.items: list[T] = []
        self._most = max(2, most)
        self._stride = 1
        self._seen = 0

    def add(self, item: T) -> None:
        """Take an item, or let it pass."""
        if self._seen % self._stride == 0:
            if len(self.items) == self._most:
                self.items = self.items[::2]
                self._stride *= 2
            if self._seen % self._stride == 0:
                self.items.append(item)
        self._seen += 1


@dataclass(frozen=True)
class Slice:
    """Something with a beginning and an end on a track of one peer or chain."""

    who: str
    track: str
    name: str
    begin_s: float
    end_s: float
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flight:
    """One drawn copy of a message: on the sender's uplink, and there."""

    topic: str
    step: int
    traffic: str
    size_bytes: int
    source: str
    target: str
    start_s: float
    end_s: float
    arrives_s: float


class Timeline:
    """Slices, flights and counters of one run, in simulated seconds.

    Parameters
    ----------
    names : list of str
        Name of every host, infrastructure last.
    most_copies : int
        Flights kept of each class of bytes.
    """

    def __init__(self, names: list[str], most_copies: int) -> None:
        self.names = names
        self.slices: list[Slice] = []
        self.flights: dict[str, Thinned[Flight]] = defaultdict(partial(Thinned, most_copies))
        self.counters: dict[tuple[str, str], Thinned[tuple[float, int]]] = defaultdict(
            partial(Thinned, MOST_SAMPLES)
        )
        self._sampled_s: dict[tuple[str, str], float] = {}
        self._flying: list[tuple[float, int]] = []
        self._flying_bytes = 0

    def on_peer(self, peer: int, track: str, name: str, begin_s: float, end_s: float) -> None:
        """Take a phase or a piece of work of a peer; what took no time is not drawn."""
        if end_s > begin_s:
            self.slices.append(Slice(self.names[peer], track, name, begin_s, end_s))

    def on_copy(self, copy: Copy, up_bps: float) -> None:
        """Take a copy that was asked to be sent: its flight, the sender's queue, the bytes in flight."""
        message, size = copy.message, copy.message.size_bytes
        source, target, traffic = self.names[copy.source], self.names[copy.target], message.traffic.name.lower()
        times = (copy.start_s, copy.end_s, copy.arrives_s)
        self.flights[traffic].add(Flight(message.topic, message.step, traffic, size, source, target, *times))
        queue = 0 if isinf(up_bps) else int((copy.end_s - copy.asked_s) * up_bps / 8.0)
        self._count(copy.asked_s, (source, "uplink queue"), queue)
        heappush(self._flying, (copy.arrives_s, size))
        self._flying_bytes += size
        while self._flying[0][0] <= copy.asked_s:
            self._flying_bytes -= heappop(self._flying)[1]
        self._count(copy.asked_s, ("network", "bytes in flight"), self._flying_bytes)

    def _count(self, now_s: float, counter: tuple[str, str], value: int) -> None:
        if now_s - self._sampled_s.get(counter, -SAMPLE_S) >= SAMPLE_S:
            self._sampled_s[counter] = now_s
            self.counters[counter].add((now_s, value))

    def on_block(self, name: str, now_s: float, period_s: float, gas_limit: int, block: Block) -> None:
        """Take a block that holds transactions: head for one period; calls as wide as their share of its gas."""
        if not block.receipts:
            return
        about = {"transactions": len(block.receipts), "gas": block.gas_used, "hash": block.hash.hex()}
        self.slices.append(Slice(name, "blocks", f"block {block.number}", now_s, now_s + period_s, about))
        begin_s = now_s
        for receipt in block.receipts:
            end_s = begin_s + period_s * receipt.gas_used / gas_limit
            call = f"{receipt.contract}.{receipt.function}"
            outcome = {"gas": receipt.gas_used, "sender": receipt.sender.hex(), "reverted": receipt.reason}
            self.slices.append(Slice(name, "calls", call, begin_s, end_s, outcome))
            begin_s = end_s

    def on_reorganised(self, name: str, now_s: float, period_s: float, event: Reorganised) -> None:
        """Take a change of branch; the abandoned blocks stay drawn, as they were the head for a while."""
        about = {"ancestor": event.ancestor, "abandoned": event.abandoned.hex()}
        self.slices.append(Slice(name, "forks", f"{event.depth} abandoned", now_s, now_s + period_s, about))


def watch_world(world: World, most_copies: int) -> Timeline:
    """Return a timeline that watches a world from its beginning.

    Raises
    ------
    UserError
        If the network's fidelity does not show single copies.
    """
    if world.network.transport.name != "event":
        raise UserError(
            f"output.perfetto: the network's fidelity {world.network.transport.name!r} shows no single copies; "
            "use network.fidelity event"
        )
    liars = {peer.index for peer in world.peers} - world.honest
    names = [f"peer {peer.index}" + " (Byzantine)" * (peer.index in liars) for peer in world.peers]
    timeline = Timeline([*names, "infrastructure"], most_copies)
    for peer in world.peers:
        peer.watch = timeline.on_peer
    up_bps = world.network.conditions.up_bps.tolist()
    world.network.transport.on_copy = lambda copy: timeline.on_copy(copy, up_bps[copy.source])
    for chain in world.chains.all if world.chains is not None else ():
        profile = chain.profile

        def on_block(block: Block, name: str = chain.name, profile: Any = profile) -> None:
            now_s = world.env.now
            timeline.on_block(name, now_s, profile.block_time_s, profile.gas_limit, block)

        def on_reorganised(event: Reorganised, period_s: float = profile.block_time_s) -> None:
            timeline.on_reorganised(event.chain, world.env.now, period_s, event)

        chain.on_block.append(on_block)
        chain.on_reorganised.append(on_reorganised)
    return timeline
