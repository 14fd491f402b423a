"""Rules that decide whom to trust: by a gradient of one's own, by likeness, or by past behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betainc

from simdfl.aggregation.contract import ContextRule, Outcome, RuleContext
from simdfl.aggregation.rows import count_rows, present_rows
from simdfl.aggregation.span import TINY, apply_gram, combine_rows, cosines, gram_matrix, row_norms
from simdfl.errors import UserError


@dataclass(frozen=True)
class FLTrust(ContextRule):
    """Mean of the rows, turned to the length of a trusted gradient and weighed by their angle to it.

    With the root g the result is ``sum_i s_i (||g|| / ||x_i||) x_i / sum_i s_i``,
    ``s_i = max(0, cos(x_i, g))``; zero if no row has a positive score. The root comes with the context: a
    protocol computes it from a public batch. Breakdown: any f < n; the result is no longer than the root and
    within 90 degrees of it.

    References
    ----------
    Cao, Fang, Liu, Gong, "FLTrust: Byzantine-robust federated learning via trust bootstrapping", NDSS 2021,
    section IV, algorithm 2.
    """

    breaks = frozenset({"identical", "shift", "scale"})
    needs_root = True

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32 about `context.root`."""
        rows = present_rows(x, weights)
        if context.root is None:
            raise UserError(
                "aggregation: fltrust needs a trusted gradient; give it as RuleContext(root=...) or use a rule "
                "that needs none, for instance centered_clip"
            )
        root = np.asarray(context.root, dtype=np.float32)
        norms, length = row_norms(rows), float(row_norms(root[None])[0])
        scores = np.maximum(0.0, rows @ root / np.maximum(norms * length, TINY))
        if scores.sum() <= 0:
            return Outcome(np.zeros_like(root))
        return Outcome(combine_rows(scores / scores.sum() * length / np.maximum(norms, TINY), rows))


@dataclass(frozen=True)
class FoolsGold(ContextRule):
    """Weigh peers down whose past gradients resemble another peer's.

    The rule remembers the sum of each peer's rows. With cs the cosines of these sums and
    ``v_i = max_{j != i} cs_ij``, a peer is pardoned by ``cs_ij <- cs_ij v_i / v_j`` where ``v_j > v_i``;
    ``a_i = 1 - max_j cs_ij`` is clipped to [0, 1], divided by the largest, and mapped to
    ``ln(a / (1 - a)) + 0.5``, clipped to [0, 1] again. The result is the mean of the rows with these weights
    (the paper adds them up), zero if all weigh nothing. It is meant for Sybils among peers with data of
    *different* kinds: where honest peers draw from the same data, as in this simulator, honest gradients
    resemble one another and are punished. No breakdown point.

    References
    ----------
    Fung, Yoon, Beschastnikh, "The limitations of federated learning in Sybil settings", RAID 2020, section 4,
    algorithm 1.
    """

    breaks = frozenset({"identical", "shift", "liars"})

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.memory` holds the sums (n, d) of earlier rows."""
        x = np.asarray(x, dtype=np.float32)
        present = count_rows(x, weights)
        clean = x if present.all() else np.where(present[:, None], x, np.float32(0.0))
        sums = clean.copy() if context.memory is None else context.memory + clean
        share = np.zeros(len(x))
        share[present] = unlikeness(cosines(gram_matrix(sums if present.all() else sums[present])))
        total = share.sum()
        return Outcome(combine_rows(share / total if total > 0 else share, clean), sums)


def unlikeness(likeness: np.ndarray) -> np.ndarray:
    """Return FoolsGold's weights (m,) of peers with cosines (m, m)."""
    others = likeness.copy()
    np.fill_diagonal(others, -np.inf)
    if len(others) == 1:
        return np.ones(1)
    highest = others.max(axis=1)
    ratio = highest[:, None] / np.where(np.abs(highest) > TINY, highest, TINY)[None, :]
    pardoned = np.where(highest[None, :] > highest[:, None], others * ratio, others)
    np.fill_diagonal(pardoned, -np.inf)
    share = np.clip(1.0 - pardoned.max(axis=1), 0.0, 1.0)
    if share.max() <= 0:
        return share
    share = np.clip(share / share.max(), 1e-9, 1.0 - 1e-9)
    return np.clip(np.log(share / (1.0 - share)) + 0.5, 0.0, 1.0)


class Reputation(NamedTuple):
    """AFA's memory: how often each peer's row was good, and bad, plus the prior's 3 and 3; both (n,) float64."""

    good: np.ndarray
    bad: np.ndarray


@dataclass(frozen=True)
class AdaptiveAveraging(ContextRule):
    """AFA: average by reputation, leave out rows that point elsewhere, block peers that are often left out.

    Peer i weighs ``p_i = good_i / (good_i + bad_i)``, from a Beta(3, 3) prior. With s_i the cosine of row i and
    the weighted mean of the rows kept so far, and mean, median (of the two middle ones for an even number) and
    standard deviation taken over these: if the mean is below the median, rows with ``s_i < median - xi std``
    go, else those with ``s_i > median + xi std``; xi grows by `growth` until none goes. Then reputations are
    updated, and peers whose probability of being good more often than not, ``I_0.5(good, bad)`` from below, is
    doubted with confidence `confidence` are absent from then on, unless all present are. A single huge row
    turns the mean to itself: no breakdown point; combine it with `clip` or `arc`.

    Parameters
    ----------
    xi, growth : float
    confidence : float

    References
    ----------
    Muñoz-González, Co, Lupu, "Byzantine-robust federated machine learning through adaptive model averaging",
    arXiv 1909.05125, 2019, section 3, algorithm 1.
    """

    breaks = frozenset({"shift", "liars"})

    xi: float = 2.0
    growth: float = 0.5
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.xi > 0 or not self.growth > 0 or not 0 < self.confidence < 1:
            raise UserError(
                "aggregation: afa needs xi > 0, growth > 0 and 0 < confidence < 1, "
                f"got {self.xi}, {self.growth}, {self.confidence}"
            )

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.memory` is the :class:`Reputation` of the peers."""
        x = np.asarray(x, dtype=np.float32)
        present = np.flatnonzero(count_rows(x, weights))
        fair = np.full(len(x), 3.0)
        good, bad = (fair, fair) if context.memory is None else context.memory
        trusted = betainc(good[present], bad[present], 0.5) < self.confidence
        used = present[trusted] if trusted.any() else present
        rows, p = x[used], (good / (good + bad))[used]
        kept = self._keep(gram_matrix(rows), p)
        judged_good, judged_bad = good.copy(), bad.copy()
        judged_good[used[kept]] += 1.0
        judged_bad[used[~kept]] += 1.0
        share = np.where(kept, p, 0.0)
        return Outcome(combine_rows(share / share.sum(), rows), Reputation(judged_good, judged_bad))

    def _keep(self, gram: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return which rows are kept, as (m,) bool."""
        kept, xi = np.ones(len(p), dtype=bool), self.xi
        lengths = np.sqrt(np.diagonal(gram))
        while True:
            share = np.where(kept, p, 0.0)
            image = apply_gram(gram, share)
            s = image / np.maximum(lengths * np.sqrt(max(float(share @ image), 0.0)), TINY)
            mean, median, spread = s[kept].mean(), np.median(s[kept]), xi * s[kept].std()
            goes = kept & ((s < median - spread) if mean < median else (s > median + spread))
            if not goes.any() or (goes == kept).all() or spread < 1e-7:
                return kept
            kept, xi = kept & ~goes, xi + self.growth
