"""Attacks that try out the rule they attack and send what moves it most.

The vector is ``mean + factor * p`` from b accomplices, and the factor is the least with (almost) the largest
deviation ``||rule(honest + b copies) - mean||``. To try a factor on all d coordinates would be slow, so it is
tried on a small copy of the problem (:class:`SmallCopy`):

- a rule that knows rows by their distances alone (Krum, CenteredClip, geometric median) does the same on any
  isometric copy, and h + 1 vectors fit into h + 1 dimensions, by the eigenvectors of their Gram matrix: exact;
- a rule that works coordinate by coordinate (median, trimmed mean) does the same on any of them; 1,024 drawn
  coordinates stand for all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries.checks import require
from adversaries.crowd import CrowdAttack, gram_of, mean_of, members, moments, products
from simdfl.aggregation import RULES, Rule, make_rule
from simdfl.peers.behaviour import Coalition, Turn

BY_DISTANCES = frozenset({"mean", "centered_clip", "krum", "multi_krum", "geometric_median"})
COORDINATES = 1024
FACTORS = np.geomspace(0.01, 100.0, 41)
REFINED = 16
ALMOST = 1e-3
"""A factor within this part of the largest deviation is good enough, and the least such is the stealthiest."""
SMALLEST_CROWD = 5
"""Contributors below which Krum's like do not exist and nothing is optimised."""


class SmallCopy:
    """The honest gradients about their mean and a perturbation, small enough to try a rule on it often.

    Parameters
    ----------
    rows : (h, d) float32
    mean, p : (d,) float64
        Their mean and the perturbation.
    name : str
        The rule under attack.
    columns : (k,) int
        Coordinates to look at for rules that work coordinate by coordinate.
    """

    def __init__(self, rows: np.ndarray, mean: np.ndarray, p: np.ndarray, name: str, columns: np.ndarray) -> None:
        if name in BY_DISTANCES:
            self.rows, self.p = isometric(rows, mean, p)
        else:
            self.rows, self.p = rows[:, columns] - mean[columns], p[columns]

    def deviation(self, rule: Rule, n_liars: int, factor: float) -> float:
        """Return how far the rule is from the honest mean if so many accomplices send mean + factor p."""
        liars = np.repeat(factor * self.p[None], n_liars, axis=0)
        result = rule(np.concatenate([self.rows, liars]).astype(np.float32))
        return float(np.linalg.norm(result.astype(np.float64)))

    def best_factor(self, rule: Rule, n_liars: int) -> float:
        """Return the least factor with almost the largest deviation: a coarse search, then a fine one."""
        coarse = self._least(rule, n_liars, FACTORS)
        at = int(np.searchsorted(FACTORS, coarse))
        low, high = FACTORS[max(at - 1, 0)], FACTORS[min(at + 1, len(FACTORS) - 1)]
        return self._least(rule, n_liars, np.linspace(low, high, REFINED))

    def _least(self, rule: Rule, n_liars: int, factors: np.ndarray) -> float:
        deviations = np.array([self.deviation(rule, n_liars, float(factor)) for factor in factors])
        return float(factors[np.argmax(deviations >= (1.0 - ALMOST) * deviations.max())])


def isometric(rows: np.ndarray, mean: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows about their mean (h, h + 1) and p (h + 1,) with their inner products in d dimensions."""
    gram, along = gram_of(rows), products(rows, p)
    to_mean = gram.mean(axis=0)
    size = len(rows) + 1
    full = np.empty((size, size))
    full[:-1, :-1] = gram - to_mean[:, None] - to_mean[None, :] + gram.mean()
    full[:-1, -1] = full[-1, :-1] = along - mean @ p
    full[-1, -1] = p @ p
    values, vectors = np.linalg.eigh(full)
    found = vectors * np.sqrt(np.maximum(values, 0.0))
    return found[:-1], found[-1]


class OptimisedAttack(CrowdAttack):
    """Base of the optimised attacks.

    Parameters
    ----------
    rule : str
        Name of the rule that is attacked.
    rule_params : dict or None
        Its parameters; ``f`` is the number of accomplices unless given, or as many as the rule can bear.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.
    """

    def __init__(self, *, rule: str = "krum", rule_params: dict[str, Any] | None = None, **base: Any) -> None:
        super().__init__(**base)
        require(rule in RULES, "rule", rule, f"one of {', '.join(sorted(RULES))}")
        self.rule = rule
        self.rule_params = dict(rule_params or {})
        make_rule(rule, self.rule_params, n=100, b=1)

    def send(self, rows: np.ndarray, mean: np.ndarray, p: np.ndarray, turn: Turn) -> np.ndarray:
        """Return mean + factor p (d,) with the best factor against the rule."""
        n_liars = len(members(self.coalition, turn))
        n = len(rows) + n_liars
        if n < SMALLEST_CROWD:
            return mean + p
        rule = make_rule(self.rule, self.rule_params, n, min(n_liars, (n - 3) // 2))
        columns = draw_columns(self.coalition, rows.shape[1])
        return mean + SmallCopy(rows, mean, p, self.rule, columns).best_factor(rule, n_liars) * p


def draw_columns(coalition: Coalition, size: int) -> np.ndarray:
    """Return the coordinates that stand for all, ascending."""
    if size <= COORDINATES:
        return np.arange(size)
    stream = coalition.rng.stream("coordinates", size)
    return np.sort(stream.choice(size, COORDINATES, replace=False))


class OptimisedLittleIsEnough(OptimisedAttack):
    """Send ``mean - z * std`` with the z that moves the attacked rule most.

    The same shape as ALIE, without its assumption that the spread is Gaussian. Caught by a validator's
    recomputation.

    Parameters
    ----------
    rule, rule_params, knowledge
        See :class:`OptimisedAttack`.

    References
    ----------
    Baruch, Baruch, Goldberg, NeurIPS 2019, algorithm 3; Shejwalkar and Houmansadr, NDSS 2021, section IV-A (the
    factor is searched for with the rule known).
    """

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the mean less the best number of standard deviations (d,)."""
        mean, std = moments(rows)
        return self.send(rows, mean, -std, turn)


class OptimisedInnerProduct(OptimisedAttack):
    """Send ``(1 - factor) * mean`` with the factor that moves the attacked rule most: epsilon is factor - 1.

    The same line as IPM, from the mean through zero to its opposite. Caught by a validator's recomputation.

    Parameters
    ----------
    rule, rule_params, knowledge
        See :class:`OptimisedAttack`.

    References
    ----------
    Xie, Koyejo, Gupta, UAI 2019, section 4; Shejwalkar and Houmansadr, NDSS 2021, section IV-A (the unit vector
    against the mean as perturbation).
    """

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the honest mean, shortened or turned (d,)."""
        mean = mean_of(rows)
        return self.send(rows, mean, -mean, turn)
