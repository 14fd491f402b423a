"""The chain: fees, mempool, admission, blocks, finality, and money that never vanishes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chain_stage import GWEI, PROFILE, RICH, ChainStage
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts_model import Call, Event
from contracts_model.gas import TX_GAS_CAP
from simdfl.chain.block import block_hash
from simdfl.chain.execution import FEE_BURN, PROPOSER
from simdfl.chain.fees import next_base_fee_wei
from simdfl.chain.history import ChainHistory
from simdfl.chain.mempool import Mempool
from simdfl.chain.profiles import PROFILES
from simdfl.chain.transaction import Transaction

# ---- EIP-1559


@pytest.mark.parametrize(
    "base, used, expected",
    [  # limit 20M, target 10M: the test vectors of go-ethereum's CalcBaseFee
        (1_000_000_000, 10_000_000, 1_000_000_000),
        (1_000_000_000, 9_000_000, 987_500_000),
        (1_000_000_000, 11_000_000, 1_012_500_000),
        (1, 20_000_000, 2),
        (7, 0, 7),
        (8, 0, 7),
    ],
)
def test_base_fees_follow_eip_1559(base, used, expected):
    assert next_base_fee_wei(base, used, 20_000_000) == expected


@given(st.integers(1, 10**12), st.integers(0, 60_000_000))
def test_base_fees_move_by_an_eighth_at_most(base, used):
    after = next_base_fee_wei(base, used, 60_000_000)
    assert isinstance(after, int)
    assert base - base // 8 <= after <= max(base + base // 8, base + 1)
    assert (after > base) == (used > 30_000_000)


# ---- mempool


def waiting(sender, nonce, tip, cap=10**6):
    return Transaction(Call(bytes([sender]) * 20, "", ""), b"", nonce, 1, cap, tip)


def taken(pool, nonces=None, base=0):
    """Include everything that is offered."""
    nonces = {} if nonces is None else nonces
    order = []
    for transaction in pool.ready(nonces, base):
        order.append((transaction.call.sender[0], transaction.nonce))
        nonces[transaction.call.sender] = transaction.nonce + 1
    return order


def test_nonces_run_in_order_and_tips_decide_among_senders():
    pool = Mempool()
    for line in [(1, 1, 99), (2, 0, 5), (1, 0, 1), (3, 0, 7), (2, 1, 6)]:
        assert pool.add(waiting(*line))
    assert taken(pool) == [(3, 0), (2, 0), (2, 1), (1, 0), (1, 1)]


def test_ties_go_to_the_earlier_arrival():
    pool = Mempool()
    for sender in (5, 1, 3):
        pool.add(waiting(sender, 0, 4))
    assert taken(pool) == [(5, 0), (1, 0), (3, 0)]


def test_a_gap_holds_back_what_follows():
    pool = Mempool()
    for nonce in (0, 2, 3):
        pool.add(waiting(1, nonce, 1))
    nonces = {}
    assert taken(pool, nonces) == [(1, 0)]
    pool.remove_included(nonces)
    assert len(pool) == 2
    pool.add(waiting(1, 1, 1))
    assert taken(pool, nonces) == [(1, 1), (1, 2), (1, 3)]


def test_a_replacement_pays_a_tenth_more():
    pool = Mempool()
    pool.add(waiting(1, 0, 100))
    assert not pool.add(waiting(1, 0, 109))
    assert pool.add(waiting(1, 0, 110))
    assert len(pool) == 1
    assert [t.priority_fee_wei for t in pool.ready({}, 0)] == [110]
    pool.add(waiting(2, 0, 0))
    assert not pool.add(waiting(2, 0, 0))  # the same again does not lose its place


def test_a_cap_under_the_base_fee_waits_with_all_that_follow():
    pool = Mempool()
    pool.add(waiting(1, 0, 50, cap=9))
    pool.add(waiting(1, 1, 50, cap=100))
    pool.add(waiting(2, 0, 1, cap=10))
    assert taken(pool, base=10) == [(2, 0)]
    assert taken(pool, base=9) == [(2, 0), (1, 0), (1, 1)]  # the tip that is really paid counts


def test_what_is_passed_over_is_not_offered_again_in_this_block():
    pool = Mempool()
    for line in [(1, 0, 9), (1, 1, 9), (2, 0, 1)]:
        pool.add(waiting(*line))
    offered, nonces = [], {}
    for transaction in pool.ready(nonces, 0):
        offered.append((transaction.call.sender[0], transaction.nonce))
        if transaction.call.sender[0] == 2:
            nonces[transaction.call.sender] = 1
    assert offered == [(1, 0), (2, 0)]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4), st.integers(0, 5), st.integers(0, 8)), max_size=20)
)
def test_the_mempool_equals_a_list_that_is_searched(lines):
    pool, twin = Mempool(), {}
    for arrival, (sender, nonce, tip, cap) in enumerate(lines):
        old = twin.get((sender, nonce))
        if pool.add(waiting(sender, nonce, tip, cap)):
            twin[sender, nonce] = (tip, cap, arrival)
        else:
            assert old is not None
            assert tip <= max(old[0], old[0] * 1.1)
    base, nonces, expected = 3, dict.fromkeys(range(1, 5), 0), []
    while heads := [
        (-min(twin[head][0], twin[head][1] - base), twin[head][2], head)
        for head in nonces.items()
        if head in twin and twin[head][1] >= base
    ]:
        head = min(heads)[2]
        expected.append(head)
        nonces[head[0]] += 1
    assert taken(pool, base=base) == expected


# ---- admission


def test_transactions_must_be_signed_by_their_sender_for_this_chain():
    stage = ChainStage()
    good = stage.make(0, 0)
    thief = replace(good, call=replace(good.call, sender=stage.keys[1].address))
    for bad in (
        replace(good, signature=b""),
        replace(good, signature=bytes(65)),
        replace(good, signature=stage.keys[1].sign(good.signing_digest(stage.chain.chain_id))),
        replace(good, signature=stage.keys[0].sign(good.signing_digest(b"another chain"))),
        replace(good, nonce=1),
        replace(good, gas_limit=99_999),
        replace(good, max_fee_wei=11 * GWEI),
        replace(good, priority_fee_wei=2 * GWEI),
        replace(good, call=replace(good.call, value_wei=2)),
        replace(good, call=replace(good.call, contract="ledger")),
        thief,
    ):
        stage.chain._receive(0, 0, type("M", (), {"content": bad}))
    assert (stage.chain.rejected, len(stage.chain.mempool)) == (11, 0)
    stage.send(good)
    assert stage.run(2.5) == [[(0, 0)]]


def test_calldata_must_encode_the_call():
    stage = ChainStage()
    sender = stage.keys[0].address
    calls = [
        ({"calldata": b"\0\0\0\0"}, None),
        ({"calldata": b""}, Call(sender, "treasury", "nothing", ())),
        ({"calldata": b""}, Call(sender, "nowhere", "fund", ())),
        ({"calldata": b""}, Call(sender, "treasury", "fund", (1,))),
        ({"calldata": b""}, Call(sender, "beacon", "deal", ("x", 5))),
        ({"calldata": b""}, Call(sender, "beacon", "deal", (-1, bytes(32)))),
    ]
    for fields, call in calls:
        stage.send(stage.make(0, 0, **fields, **({"call": call} if call else {})))
    assert stage.run(2.5) == [[]]
    assert stage.chain.rejected == len(calls)


def test_fields_that_have_no_encoding_are_rejected_and_break_nothing():
    stage = ChainStage()
    good = stage.make(0, 0)
    for bad in (
        replace(good, nonce=-1),
        replace(good, nonce=2**64),
        replace(good, max_fee_wei=2**64),
        replace(good, priority_fee_wei=-1),
        replace(good, gas_limit=-1),
        replace(good, call=replace(good.call, value_wei=-1)),
        replace(good, call=replace(good.call, value_wei=2**256)),
    ):
        stage.chain._receive(0, 0, type("M", (), {"content": bad}))
    assert (stage.chain.rejected, len(stage.chain.mempool)) == (7, 0)


def test_the_gas_limit_of_a_transaction_is_capped():
    stage = ChainStage()
    stage.send(stage.make(0, 0, gas_limit=500_001))
    stage.send(stage.make(1, 0, gas_limit=500_000))
    assert stage.run(2.5) == [[(1, 0)]]
    assert all(profile.tx_gas_cap == TX_GAS_CAP <= profile.gas_limit for profile in PROFILES.values())


# ---- blocks


def test_blocks_lie_at_exact_slots_and_chain_by_their_hashes():
    stage = ChainStage(block_time_s=1.1)
    stage.send(stage.make(0, 0), at_s=2.0)
    stage.run(5.6)
    blocks = stage.chain.blocks
    assert [block.number for block in blocks] == [1, 2, 3, 4, 5]
    assert [block.timestamp_s for block in blocks] == [1, 2, 3, 4, 5]
    assert [now_s for now_s, event in stage.trace if hasattr(event, "transactions")] == [2 * 1.1]
    assert blocks[0].parent == stage.chain.chain_id
    assert [block.parent for block in blocks[1:]] == [block.hash for block in blocks[:-1]]
    block = blocks[1]
    line = (block.number, block.timestamp_s, block.parent, block.base_fee_wei, block.receipts)
    assert block.hash == block_hash(*line)
    forged = replace(block.receipts[0], reason="reverted")
    assert block.hash != block_hash(*line[:4], (forged,))
    assert block.hash != block_hash(*line[:4], ())


def test_nonces_run_in_order_even_when_transactions_arrive_out_of_order():
    stage = ChainStage()
    for at_s, nonce in [(0.0, 2), (0.1, 0), (2.5, 1), (2.6, 3), (2.7, 0)]:
        stage.send(stage.make(0, nonce), at_s)
    assert stage.run(4.5) == [[(0, 0)], [(0, 1), (0, 2), (0, 3)]]
    assert len(stage.chain.mempool) == 0


def test_a_block_holds_what_its_gas_limit_holds():
    stage = ChainStage(gas_limit=220_000)
    for peer in range(4):
        stage.send(stage.make(peer, 0, gas_limit=150_000, priority_fee_wei=GWEI * (peer + 1)))
    assert stage.run(4.5) == [[(3, 0), (2, 0)], [(1, 0), (0, 0)]]
    fees = [block.base_fee_wei for block in stage.chain.blocks]
    used = stage.chain.blocks[0].gas_used
    assert fees == [GWEI, next_base_fee_wei(GWEI, used, 220_000)]


def test_who_cannot_pay_the_most_it_may_cost_waits():
    stage = ChainStage()
    stage.job.wallets.balances[stage.keys[0].address] = 100_000 * 10 * GWEI
    stage.job.minted_wei -= RICH - 100_000 * 10 * GWEI
    stage.send(stage.make(0, 0, amount=1))
    stage.send(stage.make(0, 0, amount=0, priority_fee_wei=2 * GWEI), at_s=3.0)
    assert stage.run(4.5) == [[], [(0, 0)]]


def test_failing_calls_cost_gas_and_a_nonce():
    stage = ChainStage()
    sender = stage.keys[0].address
    stage.send(stage.make(0, 0, call=Call(sender, "ledger", "withdraw", ())))
    stage.send(stage.make(0, 1, call=Call(sender, "ledger", "withdraw", ()), gas_limit=22_000))
    stage.send(stage.make(0, 2, gas_limit=1_000))
    assert stage.run(2.5) == [[(0, 0), (0, 1), (0, 2)]]
    receipts = stage.chain.blocks[0].receipts
    assert [receipt.reason for receipt in receipts] == [
        "the sender is not registered",
        "out of gas",
        "out of gas",
    ]
    assert [receipt.gas_used for receipt in receipts[1:]] == [22_000, 1_000]
    assert stage.job.wallets.of(sender) == RICH - sum(receipt.fee_wei for receipt in receipts)
    assert stage.chain.nonces[sender] == 3


def test_fees_are_split_into_burn_and_tip():
    stage = ChainStage()
    stage.send(stage.make(0, 0, max_fee_wei=GWEI + 5, priority_fee_wei=GWEI))
    stage.run(2.5)
    receipt = stage.chain.blocks[0].receipts[0]
    assert receipt.fee_wei == receipt.gas_used * (GWEI + 5)  # the cap limits the tip
    assert stage.job.wallets.of(FEE_BURN) == receipt.gas_used * GWEI
    assert stage.job.wallets.of(PROPOSER) == receipt.gas_used * 5
    assert stage.chain.fees_wei == receipt.fee_wei


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 3),
            st.sampled_from([0, 1, RICH // 2, 2 * RICH]),
            st.sampled_from([1_000, 30_000, 100_000, 500_000]),
            st.integers(0, 3 * GWEI),
            st.floats(0, 6),
        ),
        max_size=10,
    )
)
def test_money_is_conserved_whatever_is_sent(sent):
    stage = ChainStage()
    for who, nonce, amount, gas_limit, tip, at_s in sent:
        stage.send(stage.make(who, nonce, amount, gas_limit=gas_limit, priority_fee_wei=tip), at_s)
    included = [line for block in stage.run(9.0) for line in block]
    for peer in range(4):
        own = [nonce for who, nonce in included if who == peer]
        assert own == list(range(len(own)))
    assert stage.job.wallets.of(FEE_BURN) + stage.job.wallets.of(PROPOSER) == stage.chain.fees_wei
    assert all(balance >= 0 for balance in stage.job.wallets.balances.values())


# ---- clients


def test_events_reach_every_client_with_the_block():
    stage = ChainStage()
    log = []

    def life(peer):
        got = yield stage.inboxes[peer].collect("chain:Phase", 0, {1}, None)
        log.append((round(stage.env.now, 2), peer, got.messages[1].fields["deadline"]))

    for peer in range(4):
        stage.env.process(life(peer))
    stage.job.registry.counters["active"] = 4  # as if all had registered
    for time_s in (4.5, 20.5):
        stage.env.at(time_s, lambda: stage.clients[0].submit("ledger", "advance", 0, 0))
    stage.run(20.0)
    assert log == []  # the deadline of registration (10 s) had not passed at 6 s
    stage.run(23.0)
    assert log == [(22.15, peer, 32) for peer in range(4)]  # access 0.1 s and the host's 0.05 s
    assert [receipt.reason for receipt in stage.chain.blocks[2].receipts] == ["the deadline has not passed"]


@pytest.mark.parametrize("finality", [0, 1, 3])
def test_finality_delays_delivery(finality):
    stage = ChainStage(finality_blocks=finality)
    heard = []
    stage.inboxes[0].listen("BLOCK:chain", lambda step, *_: heard.append((round(stage.env.now, 2), step)))
    for k in range(3):
        stage.send(stage.make(0, k), at_s=2.0 * k)
    stage.run(30.0)
    assert heard == [(2.0 * (number + finality) + 0.15, number) for number in (1, 2, 3)]


def test_clients_number_their_transactions_and_bid_above_the_base_fee():
    stage = ChainStage()
    for _ in range(3):
        stage.clients[1].submit("treasury", "fund", value_wei=7)
    assert stage.run(2.5) == [[(1, 0), (1, 1), (1, 2)]]
    receipt = stage.chain.blocks[0].receipts[0]
    assert receipt.max_fee_wei == 2 * GWEI + PROFILE.priority_fee_wei
    assert receipt.gas_limit <= PROFILE.tx_gas_cap
    assert stage.clients[0].head == 1


def test_a_phase_that_opens_again_shows_its_new_deadline():
    """An elimination restarts AGGREGATE: the same slot, another deadline, and no conflict of messages."""
    stage, conflicts = ChainStage(), []
    stage.inboxes[0].on_conflict(lambda *line: conflicts.append(line))
    for deadline in (60, 75):
        stage.clients[0]._take(
            Event("ledger", "Phase", {"phase": 3, "entry": 3, "round": 1, "deadline": deadline})
        )
    assert stage.inboxes[0].peek("chain:Phase", 1)[3].fields["deadline"] == 75
    assert conflicts == []


def test_history_is_what_the_events_say():
    history = ChainHistory()
    pair = (4).to_bytes(4, "little") + (2).to_bytes(4, "little")
    lines = [
        ("StepOpened", {"step": 3, "roster": bytes([0b10110]), "randomness": b"r", "pairs": pair}),
        ("Aborted", {"reason": b"too few"}),
        ("Ejected", {"peer": 1, "reason": "late"}),
        ("Banned", {"peer": 1, "reason": "proof"}),
        ("Unheard", {}),
    ]
    for name, fields in lines:
        history.record(Event("ledger", name, fields))
    assert (history.rosters[3], history.pairs[3]) == ([1, 2, 4], [(4, 2)])
    assert history.abort_reason == "too few"
    assert (history.removed, history.banned) == ({1: "proof"}, {1})
