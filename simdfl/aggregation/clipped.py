"""Rules that shorten rows before they average them; CenteredClip's mathematics stands in ``clipping``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdfl.aggregation.clipping import centered_clip
from simdfl.aggregation.contract import ContextRule, Outcome, RowRule, RuleContext
from simdfl.aggregation.coordinatewise import Median
from simdfl.aggregation.rows import present_rows
from simdfl.aggregation.span import clip_factors, combine_rows, row_norms
from simdfl.errors import UserError


@dataclass(frozen=True)
class CenteredClip:
    """CenteredClip at its fixed point (see :func:`~simdfl.aggregation.clipping.centered_clip`).

    Breakdown: f < n/2 in weight. Bound: b liars among n move the result by at most about
    ``tau b / (n - b)`` where all honest rows lie within tau of it. The fixed point does not depend on the start,
    here the mean of rows clipped to their median norm.

    Parameters
    ----------
    tau : float
        Clipping radius; infinity gives the mean.
    eps : float
        Length of the step at which to stop.
    max_iterations : int

    References
    ----------
    Karimireddy, He, Jaggi, ICML 2021, section 4; Gorbunov et al., ICML 2022, algorithm 2.
    """

    breaks = frozenset({"scale"})

    tau: float = 1.0
    eps: float = 1e-6
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if not self.tau > 0 or not 0 < self.eps < math.inf or self.max_iterations < 1:
            raise UserError(
                "aggregation: centered_clip needs tau > 0, eps > 0 and max_iterations >= 1, "
                f"got {self.tau}, {self.eps}, {self.max_iterations}"
            )

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        return centered_clip(x, weights, self.tau, self.eps, self.max_iterations).value


@dataclass(frozen=True)
class MomentumClip(ContextRule):
    """CenteredClip as its paper runs it: a few steps from the previous aggregate.

    ``v <- v + (1/n) sum_i (x_i - v) min(1, tau / ||x_i - v||)``, `iterations` times, from v = the previous
    aggregate; in the first step from the coordinate-wise median. Unlike the fixed point it depends on the start:
    the result is within ``iterations * tau`` of it. Weights count peers: 0 or one common value.

    Parameters
    ----------
    tau : float
    iterations : int
        The paper runs 1 or 3.

    References
    ----------
    Karimireddy, He, Jaggi, "Learning from history for Byzantine robust optimization", ICML 2021, algorithm 2.
    """

    breaks = frozenset({"scale"})

    tau: float = 1.0
    iterations: int = 1

    def __post_init__(self) -> None:
        _check_radius("centered_clip_momentum", self.tau)
        if self.iterations < 1:
            raise UserError(f"aggregation: centered_clip_momentum needs iterations >= 1, got {self.iterations}")

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32, starting from `context.previous`."""
        rows = present_rows(x, weights)
        v = start_of(rows, context)
        for _ in range(self.iterations):
            v = v + clipped_step(rows, v, self.tau)
        return Outcome(v)


@dataclass(frozen=True)
class SequentialClip(ContextRule):
    """S-CC: clip group after group, each about the result of the one before.

    The peers are dealt at random into groups of `group` (the last may be smaller). From v = the previous
    aggregate, in the first step the coordinate-wise median, each group's mean x moves it by
    ``(x - v) min(1, tau / ||x - v||)``: attackers cannot know the reference about which they are clipped. The
    result is within ``tau ceil(n / group)`` of the start and leans to the groups drawn last. Weights count
    peers: 0 or one common value.

    Parameters
    ----------
    tau : float
    group : int
        Peers in a group.

    References
    ----------
    Özfatura, Özfatura, Küpçü, Gündüz, "Byzantines can also learn from history: fall of centered clipping in
    federated learning", IEEE TIFS 19, 2024, section V (sequential centered clipping).
    """

    breaks = frozenset({"order", "scale"})

    tau: float = 1.0
    group: int = 3

    def __post_init__(self) -> None:
        _check_radius("sequential_clip", self.tau)
        if not isinstance(self.group, int) or self.group < 1:
            raise UserError(f"aggregation: sequential_clip needs group >= 1, got {self.group!r}")

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32, starting from `context.previous`; `context.seed` deals the groups."""
        rows = present_rows(x, weights)
        v = start_of(rows, context)
        dealt = context.generator("groups").permutation(len(rows))
        for at in range(0, len(rows), self.group):
            mean = rows[dealt[at : at + self.group]].mean(axis=0, dtype=np.float64).astype(np.float32)
            v = v + clipped_step(mean[None], v, self.tau)
        return Outcome(v)


@dataclass(frozen=True)
class NormClip(RowRule):
    """Mean of the rows, each shortened to norm `radius` at most: ``x_i min(1, radius / ||x_i||)``.

    b liars among n move it by at most ``2 radius b / n``; its norm is at most `radius`. No breakdown point: where
    honest rows are short, the liars outweigh them.

    Parameters
    ----------
    radius : float
        The paper's M.

    References
    ----------
    Sun, Kairouz, Suresh, McMahan, "Can you really backdoor federated learning?", arXiv 1911.07963, 2019,
    section 4 (norm thresholding).
    """

    breaks = frozenset({"identical", "shift", "scale"})

    radius: float = 1.0

    def __post_init__(self) -> None:
        _check_radius("norm_clip", self.radius)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        return combine_rows(clip_factors(row_norms(rows), self.radius) / len(rows), rows)


def start_of(rows: np.ndarray, context: RuleContext) -> np.ndarray:
    """Return the previous aggregate (d,), or the coordinate-wise median of the rows if there is none."""
    if context.previous is None:
        return Median().combine(rows)
    return np.asarray(context.previous, dtype=np.float32)


def clipped_step(rows: np.ndarray, v: np.ndarray, tau: float) -> np.ndarray:
    """Return the mean (d,) of the rows' differences from v, each shortened to tau at most."""
    about = rows - v
    return combine_rows(clip_factors(row_norms(about), tau) / len(rows), about)


def _check_radius(name: str, radius: float) -> None:
    if not radius > 0:
        raise UserError(f"aggregation: {name} needs a radius > 0, got {radius}")
