"""Attacks each shaped to pass one filter: by norm, by signs, by angle, by distance to neighbours.

They know the filter's idea and the honest gradients, and do as much harm as the filter lets pass. None of the
filters stands between them and a validator's recomputation, which catches all four.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adversaries.checks import require, require_count, require_share
from adversaries.crowd import (
    TINY,
    CrowdAttack,
    gram_of,
    mean_of,
    members,
    moments,
    norms_of,
    products,
    squared_distances,
    unit,
)
from simdfl.peers.behaviour import Turn

STEPS = 100
WEIGHTS = 10
"""Descent steps for one weight c of the penalty, and bisections of c."""
LARGEST_WEIGHT = 100.0
SLACK = 0.01
"""A descent that ends within this part beyond the limit has held it."""


class AntiCge(CrowdAttack):
    """Send ``-margin * r * mean / ||mean||``, with r the b-th largest honest norm: against elimination by norm.

    CGE drops the b longest vectors; b honest ones are longer than this, so all accomplices stay and as many
    honest peers go. Caught by a validator's recomputation.

    Parameters
    ----------
    margin : float
        Part of r, above 0 and at most 1.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    The filter: Gupta, Liu, Vaidya, "Byzantine fault-tolerant distributed machine learning using norm-based
    comparative gradient elimination", DSN-W 2021, section III.
    """

    def __init__(self, *, margin: float = 0.99, **base: Any) -> None:
        super().__init__(**base)
        require_share("anti_cge.margin", margin)
        self.margin = margin

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the honest mean turned, as long as the filter allows (d,)."""
        norms = np.sort(norms_of(rows))[::-1]
        rank = min(len(members(self.coalition, turn)), len(norms)) - 1
        return -self.margin * float(norms[rank]) * unit(mean_of(rows))


class AntiSignGuard(CrowdAttack):
    """Send the mean with its `share` of largest entries turned, as many positive as negative ones.

    The numbers of positive, negative and zero entries are then exactly the mean's, and its norm is set to the
    median of the honest norms: the two things that SignGuard looks at. Caught by a validator's recomputation.

    Parameters
    ----------
    share : float
        Part of the turnable pairs that is turned, largest first.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    The filter: Xu, Huang, Song, Lan, "Byzantine-robust federated learning through collaborative malicious
    gradient filtering", ICDCS 2022, section III (norm thresholding and sign clustering).
    """

    def __init__(self, *, share: float = 0.5, **base: Any) -> None:
        super().__init__(**base)
        require_share("anti_signguard.share", share)
        self.share = share

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the mean with turned entries at the median norm (d,)."""
        turned = mean_of(rows)
        order = np.argsort(turned, kind="stable")
        pairs = min(int((turned < 0).sum()), int((turned > 0).sum()))
        count = round(self.share * pairs)
        ends = np.concatenate([order[:count], order[len(order) - count :]])
        turned[ends] *= -1.0
        return float(np.median(norms_of(rows))) * unit(turned)


class AntiClustering(CrowdAttack):
    """Send a vector at the angle of the most deviant honest gradient to the mean, turned down the spread.

    ``r (cos a * m + sin a * w)`` with m the mean and w the part of ``-std`` at right angles to it, both of length
    1, a the largest honest angle to the mean and r the median honest norm. A filter that clusters by cosine must
    cut off honest peers to cut off this. Caught by a validator's recomputation.

    Parameters
    ----------
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    The filter: Sattler, Müller, Wiegand, Samek, "On the Byzantine robustness of clustered federated learning",
    ICASSP 2020, section 3; Nguyen et al., "FLAME", USENIX Security 2022, section 4.2.
    """

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the vector at the largest honest angle (d,)."""
        mean, std = moments(rows)
        towards = unit(mean)
        norms = np.maximum(norms_of(rows), TINY)
        cosine = float(np.clip(products(rows, towards) / norms, -1.0, 1.0).min())
        away = unit(-std + (std @ towards) * towards)
        sine = float(np.sqrt(max(0.0, 1.0 - cosine * cosine)))
        return float(np.median(norms)) * (cosine * towards + sine * away)


