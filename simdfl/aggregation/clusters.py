"""Rules that cluster rows by the angles between them and average the largest cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from simdfl.aggregation.contract import ContextRule, Outcome, RuleContext
from simdfl.aggregation.rows import present_rows
from simdfl.aggregation.span import clip_factors, combine_rows, cosines, gram_matrix
from simdfl.errors import UserError


@dataclass(frozen=True)
class ClippedClustering(ContextRule):
    """Shorten rows to the median of all norms ever seen, split them into two clusters, average the larger.

    Clusters are agglomerative with average linkage on cosine distances ``1 - cos``; of equally large ones that of
    the first row counts. The rule remembers the norms of all steps so far. Breakdown: f < n/2 where honest rows
    point in like directions; the result is no longer than that median norm.

    References
    ----------
    Li, Ngai, Voigt, "An experimental study of Byzantine-robust aggregation schemes in federated learning", IEEE
    Transactions on Big Data 10(6), 2024, section 4 (ClippedClustering).
    """

    breaks = frozenset({"shift"})

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.memory` holds the norms seen so far."""
        rows = present_rows(x, weights)
        gram = gram_matrix(rows)
        norms = np.sqrt(np.diagonal(gram))
        seen = norms if context.memory is None else np.concatenate([context.memory, norms])
        chosen = larger_half(1.0 - cosines(gram))
        factors = clip_factors(norms, float(np.median(seen)))
        return Outcome(combine_rows(chosen / chosen.sum() * factors, rows), seen)


@dataclass(frozen=True)
class Flame(ContextRule):
    """FLAME: admit the densest majority by angle, shorten to the median norm, average, add noise.

    The paper clusters by HDBSCAN on cosine distances with clusters of at least n/2 + 1 and ``min_samples = 1``.
    As no two such clusters exist, that is the smallest connected group of more than n/2 rows when ever longer
    distances count as links: single linkage, computed here as such. Rows are shortened to S, the median norm of
    *all* present rows (mean of the two middle ones for an even number), and normal noise of deviation
    ``noise * S`` is added to every coordinate. Breakdown: f < n/2 where honest rows point in like directions;
    without noise the result is no longer than S.

    Parameters
    ----------
    noise : float
        The paper's lambda; 0 is none.

    References
    ----------
    Nguyen et al., "FLAME: taming backdoors in federated learning", USENIX Security 2022, section 4, algorithm 1.
    """

    breaks = frozenset({"identical", "shift"})

    noise: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.noise < math.inf:
            raise UserError(f"aggregation: flame needs noise >= 0, got {self.noise}")

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.seed` draws the noise."""
        rows = present_rows(x, weights)
        gram = gram_matrix(rows)
        norms = np.sqrt(np.diagonal(gram))
        middle = float(np.median(norms))
        chosen = densest_majority(1.0 - cosines(gram))
        value = combine_rows(chosen / chosen.sum() * clip_factors(norms, middle), rows)
        if self.noise > 0:
            draw = context.generator("flame").standard_normal(rows.shape[1], dtype=np.float32)
            value = value + np.float32(self.noise * middle) * draw
        return Outcome(value)


def larger_half(distances: np.ndarray) -> np.ndarray:
    """Return the larger of two clusters of average linkage, as (m,) bool; `distances` is (m, m)."""
    if len(distances) == 1:
        return np.ones(1, dtype=bool)
    labels = fcluster(linkage(_condensed(distances), "average"), 2, "maxclust")
    first = labels == labels[0]
    return first if 2 * first.sum() >= len(labels) else ~first


def densest_majority(distances: np.ndarray) -> np.ndarray:
    """Return the smallest single-linkage group of more than half of the rows, as (m,) bool."""
    m = len(distances)
    members = [[row] for row in range(m)]
    if m > 1:
        for left, right, _, size in linkage(_condensed(distances), "single"):
            members.append(members[int(left)] + members[int(right)])
            if size > m / 2:
                break
    chosen = np.zeros(m, dtype=bool)
    chosen[members[-1]] = True
    return chosen


def _condensed(distances: np.ndarray) -> np.ndarray:
    symmetric = np.maximum(distances, distances.T)
    np.fill_diagonal(symmetric, 0.0)
    return squareform(np.maximum(symmetric, 0.0), checks=False)
