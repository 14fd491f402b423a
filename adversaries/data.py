"""Attacks on the data that a gradient is computed from."""

from __future__ import annotations

import numpy as np

from simdfl.learning.poison import Relabel
from simdfl.peers.behaviour import Byzantine, Turn


class LabelFlip(Byzantine):
    """Compute the gradient on the right records with labels ``n_classes - 1 - y``.

    The vector is as long as an honest one, so clipping hardly holds it. Caught by a validator's recomputation.

    References
    ----------
    Gorbunov et al., ICML 2022, section 4.1; Tolpegin et al., "Data poisoning attacks against federated
    learning systems", ESORICS 2020.
    """

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) on turned labels."""
        return turn.own_gradient(Relabel(tuple(reversed(range(self.coalition.n_classes)))))