class CarliniWagner(CrowdAttack):
    """Send the x with the least ``<x, mean>`` that an outlier detector lets pass, found by penalised descent.

    The detector's score of x is its mean distance to the `neighbours` nearest honest gradients, its limit the
    largest score of an honest one. As Carlini and Wagner do for adversarial inputs, the constraint becomes a
    hinge, ``<x, mean> / ||mean|| + c max(0, score(x) - (1 - margin) limit)``; c is bisected, and the best x
    within the limit is kept. x stays in the span of the known gradients, so a descent step costs h² and not h d.
    Caught by a validator's recomputation.

    Parameters
    ----------
    neighbours : int
        Of which the mean distance is taken.
    margin : float
        Part of the limit that is left unused, from 0 to below 1.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    Carlini and Wagner, "Towards evaluating the robustness of neural networks", IEEE S&P 2017, section V-A
    (objective) and V-C (search for c).
    """

    def __init__(self, *, neighbours: int = 3, margin: float = 0.05, **base: Any) -> None:
        super().__init__(**base)
        require_count("carlini_wagner.neighbours", neighbours)
        require(0 <= margin < 1, "carlini_wagner.margin", margin, "from 0 to below 1")
        self.neighbours = neighbours
        self.margin = margin

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the most harmful combination of the rows that passes (d,)."""
        span = Span(gram_of(rows), self.neighbours)
        best = span.most_harmful(1.0 - self.margin)
        found = np.zeros(rows.shape[1])
        for weight, row in zip(best, rows):
            found += weight * row
        return found


class Span:
    """Combinations ``x = sum_i a_i x_i`` of rows, judged through the rows' inner products (h, h) alone.

    A combination is carried as the pair of its coefficients a and its products ``G a`` with the rows, both (h,).
    """

    def __init__(self, gram: np.ndarray, neighbours: int) -> None:
        self.gram = gram
        self.lengths = np.diagonal(gram).copy()
        self.count = min(neighbours, max(1, len(gram) - 1))
        self.mean_norm = float(np.sqrt(max(gram.mean(), TINY)))
        self.limit = self.mean_norm
        if len(gram) > 1:
            between = squared_distances(gram)
            np.fill_diagonal(between, np.inf)
            nearest = np.sort(np.sqrt(between), axis=1)[:, : self.count]
            self.limit = float(nearest.mean(axis=1).max())

    def score(self, a: np.ndarray, along: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean distance of a combination to the nearest rows, and its slope in coefficients (h,)."""
        distances = np.sqrt(np.maximum(a @ along - 2.0 * along + self.lengths, 0.0))
        nearest = np.argsort(distances, kind="stable")[: self.count]
        pulls = 1.0 / np.maximum(distances[nearest], 1e-9 * self.mean_norm) / self.count
        slope = pulls.sum() * a
        slope[nearest] -= pulls
        return float(distances[nearest].mean()), slope

    def harm(self, along: np.ndarray) -> float:
        """Return ``-<x, mean> / ||mean||``."""
        return -float(along.mean()) / self.mean_norm

    def most_harmful(self, part: float) -> np.ndarray:
        """Return the coefficients (h,) of the most harmful x found whose score is at most `part` of the limit."""
        allowed = part * self.limit
        best, most = np.full(len(self.gram), 1.0 / len(self.gram)), -np.inf
        low, high = 0.0, LARGEST_WEIGHT
        for _ in range(WEIGHTS):
            c, last = 0.5 * (low + high), 0.0
            for a, score, harm in self._descend(c, allowed):
                last = score
                if score <= allowed and harm > most:
                    best, most = a, harm
            low, high = (low, c) if last <= (1.0 + SLACK) * allowed else (c, high)
        return best

    def _descend(self, c: float, allowed: float) -> Iterator[tuple[np.ndarray, float, float]]:
        """Yield coefficients (h,), score and harm along a descent from the mean, with shrinking steps."""
        towards_mean = np.full(len(self.gram), 1.0 / len(self.gram))
        a, along = towards_mean, self.gram @ towards_mean
        for step in range(STEPS):
            score, slope = self.score(a, along)
            yield a, score, self.harm(along)
            penalty = c if score > allowed else 0.0
            pull = towards_mean / self.mean_norm + penalty * slope
            moved = self.gram @ pull
            size = 0.2 * allowed * (1.0 - step / STEPS) / max(float(pull @ moved), TINY) ** 0.5
            a, along = a - size * pull, along - size * moved
        yield a, self.score(a, along)[0], self.harm(along)
