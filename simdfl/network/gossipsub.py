"""libp2p's gossipsub: a mesh of few full-message links, and names of messages to a few others at each heartbeat.

Version 1.0 with what decides traffic in 1.1 and 1.2: back-off after PRUNE, flood publish, peer scores with
opportunistic grafting, IDONTWANT. One topic, of which all are members, so there is no fan-out. Links have no
direction here, so no quota of dialled ones is kept; peer exchange is left out, as the overlay is fixed.

References
----------
libp2p specifications, pubsub/gossipsub: gossipsub-v1.0.md, gossipsub-v1.1.md, gossipsub-v1.2.md.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from simdfl.kernel import Environment
from simdfl.network.gossip import MESSAGE, Gossip
from simdfl.network.gossipsub_parameters import Parameters
from simdfl.network.gossipsub_warm_up import WarmUp
from simdfl.network.message import Message
from simdfl.network.peer_scores import PeerScores
from simdfl.network.transport import Transport
from simdfl.rng import Rng

IHAVE, IWANT, GRAFT, PRUNE, IDONTWANT = "IHAVE", "IWANT", "GRAFT", "PRUNE", "IDONTWANT"
OPPORTUNISTIC_GRAFTS = 2


class Gossipsub(Gossip):
    """Gossipsub with one topic; see the module.

    Parameters
    ----------
    **parameters
        Fields of :class:`~simdfl.network.gossipsub_parameters.Parameters`.
    """

    def __init__(self, **parameters: Any) -> None:
        self.p = Parameters(**parameters)
        self.score_p = self.p.scoring()
        self.beat_s = self.p.heartbeat_s
        self.rest_s = (self.p.windows + 1) * self.p.heartbeat_s

    def attach(
        self, env: Environment, transport: Transport, neighbours: list[list[int]], rng: Rng, validate_s: float
    ) -> None:
        """Serve the peers of a network and grow their meshes."""
        super().attach(env, transport, neighbours, rng, validate_s)
        n = len(neighbours)
        self.mesh: list[set[int]] = [set() for _ in range(n)]
        self.scores = None if self.score_p is None else [PeerScores(self.score_p) for _ in range(n)]
        self._windows: list[list[list[Message]]] = [[[]] for _ in range(n)]
        self._asked: list[set[Message]] = [set() for _ in range(n)]
        self._unwanted: list[set[tuple[int, Message]]] = [set() for _ in range(n)]
        self._backoff_until_s: dict[tuple[int, int], float] = {}
        self._beats = [0] * n
        phases_s = [self.phase_s(peer) for peer in range(n)]
        self._warm_up: WarmUp | None = WarmUp(transport.links, phases_s, self.p.heartbeat_s)
        self._warm_up.run(self._mend, lambda kind, peer, source: self.hear(kind, peer, source, None))
        self._warm_up = None

    @property
    def _now_s(self) -> float:
        return self.env.now if self._warm_up is None else self._warm_up.now_s

    # ---- scores

    def score(self, peer: int, other: int) -> float:
        """Return what `peer` thinks of `other`; 0 without scores."""
        return 0.0 if self.scores is None else self.scores[peer].score(other, self._now_s)

    def _passes(self, peer: int, other: int, threshold: str) -> bool:
        return self.score_p is None or self.score(peer, other) >= getattr(self.score_p, threshold)

    # ---- the mesh

    def _enter(self, peer: int, other: int) -> None:
        self.mesh[peer].add(other)
        if self.scores is not None:
            self.scores[peer].joins(other, self._now_s)

    def _leave(self, peer: int, other: int) -> None:
        """Drop a neighbour from the mesh, not to be grafted for a while."""
        if other in self.mesh[peer] and self.scores is not None:
            self.scores[peer].leaves(other, self._now_s)
        self.mesh[peer].discard(other)
        self._backoff_until_s[peer, other] = self._now_s + self.p.backoff_s

    def _control(self, kind: str, peer: int, other: int) -> None:
        if self._warm_up is not None:
            self.sent[kind] += 1
            self._warm_up.tell(kind, peer, other)
        else:
            self.tell(kind, peer, other, None)

    def _graft(self, peer: int, among: list[int], count: int) -> None:
        for other in self.choose(peer, among, count):
            self._enter(peer, other)
            self._control(GRAFT, peer, other)

    def _prune(self, peer: int, others: list[int]) -> None:
        for other in others:
            self._leave(peer, other)
            self._control(PRUNE, peer, other)

    def _graftable(self, peer: int) -> list[int]:
        return [
            other
            for other in self.neighbours[peer]
            if other not in self.mesh[peer]
            and self._backoff_until_s.get((peer, other), self._now_s) <= self._now_s
            and self.score(peer, other) >= 0.0
        ]

    def _mend(self, peer: int) -> None:
        """Prune whose score is negative, graft up to the wanted degree, or cut back to it."""
        mesh = self.mesh[peer]
        if self.scores is not None:
            self._prune(peer, [other for other in sorted(mesh) if self.score(peer, other) < 0.0])
        if len(mesh) < self.p.d_lo:
            self._graft(peer, self._graftable(peer), self.p.d - len(mesh))
        elif len(mesh) > self.p.d_hi:
            self._prune(peer, self._surplus(peer))

    def _surplus(self, peer: int) -> list[int]:
        """Draw who goes, but not of those with the best scores."""
        members = sorted(self.mesh[peer])
        if self.scores is not None:
            members.sort(key=lambda other: self.score(peer, other))
            members = sorted(members[: len(members) - min(self.p.d_score, self.p.d)])
        return self.choose(peer, members, len(self.mesh[peer]) - self.p.d)

    def _graft_better(self, peer: int) -> None:
        """Graft some who are better than the median of a mesh that is not worth much."""
        mesh, p = self.mesh[peer], self.score_p
        if p is None or not mesh or self._beats[peer] % p.opportunistic_beats:
            return
        middle = median(self.score(peer, other) for other in mesh)
        if middle < p.opportunistic_threshold:
            better = [other for other in self._graftable(peer) if self.score(peer, other) > middle]
            self._graft(peer, better, OPPORTUNISTIC_GRAFTS)

    # ---- messages

    def begin(self, peer: int, message: Message) -> None:
        """Send a message of one's own to the mesh, or to all with flood publish."""
        targets = set(self.neighbours[peer]) if self.p.flood_publish else self.mesh[peer]
        self._windows[peer][0].append(message)
        for other in sorted(targets):
            if self._passes(peer, other, "publish_threshold"):
                self.give(peer, other, message)

    def pass_on(self, peer: int, source: int, message: Message) -> None:
        """Send a message to the mesh, but not to where it came from nor to whom it is unwanted."""
        self._windows[peer][0].append(message)
        for other in sorted(self.mesh[peer]):
            if other not in (source, message.sender) and (other, message) not in self._unwanted[peer]:
                self.give(peer, other, message)

    def _receive(self, source: int, peer: int, frame: Message) -> None:
        if not self._passes(peer, source, "graylist_threshold"):
            return
        kind, content = frame.content
        if kind == MESSAGE:
            is_first = content not in self.known[peer]
            if is_first:
                self._spare(peer, source, content)
            self._judge(peer, source, content, is_first)
        super()._receive(source, peer, frame)

    def _judge(self, peer: int, source: int, message: Message, is_first: bool) -> None:
        """Score who has sent a message; an invalid one counts as often as it comes."""
        if self.scores is None:
            return
        if self.is_valid(peer, message):
            self.scores[peer].delivers(source, message, self._now_s, is_first)
        else:
            self.scores[peer].forges(source)

    def _spare(self, peer: int, source: int, message: Message) -> None:
        """Tell the mesh not to send a large message again, before it is validated."""
        limit = self.p.idontwant_bytes
        if limit is not None and message.size_bytes >= limit:
            for other in sorted(self.mesh[peer] - {source}):
                self.tell(IDONTWANT, peer, other, message)

    # ---- control

    def hear(self, kind: str, peer: int, source: int, content: Any) -> None:
        """Handle a control frame."""
        if kind == GRAFT:
            self._accept_graft(peer, source)
        elif kind == PRUNE:
            self._leave(peer, source)
        elif kind == IDONTWANT:
            self._unwanted[peer].add((source, content))
        elif self._passes(peer, source, "gossip_threshold"):
            if kind == IHAVE:
                self._ask(peer, source, content)
            else:
                for message in content:
                    self.give(peer, source, message)

    def _ask(self, peer: int, source: int, names: list[Message]) -> None:
        missing = [m for m in names if m not in self.known[peer] and m not in self._asked[peer]]
        if missing:
            self._asked[peer].update(missing)
            self.tell(IWANT, peer, source, missing, len(missing))
            if self.scores is not None:
                self.scores[peer].promises(source, missing, self._now_s)

    def _accept_graft(self, peer: int, source: int) -> None:
        """Take a neighbour into the mesh, or send it away: what it asks for too early is held against it."""
        in_backoff = self._backoff_until_s.get((peer, source), self._now_s) > self._now_s
        if in_backoff and self.scores is not None:
            self.scores[peer].misbehaves(source)
        if in_backoff or self.score(peer, source) < 0.0:
            self._control(PRUNE, peer, source)
        elif source not in self.mesh[peer]:
            self._enter(peer, source)

    def beat(self, peer: int) -> None:
        """Mend the mesh, send names, turn the windows."""
        self._beats[peer] += 1
        self._mend(peer)
        self._graft_better(peer)
        self._tell_names(peer)
        self._windows[peer] = [[], *self._windows[peer][: self.p.windows - 1]]
        self._asked[peer] &= self.known[peer]
        if self.scores is not None:
            self.scores[peer].beat(self.known[peer], self._now_s)

    def _tell_names(self, peer: int) -> None:
        names = [message for window in self._windows[peer] for message in window]
        if not names:
            return
        lazy = [
            other
            for other in self.neighbours[peer]
            if other not in self.mesh[peer] and self._passes(peer, other, "gossip_threshold")
        ]
        for other in self.choose(peer, lazy, self.p.d_lazy):
            self.tell(IHAVE, peer, other, names, len(names))
