"""Rules for gossip: one peer's vector and its neighbours' in, the peer's next vector out.

``rule(own, neighbours, weights, context)`` maps own : (d,), neighbours : (k, d) and mixing weights (k + 1,),
own weight first, to (d,). A neighbour whose vector holds NaN or infinities, is too long (see ``rows``), or has
weight zero is absent: its weight falls to the peer itself, so that weights still sum to one. Inputs are never
overwritten. A rule made for n peers in ``rules`` works on the closed neighbourhood through
:class:`ClosedNeighbourhood`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simdfl.aggregation.contract import RuleContext
from simdfl.aggregation.rows import is_usable
from simdfl.errors import UserError

SUM_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class GossipContext:
    """What a gossip rule may know beside the vectors.

    Parameters
    ----------
    step, steps : int
        The step and how many the run has.
    loss : callable, optional
        The peer's loss of a vector (d,) on a batch of its own, for rules that test performance.
    rule : RuleContext
        For a rule over the closed neighbourhood.
    """

    step: int = 0
    steps: int = 1
    loss: Callable[[np.ndarray], float] | None = None
    rule: RuleContext = field(default_factory=RuleContext)


class GossipRule(ABC):
    """A peer's rule for its neighbourhood."""

    def __call__(
        self,
        own: np.ndarray,
        neighbours: np.ndarray,
        weights: np.ndarray,
        context: GossipContext | None = None,
    ) -> np.ndarray:
        """Return the next vector (d,) float32.

        Parameters
        ----------
        own : (d,) float32
        neighbours : (k, d) float32
        weights : (k + 1,) float
            Mixing weights, own first: not negative, of sum 1.
        context : GossipContext, optional

        Raises
        ------
        UserError
            If shapes or weights are impossible, or the own vector is not finite.
        """
        own, neighbours = np.asarray(own, dtype=np.float32), np.asarray(neighbours, dtype=np.float32)
        w = np.array(weights, dtype=np.float64)
        _check_neighbourhood(own, neighbours, w)
        present = is_usable(neighbours) & (w[1:] > 0)
        kept = neighbours if present.all() else neighbours[present]
        shares = np.concatenate([[w[0] + w[1:][~present].sum()], w[1:][present]])
        if not present.any():
            return own.copy()
        return np.array(self.mix(own, kept, shares, context or GossipContext()), dtype=np.float32)

    @abstractmethod
    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own (d,), at least one present neighbour (k, d) and weights (k + 1,) to (d,)."""


def _check_neighbourhood(own: np.ndarray, neighbours: np.ndarray, w: np.ndarray) -> None:
    if own.ndim != 1 or neighbours.ndim != 2 or neighbours.shape[1:] != own.shape or not own.size:
        raise UserError(f"gossip: needs own (d,) and neighbours (k, d), got {own.shape}, {neighbours.shape}")
    is_row = w.shape == (len(neighbours) + 1,) and np.isfinite(w).all() and (w >= 0).all()
    if not is_row or abs(w.sum() - 1.0) > SUM_TOLERANCE:
        raise UserError(
            f"gossip: weights must be {len(neighbours) + 1} numbers >= 0 of sum 1, own first, got {w.tolist()}"
        )
    if not is_usable(own[None])[0]:
        raise UserError("gossip: the own vector holds NaN, infinities or is too long; training has diverged")
