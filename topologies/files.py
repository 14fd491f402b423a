"""Topologies from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from topologies.errors import TopologyError, require

READERS = {".graphml": nx.read_graphml, ".edgelist": nx.read_edgelist, ".edges": nx.read_edgelist}


def from_file(n: int, rng: np.random.Generator, path: str) -> nx.Graph:
    """Return the graph in a file: GraphML (``.graphml``) or one link a line (``.edgelist``, ``.edges``).

    Labels become 0 … n-1 in their order, numeric if all are numbers. Directions, parallel links and loops
    are dropped; attributes of vertices stay.

    Raises
    ------
    TopologyError
        If the file cannot be read or its number of peers is not n.
    """
    reader: Any = READERS.get(Path(path).suffix.lower())
    require(reader is not None, f"from_file: {path} must end in {', '.join(sorted(READERS))}")
    require(Path(path).is_file(), f"from_file: {path} does not exist or is no file")
    try:
        found: nx.Graph = nx.Graph(reader(path))
    except Exception as error:  # the readers raise whatever their parsers do
        raise TopologyError(f"from_file: {path} cannot be read as a graph ({error})") from error
    require(len(found) == n, f"from_file: {path} holds {len(found)} peers, wanted n={n}; make them equal")
    found.remove_edges_from(list(nx.selfloop_edges(found)))
    return nx.relabel_nodes(found, {label: i for i, label in enumerate(_ordered(list(found)))})


def _ordered(labels: list[Any]) -> list[Any]:
    try:
        return sorted(labels, key=int)
    except ValueError:
        return sorted(labels, key=str)
