"""Gossip strategies beside flooding: what the shelf's entries share.

A strategy sends frames from peer to neighbour and decides what to do with those that arrive; a frame that carries
a message has the message's size, the others are small. A message is delivered to a peer's inbox the first time,
and passed on once it is validated. Strategies with heartbeats beat while a message younger than ``rest_s`` is
about, so that a quiet network costs nothing and a run ends.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from simdfl.kernel import Environment
from simdfl.network.message import HEADER_BYTES, Message, Traffic
from simdfl.network.transport import Transport
from simdfl.rng import Rng

MESSAGE = "message"
Validity = Callable[[int, Message], bool]
"""``is_valid(peer, message)``: whether a peer that has checked a message passes it on."""
ID_BYTES = 20
"""Length of a message's name in an announcement (libp2p's default names are about as long)."""


class Gossip(ABC):
    """A way to spread messages; one object serves all peers, each with state of its own.

    Attributes
    ----------
    sent : Counter
        Frames sent so far, by kind.
    """

    beat_s: float | None = None
    rest_s = 5.0

    def attach(
        self, env: Environment, transport: Transport, neighbours: list[list[int]], rng: Rng, validate_s: float
    ) -> None:
        """Serve the peers of a network; `neighbours` are their overlay neighbours, ascending."""
        self.env, self.transport, self.neighbours = env, transport, neighbours
        self.validate_s = validate_s
        self.sent: Counter[str] = Counter()
        self.known: list[set[Message]] = [set() for _ in neighbours]
        self.is_valid: Validity = lambda peer, message: True
        self._rng = [rng.stream("gossip", peer) for peer in range(len(neighbours))]
        self._active_until_s = 0.0
        self._beating = False
        transport.on_frame = self._receive

    # ---- what strategies decide

    @abstractmethod
    def begin(self, peer: int, message: Message) -> None:
        """Send a message that `peer` has made."""

    @abstractmethod
    def pass_on(self, peer: int, source: int, message: Message) -> None:
        """Do what follows a message that is new to `peer`, and valid."""

    @abstractmethod
    def hear(self, kind: str, peer: int, source: int, content: Any) -> None:
        """React to a frame that carries no message."""

    def beat(self, peer: int) -> None:  # noqa: B027 - many strategies have no heart
        """Do what is due at each heartbeat."""

    # ---- what strategies use

    def publish(self, message: Message, origin: int) -> None:
        """Spread a message from its origin."""
        self.known[origin].add(message)
        self.keep_beating()
        self.begin(origin, message)

    def give(self, peer: int, target: int, message: Message) -> None:
        """Send a message to a neighbour."""
        relays = self.transport.relays if peer in self.transport.may_refuse else None
        if peer != message.sender and relays is not None and not relays(peer, target, message):
            return
        self._send(MESSAGE, peer, target, message, message.size_bytes - HEADER_BYTES, message.traffic)

    def tell(self, kind: str, peer: int, target: int, content: Any, n_ids: int = 1) -> None:
        """Send a small frame to a neighbour."""
        self._send(kind, peer, target, content, n_ids * ID_BYTES, Traffic.CONTROL)

    def _send(self, kind: str, peer: int, target: int, content: Any, size: int, traffic: Traffic) -> None:
        self.sent[kind] += 1
        self.transport.frame(Message("GOSSIP", 0, peer, (kind, content), size, traffic), peer, target)

    def choose(self, peer: int, among: list[int], count: int) -> list[int]:
        """Draw `count` of `among`, all if they are fewer."""
        if count >= len(among):
            return list(among)
        return [among[k] for k in self._rng[peer].choice(len(among), count, replace=False).tolist()]

    def phase_s(self, peer: int) -> float:
        """Draw when in a beat a peer's heart beats."""
        return float(self._rng[peer].random()) * (self.beat_s or 0.0)

    # ---- frames and beats

    def _receive(self, source: int, peer: int, frame: Message) -> None:
        kind, content = frame.content
        if kind != MESSAGE:
            self.hear(kind, peer, source, content)
        elif content not in self.known[peer]:
            self.known[peer].add(content)
            self.transport.deliver(peer, content)
            self.env.at(self.env.now + self.validate_s, partial(self._check, peer, source, content))

    def _check(self, peer: int, source: int, message: Message) -> None:
        """Pass on what turns out to be valid."""
        if self.is_valid(peer, message):
            self.pass_on(peer, source, message)

    def keep_beating(self) -> None:
        """Let hearts beat until nothing new has been published for a while."""
        self._active_until_s = self.env.now + self.rest_s
        if self.beat_s is not None and not self._beating:
            self._beating = True
            for peer in range(len(self.neighbours)):
                self.env.at(self.env.now + self.phase_s(peer), partial(self._beat, peer))

    def _beat(self, peer: int) -> None:
        if self.env.now > self._active_until_s:
            self._beating = False
            return
        if peer not in self.transport.down:
            self.beat(peer)
        self.env.at(self.env.now + (self.beat_s or 0.0), partial(self._beat, peer))
