"""What actors use: broadcast, send, and counts of bytes by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import networkx as nx
import numpy as np

from simdfl.kernel import Environment, Inbox
from simdfl.network.conditions import Conditions
from simdfl.network.fidelity import make_transport
from simdfl.network.gossip import Gossip
from simdfl.network.message import HEADER_BYTES, Message, Traffic
from simdfl.network.nat import CIRCUIT, CIRCUIT_BYTES
from simdfl.network.transport import Transport
from simdfl.rng import Rng


class Network:
    """Peers on a gossip overlay, and one infrastructure host beside it.

    Parameters
    ----------
    env : Environment
        The clock.
    overlay : networkx.Graph
        Gossip links between peers 0..n-1.
    conditions : Conditions
        Links of the n peers.
    rng : Rng
        Root of all draws.
    validate_s : float
        Time a peer takes to check a broadcast before it relays it.
    host_latency_s, host_bandwidth_bps : float
        Access of the infrastructure host (:attr:`host`): a chain's entry point or a parameter server.
    fidelity : str
        How copies are moved, a name of :data:`~simdfl.network.fidelity.FIDELITIES`.
    gossip : Gossip, optional
        How broadcasts spread; flooding by default.
    relays : dict of int to int, optional
        The relay of each peer that cannot be dialled; see :mod:`simdfl.network.nat`.
    """

    def __init__(
        self,
        env: Environment,
        overlay: nx.Graph,
        conditions: Conditions,
        rng: Rng,
        validate_s: float,
        host_latency_s: float = 0.05,
        host_bandwidth_bps: float = 10e9,
        fidelity: str = "event",
        gossip: Gossip | None = None,
        relays: dict[int, int] | None = None,
    ) -> None:
        self.overlay = overlay
        self.n_peers = overlay.number_of_nodes()
        self.host = self.n_peers
        self.conditions = conditions.with_host(host_latency_s, host_bandwidth_bps)
        neighbours = [sorted(overlay.neighbors(peer)) for peer in range(self.n_peers)] + [[]]
        self.transport: Transport = make_transport(fidelity, env, self.conditions, neighbours, rng)
        self.gossip = gossip
        if gossip is not None:
            gossip.attach(env, self.transport, neighbours[: self.n_peers], rng, validate_s)
        self._env = env
        self._validate_s = validate_s
        self.relays = {} if relays is None else relays

    def attach(self, host: int, inbox: Inbox) -> None:
        """Deliver what arrives at `host` to `inbox`; a relay passes on what is for others."""
        if host in self.relays.values():
            inbox.listen(CIRCUIT, lambda step, sender, message: self._pass_on(host, message))
        self.transport.attach(host, inbox)

    def _pass_on(self, relay: int, message: Message) -> None:
        inner, target = message.content
        self.transport.direct(inner, relay, target)

    def filter_relays(
        self, relays: Callable[[int, int, Message], bool], may_refuse: Iterable[int] | None = None
    ) -> None:
        """Ask ``relays(peer, neighbour, message)`` before a peer (one of `may_refuse`) passes on a broadcast."""
        peers = range(self.n_peers) if may_refuse is None else may_refuse
        self.transport.filter_relays(relays, frozenset(peers))

    def set_down(self, peer: int, is_down: bool) -> None:
        """Take a peer off the network, or back on it: what it sends or should receive meanwhile is lost."""
        self.transport.set_down(peer, is_down)

    def is_down(self, peer: int) -> bool:
        """Return whether a peer is off the network."""
        return peer in self.transport.down

    def neighbours(self, peer: int) -> list[int]:
        """Return the overlay neighbours of a peer, ascending."""
        return sorted(self.overlay.neighbors(peer))

    def broadcast(self, message: Message, first_hops: Sequence[int] | None = None) -> None:
        """Flood a message over the overlay; the sender has it at once.

        `first_hops` limits to whom the sender itself sends (an equivocating or selective sender).
        """
        origin = message.sender
        inbox = self.transport.inboxes[origin]
        if inbox is not None:
            inbox.deliver(message.topic, message.step, origin, message, self._env.now)
        if self.gossip is not None and first_hops is None:
            self.gossip.publish(message, origin)
            return
        self.transport.flood(message, origin, self._validate_s, first_hops)

    def send(self, message: Message, target: int, source: int | None = None) -> None:
        """Send a message directly, or by a relay if neither can dial the other; to oneself it costs nothing."""
        source = message.sender if source is None else source
        if source == target:
            inbox = self.transport.inboxes[target]
            if inbox is not None:
                inbox.deliver(message.topic, message.step, message.sender, message, self._env.now)
            return
        relay = self.relays.get(target) if source in self.relays else None
        if relay is None:
            self.transport.direct(message, source, target)
            return
        size = message.size_bytes - HEADER_BYTES + CIRCUIT_BYTES
        inner = (message, target)
        self.transport.direct(Message(CIRCUIT, 0, source, inner, size, message.traffic), source, relay)

    def bytes_by_class(self) -> dict[str, np.ndarray]:
        """Return the bytes each peer has sent so far, by traffic class."""
        sent = self.transport.sent_bytes[:, : self.n_peers]
        return {traffic.name.lower(): sent[traffic].copy() for traffic in Traffic}

    def received_by_class(self) -> dict[str, np.ndarray]:
        """Return the bytes each peer has received so far, by traffic class."""
        received = self.transport.received_bytes[:, : self.n_peers]
        return {traffic.name.lower(): received[traffic].copy() for traffic in Traffic}
