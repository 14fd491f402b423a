"""Arithmetic classes: what makes two gradients "the same" (PROTOCOL section 10).

EXACT: one container, one device class; a recomputation gives the same bits and any difference is a violation.
TOLERANT: devices differ, and honest recomputations differ by a small relative error. A commitment still binds
the bytes that were *sent*; a recomputation g_ref judges them by ``||g - g_ref|| <= absolute + relative
||g_ref||``. The tolerance is the attacker's free budget: b of n peers can bend the mean by ``(b / n) relative
||g||`` a step, unseen. A juror convicts only beyond twice the tolerance, so that honest pairs at its edge end
in a void case; up to there an attacker is accused and goes unpunished.

Device errors are simulated: the numbers of a run come from one machine, so a class of devices adds to every
gradient a perturbation that is a pure function of the class, the state and the batch. Its length is lognormal
over batches, as rounding errors of different operation orders are, and its direction is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from simdfl.memo import Memo
from simdfl.rng import Rng

TAIL = 0.5
"""Standard deviation of the logarithm of a device's error over batches."""
JUDGEMENT_MARGIN = 2.0
"""A validator accuses beyond the tolerance, a juror convicts beyond so many times it.

In between a case is void.
"""
CANARY_FACTOR = 8.0
"""A planted error is so many times the tolerance: no honest recomputation misses it."""


class Arithmetic(Protocol):
    """How gradients are computed on a peer's device, and when two of them agree."""

    @property
    def shows(self) -> bool:
        """Whether a target must show its gradient to be judged: hashes do not suffice."""
        ...

    def on_device(self, peer: int, gradient: np.ndarray, key: bytes) -> np.ndarray:
        """Return the gradient (d,) that `peer` computes; `key` names state and batch."""
        ...

    def device_key(self, peer: int) -> bytes:
        """Return what the bits of a peer's gradients depend on beside state and batch."""
        ...

    def agrees(self, claimed: np.ndarray, reference: np.ndarray, margin: float = 1.0) -> bool:
        """Return whether a claimed gradient (d,) is the reference, within `margin` tolerances."""
        ...

    def plant(self, gradient: np.ndarray, secret: int) -> np.ndarray:
        """Return the gradient (d,) with a canary's error, which `secret` determines."""
        ...


@dataclass(frozen=True)
class Exact:
    """Equal means equal bits."""

    shows: bool = False

    def on_device(self, peer: int, gradient: np.ndarray, key: bytes) -> np.ndarray:
        """Return the gradient itself: all devices compute the same."""
        return gradient

    def device_key(self, peer: int) -> bytes:
        """Return nothing: there is one class of devices."""
        return b""

    def agrees(self, claimed: np.ndarray, reference: np.ndarray, margin: float = 1.0) -> bool:
        """Return whether all values are equal."""
        return bool(np.array_equal(claimed, reference))

    def plant(self, gradient: np.ndarray, secret: int) -> np.ndarray:
        """Return the gradient with one entry moved to the next float: harmless, and another hash."""
        planted = gradient.copy()
        at = secret % len(planted)
        planted[at] = np.nextafter(planted[at], np.float32(np.inf))
        return planted


@dataclass(frozen=True)
class Tolerant:
    """Equal means within a tolerance.

    Parameters
    ----------
    absolute : float
        In gradient units.
    relative : float
        In norms of the reference.
    errors : (k,) array
        Median relative error of each device class.
    classes : (n,) int array
        Device class of each peer.
    rng : Rng
        Root of the simulated errors.
    """

    absolute: float
    relative: float
    errors: np.ndarray
    classes: np.ndarray
    rng: Rng
    shows: bool = True
    _memo: Memo = field(default_factory=lambda: Memo(256), repr=False)

    def on_device(self, peer: int, gradient: np.ndarray, key: bytes) -> np.ndarray:
        """Return the gradient (d,) as computed on the peer's class of devices."""
        device = int(self.classes[peer])
        return self._memo.get((device, key), lambda: self._perturb(device, gradient, key))

    def device_key(self, peer: int) -> bytes:
        """Return the peer's class of devices."""
        return int(self.classes[peer]).to_bytes(4, "little")

    def _perturb(self, device: int, gradient: np.ndarray, key: bytes) -> np.ndarray:
        stream = self.rng.stream("device-error", device, key.hex())
        length = self.errors[device] * math.exp(TAIL * stream.standard_normal())
        direction = stream.standard_normal(len(gradient))
        scale = length * float(np.linalg.norm(gradient)) / float(np.linalg.norm(direction))
        perturbed = (gradient + scale * direction).astype(np.float32)
        perturbed.flags.writeable = False
        return perturbed

    def allowance(self, reference: np.ndarray) -> float:
        """Return the distance within which a gradient counts as the reference (d,)."""
        return self.absolute + self.relative * float(np.linalg.norm(reference.astype(np.float64)))

    def agrees(self, claimed: np.ndarray, reference: np.ndarray, margin: float = 1.0) -> bool:
        """Return whether the distance is within `margin` allowances."""
        if claimed.shape != reference.shape:
            return False
        distance = float(np.linalg.norm(claimed.astype(np.float64) - reference))
        return distance <= margin * self.allowance(reference)

    def plant(self, gradient: np.ndarray, secret: int) -> np.ndarray:
        """Return the gradient with one entry moved by several allowances."""
        planted = gradient.copy()
        planted[secret % len(planted)] += np.float32(CANARY_FACTOR * self.allowance(gradient))
        return planted


def device_errors(count: int, relative_error: float, spread: float, rng: Rng) -> np.ndarray:
    """Return the median relative errors (count,) of device classes, lognormal about `relative_error`."""
    return relative_error * np.exp(spread * rng.stream("device-classes").standard_normal(count))


def honest_deviations(errors: np.ndarray, pairs: int, rng: Rng) -> np.ndarray:
    """Return relative deviations (pairs,) between two honest recomputations on devices drawn at random.

    In many dimensions two random directions are at right angles: the deviations of two devices add by Pythagoras.
    Equal classes agree in every bit, as they run the same code on the same hardware.
    """
    stream = rng.stream("calibration")
    chosen = stream.integers(len(errors), size=(pairs, 2))
    lengths = errors[chosen] * np.exp(TAIL * stream.standard_normal((pairs, 2)))
    apart = np.sqrt(np.sum(lengths**2, axis=1))
    return np.where(chosen[:, 0] == chosen[:, 1], 0.0, apart)


def calibrate(deviations: np.ndarray, false_alarm: float) -> float:
    """Return the least relative tolerance at which at most this share of honest pairs disagrees.

    >>> calibrate(np.arange(1.0, 101.0), 0.05)
    95.0
    """
    ordered = np.sort(deviations)
    return float(ordered[max(0, math.ceil((1.0 - false_alarm) * len(ordered)) - 1)])
