"""Peers behind address translation: they dial others, and nobody can dial them.

Two such peers have no link. In the overlay one of them links to a public peer instead. What one sends directly to
another goes by a relay: every peer behind NAT holds a connection to one public peer, drawn at random, which
passes messages on to it (libp2p's circuit relay v2). The relay's lines carry them, and its bytes are counted.

References
----------
libp2p specifications, relay/circuit-v2.md.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

from simdfl.errors import UserError

CIRCUIT = "CIRCUIT"
"""Topic under which relays get what they are to pass on."""
CIRCUIT_BYTES = 39
"""The target's name (34 bytes, a hashed key with its prefix) and framing."""


def draw_nat(n: int, share: float, rng: np.random.Generator) -> frozenset[int]:
    """Return which of n peers cannot be dialled.

    Raises
    ------
    UserError
        If nobody is left who can.
    """
    count = round(share * n)
    if count >= n:
        raise UserError(f"network.nat.share: {share:g} leaves none of {n} peers that can be dialled; use less")
    return frozenset(rng.permutation(n)[:count].tolist())


def draw_relays(n: int, hidden: frozenset[int], rng: np.random.Generator) -> dict[int, int]:
    """Return the relay of each peer that cannot be dialled."""
    public = [peer for peer in range(n) if peer not in hidden]
    return {peer: public[int(rng.integers(len(public)))] for peer in sorted(hidden)}


def dial_publicly(overlay: nx.Graph, hidden: frozenset[int], rng: np.random.Generator) -> nx.Graph:
    """Return the overlay with every link between two hidden peers moved to a public one.

    One of the two, by turns, links to a public peer that it has no link to yet; without one the link is lost.
    """
    public = [peer for peer in sorted(overlay) if peer not in hidden]
    result = overlay.copy()
    pairs = sorted(tuple(sorted(link)) for link in overlay.edges if hidden.issuperset(link))
    result.remove_edges_from(pairs)
    for turn, pair in enumerate(pairs):
        peer = pair[turn % 2]
        free = [other for other in public if not result.has_edge(peer, other)]
        if free:
            result.add_edge(peer, free[int(rng.integers(len(free)))])
    return result
