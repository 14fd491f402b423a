"""libp2p's gossipsub: a mesh of few full-message links, and names of messages to a few others at each heartbeat.

Version 1.0 with the parts of 1.1 and 1.2 that decide traffic: back-off after PRUNE, flood publish, IDONTWANT. One
topic. Peer scoring, peer exchange, opportunistic grafting and fan-out are left out. Meshes are grown before the
first message, as in a network that has been up for a while.

References
----------
libp2p specifications, pubsub/gossipsub: gossipsub-v1.0.md, gossipsub-v1.1.md, gossipsub-v1.2.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simdfl.errors import UserError
from simdfl.kernel import Environment
from simdfl.network.gossip import MESSAGE, Gossip
from simdfl.network.message import Message
from simdfl.network.transport import Transport
from simdfl.rng import Rng

IHAVE, IWANT, GRAFT, PRUNE, IDONTWANT = "IHAVE", "IWANT", "GRAFT", "PRUNE", "IDONTWANT"


@dataclass(frozen=True)
class Parameters:
    """gossipsub's parameters by their names in the specification.

    Parameters
    ----------
    d, d_lo, d_hi, d_lazy : int
        Wanted, least and largest degree of the mesh, and to how many others names go at a heartbeat.
    heartbeat_s : float
        Time between heartbeats.
    windows : int
        Of how many heartbeats names are sent (mcache_gossip).
    backoff_s : float
        How long after a PRUNE the link is not grafted again.
    flood_publish : bool
        Whether a publisher sends to all neighbours (v1.1).
    idontwant_bytes : int or None
        From what size on mesh neighbours are told not to send a message again (v1.2); None: never.
    """

    d: int = 6
    d_lo: int = 4
    d_hi: int = 12
    d_lazy: int = 6
    heartbeat_s: float = 1.0
    windows: int = 3
    backoff_s: float = 60.0
    flood_publish: bool = False
    idontwant_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse degrees out of order."""
        if not (1 <= self.d_lo <= self.d <= self.d_hi and self.d_lazy >= 0 and self.windows >= 1):
            raise UserError(
                f"network.gossip: d_lo={self.d_lo}, d={self.d}, d_hi={self.d_hi} must ascend, d_lazy not be "
                f"negative and windows positive; use the defaults 4, 6, 12, 6, 3"
            )
        if not (self.heartbeat_s > 0 and self.backoff_s >= 0):
            raise UserError("network.gossip: heartbeat_s must be positive, backoff_s not negative; use 1 and 60")


class Gossipsub(Gossip):
    """Gossipsub with one topic; see the module.

    Parameters
    ----------
    **parameters
        Fields of :class:`Parameters`.
    """

    def __init__(self, **parameters: Any) -> None:
        self.p = Parameters(**parameters)
        self.beat_s = self.p.heartbeat_s
        self.rest_s = (self.p.windows + 1) * self.p.heartbeat_s

    def attach(
        self, env: Environment, transport: Transport, neighbours: list[list[int]], rng: Rng, validate_s: float
    ) -> None:
        """Serve the peers of a network and grow their meshes."""
        super().attach(env, transport, neighbours, rng, validate_s)
        n = len(neighbours)
        self.mesh: list[set[int]] = [set() for _ in range(n)]
        self._windows: list[list[list[Message]]] = [[[]] for _ in range(n)]
        self._asked: list[set[Message]] = [set() for _ in range(n)]
        self._unwanted: list[set[tuple[int, Message]]] = [set() for _ in range(n)]
        self._backoff_until_s: dict[tuple[int, int], float] = {}
        for peer in range(n):
            self._grow(peer)

    def _grow(self, peer: int) -> None:
        """Graft up to the wanted degree, if it is below the least one."""
        mesh = self.mesh[peer]
        if len(mesh) >= self.p.d_lo:
            return
        for other in self.choose(peer, self._graftable(peer), self.p.d - len(mesh)):
            mesh.add(other)
            self.tell(GRAFT, peer, other, None)

    def _graftable(self, peer: int) -> list[int]:
        return [
            other
            for other in self.neighbours[peer]
            if other not in self.mesh[peer] and self._backoff_until_s.get((peer, other), 0.0) <= self.env.now
        ]

    # ---- messages

    def begin(self, peer: int, message: Message) -> None:
        """Send a message of one's own to the mesh, or to all with flood publish."""
        targets = set(self.neighbours[peer]) if self.p.flood_publish else self.mesh[peer]
        self._windows[peer][0].append(message)
        for other in sorted(targets):
            self.give(peer, other, message)

    def pass_on(self, peer: int, source: int, message: Message) -> None:
        """Send a message to the mesh, but not to where it came from nor to whom it is unwanted."""
        self._windows[peer][0].append(message)
        for other in sorted(self.mesh[peer]):
            if other not in (source, message.sender) and (other, message) not in self._unwanted[peer]:
                self.give(peer, other, message)

    def _receive(self, source: int, peer: int, frame: Message) -> None:
        kind, content = frame.content
        if kind == MESSAGE and content not in self.known[peer]:
            self._spare(peer, source, content)
        super()._receive(source, peer, frame)

    def _spare(self, peer: int, source: int, message: Message) -> None:
        """Tell the mesh not to send a large message again, before it is validated."""
        limit = self.p.idontwant_bytes
        if limit is not None and message.size_bytes >= limit:
            for other in sorted(self.mesh[peer] - {source}):
                self.tell(IDONTWANT, peer, other, message)

    # ---- control

    def hear(self, kind: str, peer: int, source: int, content: Any) -> None:
        """Handle a control frame."""
        if kind == IHAVE:
            missing = [m for m in content if m not in self.known[peer] and m not in self._asked[peer]]
            if missing:
                self._asked[peer].update(missing)
                self.tell(IWANT, peer, source, missing, len(missing))
        elif kind == IWANT:
            for message in content:
                self.give(peer, source, message)
        elif kind == IDONTWANT:
            self._unwanted[peer].add((source, content))
        elif kind == GRAFT:
            self._accept_graft(peer, source)
        else:
            self.mesh[peer].discard(source)
            self._backoff_until_s[peer, source] = self.env.now + self.p.backoff_s

    def _accept_graft(self, peer: int, source: int) -> None:
        if self._backoff_until_s.get((peer, source), 0.0) > self.env.now:
            self.tell(PRUNE, peer, source, None)
        else:
            self.mesh[peer].add(source)

    def beat(self, peer: int) -> None:
        """Mend the mesh, send names, turn the windows."""
        self._grow(peer)
        if len(self.mesh[peer]) > self.p.d_hi:
            self._shrink(peer)
        names = [message for window in self._windows[peer] for message in window]
        if names:
            lazy = [other for other in self.neighbours[peer] if other not in self.mesh[peer]]
            for other in self.choose(peer, lazy, self.p.d_lazy):
                self.tell(IHAVE, peer, other, names, len(names))
        self._windows[peer] = [[], *self._windows[peer][: self.p.windows - 1]]
        self._asked[peer] &= self.known[peer]

    def _shrink(self, peer: int) -> None:
        mesh = sorted(self.mesh[peer])
        for other in self.choose(peer, mesh, len(mesh) - self.p.d):
            self.mesh[peer].discard(other)
            self._backoff_until_s[peer, other] = self.env.now + self.p.backoff_s
            self.tell(PRUNE, peer, other, None)
