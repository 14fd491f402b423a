"""The shelf of gossip rules, and how one is made from a name and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simdfl.aggregation.gossip import (
    AdaptiveSelfCentredClip,
    Balance,
    ClosedNeighbourhood,
    GossipRule,
    Mixing,
    NeighbourTrimmedMean,
    SelfCentredClip,
    Ubar,
)
from simdfl.aggregation.rules import PRE_AGGREGATORS, RULES, make_rule, read_params
from simdfl.errors import UserError, unknown_name

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
            f"gossip.f: {name} needs at least {least} neighbours for f={f}, got k={k}; use more links or a smaller f"
        )
