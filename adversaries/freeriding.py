"""Peers that save the work: vectors that look honest and belong to no batch of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdfl.peers.behaviour import Byzantine, Turn


class FreeRider(Byzantine):
    """Compute one gradient, and send it again and again.

    It belongs to an old batch, so a validator's recomputation finds it at once; no rule and no sum would.
    """

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self._first: np.ndarray | None = None

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the first gradient (d,)."""
        if self._first is None:
            self._first = turn.own_gradient()
        return self._first


class WrongBatch(Byzantine):
    """Compute the gradient on another public batch than the own seed names: a batch of one's choice.

    The vector is as honest as any. Only recomputation from the public seed tells.
    """

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) of a batch that belongs to nobody."""
        return turn.gradient_of(turn.peer + self.coalition.n_peers)
