"""Who is linked to whom, and how far apart regions are; usable alone in a notebook.

>>> import numpy as np
>>> graph = build("torus", 12, np.random.Generator(np.random.PCG64(1)))
>>> measure(graph).diameter
3
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np

from topologies.bandwidth import BANDWIDTHS, BandwidthTable, load_bandwidth, sample_bandwidth
from topologies.errors import TopologyError, require, unknown
from topologies.files import from_file
from topologies.measures import (
    TopologyMeasures,
    check_connected,
    is_honest_connected,
    measure,
    metropolis_weights,
)
from topologies.random_graphs import (
    barabasi_albert,
    erdos_renyi,
    random_geometric,
    random_regular,
    regions,
    watts_strogatz,
)
from topologies.regions import (
    LATENCIES,
    SHARES,
    RegionLatency,
    assign_regions,
    load_latency,
    load_shares,
    spread_shares,
)
from topologies.regular import complete, exponential, ring, star, torus

__all__ = [
    "BANDWIDTHS",
    "LATENCIES",
    "SHARES",
    "TOPOLOGIES",
    "BandwidthTable",
    "RegionLatency",
    "TopologyError",
    "TopologyMeasures",
    "assign_regions",
    "build",
    "check_connected",
    "is_honest_connected",
    "load_bandwidth",
    "load_latency",
    "load_shares",
    "measure",
    "metropolis_weights",
    "sample_bandwidth",
    "spread_shares",
]

TOPOLOGIES: dict[str, Callable[..., nx.Graph]] = {
    "ring": ring,
    "torus": torus,
    "complete": complete,
    "star": star,
    "exponential": exponential,
    "random_regular": random_regular,
    "erdos_renyi": erdos_renyi,
    "watts_strogatz": watts_strogatz,
    "barabasi_albert": barabasi_albert,
    "random_geometric": random_geometric,
    "regions": regions,
    "from_file": from_file,
}

FIXED = frozenset({"ring", "torus", "complete", "star", "exponential", "from_file"})
MAX_DRAWS = 100


def build(name: str, n: int, rng: np.random.Generator, **params: Any) -> nx.Graph:
    """Return a connected graph on the peers 0 … n-1.

    Parameters
    ----------
    name : str
        Name in ``TOPOLOGIES``.
    n : int
        Number of peers.
    rng : np.random.Generator
        Random topologies are drawn from it, again until connected, at most ``MAX_DRAWS`` times.
    **params
        Parameters of the topology.

    Returns
    -------
    graph : nx.Graph
        Peers and links in ascending order, so that loops over them are reproducible.

    Raises
    ------
    TopologyError
        If a name is unknown, a size impossible or no draw is connected.
    """
    if name not in TOPOLOGIES:
        raise unknown("topology", name, TOPOLOGIES)
    make = TOPOLOGIES[name]
    _check_parameters(name, make, params)
    draws = 1 if name in FIXED else MAX_DRAWS
    for _ in range(draws):
        graph = make(n, rng, **params)
        if nx.is_connected(graph):
            return _ordered(graph)
    cure = "add links to it" if name in FIXED else "use more links per peer"
    raise TopologyError(f"{name}: no connected graph with n={n} in {draws} draws; {cure}")


def _check_parameters(name: str, make: Callable[..., nx.Graph], params: dict[str, Any]) -> None:
    signature = inspect.signature(make).parameters
    known = [key for key in signature if key not in ("n", "rng")]
    for key in params:
        if key not in known:
            raise unknown(f"parameter of {name}:", key, known)
    for key in known:
        missing = signature[key].default is inspect.Parameter.empty and key not in params
        require(not missing, f"{name}: parameter {key!r} is missing")


def _ordered(graph: nx.Graph) -> nx.Graph:
    result: nx.Graph = nx.Graph()
    result.add_nodes_from((peer, graph.nodes[peer]) for peer in sorted(graph))
    result.add_edges_from(sorted(tuple(sorted(link)) for link in graph.edges))
    return result
