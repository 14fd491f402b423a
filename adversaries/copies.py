"""Attacks that say what somebody else says: many mouths with one opinion.

Every vector sent is an honest one, so no rule that judges single vectors sees anything. But it belongs to another
public batch, which a validator's recomputation finds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adversaries.checks import require, require_count
from adversaries.crowd import members, settings, shared, unit
from simdfl.peers.behaviour import Byzantine, Turn


class Duplicate(Byzantine):
    """Send one vector from all mouths: that of one honest contributor, or of one accomplice.

    b copies of a vector are each other's closest neighbours, which is what Krum and clustering look for. Caught
    by a validator's recomputation, except at the accomplice whose vector it is.

    Parameters
    ----------
    of : str
        ``honest``: a contributor outside the coalition, drawn anew in every step; ``accomplice``: the first
        member of the coalition that contributes.
    """

    def __init__(self, *, of: str = "honest", **base: Any) -> None:
        super().__init__(**base)
        require(of in ("honest", "accomplice"), "duplicate.of", of, "honest or accomplice")
        self.of = of

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the vector (d,) that all accomplices send."""
        honest = [peer for peer in turn.contributors if peer not in self.coalition.members]
        if self.of == "accomplice" or not honest:
            return turn.gradient_of(members(self.coalition, turn)[0])
        drawn = self.coalition.rng.stream("duplicate", turn.step).integers(len(honest))
        return turn.gradient_of(honest[int(drawn)])


@dataclass
class Portrait:
    """What the coalition knows of honest peers: mean and main direction of spread (d,), and who is along it."""

    mean: np.ndarray
    direction: np.ndarray
    steps: int = 0
    scores: dict[int, float] = field(default_factory=dict)

    def learn(self, peers: list[int], rows: np.ndarray) -> None:
        """Take in one step's gradients (h, d) of these peers: running mean, one step of Oja's iteration."""
        weight = 1.0 / (self.steps + 1)
        self.mean += weight * (rows.mean(axis=0) - self.mean)
        centred = rows - self.mean
        power = unit((centred @ self.direction) @ centred)
        self.direction = unit((1.0 - weight) * self.direction + weight * power)
        self.steps += 1
        for peer, score in zip(peers, rows @ self.direction):
            self.scores[peer] = self.scores.get(peer, 0.0) + float(score)

    def extreme(self, peers: list[int]) -> int:
        """Return who of these peers lies farthest along the direction, over all steps."""
        return max(peers, key=lambda peer: (abs(self.scores.get(peer, 0.0)), -peer))


class Mimic(Byzantine):
    """Send the gradient of one honest peer, always the same: the others' data lose their vote.

    Whom: ``fixed`` draws a peer for the run; ``heuristic`` learns for `warmup` steps along which direction z the
    honest gradients differ most (a running principal component) and keeps the peer with the largest
    ``|sum_t <z, g_i^t>|``; ``adaptive`` chooses so in every step. With public batches drawn from one data set,
    as here, peers do not differ for long and the attack is weak; it is made for peers with data of their own.
    Caught by a validator's recomputation.

    Parameters
    ----------
    choice : str
        ``fixed``, ``heuristic`` or ``adaptive``.
    warmup : int
        Attacking steps in which ``heuristic`` learns, and mimics whom it thinks best so far.

    References
    ----------
    Karimireddy, He, Jaggi, "Byzantine-robust learning on heterogeneous datasets via bucketing", ICLR 2022,
    section 3.2 and appendix (choice of the mimicked peer).
    """

    def __init__(self, *, choice: str = "heuristic", warmup: int = 10, **base: Any) -> None:
        super().__init__(**base)
        allowed = ("fixed", "heuristic", "adaptive")
        require(choice in allowed, "mimic.choice", choice, "fixed, heuristic or adaptive")
        require_count("mimic.warmup", warmup)
        self.choice = choice
        self.warmup = warmup

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) of the mimicked peer."""
        honest = [peer for peer in turn.contributors if peer not in self.coalition.members]
        if not honest:
            return turn.own_gradient()
        key = (*settings(self), turn.step)
        return shared(self.coalition, key, lambda: turn.gradient_of(self._choose(turn, honest)))

    def _choose(self, turn: Turn, honest: list[int]) -> int:
        if self.choice == "fixed":
            order = self.coalition.rng.stream("mimic").permutation(self.coalition.n_peers).tolist()
            return min(honest, key=order.index)
        portrait = self.coalition.notes.setdefault(settings(self), self._blank(len(turn.own_gradient())))
        if self.choice == "adaptive" or portrait.steps < self.warmup:
            rows = np.stack([turn.gradient_of(peer) for peer in honest]).astype(np.float64)
            portrait.learn(honest, rows)
        return int(portrait.extreme(honest))

    def _blank(self, size: int) -> Portrait:
        start = self.coalition.rng.stream("mimic", size).standard_normal(size)
        return Portrait(np.zeros(size), unit(start))
