"""The heartbeats before a run: meshes as in a network that has been up for a while.

Peers join within one heartbeat, each at a moment of its own, and graft at once; what they graft arrives a latency
later, so that peers graft each other at the same time. Two more heartbeats cut back what has grown too large.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from simdfl.network.clock import to_seconds
from simdfl.network.links import Links

HEART = ""
BEATS = 3

Beat = Callable[[int], None]
Hear = Callable[[str, int, int], None]


class WarmUp:
    """A clock that runs from minus ``BEATS`` heartbeats to zero, and the control frames under way.

    Parameters
    ----------
    links : Links
        Latencies between the peers.
    phases_s : list of float
        When in a heartbeat each peer's heart beats.
    heartbeat_s : float
    """

    def __init__(self, links: Links, phases_s: list[float], heartbeat_s: float) -> None:
        self._links = links
        self.now_s = -BEATS * heartbeat_s
        self._events = [
            (self.now_s + beat * heartbeat_s + phase_s, HEART, peer, peer)
            for beat in range(BEATS)
            for peer, phase_s in enumerate(phases_s)
        ]
        heapify(self._events)

    def tell(self, kind: str, peer: int, other: int) -> None:
        """Send a control frame."""
        arrives_s = self.now_s + to_seconds(self._links.between(peer, other)[0])
        heappush(self._events, (arrives_s, kind, other, peer))

    def run(self, beat: Beat, hear: Hear) -> None:
        """Call ``beat(peer)`` and ``hear(kind, peer, source)`` in the order of time, to the last frame."""
        while self._events:
            self.now_s, kind, peer, source = heappop(self._events)
            if kind == HEART:
                beat(peer)
            else:
                hear(kind, peer, source)
