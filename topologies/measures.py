"""What a topology is worth: distances, mixing speed, resistance to a coalition."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.sparse.linalg import LinearOperator, eigsh

from topologies.errors import TopologyError

BLOCK = 256
DENSE = 2000
"""Peers up to which the mixing matrix is written out."""


@dataclass(frozen=True)
class TopologyMeasures:
    """Measures of a connected graph.

    Parameters
    ----------
    n, links : int
        Peers and links.
    min_degree, max_degree : int
    mean_degree : float
    diameter : int
        Greatest number of links on a shortest path.
    mean_path : float
        Mean number of links on a shortest path between two different peers.
    spectral_gap : float
        1 minus the second greatest absolute eigenvalue of the Metropolis matrix: one round of averaging
        shrinks the variance between peers by at least (1 - gap)^2.
    clustering : float
        Mean clustering coefficient.
    """

    n: int
    links: int
    min_degree: int
    mean_degree: float
    max_degree: int
    diameter: int
    mean_path: float
    spectral_gap: float
    clustering: float


def measure(graph: nx.Graph) -> TopologyMeasures:
    """Return the measures of a connected graph on 0 … n-1.

    Up to ``DENSE`` peers all eigenvalues are computed; beyond, the one in question alone, by Lanczos iteration on
    the sparse matrix, to four digits.

    Raises
    ------
    TopologyError
        If the graph is not connected.
    """
    check_connected(graph)
    n = len(graph)
    degrees = [degree for _, degree in graph.degree]
    diameter, mean_path = _distances(graph)
    return TopologyMeasures(
        n=n,
        links=graph.number_of_edges(),
        min_degree=min(degrees),
        mean_degree=sum(degrees) / n,
        max_degree=max(degrees),
        diameter=diameter,
        mean_path=mean_path,
        spectral_gap=_spectral_gap(metropolis_weights(graph)) if n <= DENSE else _sparse_spectral_gap(graph),
        clustering=float(nx.average_clustering(graph)),
    )


def check_connected(graph: nx.Graph) -> None:
    """Raise a :class:`TopologyError` unless every peer reaches every other."""
    if len(graph) == 0 or not nx.is_connected(graph):
        parts = nx.number_connected_components(graph)
        raise TopologyError(f"the graph of {len(graph)} peers is not connected ({parts} parts); add links")


def is_honest_connected(graph: nx.Graph, byzantine: Collection[int]) -> bool:
    """Return whether the honest peers reach each other without passing a Byzantine one.

    >>> is_honest_connected(nx.star_graph(4), {0}), is_honest_connected(nx.star_graph(4), {1})
    (False, True)
    """
    honest = graph.subgraph(set(graph) - set(byzantine))
    return len(honest) > 0 and nx.is_connected(honest)


def metropolis_weights(graph: nx.Graph) -> np.ndarray:
    """Return the Metropolis mixing matrix (n, n) float64: symmetric, rows and columns sum to 1.

    Linked peers i and j weigh each other by ``1 / (1 + max(degree_i, degree_j))``; the rest stays at home.

    References
    ----------
    Xiao, Boyd, Kim, "Distributed average consensus with least-mean-square deviation", JPDC 67, 2007.
    """
    n = len(graph)
    weights = np.zeros((n, n))
    degree = dict(graph.degree)
    for i, j in graph.edges:
        weights[i, j] = weights[j, i] = 1.0 / (1 + max(degree[i], degree[j]))
    weights[np.diag_indices(n)] = 1.0 - weights.sum(axis=1)
    return weights


def _spectral_gap(weights: np.ndarray) -> float:
    if len(weights) == 1:
        return 1.0
    eigenvalues = np.linalg.eigvalsh(weights)  # ascending; the last one is 1
    return float(1.0 - max(abs(eigenvalues[0]), abs(eigenvalues[-2])))


def _sparse_spectral_gap(graph: nx.Graph) -> float:
    """Return the gap from the greatest eigenvalue by magnitude of the matrix less its part along the mean."""
    n = len(graph)
    degree = np.array([graph.degree[peer] for peer in range(n)], dtype=float)
    links = nx.to_scipy_sparse_array(graph, nodelist=range(n), weight=None, format="coo")
    weights = 1.0 / (1.0 + np.maximum(degree[links.row], degree[links.col]))
    off = csr_array((weights, (links.row, links.col)), shape=(n, n))
    home = 1.0 - off.sum(axis=1)

    def apply(x: np.ndarray) -> np.ndarray:
        x = x.ravel()
        return off @ x + home * x - x.mean()

    start = np.cos(np.arange(n))  # any vector that is not along the mean
    second = eigsh(LinearOperator((n, n), matvec=apply, dtype=float), k=1, v0=start, tol=1e-4)[0][0]
    return float(1.0 - abs(second))


def _distances(graph: nx.Graph) -> tuple[int, float]:
    """Return diameter and mean distance, in blocks of sources to bound memory."""
    n = len(graph)
    if n == 1:
        return 0, 0.0
    links = nx.to_scipy_sparse_array(graph, nodelist=range(n), weight=None, format="csr")
    longest, total = 0.0, 0.0
    for first in range(0, n, BLOCK):
        sources = np.arange(first, min(first + BLOCK, n))
        hops = shortest_path(links, unweighted=True, directed=False, indices=sources)
        longest, total = max(longest, float(hops.max())), total + float(hops.sum())
    return int(longest), total / (n * (n - 1))
