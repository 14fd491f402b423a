"""What the checks of a run are worth.

Tolerance, probability of detection, and the deposit that follows from it.
"""

from __future__ import annotations

import math
from fractions import Fraction

from simdfl.protocols.arithmetic import Arithmetic, Exact, Tolerant, calibrate, device_errors, honest_deviations
from simdfl.rng import Rng
from simdfl.scenario import Scenario


def make_arithmetic(scenario: Scenario, rng: Rng) -> Arithmetic:
    """Return the arithmetic class of a run; a tolerance is calibrated on honest pairs of devices."""
    section = scenario.protocol.arithmetic
    if section.name == "exact":
        return Exact()
    errors = device_errors(section.device_classes, section.relative_error, section.spread, rng)
    deviations = honest_deviations(errors, section.calibration_pairs, rng)
    relative = calibrate(deviations, section.false_alarm)
    classes = rng.stream("device-of-peer").integers(section.device_classes, size=scenario.peers.count)
    own = Rng(int.from_bytes(rng.key("device-errors")[:8], "little"))
    return Tolerant(section.absolute, relative, errors, classes, own)


def detection_probability(n: int, b: int, validators: int) -> Fraction:
    """Return the probability that one wrong gradient is checked by an honest validator.

    m of n peers validate, so its maker contributes with n - m others and is a target with probability m / (n -
    m); its validator is one of the n - 1 others, of whom n - b are honest.

    >>> float(detection_probability(16, 7, 1))
    0.04
    """
    if not validators:
        return Fraction(0)
    return Fraction(validators, n - validators) * Fraction(n - b, n - 1)


def derive_deposit(gain_wei: int, probability: Fraction, reporter_percent: int) -> int:
    """Return the least deposit at which cheating does not pay, in wei.

    A cheat earns g with probability 1 - p and loses D with p. An accomplice may report it and get the reporter's
    share back, so only D (1 - share) is at stake: D >= g (1 - p) / (p (1 - share)).

    >>> derive_deposit(100, Fraction(1, 5), 50)
    800
    """
    at_stake = Fraction(100 - reporter_percent, 100)
    return math.ceil(gain_wei * (1 - probability) / (probability * at_stake))


def breakeven_gain(deposit_wei: int, probability: Fraction, reporter_percent: int) -> int | None:
    """Return the gain per wrong gradient up to which this deposit makes cheating a loss; None if always."""
    if probability == 1:
        return None
    at_stake = Fraction(100 - reporter_percent, 100)
    return math.floor(deposit_wei * probability * at_stake / (1 - probability))
