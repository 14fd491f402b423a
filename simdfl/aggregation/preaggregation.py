"""Pre-aggregators: mix or shorten rows before any rule sees them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from simdfl.aggregation.contract import ContextRule, Outcome, Rule, RuleContext, aggregate, needs_root
from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.rows import count_rows
from simdfl.aggregation.span import clip_factors, group_means, nearest_rows, row_norms, squared_distances
from simdfl.errors import UserError


class PreAggregator(ABC):
    """Maps the present rows (m, d) to rows (k, d) for the next rule."""

    breaks: ClassVar[frozenset[str]] = frozenset()
    keeps_peers: ClassVar[bool] = True
    """Whether row i of the result still belongs to the peer of row i."""

    @abstractmethod
    def prepare(self, rows: np.ndarray, context: RuleContext) -> np.ndarray:
        """Map the present rows (m, d) float32 to (k, d) float32; they must not be changed."""

    def count_after(self, n: int) -> int:
        """Return how many rows come of n."""
        return n


@dataclass(frozen=True)
class NearestNeighbourMixing(PreAggregator):
    """NNM: replace every row by the mean of the n - f rows nearest to it, itself among them.

    Makes rules optimal under heterogeneous data for f < n/2. Ties go to the lowest index.

    Parameters
    ----------
    f : int
        Liars to withstand.

    References
    ----------
    Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan, "Fixing by mixing", AISTATS 2023, section 3,
    algorithm 2.
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def prepare(self, rows: np.ndarray, context: RuleContext) -> np.ndarray:
        """Map (m, d) to (m, d)."""
        count = max(1, len(rows) - self.f)
        share = np.zeros((len(rows), len(rows)), dtype=np.float32)
        np.put_along_axis(share, nearest_rows(squared_distances(rows), count), np.float32(1.0 / count), axis=1)
        return share @ rows


@dataclass(frozen=True)
class Bucketing(PreAggregator):
    """Deal the rows at random into buckets of `size` and hand on the buckets' means.

    The last bucket may be smaller. Variance falls by `size`, but a liar spoils a whole bucket: the next rule must
    withstand f liars among ceil(n / size).

    Parameters
    ----------
    size : int
        The paper's s; 2 by default, as there.

    References
    ----------
    Karimireddy, He, Jaggi, "Byzantine-robust learning on heterogeneous datasets via bucketing", ICLR 2022,
    algorithm 1.
    """

    breaks = frozenset({"order"})
    keeps_peers = False

    size: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise UserError(f"aggregation: bucketing needs a whole size >= 1, got {self.size!r}")

    def prepare(self, rows: np.ndarray, context: RuleContext) -> np.ndarray:
        """Map (m, d) to (ceil(m / size), d); `context.seed` deals the buckets."""
        dealt = context.generator("bucketing").permutation(len(rows))
        return group_means(rows, (dealt[at : at + self.size] for at in range(0, len(rows), self.size)))

    def count_after(self, n: int) -> int:
        """Return ceil(n / size)."""
        return -(-n // self.size)


@dataclass(frozen=True)
class StaticClip(PreAggregator):
    """Shorten every row to norm `radius` at most: ``x_i min(1, radius / ||x_i||)``.

    Parameters
    ----------
    radius : float

    References
    ----------
    Allouah et al., "Adaptive gradient clipping for robust federated learning", ICLR 2025, section 3 (static
    clipping).
    """

    breaks = frozenset({"identical", "shift", "scale"})

    radius: float = 1.0

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise UserError(f"aggregation: clip needs a radius > 0, got {self.radius}")

    def prepare(self, rows: np.ndarray, context: RuleContext) -> np.ndarray:
        """Map (m, d) to (m, d)."""
        return shorten(rows, row_norms(rows), self.radius)


@dataclass(frozen=True)
class AdaptiveClip(PreAggregator):
    """ARC: shorten the k longest rows to the norm of the next longest, ``k = floor(2 (f / n) (n - f))``.

    Keeps the robustness of the rule that follows, and bounds every row by an honest one's length. For n = 1 and
    where k is n or more, at least one row keeps its length.

    Parameters
    ----------
    f : int
        Liars to withstand.

    References
    ----------
    Allouah, Guerraoui, Gupta, Jellouli, Rizk, Stephan, "Adaptive gradient clipping for robust federated
    learning", ICLR 2025, section 3, algorithm 2.
    """

    breaks = frozenset({"shift"})

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def prepare(self, rows: np.ndarray, context: RuleContext) -> np.ndarray:
        """Map (m, d) to (m, d)."""
        m, norms = len(rows), row_norms(rows)
        f = min(self.f, m)
        longest = min(m - 1, 2 * f * (m - f) // m)
        return shorten(rows, norms, float(np.sort(norms)[m - 1 - longest]))


def shorten(rows: np.ndarray, norms: np.ndarray, radius: float) -> np.ndarray:
    """Return the rows (m, d), each shortened to norm `radius` at most; the same array if none is longer."""
    if math.isinf(radius) or (norms <= radius).all():
        return rows
    return rows * clip_factors(norms, radius).astype(np.float32)[:, None]


@dataclass(frozen=True)
class PreAggregated(ContextRule):
    """A pre-aggregator followed by a rule, which may itself be pre-aggregated.

    Parameters
    ----------
    first : PreAggregator
    then : Rule
        Where the pre-aggregator keeps peers apart, row i of what it sees is still peer i's, with absent rows
        absent. It gets a seed of its own.
    """

    first: PreAggregator
    then: Rule

    @property
    def breaks(self) -> frozenset[str]:  # type: ignore[override]
        """Return the promises that either of the two breaks."""
        return self.first.breaks | getattr(self.then, "breaks", frozenset())

    @property
    def needs_root(self) -> bool:
        """Return whether the rule behind asks for a trusted gradient."""
        return needs_root(self.then)

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; weights are 0 or one common value."""
        x = np.asarray(x, dtype=np.float32)
        present = count_rows(x, weights)
        prepared = self.first.prepare(x if present.all() else x[present], context)
        inner = replace(context, seed=context.generator("then").bytes(32))
        if not self.first.keeps_peers or present.all():
            return aggregate(self.then, prepared, None, inner)
        spread = np.zeros_like(x)
        spread[present] = prepared
        return aggregate(self.then, spread, present.astype(np.float32), inner)
