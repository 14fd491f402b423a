"""Topologies drawn from a generator.

One call is one draw and may be disconnected; :func:`topologies.build` redraws. Positions and regions, where
a model has them, are attributes ``pos`` and ``region`` of the graph's vertices.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import networkx as nx
import numpy as np

from topologies.errors import require

MEAN_DEGREE = 8.0


def random_regular(n: int, rng: np.random.Generator, degree: int = 8) -> nx.Graph:
    """Return a random graph in which every peer has `degree` links; for degree >= 3 almost surely an expander."""
    require(1 <= degree < n, f"random_regular: degree must be between 1 and n-1={n - 1}, got {degree}")
    require(n * degree % 2 == 0, f"random_regular: n × degree must be even, got n={n}, degree={degree}")
    return nx.random_regular_graph(degree, n, seed=rng)


def erdos_renyi(
    n: int, rng: np.random.Generator, p: float | None = None, mean_degree: float | None = None
) -> nx.Graph:
    """Return a graph with each link present with probability `p`, or ``mean_degree / (n - 1)`` (default 8).

    It is connected with high probability only if the mean degree exceeds ln n.
    """
    require(n >= 2, f"erdos_renyi: needs n >= 2, got n={n}")
    require(p is None or mean_degree is None, "erdos_renyi: give p or mean_degree, not both")
    if p is None:
        p = (min(MEAN_DEGREE, n - 1) if mean_degree is None else mean_degree) / (n - 1)
    require(0 < p <= 1, f"erdos_renyi: the probability of a link must be in (0, 1], got {p:g}")
    return nx.gnp_random_graph(n, p, seed=rng)


def watts_strogatz(n: int, rng: np.random.Generator, degree: int = 8, rewire: float = 0.1) -> nx.Graph:
    """Return a small world: a ring of `degree` nearest neighbours, links rewired with probability `rewire`."""
    fits = 2 <= degree < n and degree % 2 == 0
    require(fits, f"watts_strogatz: degree must be even and between 2 and n-1={n - 1}, got {degree}")
    require(0 <= rewire <= 1, f"watts_strogatz: rewire must be in [0, 1], got {rewire}")
    return nx.watts_strogatz_graph(n, degree, rewire, seed=rng)


def barabasi_albert(n: int, rng: np.random.Generator, links: int = 4) -> nx.Graph:
    """Return a scale-free graph: every newcomer makes `links` links, preferring peers with many."""
    require(1 <= links < n, f"barabasi_albert: links must be between 1 and n-1={n - 1}, got {links}")
    return nx.barabasi_albert_graph(n, links, seed=rng)


def random_geometric(
    n: int, rng: np.random.Generator, radius: float | None = None, mean_degree: float | None = None
) -> nx.Graph:
    """Return peers at random places of the unit square, linked if closer than `radius`.

    Without a radius it is chosen for `mean_degree`, borders neglected; the default is 4 + 2 ln n, as fewer links
    leave some peer alone.
    """
    require(n >= 2, f"random_geometric: needs n >= 2, got n={n}")
    require(radius is None or mean_degree is None, "random_geometric: give radius or mean_degree, not both")
    if radius is None:
        wanted = 4.0 + 2.0 * math.log(n) if mean_degree is None else mean_degree
        require(wanted > 0, f"random_geometric: mean_degree must be positive, got {wanted}")
        radius = math.sqrt(wanted / (math.pi * n))
    require(radius > 0, f"random_geometric: radius must be positive, got {radius}")
    places = rng.random((n, 2))
    return nx.random_geometric_graph(n, radius, pos={i: tuple(place) for i, place in enumerate(places.tolist())})


def regions(
    n: int,
    rng: np.random.Generator,
    n_regions: int | None = None,
    intra_degree: float = 4.0,
    inter_links: int = 2,
    region_of: Sequence[int] | None = None,
) -> nx.Graph:
    """Return dense regions with few links between them.

    Parameters
    ----------
    n : int
    rng : np.random.Generator
    n_regions : int, optional
        Equal regions (4 by default), to which peers are drawn.
    intra_degree : float
        Mean number of links of a peer within its region: a cycle and random chords, or all links where the
        region is too small.
    inter_links : int
        Links between any two regions.
    region_of : sequence of int, optional
        Region of each peer instead, for instance from ``assign_regions``.
    """
    require(n >= 1, f"regions: needs n >= 1, got n={n}")
    require(n_regions is None or region_of is None, "regions: give n_regions or region_of, not both")
    require(intra_degree >= 2, f"regions: intra_degree must be at least 2, got {intra_degree}")
    require(inter_links >= 1, f"regions: inter_links must be at least 1, got {inter_links}")
    if region_of is None:
        count = 4 if n_regions is None else n_regions
        require(1 <= count <= n, f"regions: n_regions must be between 1 and n={n}, got {count}")
        home = rng.permutation(np.arange(n) % count)
    else:
        home = np.asarray(region_of, dtype=np.int64)
        require(
            home.shape == (n,), f"regions: region_of must hold a region for each of {n} peers, got {home.size}"
        )
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from((i, {"region": int(home[i])}) for i in range(n))
    members = [np.flatnonzero(home == region) for region in np.unique(home)]
    for inside in members:
        graph.add_edges_from(_links_within(rng.permutation(inside).tolist(), rng, intra_degree))
    for a, b in itertools.combinations(members, 2):
        graph.add_edges_from(_links_between(a, b, rng, inter_links))
    return graph


def _links_within(order: list[int], rng: np.random.Generator, mean_degree: float) -> list[tuple[int, int]]:
    """Return a cycle in this order and random chords, up to the mean degree."""
    size = len(order)
    cycle = {frozenset((order[i], order[(i + 1) % size])) for i in range(size) if size > 1}
    pairs = [pair for pair in itertools.combinations(sorted(order), 2) if frozenset(pair) not in cycle]
    wanted = min(len(pairs), max(0, round(size * mean_degree / 2) - len(cycle)))
    chords = [pairs[i] for i in rng.choice(len(pairs), wanted, replace=False)] if wanted else []
    return sorted((min(link), max(link)) for link in cycle) + chords


def _links_between(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    chosen = rng.choice(len(a) * len(b), min(count, len(a) * len(b)), replace=False)
    return [(int(a[k // len(b)]), int(b[k % len(b)])) for k in chosen]
