"""Rules for gossip: one peer's vector and its neighbours' in, the peer's next vector out.

``rule(own, neighbours, weights, context)`` maps own : (d,), neighbours : (k, d) and mixing weights (k + 1,),
own weight first, to (d,). A neighbour whose vector holds NaN or infinities, is too long (see ``rows``), or has
weight zero is absent: its weight falls to the peer itself, so that weights still sum to one. Inputs are never
overwritten. A rule made for n peers in ``rules`` works on the closed neighbourhood through
:class:`ClosedNeighbourhood`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from simdfl.aggregation.contract import Rule, RuleContext, aggregate
from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.rows import is_usable
from simdfl.aggregation.span import clip_factors, combine_rows, mean_of_rows, row_norms
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


@dataclass(frozen=True)
class Mixing(GossipRule):
    """Weighted average ``w_0 x_i + sum_j w_j x_j``: gossip without defence.

    References
    ----------
    Lian et al., "Can decentralized algorithms outperform centralized algorithms?", NIPS 2017, algorithm 1
    (D-PSGD).
    """

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        return np.float32(weights[0]) * own + combine_rows(weights[1:], neighbours)


@dataclass(frozen=True)
class SelfCentredClip(GossipRule):
    """ClippedGossip, or SCClip: ``x_i + sum_j w_j (x_j - x_i) min(1, tau / ||x_j - x_i||)``.

    Bound: liars of total weight delta move the peer by at most ``tau delta``.

    Parameters
    ----------
    tau : float
        Clipping radius; infinity gives the weighted average.

    References
    ----------
    He, Karimireddy, Jaggi, "Byzantine-robust decentralized learning via ClippedGossip", arXiv 2202.01545, 2022,
    section 4.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise UserError(f"gossip: self_centred_clip needs tau > 0, got {self.tau}")

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        about = neighbours - own
        return own + combine_rows(weights[1:] * clip_factors(row_norms(about), self.tau), about)


@dataclass(frozen=True)
class AdaptiveSelfCentredClip(GossipRule):
    """ClippedGossip with ``tau = sqrt(sum_j w_j ||x_j - x_i||² / delta)`` over the neighbours held honest.

    The paper sums over honest neighbours, whom nobody knows: here all but the `f` furthest, of equally far ones
    those listed first. delta is the greatest total weight of `f` neighbours. With f = 0 nothing is clipped.

    Parameters
    ----------
    f : int
        Liars among the neighbours.

    References
    ----------
    He, Karimireddy, Jaggi, arXiv 2202.01545, 2022, section 4, theorem III (choice of the radius).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        about, w = neighbours - own, weights[1:]
        lengths = row_norms(about)
        f = min(self.f, len(w))
        delta = float(np.sort(w)[len(w) - f :].sum())
        held = np.argsort(lengths, kind="stable")[: len(w) - f]
        tau = math.sqrt(float(w[held] @ lengths[held] ** 2) / delta) if delta > 0 else math.inf
        return own + combine_rows(w * clip_factors(lengths, tau), about)


@dataclass(frozen=True)
class NeighbourTrimmedMean(GossipRule):
    """BRIDGE-T: in each coordinate the mean of the own value and the neighbours' without `f` least and `f`
    greatest.

    The own value is never trimmed; mixing weights are not used. If at most 2 f neighbours are present the peer
    keeps its vector. Breakdown: k > 2 f; every coordinate stays within the range of honest neighbours and itself.

    Parameters
    ----------
    f : int
        Values trimmed on each side.

    References
    ----------
    Fang, Yang, Bajwa, "BRIDGE: Byzantine-resilient decentralized gradient descent", IEEE TSIPN 8, 2022, section
    III (BRIDGE-T).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,)."""
        if len(neighbours) <= 2 * self.f:
            return own
        kept = np.sort(neighbours, axis=0)[self.f : len(neighbours) - self.f]
        return (kept.sum(axis=0, dtype=np.float64) + own) / (len(kept) + 1)


@dataclass(frozen=True)
class Ubar(GossipRule):
    """UBAR: of the nearest neighbours, average those that do no worse on the peer's own batch.

    Stage 1 keeps the ``ceil(rho k)`` neighbours nearest to the own vector (Euclidean, ties to the first). Stage
    2 keeps those whose loss is at most the own vector's, or the one of least loss if there is none. The result
    is ``alpha x_i + (1 - alpha) mean``; mixing weights are not used. The paper's first version names the rule
    Mozi; the two stages are the same, so that ``mozi`` is the same entry of the shelf.

    Parameters
    ----------
    rho : float
        Share of honest neighbours, above 0 and at most 1.
    alpha : float
        Weight of the own vector, from 0 to 1.

    References
    ----------
    Guo, Zhang, Yu, Xie, Ma, Xiang, Liu, "Byzantine-resilient decentralized stochastic gradient descent", IEEE
    TCSVT 32(6), 2022, section IV (UBAR); its first version "Towards Byzantine-resilient learning in
    decentralized systems", arXiv 2002.08569v1, 2020 (Mozi).
    """

    rho: float = 0.5
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.rho <= 1 or not 0 <= self.alpha <= 1:
            raise UserError(f"gossip: ubar needs 0 < rho <= 1 and 0 <= alpha <= 1, got {self.rho}, {self.alpha}")

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,), asking ``context.loss``."""
        if context.loss is None:
            raise UserError(
                "gossip: ubar tests vectors on the peer's own batch; give GossipContext(loss=...) or use "
                "self_centred_clip, which needs none"
            )
        count = math.ceil(self.rho * len(neighbours))
        near = neighbours[np.argsort(row_norms(neighbours - own), kind="stable")[:count]]
        losses = np.array([context.loss(vector) for vector in near])
        losses = np.where(np.isfinite(losses), losses, np.inf)
        good = losses <= context.loss(own)
        chosen = good if good.any() else np.arange(len(near)) == losses.argmin()
        return np.float32(self.alpha) * own + np.float32(1.0 - self.alpha) * mean_of_rows(near, chosen)


