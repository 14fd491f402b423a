"""Epidemics in rounds, and announce–pull.

Every beat, a peer calls one random neighbour: ``push`` sends what is fresh, ``pull`` says what it has and is sent
what it lacks, ``push_pull`` does both in one exchange. ``announce_pull`` names a new message to all neighbours,
and each asks one of those who named it, as Bitcoin does.

References
----------
A. Demers et al., "Epidemic algorithms for replicated database maintenance", PODC 1987. B. Pittel, "On spreading a
rumor", SIAM Journal on Applied Mathematics 47(1), 1987: push needs log2 n + ln n + O(1) rounds on the complete
graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from simdfl.errors import UserError
from simdfl.kernel import Environment
from simdfl.network.gossip import Gossip
from simdfl.network.message import Message
from simdfl.network.transport import Transport
from simdfl.rng import Rng

HAVE, WANT = "have", "want"


class Epidemic(Gossip):
    """Calls to random neighbours, a beat apart.

    Parameters
    ----------
    pushes, pulls : bool
        What a caller does.
    period_s : float
        Time between two calls of a peer.
    fresh_s : float
        How long a message is passed on.
    """

    def __init__(self, *, pushes: bool, pulls: bool, period_s: float = 0.2, fresh_s: float = 10.0) -> None:
        if not (period_s > 0 and fresh_s >= period_s):
            raise UserError(
                f"network.gossip: period_s={period_s} and fresh_s={fresh_s} spread nothing; use a positive "
                f"period and fresh_s no shorter than it"
            )
        self.pushes, self.pulls = pushes, pulls
        self.beat_s, self.rest_s = period_s, fresh_s

    def attach(
        self, env: Environment, transport: Transport, neighbours: list[list[int]], rng: Rng, validate_s: float
    ) -> None:
        """Serve the peers of a network."""
        super().attach(env, transport, neighbours, rng, validate_s)
        self._fresh: list[dict[Message, float]] = [{} for _ in neighbours]

    def begin(self, peer: int, message: Message) -> None:
        """Keep a message for the next call."""
        self._fresh[peer][message] = self.env.now + self.rest_s

    def pass_on(self, peer: int, source: int, message: Message) -> None:
        """Keep a message for the next call."""
        self.begin(peer, message)

    def beat(self, peer: int) -> None:
        """Call a neighbour."""
        fresh = self._fresh[peer]
        for message in [m for m, until_s in fresh.items() if until_s < self.env.now]:
            del fresh[message]
        if not self.neighbours[peer]:
            return
        partner = self.choose(peer, self.neighbours[peer], 1)[0]
        if self.pulls:
            self.tell(HAVE, peer, partner, frozenset(fresh), len(fresh))
        elif self.pushes:
            for message in fresh:
                self.give(peer, partner, message)

    def hear(self, kind: str, peer: int, source: int, content: Any) -> None:
        """Send a caller what it lacks, and ask for what one lacks oneself."""
        if kind == WANT:
            for message in sorted(content, key=_order):
                self.give(peer, source, message)
            return
        for message in self._fresh[peer]:
            if message not in content:
                self.give(peer, source, message)
        missing = content - self.known[peer]
        if self.pushes and missing:
            self.tell(WANT, peer, source, missing, len(missing))


def _order(message: Message) -> tuple[str, int, int, bytes]:
    return message.topic, message.step, message.sender, message.digest


class AnnouncePull(Gossip):
    """Name a message to all neighbours; who lacks it asks the first who named it, then the next.

    Parameters
    ----------
    timeout_s : float
        After this time the next is asked.
    """

    def __init__(self, *, timeout_s: float = 2.0) -> None:
        if not timeout_s > 0:
            raise UserError(f"network.gossip: timeout_s={timeout_s} leaves no time to answer; use a positive one")
        self.timeout_s = timeout_s

    def attach(
        self, env: Environment, transport: Transport, neighbours: list[list[int]], rng: Rng, validate_s: float
    ) -> None:
        """Serve the peers of a network."""
        super().attach(env, transport, neighbours, rng, validate_s)
        self._offers: list[dict[Message, list[int]]] = [{} for _ in neighbours]

    def begin(self, peer: int, message: Message) -> None:
        """Name a message to all neighbours."""
        self.pass_on(peer, peer, message)

    def pass_on(self, peer: int, source: int, message: Message) -> None:
        """Name a message to all neighbours but the one it came from."""
        self._offers[peer].pop(message, None)
        for neighbour in self.neighbours[peer]:
            if neighbour != source:
                self.tell(HAVE, peer, neighbour, message)

    def hear(self, kind: str, peer: int, source: int, content: Any) -> None:
        """Answer a question; ask the first who offers a message."""
        if kind == WANT:
            self.give(peer, source, content)
        elif content not in self.known[peer]:
            offers = self._offers[peer].setdefault(content, [])
            offers.append(source)
            if len(offers) == 1:
                self._ask(peer, content, 0)

    def _ask(self, peer: int, message: Message, turn: int) -> None:
        """Ask the next of those who offer a message; all in turn, until one answers."""
        offers = self._offers[peer].get(message, [])
        if message in self.known[peer] or turn >= len(offers):
            if turn >= len(offers):
                self._offers[peer].pop(message, None)
            return
        self.tell(WANT, peer, offers[turn], message)
        self.env.at(self.env.now + self.timeout_s, partial(self._ask, peer, message, turn + 1))
