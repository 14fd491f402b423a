"""Whether lying and looking away pay: the arithmetic of deposits, rewards and the chance of being caught.

A peer that lies earns something each time that nobody notices, and loses its deposit once. Everything here is
exact (fractions, whole wei) and on the safe side: the reward of a step counts as gained by the lie although an
honest peer gets it too, and the rewards of earlier steps that a banned peer loses are not counted. What it leaves
out: what a spoiled model is worth to its enemy, which is a gain that only the user can name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


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


def canary_probability(n: int, b: int, canary_permille: int) -> Fraction:
    """Return the probability that a validation done without looking is exposed by a planted error.

    Its target is honest with probability (n - b) / (n - 1) if the validator is not, and then planted an error
    with the job's rate; a Byzantine target plants none against its accomplice.

    >>> float(canary_probability(11, 1, 200))
    0.2
    """
    return Fraction(canary_permille, 1000) * Fraction(n - b, n - 1)


def step_value(gain_wei: int, deposit_wei: int, probability: Fraction, reporter_percent: int) -> Fraction:
    """Return the expected wei of one lie: the gain with 1 - p, against the deposit with p.

    An accomplice may report it and give the reporter's share back, so only D (1 - share) is at stake.

    >>> step_value(10, 1000, Fraction(1, 10), 25)
    Fraction(-66, 1)
    """
    at_stake = deposit_wei * Fraction(100 - reporter_percent, 100)
    return (1 - probability) * gain_wei - probability * at_stake


def career_value(value_wei: Fraction, probability: Fraction, lies: int) -> Fraction:
    """Return the expected wei of lying so many times, or until caught.

    >>> career_value(Fraction(-66), Fraction(1, 10), 2)
    Fraction(-627, 5)
    """
    survived = (1 - probability) ** lies
    times = (1 - survived) / probability if probability else Fraction(lies)
    return value_wei * times


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


def looking_pays_from(compute_wei: int, deposit_wei: int, reporter_percent: int) -> Fraction:
    """Return the share of wrong gradients from which the reporter's share alone pays for recomputing all.

    Without canaries nothing else does: where nobody lies, looking earns nothing.

    >>> looking_pays_from(2, 100, 25)
    Fraction(2, 25)
    """
    share_wei = deposit_wei * Fraction(reporter_percent, 100)
    return Fraction(1) if compute_wei >= share_wei else compute_wei / share_wei


@dataclass(frozen=True)
class Stakes:
    """The numbers of one job that decide whether lying pays.

    Parameters
    ----------
    n, b : int
        Peers, and how many of them are taken to collude.
    validators : int
        Drawn for each step (m).
    canary_permille : int
        Planted errors per 1000 commitments.
    deposit_wei, reward_wei : int
        Of a peer, and of a step.
    reporter_percent : int
        Reporter's part of a slashed deposit.
    compute_wei : int
        What one gradient costs its maker.
    """

    n: int
    b: int
    validators: int
    canary_permille: int
    deposit_wei: int
    reward_wei: int
    reporter_percent: int
    compute_wei: int

    @property
    def caught(self) -> Fraction:
        """Probability that one wrong gradient is caught."""
        return detection_probability(self.n, self.b, self.validators)

    @property
    def exposed(self) -> Fraction:
        """Probability that one validation without looking is exposed."""
        return canary_probability(self.n, self.b, self.canary_permille)

    @property
    def gain_wei(self) -> int:
        """What a lie that passes earns: the work saved, and the reward."""
        return self.compute_wei + self.reward_wei

    @property
    def cheating_wei(self) -> Fraction:
        """Expected wei of one invented gradient."""
        return step_value(self.gain_wei, self.deposit_wei, self.caught, self.reporter_percent)

    @property
    def looking_away_wei(self) -> Fraction:
        """Expected wei of one validation without looking."""
        return step_value(self.gain_wei, self.deposit_wei, self.exposed, self.reporter_percent)

    @property
    def safe_deposit_wei(self) -> int | None:
        """The least deposit at which an invented gradient does not pay; None if none is enough."""
        return derive_deposit(self.gain_wei, self.caught, self.reporter_percent) if self.caught else None
