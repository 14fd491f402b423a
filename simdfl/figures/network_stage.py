"""Networks without a protocol on them: peers, links, a way to spread, and who got what when."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network.strategies import make_gossip
from simdfl.rng import Rng


def equal_links(n: int, latency_s: float, bps: float = np.inf) -> Conditions:
    """Return n equal lines, equally far apart."""
    speeds = np.full(n, bps)
    return Conditions(
        np.zeros(n, dtype=int), np.full((1, 1), latency_s), np.zeros((1, 1)), np.zeros(n), speeds, speeds
    )


def dialled(n: int, counts: np.ndarray, rng: np.random.Generator) -> nx.Graph:
    """Return an overlay in which peer i dials ``counts[i]`` random others."""
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(n))
    for peer, count in enumerate(counts.tolist()):
        graph.add_edges_from((peer, int(other)) for other in rng.choice(n, count, replace=False) if other != peer)
    return graph


class Stage:
    """A network on which messages are published at stated times.

    Parameters
    ----------
    overlay : networkx.Graph
    conditions : Conditions
    rng : Rng
    gossip : str
        A strategy of the shelf.
    params : dict, optional
        The strategy's.
    validate_s : float
    """

    def __init__(
        self,
        overlay: nx.Graph,
        conditions: Conditions,
        rng: Rng,
        gossip: str,
        params: dict[str, Any] | None = None,
        validate_s: float = 0.0,
    ) -> None:
        self.env = Environment()
        self.n = overlay.number_of_nodes()
        strategy = make_gossip(gossip, params or {})
        self.network = Network(self.env, overlay, conditions, rng, validate_s, fidelity="kernel", gossip=strategy)
        for peer in range(self.n):
            self.network.attach(peer, Inbox(self.env))
        self._published_s: list[float] = []
        self._delays: list[list[float]] = []
        self.network.transport.on_delivery = self._note

    @property
    def sent(self) -> dict[str, int]:
        """Frames sent so far, by kind."""
        assert self.network.gossip is not None
        return self.network.gossip.sent

    def _note(self, time_s: float, target: int, message: Message) -> None:
        self._delays[message.step].append(time_s - self._published_s[message.step])

    def publish(self, at_s: float, sender: int, size_bytes: int) -> None:
        """Let `sender` publish a message at `at_s`."""
        step = len(self._published_s)
        self._published_s.append(at_s)
        self._delays.append([])
        message = Message("X", step, sender, None, size_bytes, Traffic.CONTROL)
        self.env.at(at_s, lambda: self.network.broadcast(message))

    def play(self) -> list[np.ndarray]:
        """Run to the end; return each message's delays, (n - 1,) ascending seconds if it reached all."""
        self.env.run()
        return [np.sort(delays) for delays in self._delays]
