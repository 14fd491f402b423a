"""The overlay drawn: who is linked to whom, how far, and who was removed."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from simdfl.report.picture import Picture
from simdfl.report.read import RunFolder
from simdfl.report.style import canvas, legend

MOST_LABELS = 64
SPRING_ROUNDS = 200

# (Byzantine, standing) -> name, marker, fill: shape and fill tell what colour tells, for print in grey.
LOOKS = {
    (False, "active"): ("honest, active", "o", "white", "#0b4f8a"),
    (False, "ejected"): ("honest, ejected", "o", "#c6dbef", "#0b4f8a"),
    (False, "banned"): ("honest, banned", "o", "#0b4f8a", "black"),
    (True, "active"): ("Byzantine, active", "s", "white", "#8c2d04"),
    (True, "ejected"): ("Byzantine, ejected", "s", "#fdae6b", "#8c2d04"),
    (True, "banned"): ("Byzantine, banned", "s", "#8c2d04", "black"),
}


def topology_picture(folder: RunFolder, run: str = "main") -> Picture | None:
    """Return the overlay with every peer's standing at the end; None where no links were recorded."""
    links, peers = folder.of(run, "topology"), folder.of(run, "peers")
    if links.empty:
        return None
    places = _layout(links, len(peers))
    figure, [axes] = canvas(1, height=6.2)
    _draw_links(axes, links, places)
    _draw_peers(axes, peers, places)
    axes.set_axis_off()
    axes.set_aspect("equal")
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    counts = ", ".join(
        f"{len(group)} {'Byzantine' if byzantine else 'honest'} {standing}"
        for (byzantine, standing), group in peers.groupby(["byzantine", "standing"])
    )
    return Picture(
        "topology",
        "Topology",
        f"Run {run}, every peer as it stands at the end. Dark lines are short links, light lines long ones; "
        f"a cross marks a banned peer.",
        f"Graph of {len(peers)} peers and {len(links)} links: {counts}.",
        figure,
        links[["peer", "neighbour", "latency_s"]],
    )


def _layout(links: pd.DataFrame, count: int) -> np.ndarray:
    """Return places (n, 2): springs that start from a circle, so that equal overlays look equal."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(zip(links["peer"], links["neighbour"]))
    circle = nx.circular_layout(graph)
    places = nx.spring_layout(graph, pos=circle, iterations=SPRING_ROUNDS, seed=0, k=2.2 / np.sqrt(count))
    return np.array([places[peer] for peer in range(count)])


def _draw_links(axes: Axes, links: pd.DataFrame, places: np.ndarray) -> None:
    latency = links["latency_s"].to_numpy(dtype=float)
    reach = max(float(np.ptp(latency)), 1e-9)
    grey = 0.35 + 0.45 * (latency - latency.min()) / reach
    ends = np.stack([places[links["peer"]], places[links["neighbour"]]], axis=1)
    axes.add_collection(
        LineCollection(list(ends), colors=[str(shade) for shade in grey], linewidths=1.0, zorder=1)
    )
    for name, shade, value in (("shortest", "0.35", latency.min()), ("longest", "0.80", latency.max())):
        axes.add_line(Line2D([], [], color=shade, label=f"{name} link, {1e3 * value:.0f} ms"))


def _draw_peers(axes: Axes, peers: pd.DataFrame, places: np.ndarray) -> None:
    size = 260.0 if len(peers) <= MOST_LABELS else 30.0
    for look, (name, marker, fill, edge) in LOOKS.items():
        rows = peers[(peers["byzantine"] == look[0]) & (peers["standing"] == look[1])]
        if rows.empty:
            continue
        x, y = places[rows["peer"]].T
        axes.scatter(x, y, s=size, marker=marker, c=fill, edgecolors=edge, linewidths=1.4, label=name, zorder=2)
        if look[1] == "banned":
            axes.scatter(x, y, s=2.2 * size, marker="x", c="black", linewidths=1.2, zorder=3)
        if len(peers) <= MOST_LABELS:
            dark = look[1] == "banned"
            for peer, (px, py) in zip(rows["peer"], places[rows["peer"]]):
                colour = "white" if dark else "black"
                axes.text(
                    px, py, str(peer), ha="center", va="center", fontsize=8, color=colour, weight="bold", zorder=4
                )
