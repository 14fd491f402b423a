"""The gas of the contracts in Python is that of their compiled twins on an EVM, to the unit.

The EVM is Ethereum's execution specifications, Osaka. Calls of a kind that was seen twice are not repeated there.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import eels  # noqa: F401  (skips where the evm extra is missing)
import pytest
from anchorage import SETTINGS as ANCHORAGES
from anchorage import AnchorPlay, AnchorSampled
from double import Double, EelsEvm, Measured, Sampled, rehearsal_host
from improvise import SETTINGS, Play
from rehearsal import RehearsalHost

from contracts_model.computing import prices
from contracts_model.gas import TX_GAS_CAP

FRESH_SEED = 70_000
"""Plays that the prices were not measured on."""


def played(seeds: range, calls: int, often: int = 1) -> list[Measured]:
    """Return what calls of random plays cost in Python and on the EVM."""
    seen: Counter[Any] = Counter()
    rows: list[Measured] = []
    for seed in seeds:
        job = Sampled(seen, often, **SETTINGS[seed % len(SETTINGS)])
        Play(job, Random(seed)).run(calls)
        rows += job.rows
        anchored = AnchorSampled(seen, often, **ANCHORAGES[seed % len(ANCHORAGES)])
        AnchorPlay(anchored, Random(seed)).run(calls // 10)
        rows += anchored.rows
    return rows


def assert_equal_gas(rows: list[Measured]) -> None:
    """Python's gas, refunds and calldata floor included, is the EVM's."""
    wrong = [
        (row.call, row.outcome.reason, row.outcome.gas_used - row.gas_used) for row in rows if not row.is_equal()
    ]
    assert not wrong, (len(wrong), len(rows), wrong[:3])


def test_random_plays_cost_the_same() -> None:
    rows = played(range(FRESH_SEED, FRESH_SEED + len(SETTINGS)), calls=80)
    assert len(rows) > 200
    assert_equal_gas(rows)


@pytest.mark.slow
def test_many_random_plays_cost_the_same_but_for_the_rarest_paths() -> None:
    """Every kind of call counts at most three times here, so rare paths weigh far more than in any job."""
    rows = played(range(FRESH_SEED, FRESH_SEED + 10 * len(SETTINGS)), calls=400, often=3)
    wrong = [row.outcome.gas_used - row.gas_used for row in rows if not row.is_equal()]
    assert len({row.call.function for row in rows}) >= 30
    assert len(wrong) < len(rows) / 200, (len(wrong), len(rows))
    assert all(abs(difference) < 1_000 for difference in wrong), wrong


@pytest.mark.slow
@pytest.mark.parametrize("n", [16, 64])
def test_a_whole_job_costs_the_same_and_stays_under_the_cap(n: int) -> None:
    stage = Double(EelsEvm(), n=n, validators=max(1, n // 16), steps=2)
    stage.until_step(1)
    stage.deal_ahead()
    stage.commit()
    stage.aggregate()
    for peer in range(n // 2 + 1):
        stage.do(peer, "court.report_absence", 2, 0, n - 1)
    stage.now = stage.job.ledger.state["deadline"] + 1
    stage.deadline()
    assert_equal_gas(stage.rows)
    assert max(row.gas_used for row in stage.rows) < TX_GAS_CAP


def test_every_price_is_of_something_that_functions_do() -> None:
    assert all(isinstance(price, int) for table in prices().values() for price in table.values())
    contracts = {"ledger", "beacon", "proving_beacon", "court", "registry", "treasury", "anchor", "rewards"}
    assert contracts == {name for name, _ in prices()}


def test_the_verifier_is_paid_what_it_spends() -> None:
    host = rehearsal_host()
    assert isinstance(host, RehearsalHost)
    assert host.dealing_gas(8, 4) < host.dealing_gas(8, 8)
