"""Lying is a loss: the measured chance of being caught against the deposits of the shipped scenarios."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import attack, run_small

from contracts_model.draw import draw_validators
from contracts_model.incentives import (
    Stakes,
    breakeven_gain,
    canary_probability,
    career_value,
    derive_deposit,
    detection_probability,
    looking_pays_from,
    step_value,
)
from simdfl.incentives import main
from simdfl.study.incentives import stakes_of, verified_stakes
from simdfl.units import ETHER

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
SIGMAS = 5.0
"""A false alarm once in two million comparisons, by the normal approximation."""


UNCHECKED = {"contribution"}
"""Scenarios without validators, in which no deposit deters anybody: they are about just that."""


@cache
def shipped() -> dict[str, Stakes]:
    """Return the stakes of every shipped scenario in which somebody is checked."""
    stakes = dict(verified_stakes(path for path in SHIPPED))
    assert {name for name, found in stakes.items() if not found.validators} == UNCHECKED
    return {name: found for name, found in stakes.items() if name not in UNCHECKED}


@cache
def drawn_rate(n: int, b: int, validators: int) -> tuple[int, int]:
    """Return how many of so many wrong gradients the contracts' own draws have an honest validator look at."""
    draws, hits, trials = 4000 if n <= 50 else 400, 0, 0
    for draw in range(draws):
        randomness = hashlib.sha256(f"{n} {b} {validators} {draw}".encode()).digest()
        pairs = draw_validators(randomness, range(n), range(n), validators)
        watching = {validator for validator, _ in pairs}
        trials += sum(peer not in watching for peer in range(b))
        hits += sum(target < b <= validator for validator, target in pairs)
    return hits, trials


def lowest(hits: int, trials: int) -> Fraction:
    """Return a rate below which the true one lies once in two million times."""
    return Fraction(max(0.0, hits - SIGMAS * math.sqrt(hits)) / trials)


def test_the_draws_look_at_wrong_gradients_as_often_as_the_formula_says() -> None:
    for stakes in set(shipped().values()):
        hits, trials = drawn_rate(stakes.n, stakes.b, stakes.validators)
        expected = float(stakes.caught) * trials
        assert abs(hits - expected) < SIGMAS * math.sqrt(expected)


def test_no_shipped_deposit_makes_an_invented_gradient_pay() -> None:
    """With the lowest rate that the draws leave possible, largest minority, accomplice as reporter, dear work."""
    assert len(shipped()) > 20
    for name, stakes in shipped().items():
        rate = lowest(*drawn_rate(stakes.n, stakes.b, stakes.validators))
        value = step_value(stakes.gain_wei, stakes.deposit_wei, rate, stakes.reporter_percent)
        assert value < 0, name
        assert career_value(value, rate, 1000) < value, name
        assert stakes.safe_deposit_wei is not None
        assert stakes.safe_deposit_wei < stakes.deposit_wei, name


def test_looking_away_pays_but_for_canaries() -> None:
    for name, stakes in shipped().items():
        assert (stakes.looking_away_wei < 0) == (stakes.canary_permille > 0), name


def test_liars_of_real_runs_are_caught_at_that_rate_and_end_poorer() -> None:
    hits, expected, trials = 0, 0.0, 0
    for seed in range(4):
        world, result = run_small("protocol.steps=10", "protocol.validators=2", attack("sign_flip", 3), seed=seed)
        assert world.chain is not None
        liars = set(range(10)) - world.honest
        bans = {row["peer"]: row["step"] for row in result.removals if row["kind"] == "banned"}
        assert set(bans) <= liars
        for step, roster in world.chain.history.rosters.items():
            watching = {validator for validator, _ in world.chain.history.pairs[step]}
            if not 2 <= step < 10:
                continue  # the attack begins in step 2, and step 10 only closes the job
            lying = [peer for peer in liars & set(roster) - watching if bans.get(peer, 99) > step]
            trials += len(lying)
            expected += len(lying) * float(detection_probability(len(roster), len(liars & set(roster)), 2))
        hits += len(bans)
        rows = [row for row in result.accounts if row["peer"] in bans]
        assert all(int(row["net_wei"]) < -24 * ETHER for row in rows)
    print(f"{hits} of {trials} lies caught, expected {expected:.1f}")
    assert abs(hits - expected) < SIGMAS * math.sqrt(expected)
    gain_wei = stakes_of(world.scenario).gain_wei
    assert step_value(gain_wei, 32 * ETHER, Fraction(hits, trials), 25) < 0


# ---- the formulas by themselves

WEI = st.integers(0, 10**20)
RATE = st.fractions(Fraction(1, 1000), Fraction(999, 1000))
PERCENT = st.integers(0, 50)


@given(gain=WEI, rate=RATE, percent=PERCENT)
def test_the_derived_deposit_is_the_least_safe_one(gain: int, rate: Fraction, percent: int) -> None:
    deposit = derive_deposit(gain, rate, percent)
    assert step_value(gain, deposit, rate, percent) <= 0
    assert deposit == 0 or step_value(gain, deposit - 1, rate, percent) > 0
    least = breakeven_gain(deposit, rate, percent)
    assert least is not None
    assert least >= gain


@given(deposit=st.integers(1, 10**20), percent=PERCENT)
def test_a_pair_of_culprit_and_reporter_always_loses(deposit: int, percent: int) -> None:
    assert step_value(0, deposit, Fraction(1), percent) <= -Fraction(deposit, 2)


@given(value=st.fractions(-100, 100), rate=RATE, lies=st.integers(1, 30))
def test_a_career_is_the_sum_of_the_lies_one_lives_to_tell(value: Fraction, rate: Fraction, lies: int) -> None:
    assert career_value(value, rate, lies) == sum(value * (1 - rate) ** told for told in range(lies))
    assert career_value(value, Fraction(0), lies) == lies * value


def test_more_validators_and_fewer_peers_need_less() -> None:
    def deposit(n: int, m: int) -> int:
        found = Stakes(n, (n - 1) // 2, m, 0, 0, 10**15, 25, 10**15).safe_deposit_wei
        assert found is not None
        return found

    assert deposit(16, 1) > deposit(16, 2) > deposit(16, 4)
    assert deposit(1000, 2) > deposit(100, 2) > deposit(10, 2)
    assert Stakes(16, 7, 0, 0, 0, 1, 25, 1).safe_deposit_wei is None


def test_nobody_is_exposed_without_canaries_and_looking_pays_where_many_lie() -> None:
    assert canary_probability(10, 3, 0) == 0
    assert looking_pays_from(100, 100, 25) == 1
    assert looking_pays_from(0, 100, 25) == 0


def test_the_command_prints_a_row_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    quick = next(str(path) for path in SHIPPED if path.stem == "quick")
    assert main([quick, "--compute-wei", "0"]) == 0
    assert "| quick | 6 | 2 | 1 | 16.00% | 32 ETH | 0.007 ETH |" in capsys.readouterr().out
    assert main([quick, "--compute-wei", "-1"]) == 2
    assert "--compute-wei: got -1; allowed is 0 or more" in capsys.readouterr().err
