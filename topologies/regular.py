"""Topologies without randomness."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np

from topologies.errors import require


def ring(n: int, rng: np.random.Generator) -> nx.Graph:
    """Return a cycle: diameter floor(n / 2), the slowest mixing with bounded degree but the line."""
    require(n >= 3, f"ring: needs n >= 3, got n={n}")
    return nx.cycle_graph(n)


def torus(n: int, rng: np.random.Generator, rows: int | None = None) -> nx.Graph:
    """Return a grid that wraps around, of `rows` rows (default: as square as n allows); every degree is 4."""
    rows = _squarest_rows(n) if rows is None else rows
    fits = rows >= 3 and n % rows == 0 and n // rows >= 3
    require(fits, f"torus: needs n = rows × columns with both >= 3, got n={n}, rows={rows}; use n=9, 12, 16 …")
    grid = nx.grid_2d_graph(rows, n // rows, periodic=True)
    columns = n // rows
    return nx.relabel_nodes(grid, {(row, column): row * columns + column for row, column in grid})


def _squarest_rows(n: int) -> int:
    return next((rows for rows in range(math.isqrt(max(n, 1)), 0, -1) if n % rows == 0), 1)


def complete(n: int, rng: np.random.Generator) -> nx.Graph:
    """Return all n (n - 1) / 2 links."""
    require(n >= 2, f"complete: needs n >= 2, got n={n}")
    return nx.complete_graph(n)


def star(n: int, rng: np.random.Generator) -> nx.Graph:
    """Return peer 0 linked to all others: one Byzantine hub cuts everybody off."""
    require(n >= 2, f"star: needs n >= 2, got n={n}")
    return nx.star_graph(n - 1)


def exponential(n: int, rng: np.random.Generator) -> nx.Graph:
    """Return links from every peer to those 1, 2, 4, … places on around a circle: few links, a fast mixing.

    References
    ----------
    Assran, Loizou, Ballas, Rabbat, "Stochastic gradient push for distributed deep learning", ICML 2019,
    appendix A.
    Ying, Yuan, Chen, Hu, Pan, Yin, "Exponential graph is provably efficient for decentralized deep training",
    NeurIPS 2021.
    """
    require(n >= 2, f"exponential: needs n >= 2, got n={n}")
    hops = [1 << k for k in range((n - 1).bit_length())]
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((peer, (peer + hop) % n) for peer in range(n) for hop in hops if hop % n)
    return graph
