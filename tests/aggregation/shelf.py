"""Every entry of the shelf, ready to be called, with rows to try it on."""

from __future__ import annotations

import numpy as np

from simdfl.aggregation import PRE_AGGREGATORS, RULES, InContext, RuleContext, make_rule
from simdfl.rng import Rng
from simdfl.scenario.sections import RuleConfig

N, B, D = 11, 4, 9
COMPOSED = {
    "nnm+krum": RuleConfig(name="nnm", then=RuleConfig(name="krum")),
    "bucketing+geometric_median": RuleConfig(name="bucketing", then=RuleConfig(name="geometric_median")),
    "clip+mean": RuleConfig(name="clip", then=RuleConfig(name="mean")),
    "arc+nnm+trimmed_mean": RuleConfig(
        name="arc", then=RuleConfig(name="nnm", then=RuleConfig(name="trimmed_mean"))
    ),
    "nnm+afa": RuleConfig(name="nnm", then=RuleConfig(name="afa")),
}
NAMES = [*sorted(RULES), *COMPOSED]
assert {name.split("+")[0] for name in COMPOSED} == set(PRE_AGGREGATORS)


def draw_rows(seed: int, n: int = N, d: int = D) -> np.ndarray:
    """Draw honest rows about one centre."""
    rng = Rng(seed).stream("rows")
    return (rng.standard_normal(d) + 0.5 * rng.standard_normal((n, d))).astype(np.float32)


def draw_liars(seed: int, n: int = N, b: int = B) -> np.ndarray:
    return Rng(seed).stream("who").choice(n, b, replace=False)


def root_like(d: int) -> np.ndarray:
    """Return a trusted gradient that honest rows of :func:`draw_rows` resemble only by chance."""
    return Rng(99).stream("root").standard_normal(d).astype(np.float32)


def liars_of(name: str, n: int = N, b: int = B) -> int:
    """Return how many liars a rule is made for: Bulyan and buckets withstand fewer."""
    return min(b, (n - 3) // 4) if name.startswith(("bulyan", "bucketing")) else b


def make(name: str, n: int = N, b: int = B, root: np.ndarray | None = None) -> InContext:
    """Return a rule, or a composition of several, in a context with a root and a seed."""
    config = COMPOSED.get(name, RuleConfig(name=name))
    rule = make_rule(config.name, config.params, n, liars_of(name, n, b), config.then)
    return InContext(rule, RuleContext(seed=b"s" * 32, root=root_like(D) if root is None else root))


def keeping(promise: str) -> list[str]:
    """Return the names of all rules that do not say they break a promise."""
    return [name for name in NAMES if promise not in make(name).breaks]
