"""Everybody else on the chain: they compete for gas, drive the base fee, and leave when it is too high."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from chain_stage import GWEI, ChainStage

from simdfl.chain.demand import Demand, DemandProfile
from simdfl.chain.fees import next_base_fee_wei
from simdfl.rng import Rng

LIMIT = 60_000_000


@pytest.mark.parametrize("load", [1.25, 2.0, 4.0])
def test_the_base_fee_settles_where_as_many_stay_as_fit(load):
    profile = DemandProfile(load, 100_000, 4 * GWEI, GWEI // 10, 0.8)
    demand = Demand(profile, LIMIT, 2.0, Rng(5).stream("demand"))
    fee, fees = GWEI, []
    for number in range(1, 401):
        demand.open_block(2.0 * number, fee)
        used = demand.take(-1, LIMIT)
        demand.close_block()
        assert used <= LIMIT
        fee = next_base_fee_wei(fee, used, LIMIT)
        fees.append(fee)
    # The share 1 / load is willing to pay the fee at which the target is met.
    expected = 4 * GWEI * np.exp(-0.8 * NormalDist().inv_cdf(1 / load))
    assert np.mean(fees[100:]) == pytest.approx(expected, rel=0.05)


def test_without_load_there_is_nobody():
    demand = Demand(DemandProfile(0.0, 21_000, GWEI, GWEI, 1.0), LIMIT, 2.0, Rng(0).stream("demand"))
    demand.open_block(100.0, 1)
    assert demand.take(-1, LIMIT) == 0


def test_the_others_go_by_their_tips_and_wait_when_the_block_is_full():
    demand = Demand(DemandProfile(1.0, 100_000, 10 * GWEI, GWEI, 1.0), 2_000_000, 2.0, Rng(1).stream("demand"))
    demand.open_block(8.0, GWEI)
    waiting = demand.waiting
    tips = np.minimum(waiting.tips_wei, waiting.caps_wei - GWEI)
    above = int((tips > GWEI).sum())
    assert demand.take(GWEI, 10**9) == 100_000 * above
    assert demand.take(GWEI, 10**9) == 0
    assert demand.take(-1, 250_000) == 200_000
    demand.close_block()
    assert len(demand.waiting.caps_wei) == len(tips) - above - 2
    demand.open_block(8.0, 10**17)
    assert len(demand.waiting.caps_wei) == 0  # nobody pays that


def busy(load=6.0, **profile):
    """Return a stage whose blocks are full: six times the target is asked for, and most tip more than peers."""
    others = DemandProfile(load, 100_000, 20 * GWEI, 2 * GWEI, 0.5)
    return ChainStage(demand=others, **profile)


def test_a_low_tip_waits_and_a_high_tip_goes_first():
    stage = busy()
    stage.send(stage.make(0, 0, priority_fee_wei=GWEI // 100))
    stage.send(stage.make(1, 0, priority_fee_wei=9 * GWEI, max_fee_wei=100 * GWEI))
    assert stage.run(2.5) == [[(1, 0)]]
    (block,) = stage.chain.blocks
    (receipt,) = block.receipts
    assert block.gas_used == block.outside_gas + receipt.gas_used
    assert 900_000 < block.gas_used <= 1_000_000
    assert stage.chain.base_fee_wei == next_base_fee_wei(GWEI, block.gas_used, 1_000_000)


def test_a_client_raises_its_bid_until_its_calls_are_included():
    stage = busy(load=3.0)
    for _ in range(2):
        stage.clients[0].submit("treasury", "fund", value_wei=7)
    included = stage.run(300.0)
    assert [line for block in included for line in block] == [(0, 0), (0, 1)]
    assert stage.clients[0].bumped > 0
    assert stage.chain.rejected == 0
    first = next(block for block in stage.chain.blocks if block.receipts).receipts[0]
    assert first.priority_fee_wei > GWEI // 10
    assert first.block > 3
    assert stage.job.treasury.held_wei() == 14


def test_without_others_no_bid_is_raised():
    stage = ChainStage()
    stage.clients[0].submit("treasury", "fund", value_wei=7)
    stage.run(60.0)
    assert stage.clients[0].bumped == 0


def test_what_waits_for_too_long_is_dropped_and_its_sender_sends_it_again():
    stage = ChainStage(expiry_s=5.0, base_fee_wei=GWEI)
    stage.send(stage.make(0, 0, max_fee_wei=GWEI // 2))  # under the base fee
    stage.send(stage.make(1, 1))  # behind a gap in the nonces
    stage.run(7.9)
    assert (stage.chain.expired, len(stage.chain.mempool)) == (2, 0)
    stage = ChainStage(expiry_s=3.0, gas_limit=1_000_000)
    stage.chain._includes = lambda transaction: stage.env.now > 21.0  # censored for ten blocks
    stage.clients[0].submit("treasury", "fund", value_wei=7)
    stage.run(40.0)
    assert stage.chain.expired > 1
    assert stage.job.treasury.held_wei() == 7


def test_forks_give_the_others_their_place_back():
    plain, forked = busy(), busy(reorgs=((7.0, 2),))
    for stage in (plain, forked):
        stage.run(7.0)
    assert [b.hash for b in plain.chain.blocks] == [b.hash for b in forked.chain.blocks]
    demand = forked.chain.execution._demand
    waiting = demand.waiting
    used = forked.chain.blocks[-1].outside_gas
    forked.chain.execution.take_back()
    assert len(demand.waiting.caps_wei) == len(waiting.caps_wei) + used // 100_000