@dataclass(frozen=True)
class Balance(GossipRule):
    """BALANCE: average the neighbours within a radius that shrinks with the steps.

    A neighbour is accepted if ``||x_i - x_j|| <= gamma exp(-kappa t / T) ||x_i||``; the result is
    ``alpha x_i + (1 - alpha) mean`` of the accepted, x_i if there is none. Mixing weights are not used. Bound:
    the peer moves by at most ``(1 - alpha) gamma ||x_i||``.

    Parameters
    ----------
    gamma, kappa : float
    alpha : float
        Weight of the own vector, from 0 to 1.

    References
    ----------
    Fang, Zhang, Hairi, Khanduri, Liu, Lu, Liu, Gong, "Byzantine-robust decentralized federated learning", CCS
    2024, section 4 (BALANCE).
    """

    gamma: float = 0.3
    kappa: float = 1.0
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not self.gamma > 0 or not self.kappa >= 0 or not 0 <= self.alpha <= 1:
            raise UserError(
                "gossip: balance needs gamma > 0, kappa >= 0 and 0 <= alpha <= 1, "
                f"got {self.gamma}, {self.kappa}, {self.alpha}"
            )

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,) in ``context.step`` of ``context.steps``."""
        reach = self.gamma * math.exp(-self.kappa * context.step / context.steps) * float(np.linalg.norm(own))
        accepted = row_norms(neighbours - own) <= reach
        if not accepted.any():
            return own
        return np.float32(self.alpha) * own + np.float32(1.0 - self.alpha) * mean_of_rows(neighbours, accepted)


@dataclass(frozen=True)
class ClosedNeighbourhood(GossipRule):
    """Any rule over the peer and its neighbours, each counting once; row 0 is the peer itself.

    With ``monna`` row 0 is the pivot, as in its paper. Mixing weights are not used. Rules with a memory see
    neighbours as rows 1 to k.

    Parameters
    ----------
    rule : Rule
    """

    rule: Rule

    def mix(
        self, own: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, context: GossipContext
    ) -> np.ndarray:
        """Map own, neighbours and weights to (d,), in ``context.rule``."""
        return aggregate(self.rule, np.concatenate([own[None], neighbours]), None, context.rule).value


def metropolis_weights(graph: nx.Graph) -> np.ndarray:
    """Return the Metropolis-Hastings mixing matrix (n, n) float64 of a graph on the peers 0 … n-1.

    ``w_ij = 1 / (1 + max(degree_i, degree_j))`` on links, ``w_ii = 1 - sum_j w_ij``: symmetric, not negative,
    rows and columns of sum 1.

    Raises
    ------
    UserError
        If the peers are not 0 … n-1, or the graph is directed or has loops.

    References
    ----------
    Xiao, Boyd, Kim, "Distributed average consensus with least-mean-square deviation", JPDC 67(1), 2007, section
    2.

    Examples
    --------
    >>> metropolis_weights(nx.path_graph(3)).round(2)
    array([[0.67, 0.33, 0.  ],
           [0.33, 0.33, 0.33],
           [0.  , 0.33, 0.67]])
    """
    n = graph.number_of_nodes()
    if set(graph) != set(range(n)) or graph.is_directed() or nx.number_of_selfloops(graph):
        raise UserError("gossip: mixing weights need an undirected graph without loops on the peers 0 … n-1")
    weights = np.zeros((n, n))
    for i, j in graph.edges:
        weights[i, j] = weights[j, i] = 1.0 / (1.0 + max(graph.degree[i], graph.degree[j]))
    np.fill_diagonal(weights, 1.0 - weights.sum(axis=1))
    return weights


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
