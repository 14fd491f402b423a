"""Gossip rules that choose among neighbours, and the shelf of all gossip rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdfl.aggregation.contract import Rule, aggregate
from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.mixing import AdaptiveSelfCentredClip, Mixing, SelfCentredClip
from simdfl.aggregation.neighbourhood import GossipContext, GossipRule
from simdfl.aggregation.rules import PRE_AGGREGATORS, RULES, make_rule, read_params
from simdfl.aggregation.span import mean_of_rows, row_norms
from simdfl.errors import UserError, unknown_name


@dataclass(frozen=True)
class NeighbourTrimmedMean(GossipRule):
    """BRIDGE-T: in each coordinate the mean of the own value and the neighbours' but the `f` least and greatest.

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


GOSSIP_RULES: dict[str, Callable[..., GossipRule]] = {
    "mixing": Mixing,
    "self_centred_clip": SelfCentredClip,
    "adaptive_self_centred_clip": AdaptiveSelfCentredClip,
    "neighbour_trimmed_mean": NeighbourTrimmedMean,
    "ubar": Ubar,
    "mozi": Ubar,
    "balance": Balance,
}


def make_gossip_rule(name: str, params: Mapping[str, Any], k: int, b: int, then: Any = None) -> GossipRule:
    """Return the gossip rule `name` for a peer with k neighbours, of whom b lie.

    Parameters
    ----------
    name : str
        Name in ``GOSSIP_RULES``; or any rule or pre-aggregator of :func:`~simdfl.aggregation.make_rule`, which
        then works on the k + 1 vectors of the closed neighbourhood.
    params : mapping
        ``f`` defaults to b.
    k, b : int
    then : object, optional
        What follows a pre-aggregator.

    Raises
    ------
    UserError
        If a name is unknown or the rule cannot work with these sizes.

    Examples
    --------
    >>> make_gossip_rule("neighbour_trimmed_mean", {}, k=6, b=2)
    NeighbourTrimmedMean(f=2)
    >>> make_gossip_rule("krum", {}, k=6, b=2).rule.f
    2
    """
    if name in GOSSIP_RULES:
        if then is not None:
            raise UserError(f"gossip.then: nothing can follow {name!r}; remove then")
        rule_class: Any = GOSSIP_RULES[name]
        full = read_params(name, params, rule_class)
        if "f" in rule_class.__dataclass_fields__:
            full.setdefault("f", b)
            _check_neighbours(name, k, full["f"])
        return rule_class(**full)
    if name not in RULES and name not in PRE_AGGREGATORS:
        raise unknown_name("gossip.name", name, GOSSIP_RULES | RULES | PRE_AGGREGATORS)
    return ClosedNeighbourhood(make_rule(name, params, k + 1, b, then))


def _check_neighbours(name: str, k: int, f: int) -> None:
    least = 2 * f + 1 if name == "neighbour_trimmed_mean" else f
    if k < least:
        raise UserError(
            f"gossip.f: {name} needs at least {least} neighbours for f={f}, got k={k}; use more links"
        )
