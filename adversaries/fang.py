"""Local model poisoning: the directed deviation of Fang et al., against Krum and against the trimmed mean.

Both push every coordinate against the sign s of the honest mean, as far as the rule under attack lets them.
"""

from __future__ import annotations

import numpy as np

from adversaries.crowd import (
    CrowdAttack,
    blocks,
    gram_of,
    mean_of,
    members,
    moments,
    products,
    settings,
    squared_distances,
)
from simdfl.peers.behaviour import Turn

WIDENING = 2.0
"""How many times the honest extreme a value may lie beyond it (b of the paper)."""
SMALLEST = 1e-5
"""Shift at which the search for one that Krum accepts is given up, in gradient units per coordinate."""


class FangKrum(CrowdAttack):
    """Send ``-lambda * sign(mean)``, with lambda the first of ``lambda_0 / 2^k`` at which Krum chooses it.

    All accomplices send the same vector, so each is the others' close neighbour. lambda_0 is the bound above
    which Krum cannot choose it. Where no lambda of at least 1e-5 will do, the last one is sent all the same.
    Caught by a validator's recomputation; Krum itself is what it deceives.

    Parameters
    ----------
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    Fang, Cao, Jia, Gong, "Local model poisoning attacks to Byzantine-robust federated learning", USENIX
    Security 2020, section 4.2 and theorem 1.
    """

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return -lambda times the signs of the mean (d,)."""
        signs = np.sign(mean_of(rows))
        gram, along = gram_of(rows), products(rows, signs)
        between, lengths = squared_distances(gram), np.diagonal(gram)
        n_liars, size = len(members(self.coalition, turn)), max(float(signs @ signs), 1.0)
        shift = _upper_bound(between, lengths, n_liars, size)
        while shift > SMALLEST and not krum_chooses(between, _far(lengths, along, shift, size), n_liars):
            shift /= 2.0
        return -shift * signs


def _far(lengths: np.ndarray, along: np.ndarray, shift: float, size: float) -> np.ndarray:
    """Return the squared distances (h,) of the honest gradients to ``-shift * signs``."""
    return np.maximum(lengths + 2.0 * shift * along + shift * shift * size, 0.0)


def _upper_bound(between: np.ndarray, lengths: np.ndarray, n_liars: int, size: float) -> float:
    """Return lambda_0 of theorem 1: from the best honest score and the longest honest gradient."""
    n = len(between) + n_liars
    nearest = np.sort(between, axis=1)[:, 1 : max(2, n - n_liars - 1)].sum(axis=1).min()
    spare = max(1, n - 2 * n_liars - 1)
    return float(np.sqrt(nearest / (spare * size)) + np.sqrt(lengths.max() / size))


def krum_chooses(between: np.ndarray, far: np.ndarray, n_liars: int) -> bool:
    """Return whether Krum, made for `n_liars`, chooses a vector that so many accomplices send.

    Parameters
    ----------
    between : (h, h) float64
        Squared distances of the honest gradients.
    far : (h,) float64
        Their squared distances to the vector.
    """
    n_honest = len(between)
    neighbours = max(1, n_honest - 2)
    others = between[~np.eye(n_honest, dtype=bool)].reshape(n_honest, n_honest - 1)
    seen = np.concatenate([others, np.repeat(far[:, None], n_liars, axis=1)], axis=1)
    honest = np.sort(seen, axis=1)[:, :neighbours].sum(axis=1)
    liar = np.sort(far)[: max(0, neighbours - (n_liars - 1))].sum()
    return bool(liar < honest.min())


class FangTrimmedMean(CrowdAttack):
    """Send, in every coordinate, a value just beyond the honest extreme on the side against the mean's sign.

    Uniform between the extreme and twice or half of it, whichever lies beyond; each accomplice draws its own.
    Knowing its coalition alone, it takes 3 to 4 standard deviations from the mean for the extreme. It works
    against the median too, which sees only on which side a value lies. Caught by a validator's recomputation.

    Parameters
    ----------
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    Fang, Cao, Jia, Gong, USENIX Security 2020, section 4.3 (trimmed mean; full and partial knowledge).
    """

    def craft(self, turn: Turn) -> np.ndarray:
        """Return this accomplice's draw (d,) between the coalition's bounds."""
        near, far = self.coalition.once((*settings(self), turn.step), lambda: self._bounds(self.known(turn)))
        stream = self.coalition.rng.stream("fang_trimmed_mean", turn.step, turn.peer)
        return near + stream.random(len(near), dtype=np.float32) * (far - near)

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the vector (d,) half-way between the bounds."""
        near, far = self._bounds(rows)
        return 0.5 * (near + far)

    def _bounds(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the honest extreme (d,) and the farthest value (d,), both float32."""
        if self.knowledge == "coalition":
            mean, std = moments(rows)
            near, far = mean - 3.0 * np.sign(mean) * std, mean - 4.0 * np.sign(mean) * std
            return near.astype(np.float32), far.astype(np.float32)
        near = np.empty(rows.shape[1])
        for columns, block in blocks(rows):
            near[columns] = np.where(block.mean(axis=0) > 0, block.min(axis=0), block.max(axis=0))
        against = np.where(mean_of(rows) > 0, -1.0, 1.0)
        far = np.where(near * against > 0, WIDENING * near, near / WIDENING)
        return near.astype(np.float32), far.astype(np.float32)
