"""Attacks that use time or sparsity: beside the last aggregate, on few coordinates, or a little in every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries.checks import require, require_positive, require_share
from adversaries.crowd import CrowdAttack, mean_of, moments, settings, unit
from simdfl.peers.behaviour import Byzantine, Coalition, Turn


def fixed_direction(coalition: Coalition, name: str, size: int) -> np.ndarray:
    """Return one random unit vector (d,) float64 for the coalition and the run."""

    def draw() -> np.ndarray:
        return unit(coalition.rng.stream(name, size).standard_normal(size))

    direction: np.ndarray = coalition.once((name, size), draw)
    return direction


class RelocatedOrthogonal(CrowdAttack):
    """Send a perturbation at a fixed angle to a reference that lies between the last mean and this one (ROP).

    ``x = ref + scale ||mean|| (cos(angle) r + sin(angle) o)`` with ``ref = relocation * last + (1 - relocation) *
    mean``, r its direction and o one direction of the run, made orthogonal to it. Clipping about the last
    aggregate cuts by distance, and x is close to it; at right angles no norm or inner product gives it away, and
    a constant o adds up. `last` is the honest mean of the previous attacking step, the first takes this one's.
    Caught by a validator's recomputation.

    Parameters
    ----------
    relocation : float
        0 is about this step's mean, 1 about the last one's.
    angle_deg : float
        90 is orthogonal, 180 against the reference; degrees.
    scale : float
        Length of the perturbation in honest means.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    After Özfatura, Özfatura, Küpçü, Gündüz, "Byzantines can also learn from history: fall of centered clipping
    in federated learning", IEEE TIFS 2024, section IV (relocated orthogonal perturbation).
    """

    def __init__(
        self, *, relocation: float = 0.9, angle_deg: float = 90.0, scale: float = 1.0, **base: Any
    ) -> None:
        super().__init__(**base)
        require(0 <= relocation <= 1, "rop.relocation", relocation, "from 0 to 1")
        require(0 <= angle_deg <= 180, "rop.angle_deg", angle_deg, "from 0 to 180")
        require_positive("rop.scale", scale)
        self.relocation = relocation
        self.angle_deg = angle_deg
        self.scale = scale

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the relocated perturbation (d,)."""
        mean = mean_of(rows)
        last = self.coalition.notes.get(settings(self), mean)
        self.coalition.notes[settings(self)] = mean
        reference = self.relocation * last + (1.0 - self.relocation) * mean
        along = unit(reference)
        drawn = fixed_direction(self.coalition, "rop", len(mean))
        across = unit(drawn - (drawn @ along) * along)
        angle = np.deg2rad(self.angle_deg)
        turned = np.cos(angle) * along + np.sin(angle) * across
        return reference + self.scale * float(np.linalg.norm(mean)) * turned


class SparseHybrid(CrowdAttack):
    """Send ``mean - z * std`` with a large z on the few most sensitive coordinates and a small one on all others.

    Aggressive where it counts, imperceptible elsewhere: distances change little, because few coordinates do.
    Sensitive are those where the honest mean is largest, which stands in for the paper's mask of a network pruned
    at its initialisation. Caught by a validator's recomputation.

    Parameters
    ----------
    share : float
        Part of the coordinates that is sensitive.
    strong, weak : float
        z there and elsewhere.
    knowledge : str
        See :class:`~adversaries.crowd.CrowdAttack`.

    References
    ----------
    After Özfatura, Özfatura, Küpçü, Gündüz, "Aggressive or imperceptible, or both: network pruning assisted
    hybrid Byzantines in federated learning", arXiv:2404.06230, section 3.
    """

    def __init__(self, *, share: float = 0.01, strong: float = 5.0, weak: float = 0.25, **base: Any) -> None:
        super().__init__(**base)
        require_share("sparse_hybrid.share", share)
        require_positive("sparse_hybrid.strong", strong)
        require_positive("sparse_hybrid.weak", weak)
        self.share = share
        self.strong = strong
        self.weak = weak

    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return the mean, shifted hard on few coordinates and softly on the rest (d,)."""
        mean, std = moments(rows)
        count = max(1, round(self.share * len(mean)))
        shift = np.full(len(mean), self.weak)
        shift[np.argpartition(-np.abs(mean), count - 1)[:count]] = self.strong
        return mean - shift * std


class SlowDrift(Byzantine):
    """Send ``g + relative * ||g|| * u``: the own gradient with a small constant push along one direction.

    A bias this small hides below the tolerance of a check that compares approximately, and adds up over the
    steps: made against jobs whose arithmetic is declared tolerant. Where gradients are recomputed to the bit, a
    validator catches it like any other lie.

    Parameters
    ----------
    relative : float
        Length of the push in norms of the own gradient.
    """

    def __init__(self, *, relative: float = 1e-3, **base: Any) -> None:
        super().__init__(**base)
        require_positive("slow_drift.relative", relative)
        self.relative = relative

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the own gradient, pushed (d,)."""
        gradient = turn.own_gradient().astype(np.float64)
        push = fixed_direction(self.coalition, "slow_drift", len(gradient))
        return gradient + self.relative * float(np.linalg.norm(gradient)) * push
