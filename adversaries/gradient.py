"""Attacks made of a peer's own gradient or of none: sign flip, random direction, delay, copy."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from adversaries.checks import require, require_count, require_positive
from adversaries.crowd import mean_of, settings, shared
from adversaries.targets import draw_victims
from simdfl.peers.behaviour import Byzantine, Turn


class SignFlip(Byzantine):
    """Send ``-scale * g``: a gradient, turned and amplified; the own one, or the mean of the honest ones.

    Caught by a validator's recomputation (section 7 of the protocol). CenteredClip bounds the damage until
    then; the plain mean does not survive it.

    Parameters
    ----------
    scale : float
        Amplification; 1 is as long as an honest gradient.
    of : str
        ``own`` or ``mean``: what is turned.

    References
    ----------
    Gorbunov et al., "Secure distributed training at scale", ICML 2022, section 4.1 (scale 1000).
    """

    def __init__(self, *, scale: float = 1000.0, of: str = "own", **base: Any) -> None:
        super().__init__(**base)
        require_positive("sign_flip.scale", scale)
        require(of in ("own", "mean"), "sign_flip.of", of, "own or mean")
        self.scale = scale
        self.of = of

    def craft(self, turn: Turn) -> np.ndarray:
        """Return -scale times the own gradient or the honest mean (d,)."""
        if self.of == "own":
            return -self.scale * turn.own_gradient()
        key = (*settings(self), turn.step)
        return shared(self.coalition, key, lambda: -self.scale * mean_of(turn.honest_gradients(self.coalition)))


class RandomDirection(Byzantine):
    """Send ``scale * u``, with u one random unit vector for the whole coalition and the whole run.

    Always the same direction adds up over the steps where independent noise would cancel. Caught by a
    validator's recomputation; clipping bounds it.

    Parameters
    ----------
    scale : float
        Norm of the vector.

    References
    ----------
    Gorbunov et al., ICML 2022, section 4.1 (scale 1000).
    """

    def __init__(self, *, scale: float = 1000.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("random_direction.scale", scale)
        self.scale = scale

    def craft(self, turn: Turn) -> np.ndarray:
        """Return scale times the coalition's direction (d,)."""
        size = len(turn.own_gradient())
        return self.scale * self.coalition.once(("random_direction", size), lambda: self._draw(size))

    def _draw(self, size: int) -> np.ndarray:
        vector = self.coalition.rng.stream("random_direction", size).standard_normal(size)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class DelayedGradient(Byzantine):
    """Send the own honest gradient of `delay` steps ago: a stale but natural vector.

    The peer keeps its honest gradients from step 0 on, whether it attacks or not, and sends the newest that is
    at least `delay` steps old; while none is, the oldest it has (in its first step that is the right one).
    It holds at most `delay` gradients, 4 d bytes each. Caught by a validator's recomputation, hardly by any
    statistics.

    Parameters
    ----------
    delay : int
        Age in steps.

    References
    ----------
    Gorbunov et al., ICML 2022, section 4.1 (1,000 steps).
    """

    def __init__(self, *, delay: int = 1000, **base: Any) -> None:
        super().__init__(**base)
        require_count("delayed_gradient.delay", delay)
        self.delay = delay
        self._history: deque[tuple[int, np.ndarray]] = deque()

    def gradient(self, turn: Turn) -> np.ndarray:
        """Return the stale gradient (d,) while attacking; remember the right one in any case."""
        sent = super().gradient(turn)
        if not self._history or self._history[-1][0] < turn.step:
            self._history.append((turn.step, turn.own_gradient()))
        self._forget(turn.step + 1 - self.delay)
        return sent

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the newest gradient (d,) that is old enough, or the oldest."""
        self._forget(turn.step - self.delay)
        return self._history[0][1] if self._history else turn.own_gradient()

    def _forget(self, step: int) -> None:
        """Drop what is older than the newest gradient of `step` or before."""
        while len(self._history) > 1 and self._history[1][0] <= step:
            self._history.popleft()


class CopyGradient(Byzantine):
    """Send the gradient of an honest contributor instead of computing one: the free rider.

    The vector is honest, so no rule and no sum sees it; but it belongs to another public batch, so a
    validator's recomputation does. The victim is drawn anew in every step.
    """

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) of another contributor."""
        victims = draw_victims(self.coalition, turn, turn.contributors)
        return turn.gradient_of(victims[0]) if victims else turn.own_gradient()
