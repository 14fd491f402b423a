"""Attacks on protocols in which each peer mixes its vector with its neighbours': a story for every listener."""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries.checks import require_positive
from adversaries.crowd import shared
from simdfl.peers.behaviour import Byzantine, Turn


class Dissensus(Byzantine):
    """Send neighbour i ``x_i - epsilon / b_i * sum_k (x_k - x_i)`` over honest k: keep it apart.

    b_i is the number of accomplices next to i, and all links weigh the same. At epsilon 1 what accomplices add
    cancels what honest neighbours do: i keeps its own model and no consensus comes about. Only protocols that
    send each neighbour a vector ask for it; in the others this attack is silent. Where everybody commits to one
    vector before all, different stories are an equivocation, which two signatures prove; clipping about the own
    vector bounds it elsewhere.

    Parameters
    ----------
    epsilon : float
        Strength; 1 cancels the honest neighbours' pull.

    References
    ----------
    He, Karimireddy, Jaggi, "Byzantine-robust decentralized learning via ClippedGossip", arXiv:2202.01545,
    section 4 (dissensus attack).
    """

    def __init__(self, *, epsilon: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("dissensus.epsilon", epsilon)
        self.epsilon = epsilon

    def vector_for(self, turn: Turn, receiver: int, vector: np.ndarray) -> np.ndarray:
        """Return what keeps this neighbour where it is (d,)."""
        if not self.is_attacking(turn.step) or receiver in self.coalition.members:
            return vector
        key = ("dissensus", self.epsilon, turn.step, receiver)
        return shared(self.coalition, key, lambda: self._against(turn, receiver))

    def _against(self, turn: Turn, receiver: int) -> np.ndarray:
        around = turn.neighbours(receiver)
        liars = max(1, sum(peer in self.coalition.members for peer in around))
        own = turn.honest_vector(receiver).astype(np.float64)
        pull = np.zeros_like(own)
        for peer in around:
            if peer not in self.coalition.members:
                pull += turn.honest_vector(peer) - own
        return own - self.epsilon / liars * pull
