"""Attacks by relays.

What a Byzantine peer does not pass on. Gossip has other ways around as long as honest ones exist.
"""

from __future__ import annotations

from typing import Any

from adversaries.checks import require
from simdfl.peers.behaviour import Byzantine


class SelectiveRelay(Byzantine):
    """Relay the coalition's messages only.

    Floods go around it: the overlay connects the honest peers without the Byzantine ones. It costs time where the
    detour is long, and nobody can prove it.
    """

    def relays(self, step: int, origin: int, neighbour: int) -> bool:
        """Pass on what accomplices say."""
        return origin in self.coalition.members or not self.is_attacking(step)


class Eclipse(Byzantine):
    """Relay nothing to `victim` or from it, unless an accomplice sent it.

    It cuts the victim off if all its neighbours are accomplices; direct messages and the chain still reach it.

    Parameters
    ----------
    victim : int
        The peer to isolate.

    References
    ----------
    Heilman, Kendler, Zohar, Goldberg, "Eclipse attacks on Bitcoin's peer-to-peer network", USENIX Security 2015.
    """

    def __init__(self, *, victim: int = 0, **base: Any) -> None:
        super().__init__(**base)
        require(0 <= victim < self.coalition.n_peers, "eclipse.victim", victim, "the number of a peer")
        self.victim = victim

    def relays(self, step: int, origin: int, neighbour: int) -> bool:
        """Pass on what does not concern the victim."""
        concerns = self.victim in (origin, neighbour) and origin not in self.coalition.members
        return not (concerns and self.is_attacking(step))


class SplitRelay(Byzantine):
    """Relay nothing between the peers below the middle index and those above it: a partition made by relays.

    It splits gossip only where every path between the halves leads through an accomplice; direct messages and the
    chain cross it.
    """

    def relays(self, step: int, origin: int, neighbour: int) -> bool:
        """Pass on what stays on one side."""
        middle = self.coalition.n_peers // 2
        crosses = (origin < middle) != (neighbour < middle)
        return not (crosses and self.is_attacking(step))
