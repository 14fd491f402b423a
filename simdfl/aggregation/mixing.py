"""Weighted averages over a neighbourhood, plain or clipped about the peer's own vector, and their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np

from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.neighbourhood import GossipContext, GossipRule
from simdfl.aggregation.span import clip_factors, combine_rows, row_norms
from simdfl.errors import UserError


@dataclass(frozen=True)
class Mixing(GossipRule):
    """Weighted average ``w_0 x_i + sum_j w_j x_j``: gossip without defence.

    References
    ----------
    Lian et al., "Can decentralized algorithms outperform centralized algorithms?", NIPS 2017, algorithm 1
    (D-PSGD).
    """

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        return np.float32(weights[0]) * own + combine_rows(weights[1:], neighbours)


@dataclass(frozen=True)
class SelfCentredClip(GossipRule):
    """ClippedGossip, or SCClip: ``x_i + sum_j w_j (x_j - x_i) min(1, tau / ||x_j - x_i||)``.

    Bound: liars of total weight delta move the peer by at most ``tau delta``.

    Parameters
    ----------
    tau : float
        Clipping radius; infinity gives the weighted average.

    References
    ----------
    He, Karimireddy, Jaggi, "Byzantine-robust decentralized learning via ClippedGossip", arXiv 2202.01545, 2022,
    section 4.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise UserError(f"gossip: self_centred_clip needs tau > 0, got {self.tau}")

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        about = neighbours - own
        return own + combine_rows(weights[1:] * clip_factors(row_norms(about), self.tau), about)


@dataclass(frozen=True)
class AdaptiveSelfCentredClip(GossipRule):
    """ClippedGossip with ``tau = sqrt(sum_j w_j ||x_j - x_i||² / delta)`` over the neighbours held honest.

    The paper sums over honest neighbours, whom nobody knows: here all but the `f` furthest, of equally far ones
    those listed first. delta is the greatest total weight of `f` neighbours. With f = 0 nothing is clipped.

    Parameters
    ----------
    f : int
        Liars among the neighbours.

    References
    ----------
    He, Karimireddy, Jaggi, arXiv 2202.01545, 2022, section 4, theorem III (choice of the radius).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        about, w = neighbours - own, weights[1:]
        lengths = row_norms(about)
        f = min(self.f, len(w))
        delta = float(np.sort(w)[len(w) - f :].sum())
        held = np.argsort(lengths, kind="stable")[: len(w) - f]
        tau = math.sqrt(float(w[held] @ lengths[held] ** 2) / delta) if delta > 0 else math.inf
        return own + combine_rows(w * clip_factors(lengths, tau), about)


def metropolis_weights(graph: nx.Graph) -> np.ndarray:
    """Return the Metropolis-Hastings mixing matrix (n, n) float64 of a graph on the peers 0 … n-1.

    ``w_ij = 1 / (1 + max(degree_i, degree_j))`` on links, ``w_ii = 1 - sum_j w_ij``: symmetric, not negative,
    rows and columns of sum 1.

    Raises
    ------
    UserError
        If the peers are not 0 … n-1, or the graph is directed or has loops.

    References
    ----------
    Xiao, Boyd, Kim, "Distributed average consensus with least-mean-square deviation", JPDC 67(1), 2007, section
    2.

    Examples
    --------
    >>> metropolis_weights(nx.path_graph(3)).round(2)
    array([[0.67, 0.33, 0.  ],
           [0.33, 0.33, 0.33],
           [0.  , 0.33, 0.67]])
    """
    n = graph.number_of_nodes()
    if set(graph) != set(range(n)) or graph.is_directed() or nx.number_of_selfloops(graph):
        raise UserError("gossip: mixing weights need an undirected graph without loops on the peers 0 … n-1")
    weights = np.zeros((n, n))
    for i, j in graph.edges:
        weights[i, j] = weights[j, i] = 1.0 / (1.0 + max(graph.degree[i], graph.degree[j]))
    np.fill_diagonal(weights, 1.0 - weights.sum(axis=1))
    return weights
