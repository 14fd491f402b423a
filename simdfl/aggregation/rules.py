"""The shelf of rules, and those of them that weigh rows: mean, CenteredClip, geometric median.

A rule is a frozen object; ``rule(x, weights)`` maps x : (n, d) float32 to (d,) float32. What happens to
absent and non-finite rows is the same for all of them: see ``rows``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from simdfl.aggregation.clipping import centered_clip
from simdfl.aggregation.coordinatewise import Median, TrimmedMean
from simdfl.aggregation.krum import Krum, MultiKrum
from simdfl.aggregation.rows import row_weights
from simdfl.errors import UserError, nearest, unknown_name


class Rule(Protocol):
    """Anything that maps rows (n, d) float32 and optional weights (n,) to (d,) float32."""

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate the rows."""


@dataclass(frozen=True)
class Mean:
    """Weighted mean. Breakdown: one liar moves it anywhere; it is the baseline without defence."""

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        x = np.asarray(x, dtype=np.float32)
        return np.asarray(_weighted_mean(x, row_weights(x, weights)))


@jax.jit
def _weighted_mean(x: Array, w: Array) -> Array:
    # A product with a vector is many times faster than a mean over the peers' axis.
    clean = jnp.where((w > 0)[:, None], x, 0.0)
    return jnp.einsum("n,nd->d", w / jnp.sum(w), clean, precision="highest")


@dataclass(frozen=True)
class CenteredClip:
    """CenteredClip at its fixed point (see :func:`~simdfl.aggregation.clipping.centered_clip`).

    Breakdown: f < n/2 in weight. Bound: b liars among n move the result by at most about
    ``tau b / (n - b)`` where all honest rows lie within tau of it.

    Parameters
    ----------
    tau : float
        Clipping radius; infinity gives the mean.
    eps : float
        Length of the step at which to stop.
    max_iterations : int

    References
    ----------
    Karimireddy, He, Jaggi, ICML 2021, section 4; Gorbunov et al., ICML 2022, algorithm 2.
    """

    tau: float = 1.0
    eps: float = 1e-6
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if not self.tau > 0 or not 0 < self.eps < math.inf or self.max_iterations < 1:
            raise UserError(
                "aggregation: centered_clip needs tau > 0, eps > 0 and max_iterations >= 1, "
                f"got {self.tau}, {self.eps}, {self.max_iterations}"
            )

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        return centered_clip(x, weights, self.tau, self.eps, self.max_iterations).value


@dataclass(frozen=True)
class GeometricMedian:
    """Minimiser of the weighted sum of distances, smoothed below `nu`, by Weiszfeld's iteration.

    The smoothed geometric median is CenteredClip's fixed point for tau = nu, and is computed as such. It
    stops where the mean pull of the rows, each of length at most 1, is below `tolerance`. Breakdown:
    f < n/2 in weight.

    Parameters
    ----------
    nu : float
        Distances below it count quadratically.
    tolerance : float
    max_iterations : int

    References
    ----------
    Pillutla, Kakade, Harchaoui, "Robust aggregation for federated learning", IEEE TSP 70, 2022, section 4.
    """

    nu: float = 1e-3
    tolerance: float = 1e-5
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.nu < math.inf or not 0 < self.tolerance < 1 or self.max_iterations < 1:
            raise UserError(
                "aggregation: geometric_median needs nu > 0, 0 < tolerance < 1 and max_iterations >= 1, "
                f"got {self.nu}, {self.tolerance}, {self.max_iterations}"
            )

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        return centered_clip(x, weights, self.nu, self.nu * self.tolerance, self.max_iterations).value


RULES: dict[str, Callable[..., Rule]] = {
    "mean": Mean,
    "centered_clip": CenteredClip,
    "median": Median,
    "trimmed_mean": TrimmedMean,
    "krum": Krum,
    "multi_krum": MultiKrum,
    "geometric_median": GeometricMedian,
}


def make_rule(name: str, params: Mapping[str, Any], n: int, b: int) -> Rule:
    """Return the rule `name` for n peers of which b lie.

    Parameters
    ----------
    name : str
        Name in ``RULES``.
    params : mapping
        The rule's parameters; ``f`` defaults to b, and ``m`` of ``multi_krum`` to n - f - 2.
    n, b : int
        Peers and Byzantine peers.

    Raises
    ------
    UserError
        If a name is unknown or the rule cannot work with these sizes.

    Examples
    --------
    >>> make_rule("multi_krum", {}, n=16, b=3)
    MultiKrum(f=3, m=11)
    """
    if name not in RULES:
        raise unknown_name("aggregation.name", name, RULES)
    rule_class: Any = RULES[name]
    known = {field.name: field for field in fields(rule_class)}
    for key in params:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise UserError(
                f"aggregation: {name!r} has no parameter {key!r}{nearest(key, known)}; known parameters: {listed}"
            )
    full = dict(params)
    if "f" in known:
        full.setdefault("f", b)
        _check_sizes(name, n, full["f"])
    if "m" in known:
        full.setdefault("m", n - full["f"] - 2)
        if not 1 <= full["m"] <= n:
            raise UserError(f"aggregation.m: must be between 1 and n={n}, got {full['m']}")
    return rule_class(**full)


def _check_sizes(name: str, n: int, f: int) -> None:
    """Raise if the rule `name` cannot withstand f liars among n."""
    if not isinstance(f, int) or f < 0:
        raise UserError(f"aggregation.f: must be a whole number >= 0, got {f!r}")
    if name == "trimmed_mean" and n <= 2 * f:
        raise UserError(f"aggregation.f: trimmed_mean needs n > 2f, got n={n}, f={f}; use f <= {(n - 1) // 2}")
    if name in ("krum", "multi_krum") and n <= 2 * f + 2:
        raise UserError(
            f"aggregation.f: {name} needs n > 2f + 2, got n={n}, f={f}; "
            f"use at least {2 * f + 3} peers or f <= {(n - 3) // 2}"
        )
