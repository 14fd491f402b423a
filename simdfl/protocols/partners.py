"""With whom a peer of ``gossip_sgd`` mixes in a step: all neighbours, or one, and another one in the next.

Sending to one neighbour a step costs a constant number of bytes however large the network is. The product of the
one-peer exponential graph's mixing matrices over log2 n steps is the exact average where n is a power of two.

References
----------
Ying, Yuan, Chen, Hu, Pan, Yin, "Exponential graph is provably efficient for decentralized deep training", NeurIPS
2021, section 4. Boyd, Ghosh, Prabhakar, Shah, "Randomized gossip algorithms", IEEE Transactions on Information
Theory 52(6), 2006 (matchings).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import networkx as nx
import numpy as np

from simdfl.errors import UserError
from simdfl.rng import Rng


class Partners(ABC):
    """Who sends to whom in a step, and what a received model weighs."""

    @abstractmethod
    def targets(self, step: int, peer: int) -> Sequence[int]:
        """Return to whom a peer sends its model."""

    @abstractmethod
    def sources(self, step: int, peer: int) -> Sequence[int]:
        """Return whose models a peer waits for."""

    def most(self, peer: int) -> int:
        """Return how many models a peer can get in a step."""
        return 1

    def weights(self, peer: int, heard: Sequence[int]) -> np.ndarray:
        """Return the weights (1 + k,) of the own model and of those heard; they sum to 1."""
        return np.full(1 + len(heard), 1.0 / (1 + len(heard)))


class AllNeighbours(Partners):
    """Every overlay neighbour in every step, by Metropolis weights; see ``metropolis_weights``."""

    def __init__(self, overlay: nx.Graph) -> None:
        self._neighbours = [sorted(overlay.neighbors(peer)) for peer in range(len(overlay))]

    def targets(self, step: int, peer: int) -> Sequence[int]:
        """Return the neighbours."""
        return self._neighbours[peer]

    def sources(self, step: int, peer: int) -> Sequence[int]:
        """Return the neighbours."""
        return self._neighbours[peer]

    def most(self, peer: int) -> int:
        """Return how many neighbours a peer has."""
        return len(self._neighbours[peer])

    def weights(self, peer: int, heard: Sequence[int]) -> np.ndarray:
        """Return ``1 / (1 + max(degree_i, degree_j))`` of those heard; the rest stays at home."""
        own = len(self._neighbours[peer])
        others = [1.0 / (1.0 + max(own, len(self._neighbours[other]))) for other in heard]
        weights = np.array([0.0, *others])
        weights[0] = 1.0 - weights[1:].sum()
        return weights


class OnePeerExponential(Partners):
    """In step k everybody sends to the peer 2^(k mod log2 n) places on, around a circle."""

    def __init__(self, overlay: nx.Graph) -> None:
        self._n = len(overlay)
        self._hops = [1 << k for k in range((self._n - 1).bit_length())]
        for peer in overlay:
            for hop in self._hops:
                if not overlay.has_edge(peer, (peer + hop) % self._n):
                    raise UserError(
                        f"protocol.gossip.partners: one_peer_exponential needs the link of peer {peer} to peer "
                        f"{(peer + hop) % self._n}; use topology.name exponential, without network.nat"
                    )

    def _hop(self, step: int) -> int:
        return self._hops[step % len(self._hops)]

    def targets(self, step: int, peer: int) -> Sequence[int]:
        """Return the one peer."""
        return [(peer + self._hop(step)) % self._n]

    def sources(self, step: int, peer: int) -> Sequence[int]:
        """Return the one peer as many places back."""
        return [(peer - self._hop(step)) % self._n]


class RandomMatching(Partners):
    """In every step pairs of neighbours, drawn anew; who finds nobody free keeps its model."""

    def __init__(self, overlay: nx.Graph, rng: Rng) -> None:
        self._links = np.array(sorted(tuple(sorted(link)) for link in overlay.edges))
        self._rng = rng
        self._pairs: dict[int, dict[int, int]] = {}

    def _partner(self, step: int, peer: int) -> list[int]:
        if step not in self._pairs:
            self._pairs.pop(step - 8, None)
            self._pairs[step] = self._draw(step)
        partner = self._pairs[step].get(peer)
        return [] if partner is None else [partner]

    def _draw(self, step: int) -> dict[int, int]:
        """Go through the links in random order and take those whose ends are both free."""
        pairs: dict[int, int] = {}
        for a, b in self._rng.stream("matching", step).permutation(self._links).tolist():
            if a not in pairs and b not in pairs:
                pairs[a], pairs[b] = b, a
        return pairs

    def targets(self, step: int, peer: int) -> Sequence[int]:
        """Return the partner, if there is one."""
        return self._partner(step, peer)

    def sources(self, step: int, peer: int) -> Sequence[int]:
        """Return the partner, if there is one."""
        return self._partner(step, peer)


def make_partners(name: str, overlay: nx.Graph, rng: Rng) -> Partners:
    """Return who mixes with whom, by the name in ``protocol.gossip.partners``."""
    if name == "one_peer_exponential":
        return OnePeerExponential(overlay)
    return RandomMatching(overlay, rng) if name == "random_matching" else AllNeighbours(overlay)
