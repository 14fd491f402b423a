"""What all fidelities share: handing over what actors send, waking up, delivering, counting bytes.

The model: a copy leaves when the sender's uplink is free, holds it for size/bandwidth, travels for the link's
latency, and enters the receiver's downlink in the order of first bits; it is complete when both the downlink has
carried it and its last bit has left the sender (cut-through: one megabyte between equal lines takes one
transmission time, not two). The uplink is free again after transmission, not after arrival. A broadcast is
relayed once, after validation, to all neighbours but the one it came from.

What actors send is kept until the instant's other events have run, and then handed over in the order of sending.
A fidelity keeps copies in a heap of its own; SimPy sees a single wake-up for its head, and the fidelity runs
ahead until the next SimPy event: nothing can act before, so the result is that of running every copy as an event
of its own. Ties break by the order of scheduling.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np

from simdfl.kernel import Environment, Inbox
from simdfl.network.clock import NEVER_NS, duration_ns, first_ns, last_ns, to_seconds
from simdfl.network.conditions import Conditions
from simdfl.network.links import Links
from simdfl.network.message import Message, Traffic
from simdfl.rng import Rng

Relays = Callable[[int, int, Message], bool]
Receives = Callable[[int, int, Message], object]
NOT_RELAYED = -1


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


class Sending(NamedTuple):
    """What an actor gave to the network: from when, whose, to whom first, and how long a relay checks it."""

    time_ns: int
    message: Message
    source: int
    targets: Sequence[int]
    validate_ns: int
    is_frame: bool


class Transport(ABC):
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

    name: str

    def __init__(
        self, env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng
    ) -> None:
        self._env = env
        self._neighbours = neighbours
        self._n = conditions.n_hosts
        self.links = Links(conditions, rng)
        self._outbox: list[Sending] = []
        self._wake_at = inf
        self._running = False
        self.inboxes: list[Inbox | None] = [None] * self._n
        self._sent = np.zeros((len(Traffic), self._n), dtype=np.int64)
        self._received = np.zeros((len(Traffic), self._n), dtype=np.int64)
        self.down: set[int] = set()
        self.relays: Relays | None = None
        self.may_refuse: frozenset[int] = frozenset()
        self.on_delivery: Callable[[float, int, Message], None] | None = None
        self.on_copy: Callable[[Copy], None] | None = None
        self.on_frame: Receives | None = None

    # ---- sending

    def flood(
        self, message: Message, origin: int, validate_s: float, first_hops: Sequence[int] | None = None
    ) -> None:
        """Send a broadcast from `origin` to its neighbours (or `first_hops`); receivers relay it."""
        targets = self._neighbours[origin] if first_hops is None else first_hops
        self._post(message, origin, targets, duration_ns(validate_s))

    def direct(self, message: Message, source: int, target: int) -> None:
        """Send one copy over a direct connection."""
        self._post(message, source, (target,), NOT_RELAYED)

    def frame(self, message: Message, source: int, target: int) -> None:
        """Send one copy that ``on_frame(source, target, message)`` receives in place of an inbox."""
        self._post(message, source, (target,), NOT_RELAYED, is_frame=True)

    def _post(
        self, message: Message, source: int, targets: Sequence[int], validate_ns: int, is_frame: bool = False
    ) -> None:
        if source in self.down:
            return
        now_s = self._env.now
        self._outbox.append(Sending(first_ns(now_s), message, source, targets, validate_ns, is_frame))
        if not self._running and now_s < self._wake_at:
            self._wake(now_s)

    # ---- running

    def _wake(self, at_s: float) -> None:
        self._wake_at = at_s
        self._env.at(at_s, lambda: self._run(at_s))

    def _run(self, woken_at: float) -> None:
        """Hand over what was sent, then run ahead to the next SimPy event."""
        if woken_at != self._wake_at:
            return
        self._wake_at = inf
        self._running = True
        present_ns = last_ns(self._env.now) + 1
        while True:
            self._hand_over()
            limit_ns, head_ns = max(present_ns, first_ns(self._env.peek())), self._head_ns()
            if head_ns >= limit_ns:
                break
            self._advance(limit_ns)
        self._running = False
        if head_ns < NEVER_NS:
            self._wake(to_seconds(head_ns))

    def _hand_over(self) -> None:
        if self._outbox:
            sendings, self._outbox = self._outbox, []
            self._accept(sendings)

    @abstractmethod
    def _accept(self, sendings: list[Sending]) -> None:
        """Put copies on the uplinks of their senders."""

    @abstractmethod
    def _head_ns(self) -> int:
        """Return when something happens next, or ``NEVER_NS``."""

    @abstractmethod
    def _advance(self, limit_ns: int) -> None:
        """Let things happen before `limit_ns`; stop when an actor may have been woken or called."""

    def _deliver(self, time_ns: int, source: int, target: int, message: Message, is_frame: bool) -> None:
        time_s = to_seconds(time_ns)
        if is_frame:
            self._env.at(max(time_s, self._env.now), partial(self._receive_frame, source, target, message))
            return
        inbox = self.inboxes[target]
        if inbox is not None:
            inbox.deliver(message.topic, message.step, message.sender, message, time_s)
        if self.on_delivery is not None:
            self.on_delivery(time_s, target, message)

    def deliver(self, target: int, message: Message) -> None:
        """Put a message that a gossip strategy has brought into an inbox, now."""
        self._deliver(last_ns(self._env.now), target, target, message, is_frame=False)

    def _receive_frame(self, source: int, target: int, message: Message) -> None:
        if self.on_frame is not None and target not in self.down:
            self.on_frame(source, target, message)

    # ---- hosts

    def attach(self, host: int, inbox: Inbox) -> None:
        """Deliver what arrives at `host` to `inbox`."""
        self.inboxes[host] = inbox

    def filter_relays(self, relays: Relays, may_refuse: frozenset[int]) -> None:
        """Ask ``relays(peer, neighbour, message)`` before one of `may_refuse` passes on a broadcast."""
        self.relays, self.may_refuse = relays, may_refuse

    def set_down(self, host: int, is_down: bool) -> None:
        """Take a host off the network, or back on it."""
        (self.down.add if is_down else self.down.discard)(host)

    def change_links(self, change: Callable[[Links], object]) -> None:
        """Change the links from now on; what was sent before left under the old conditions."""
        self._hand_over()
        change(self.links)
        self.links.refresh()

    # ---- counts

    @property
    def sent_bytes(self) -> np.ndarray:
        """Bytes sent so far, (traffic classes, hosts) int64."""
        self._hand_over()
        return self._sent

    @property
    def received_bytes(self) -> np.ndarray:
        """Bytes received so far, (traffic classes, hosts) int64."""
        self._hand_over()
        return self._received

    @property
    @abstractmethod
    def transmissions(self) -> int:
        """How many copies were put on links so far."""
