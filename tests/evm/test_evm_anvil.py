"""Gas is that of the compiled twins on anvil: whole transactions in blocks, on another EVM (skips without it)."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import eels  # noqa: F401  (skips where the evm extra is missing)
import pytest
from anvil import HOW_TO_GET, RICH_WEI, Anvil, find_anvil
from double import Double, Measured
from improvise import SETTINGS, Play

from contracts_model import Call

PROGRAM = find_anvil()
FRESH_SEED = 90_000
"""Plays that the prices were not measured on."""


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    if PROGRAM is None:
        pytest.skip(HOW_TO_GET)
    chain = Anvil(PROGRAM)
    yield chain
    chain.close()


def assert_equal_gas(rows: list[Measured]) -> None:
    """Python's gas, refunds and calldata floor included, is that of the receipts."""
    wrong = [(row.call, row.outcome.gas_used - row.gas_used) for row in rows if not row.is_equal()]
    print(f"{len(wrong)} of {len(rows)} calls differ")
    assert not wrong, (len(wrong), len(rows), wrong[:3])


def test_honest_steps_cost_the_same_in_blocks(anvil: Anvil) -> None:
    stage = Double(anvil, n=8, steps=10, validators=2)
    stage.until_step(8)
    assert len(stage.rows) > 200
    assert_equal_gas(stage.rows)


@pytest.mark.parametrize("kind", [0, 3])
def test_random_plays_cost_the_same_in_blocks(anvil: Anvil, kind: int) -> None:
    stage = Double(anvil, **SETTINGS[kind])
    Play(stage, Random(FRESH_SEED + kind)).run(120)
    assert any(not row.outcome.succeeded for row in stage.rows)
    assert_equal_gas(stage.rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", range(len(SETTINGS)))
def test_random_plays_of_all_kinds_cost_the_same_in_blocks(anvil: Anvil, kind: int) -> None:
    stage = Double(anvil, **SETTINGS[kind])
    Play(stage, Random(FRESH_SEED + 100 + kind)).run(300)
    assert_equal_gas(stage.rows)


def test_transactions_of_one_block_keep_their_order(anvil: Anvil) -> None:
    stage = Double(anvil, n=5)
    sent = []
    for peer, key in enumerate(stage.keys):
        anvil.fund(key.address, RICH_WEI)
        call = Call(key.address, "registry", "register", stage.registration(peer))
        to, data = stage.twins.addresses["registry"], stage.job.calldata(call)
        sent.append((key.address, to, data, stage.terms.deposit_wei, stage.now))
    receipts = anvil.send_all(sent)
    assert [receipt["from"] for receipt in receipts] == ["0x" + key.address.hex() for key in stage.keys]
    assert {receipt["status"] for receipt in receipts} == {"0x1"}
    assert len({receipt["blockNumber"] for receipt in receipts}) == 1
