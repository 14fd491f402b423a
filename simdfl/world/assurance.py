"""What the checks of a run are worth.

Tolerance, probability of detection, and the deposit that follows from it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from contracts_model.incentives import breakeven_gain, detection_probability
from simdfl.protocols.arithmetic import (
    JUDGEMENT_MARGIN,
    Arithmetic,
    Exact,
    Tolerant,
    calibrate,
    device_errors,
    honest_deviations,
)
from simdfl.rng import Rng
from simdfl.scenario import Scenario
from simdfl.world.result import Row

if TYPE_CHECKING:
    from simdfl.world.build import World


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


def jury_capture_probability(n: int, b: int, jurors: int) -> float:
    """Return the probability that a jury drawn among n peers has a majority of the b liars.

    >>> round(jury_capture_probability(16, 7, 5), 3), jury_capture_probability(16, 7, 16)
    (0.365, 0.0)
    """
    need, total = jurors // 2 + 1, math.comb(n, jurors)
    return sum(math.comb(b, k) * math.comb(n - b, jurors - k) for k in range(need, min(b, jurors) + 1)) / total


def assumed_liars(scenario: Scenario) -> int:
    """Return how many liars the job is set up against: as declared, or the largest minority."""
    declared = scenario.contracts.assumed_byzantine
    return (scenario.peers.count - 1) // 2 if declared is None else declared


def assurance_rows(world: World) -> list[Row]:
    """Return one row with what the checks of a run are worth; none for protocols without checks."""
    scenario, job = world.scenario, world.job
    if job is None:
        return []
    n, b, c = scenario.peers.count, assumed_liars(scenario), scenario.contracts
    probability = detection_probability(n, b, scenario.protocol.validators)
    gain = breakeven_gain(job.terms.deposit_wei, probability, c.reporter_percent)
    row: Row = {
        "assumed_byzantine": b,
        "detection_probability": float(probability),
        "deposit_wei": str(job.terms.deposit_wei),
        "breakeven_gain_wei": None if gain is None else str(gain),
        "jury_capture_probability": jury_capture_probability(n, b, min(c.jury_size or n, n)),
        "records_opened": sum(getattr(peer, "records_opened", 0) for peer in world.peers),
    }
    return [row | _tolerance(world)]


def _tolerance(world: World) -> Row:
    """Return what a tolerant arithmetic lets pass and whom it suspects wrongly."""
    scenario, job = world.scenario, world.job
    empty = dict.fromkeys(("tolerance", "honest_checks", "false_alarms", "false_alarm_rate", "free_budget"))
    if job is None or not isinstance(job.arithmetic, Tolerant):
        return empty
    honest = [agreed for _, who, whom, agreed in job.checks if who in world.honest and whom in world.honest]
    alarms = sum(not agreed for agreed in honest)
    return {
        "tolerance": job.arithmetic.relative,
        "honest_checks": len(honest),
        "false_alarms": alarms,
        "false_alarm_rate": alarms / len(honest) if honest else None,
        "free_budget": JUDGEMENT_MARGIN
        * job.arithmetic.relative
        * assumed_liars(scenario)
        / scenario.peers.count,
    }
