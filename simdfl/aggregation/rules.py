"""The shelf of rules, and how a rule is made from a name, parameters and the number of peers.

``docs/rules.md`` lists every rule with its formula. What happens to absent and non-finite rows is the same for
all of them: see ``rows``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from simdfl.aggregation.bulyan import Bulyan
from simdfl.aggregation.clipped import CenteredClip, MomentumClip, NormClip, SequentialClip
from simdfl.aggregation.clusters import ClippedClustering, Flame
from simdfl.aggregation.contract import Rule
from simdfl.aggregation.coordinatewise import AdaptiveMedian, MeanAroundMedian, Median, Phocas, TrimmedMean
from simdfl.aggregation.filters import ComparativeElimination, CovarianceFilter, DivideAndConquer, MoNNA
from simdfl.aggregation.krum import Krum, MultiKrum
from simdfl.aggregation.lasa import LayerAdaptive
from simdfl.aggregation.medians import RFA, AutoGM, GeometricMedian, MedianOfMeans
from simdfl.aggregation.preaggregation import (
    AdaptiveClip,
    Bucketing,
    NearestNeighbourMixing,
    PreAggregated,
    PreAggregator,
    StaticClip,
)
from simdfl.aggregation.rows import row_weights
from simdfl.aggregation.signs import MajorityVote, RobustLearningRate, SignGuard
from simdfl.aggregation.span import combine_rows
from simdfl.aggregation.subsets import (
    MinimumDiameterAveraging,
    MinimumVarianceAveraging,
    SmallestEigenvalueAveraging,
)
from simdfl.aggregation.trust import AdaptiveAveraging, FLTrust, FoolsGold
from simdfl.errors import UserError, nearest, unknown_name


@dataclass(frozen=True)
class Mean:
    """Weighted mean. Breakdown: one liar moves it anywhere; it is the baseline without defence."""

    breaks = frozenset({"liars"})

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        x = np.asarray(x, dtype=np.float32)
        w = row_weights(x, weights)
        rows, w = (x, w) if (w > 0).all() else (x[w > 0], w[w > 0])
        return combine_rows(w / w.sum(dtype=np.float64), rows)


RULES: dict[str, Callable[..., Rule]] = {
    "mean": Mean,
    "centered_clip": CenteredClip,
    "centered_clip_momentum": MomentumClip,
    "sequential_clip": SequentialClip,
    "norm_clip": NormClip,
    "median": Median,
    "adaptive_median": AdaptiveMedian,
    "trimmed_mean": TrimmedMean,
    "meamed": MeanAroundMedian,
    "phocas": Phocas,
    "geometric_median": GeometricMedian,
    "rfa": RFA,
    "autogm": AutoGM,
    "median_of_means": MedianOfMeans,
    "krum": Krum,
    "multi_krum": MultiKrum,
    "bulyan": Bulyan,
    "mda": MinimumDiameterAveraging,
    "mva": MinimumVarianceAveraging,
    "smea": SmallestEigenvalueAveraging,
    "monna": MoNNA,
    "cge": ComparativeElimination,
    "caf": CovarianceFilter,
    "dnc": DivideAndConquer,
    "clipped_clustering": ClippedClustering,
    "flame": Flame,
    "sign_guard": SignGuard,
    "sign_sgd": MajorityVote,
    "rlr": RobustLearningRate,
    "fltrust": FLTrust,
    "fools_gold": FoolsGold,
    "afa": AdaptiveAveraging,
    "lasa": LayerAdaptive,
}
PRE_AGGREGATORS: dict[str, Callable[..., PreAggregator]] = {
    "nnm": NearestNeighbourMixing,
    "bucketing": Bucketing,
    "clip": StaticClip,
    "arc": AdaptiveClip,
}

LEAST_PEERS = {"krum": (2, 3), "multi_krum": (2, 3), "bulyan": (4, 3)}
"""Rules that need n >= a f + c peers, as (a, c); all others with a parameter f need 2 f + 1."""
OF_SIZES: dict[tuple[str, str], Callable[[int, int], int]] = {
    ("multi_krum", "m"): lambda n, f: n - f - 2,
    ("median_of_means", "k"): lambda n, f: min(n, 2 * f + 1),
    ("rlr", "threshold"): lambda n, f: f + 1,
}
"""Defaults that depend on the numbers of peers and liars."""
ONE_PEER_A_ROW = {"fools_gold", "afa", "monna"}
"""Rules that remember or name peers, and cannot follow a bucketing that mixes them."""
KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "bool": (bool, "true or false"),
    "str": (str, "a text"),
}


def make_rule(name: str, params: Mapping[str, Any], n: int, b: int, then: Any = None) -> Rule:
    """Return the rule `name` for n peers of which b lie.

    Parameters
    ----------
    name : str
        Name in ``RULES`` or ``PRE_AGGREGATORS``.
    params : mapping
        The rule's parameters; ``f`` defaults to b, and ``m`` of ``multi_krum`` to n - f - 2.
    n, b : int
        Peers and Byzantine peers.
    then : object, optional
        What follows a pre-aggregator: anything with attributes ``name``, ``params`` and ``then``.

    Raises
    ------
    UserError
        If a name is unknown or the rule cannot work with these sizes.

    Examples
    --------
    >>> make_rule("multi_krum", {}, n=16, b=3).m
    11
    """
    if name in PRE_AGGREGATORS:
        return _pre_aggregated(name, params, n, b, then)
    if then is not None:
        known = ", ".join(PRE_AGGREGATORS)
        raise UserError(
            f"aggregation.then: {name!r} is no pre-aggregator, nothing can follow it; remove then, or use {known}"
        )
    if name not in RULES:
        raise unknown_name("aggregation.name", name, RULES | PRE_AGGREGATORS)
    rule: Rule = _make(name, RULES[name], params, n, b)
    return rule


def _pre_aggregated(name: str, params: Mapping[str, Any], n: int, b: int, then: Any) -> Rule:
    if then is None:
        raise UserError(
            f"aggregation: {name!r} prepares rows for a rule; name the rule, for instance then: {{name: krum}}"
        )
    first = _make(name, PRE_AGGREGATORS[name], params, n, b)
    if not first.keeps_peers and then.name in ONE_PEER_A_ROW:
        raise UserError(
            f"aggregation.then: {then.name!r} tells peers apart, but {name!r} mixes them; use nnm, clip or arc"
        )
    return PreAggregated(first, make_rule(then.name, then.params, first.count_after(n), b, then.then))


def _make(name: str, rule_class: Any, params: Mapping[str, Any], n: int, b: int) -> Any:
    known = {field.name for field in fields(rule_class)}
    full = read_params(name, params, rule_class)
    if "f" in known:
        _check_sizes(name, n, full.setdefault("f", b))
    for key in sorted(known):
        if (name, key) in OF_SIZES:
            full.setdefault(key, OF_SIZES[name, key](n, full.get("f", b)))
    if name == "multi_krum" and not 1 <= full["m"] <= n:
        raise UserError(f"aggregation.m: must be between 1 and n={n}, got {full['m']}")
    return rule_class(**full)


def read_params(name: str, params: Mapping[str, Any], rule_class: Any) -> dict[str, Any]:
    """Return the parameters for a rule's class.

    Raises
    ------
    UserError
        If the class has no such parameter, or a value is of the wrong kind.
    """
    known = {field.name: str(field.type) for field in fields(rule_class)}
    return {key: _value(name, key, value, known) for key, value in params.items()}


def _value(name: str, key: str, value: Any, known: Mapping[str, str]) -> Any:
    """Return a parameter's value if its name and kind are right; the word inf is a number."""
    if key not in known:
        listed = ", ".join(known) or "none"
        raise UserError(
            f"aggregation: {name!r} has no parameter {key!r}{nearest(key, known)}; known parameters: {listed}"
        )
    if known[key] == "float" and value == "inf":
        return math.inf
    kind, words = KINDS[known[key]]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"aggregation.{key}: must be {words}, got {value!r}")
    return value


def _check_sizes(name: str, n: int, f: int) -> None:
    """Raise if the rule `name` cannot withstand f liars among n."""
    if f < 0:
        raise UserError(f"aggregation.f: must be a whole number >= 0, got {f!r}")
    a, c = LEAST_PEERS.get(name, (2, 1))
    if n >= a * f + c:
        return
    more = f" + {c - 1}" if c > 1 else ""
    most = f" or f <= {(n - c) // a}" if n >= c else ""
    raise UserError(
        f"aggregation.f: {name} needs n > {a}f{more}, got n={n}, f={f}; use at least {a * f + c} peers{most}"
    )
