"""Rules that look at signs: a majority vote, a flipped learning rate, and a filter by sign statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from simdfl.aggregation.contract import ContextRule, Outcome, RowRule, RuleContext
from simdfl.aggregation.rows import present_rows
from simdfl.aggregation.span import clip_factors, combine_rows, mean_of_rows, row_norms
from simdfl.errors import UserError


@dataclass(frozen=True)
class MajorityVote(RowRule):
    """signSGD with majority vote: ``sign(sum_i sign(x_i))`` in each coordinate; a tie gives 0.

    The result holds -1, 0 and 1, whatever the lengths of the rows: choose the learning rate accordingly.
    Breakdown: f < n/2; a coordinate flips only if the honest majority there is at most f.

    References
    ----------
    Bernstein, Zhao, Azizzadenesheli, Anandkumar, "signSGD with majority vote is communication efficient and fault
    tolerant", ICLR 2019, algorithm 1.
    """

    breaks = frozenset({"identical", "shift", "scale"})

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        return np.sign(sign_sums(rows))


@dataclass(frozen=True)
class RobustLearningRate(RowRule):
    """RLR: the mean, with its sign turned where fewer than `threshold` peers agree.

    In each coordinate the learning rate's sign is +1 if ``|sum_i sign(x_i)| >= threshold``, else -1. It undoes
    backdoors that few peers push; it bounds nobody, as the mean takes rows of any length. Combine it with `clip`.

    Parameters
    ----------
    threshold : int
        The paper's theta, between f + 1 and n - f; f + 1 by default.

    References
    ----------
    Özdayı, Kantarcıoğlu, Gel, "Defending against backdoors in federated learning with robust learning rate", AAAI
    2021, section 3.
    """

    breaks = frozenset({"shift", "liars"})

    threshold: int

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, int) or self.threshold < 0:
            raise UserError(f"aggregation: rlr needs a whole threshold >= 0, got {self.threshold!r}")

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        agree = np.abs(sign_sums(rows)) >= min(self.threshold, len(rows))
        return np.where(agree, 1.0, -1.0) * mean_of_rows(rows)


@dataclass(frozen=True)
class SignGuard(ContextRule):
    """Keep rows of ordinary length and ordinary signs; average them, shortened to the median norm.

    Of ordinary length: ``lower <= ||x_i|| / M <= upper`` with M the median norm (mean of the two middle ones
    for an even number). Of ordinary signs: in the largest cluster that mean shift finds among the shares of
    positive, zero and negative entries on a random tenth of the coordinates. The result is the mean of
    ``x_i min(1, M / ||x_i||)`` over the rows that are both, or of ordinary length if none is. Mean shift has a
    flat kernel whose width is the mean distance of a row to the nearest half of the rows. Breakdown: by
    experiment, f < n/2; the result is no longer than M.

    Parameters
    ----------
    lower, upper : float
    share : float
        Part of the coordinates that is drawn.

    References
    ----------
    Xu, Huang, Song, Lan, "Byzantine-robust federated learning through collaborative malicious gradient
    filtering", ICDCS 2022, section IV, algorithm 2.
    """

    breaks = frozenset({"shift"})

    lower: float = 0.1
    upper: float = 3.0
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.lower <= 1 or not self.upper >= 2 or not 0 < self.share <= 1:
            raise UserError(
                "aggregation: sign_guard needs 0 <= lower <= 1, upper >= 2 and 0 < share <= 1, "
                f"got {self.lower}, {self.upper}, {self.share}"
            )

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32; `context.seed` draws the coordinates."""
        rows = present_rows(x, weights)
        norms = row_norms(rows)
        middle = float(np.median(norms))
        ordinary = (norms >= self.lower * middle) & (norms <= self.upper * middle)
        size = max(1, round(self.share * rows.shape[1]))
        drawn = np.sort(context.generator("sign_guard").choice(rows.shape[1], size, replace=False))
        both = ordinary & largest_cluster(sign_shares(rows[:, drawn]))
        chosen = both if both.any() else ordinary
        return Outcome(combine_rows(chosen / chosen.sum() * clip_factors(norms, middle), rows))


def sign_sums(rows: np.ndarray) -> np.ndarray:
    """Return, for each coordinate, the positive less the negative entries (d,)."""
    positive = np.count_nonzero(rows > 0, axis=0)
    return positive - np.count_nonzero(rows < 0, axis=0)


def sign_shares(rows: np.ndarray) -> np.ndarray:
    """Return the shares of positive, zero and negative entries of each row (m, 3)."""
    positive, negative = (rows > 0).mean(axis=1), (rows < 0).mean(axis=1)
    return np.stack([positive, 1.0 - positive - negative, negative], axis=1)


def largest_cluster(points: np.ndarray, most_moves: int = 300) -> np.ndarray:
    """Return which of the points (m, k) lie in the largest cluster of mean shift, as (m,) bool.

    Every point climbs to the mean of the points within the kernel's width until it rests. Resting places with
    more points around them absorb those within the width; every point joins the nearest that is left.
    """
    apart = cdist(points, points)
    width = float(np.sort(apart, axis=1)[:, (len(points) - 1) // 2].mean()) + 1e-9
    places = points
    for _ in range(most_moves):
        near = cdist(places, points) <= width
        moved = near @ points / near.sum(axis=1, keepdims=True)
        rests = np.abs(moved - places).max() <= 1e-3 * width
        places = moved
        if rests:
            break
    crowd = (cdist(places, points) <= width).sum(axis=1)
    peaks: list[int] = []
    for place in np.argsort(-crowd, kind="stable"):
        if all(np.linalg.norm(places[place] - places[peak]) > width for peak in peaks):
            peaks.append(int(place))
    joined = cdist(points, places[peaks]).argmin(axis=1)
    return joined == np.bincount(joined).argmax()
