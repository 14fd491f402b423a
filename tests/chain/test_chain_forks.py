"""Forks: which branch wins, what an abandoned block leaves behind (nothing), and how peers follow."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from chain_stage import GWEI, RICH, ChainStage
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts_model import Call, Event
from contracts_model.snapshot import state_digest
from simdfl.chain.block import ContractEvent, Reorganised
from simdfl.chain.forks import Tree
from simdfl.chain.history import ChainHistory
from simdfl.chain.repairs import TRIES, Repairs
from simdfl.chain.sources import Found, Poisson
from simdfl.protocols.verified import StepFinished
from simdfl.rng import Rng
from simdfl.scenario import load, loads
from simdfl.world import build

ROOT = Path(__file__).parents[2]

# ---- the tree


def grow(tree, *found):
    """Place blocks; return (number, ancestor or None) of each."""
    told = []
    for at_s, maker in found:
        header = tree.place(Found(at_s, maker), 0)
        told.append((header.number, tree.adopt(header)[0] if header.number > tree.head.number else None))
    return told


def test_a_miner_that_does_not_know_the_head_builds_beside_it():
    # Maker 1 finds its block 1 s after maker 0's: too early to know it. Its own next one stands on it.
    assert grow(Tree(2.0), (10, 0), (11, 1), (12, 1)) == [(1, 0), (1, None), (2, 0)]


def test_of_two_branches_the_one_seen_first_is_built_on():
    assert grow(Tree(2.0), (10, 0), (11, 1), (20, 2)) == [(1, 0), (1, None), (2, 1)]


def test_own_blocks_are_known_at_once_and_those_of_others_later():
    assert grow(Tree(2.0), (10, 0), (11, 0), (13, 1)) == [(1, 0), (2, 1), (3, 2)]
    assert grow(Tree(2.0), (10, 0), (11, 0), (12.5, 1)) == [(1, 0), (2, 1), (2, None)]


def test_without_delay_there_are_no_siblings():
    assert grow(Tree(0.0), (1, 0), (1, 1), (1, 2)) == [(1, 0), (2, 1), (3, 2)]


def test_a_branch_from_elsewhere_leaves_out_what_it_overtakes():
    tree = Tree(0.0)
    grow(tree, (1, 0), (2, 0), (3, 0))
    header = tree.overtake(Found(4.0), 2, 9)
    ancestor, branch = tree.adopt(header)
    assert ancestor == 1
    assert [(h.number, h.at_s, h.arrivals) for h in branch] == [(2, 2.0, 0), (3, 3.0, 0), (4, 4.0, 9)]
    assert tree.made - tree.head.number == 2


@pytest.mark.parametrize("miners", [2, 50])
def test_blocks_go_stale_as_often_as_two_are_found_within_a_propagation(miners):
    source, tree, count = Poisson(10.0, propagation_s=1.0, miners=miners), Tree(1.0), 20_000
    found = source.found(Rng(3).stream("blocks"))
    for _ in range(count):
        header = tree.place(next(found), 0)
        if header.number > tree.head.number:
            tree.adopt(header)
    # The chain grows by 1 in T + delay (1 - 1/miners), to first order in delay / T.
    expected = 1 - 1 / (1 + 0.1 * (1 - 1 / miners))
    assert 1 - tree.head.number / count == pytest.approx(expected, rel=0.12)


# ---- execution


calls = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["fund", "withdraw"]),
        st.sampled_from([1, RICH // 2, 2 * RICH]),
        st.integers(0, 3 * GWEI),
        st.floats(0, 7),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(calls, st.integers(1, 4))
def test_blocks_taken_back_leave_nothing_behind_and_happen_again(sent, depth):
    stage = ChainStage(reorgs=((1e9, 1),))
    nonces = dict.fromkeys(range(4), 0)
    for who, function, amount, tip, at_s in sent:
        contract, value = ("treasury", amount) if function == "fund" else ("ledger", 0)
        call = Call(stage.keys[who].address, contract, function, (), value)
        stage.send(stage.make(who, nonces[who], call=call, priority_fee_wei=tip), at_s)
        nonces[who] += 1
    chain = stage.chain
    seen = [chain.execution]
    states = []
    chain.on_block.append(lambda block: states.append(snapshot(chain)))
    states.append(snapshot(chain))
    stage.run(9.0)
    for back in range(1, depth + 1):
        seen[0].take_back()
        assert snapshot(chain)[:-1] == states[-1 - back][:-1]
    waiting = {t.signature for t in chain.mempool.pending()}
    assert waiting >= {r.signature for block in chain.blocks[-depth:] for r in block.receipts}


def snapshot(chain):
    used = {sender: nonce for sender, nonce in chain.nonces.items() if nonce}
    return state_digest(chain.job), used, chain.base_fee_wei, chain.fees_wei, len(chain.mempool)


# ---- the chain and its clients


def test_a_call_that_is_reorganised_out_is_included_again_and_told_again():
    stage = ChainStage(reorgs=((7.0, 2),))
    heard = []
    for peer in range(2):
        stage.inboxes[peer].listen("BLOCK:chain", listener(stage, peer, heard))
    stage.send(stage.make(0, 0), at_s=1.0)
    stage.send(stage.make(1, 0), at_s=5.0)
    assert stage.run(8.5) == [[(0, 0)], [], [], [(1, 0)]]
    assert [block.timestamp_s for block in stage.chain.blocks] == [2, 4, 6, 8]
    (told,) = [event for _, event in stage.trace if isinstance(event, Reorganised)]
    assert (told.ancestor, told.depth, stage.chain.stale) == (1, 2, 2)
    assert [entry for entry in heard if entry[1] == 0] == [(2.15, 0, 1), (6.15, 0, 3), (8.15, 0, 4)]
    assert stage.clients[0].head == 4
    funded = [event for _, event in stage.trace if isinstance(event, ContractEvent) and event.name == "Funded"]
    assert len(funded) == 3  # one of them on the abandoned branch
    assert stage.job.treasury.held_wei() == 2


def listener(stage, peer, heard):
    def take(step, sender, message):
        heard.append((round(stage.env.now, 2), peer, step))
        stage.clients[peer]._receive(step, sender, message)

    return take


def test_peers_go_back_even_if_the_new_branch_is_empty():
    stage = ChainStage(reorgs=((3.0, 1),), gas_limit=200_000)
    stage.send(stage.make(0, 0), at_s=1.0)
    stage.chain.mempool.restore = lambda entries: None  # whoever made the new branch keeps the call out
    stage.env.run(3.9)
    assert stage.clients[2].head == 1
    stage.env.run(4.5)
    assert stage.clients[2].head == 2
    assert not any(block.receipts for block in stage.chain.blocks)
    assert stage.job.treasury.held_wei() == 0


@pytest.mark.parametrize("finality", [2, 3])
def test_behind_finality_peers_hear_every_block_once(finality):
    stage = ChainStage(finality_blocks=finality, reorgs=((7.0, 2), (13.0, 2)))
    heard = []
    stage.inboxes[0].listen("BLOCK:chain", listener(stage, 0, heard))
    for k in range(4):
        stage.send(stage.make(0, k), at_s=4.0 * k + 1)
    stage.run(40.0)
    numbers = [number for _, _, number in heard]
    assert numbers == sorted(set(numbers))
    assert stage.clients[0]._forks == ()
    assert len(stage.chain.reorganised) == 2
    assert sum(len(block.receipts) for block in stage.chain.blocks) == 4


def test_history_forgets_what_has_not_happened_but_not_the_step_that_peers_are_in():
    history = ChainHistory()
    ban = Event("ledger", "Banned", {"peer": 3, "reason": "x"})
    opened = {"step": 1, "pairs": b"", "randomness": b"r", "roster": b"\x07"}
    root = Event("ledger", "Committed", {"step": 1, "peer": 0, "root": b"c"})
    for event in (Event("ledger", "StepOpened", opened), root, ban):
        history.record(event)
    history.rebuild([ban])
    assert (history.banned, history.rosters, dict(history.roots)) == ({3}, {1: [0, 1, 2]}, {})
    history.rebuild([])
    assert not history.banned
    assert not history.changed
    history.record(Event("ledger", "StepOpened", {**opened, "randomness": b"s", "roster": b"\x03"}))
    assert (history.changed, history.rosters) == ({1}, {1: [0, 1]})


def test_calls_that_fail_because_of_a_fork_are_sent_again_but_not_for_ever():
    stage = ChainStage(reorgs=((1e9, 1),))
    sender = stage.keys[0].address
    stage.clients[0].submit("treasury", "fund", value_wei=5)
    stage.clients[0].submit("ledger", "withdraw")  # fails on any branch
    stage.run(2.5)
    repairs = stage.clients[0].repairs
    repairs.go_back(0, 3)  # nonce 2 is on its way
    block = stage.chain.blocks[0]
    assert repairs.note(block) == []  # what failed before may fail again
    stage.clients[0].submit("ledger", "withdraw")
    stage.run(30.0)
    reverted = [r for b in stage.chain.blocks for r in b.receipts if r.reason and r.sender == sender]
    assert [r.nonce for r in reverted] == [1, *range(2, 3 + TRIES)]


def test_a_peer_without_forks_repairs_nothing():
    stage = ChainStage()
    stage.clients[0].submit("ledger", "withdraw")
    assert stage.run(9.0)[0] == [(0, 0)]
    assert Repairs(b"x").note(stage.chain.blocks[0]) == []


# ---- whole runs


TEXT = """
name: forks
protocol: {steps: 6, validators: 1}
peers: {count: 6}
topology: {name: complete}
beacon: {group: ideal, epoch_outputs: 16}
learning: {model: {name: logistic}, evaluate_every: 5}
adversaries: [{name: sign_flip, count: 1, start_step: 1}]
output: {trace: full}
"""
FORKS = "[{at_s: 3, depth: 1}, {at_s: 150, depth: 3}, {at_s: 154, depth: 2}, {at_s: 161, depth: 3}]"


@cache
def live(*changes):
    world = build(loads(TEXT, "forks", list(changes)).scenario)
    return world, world.run()


def test_a_run_with_forks_ends_in_the_model_of_the_run_without():
    world, result = live(f"chain.reorgs={FORKS}")
    _, plain = live()
    chain = world.chain
    assert [(event.depth, event.chain) for event in chain.reorganised] == [
        (depth, "chain") for depth in (1, 3, 2, 3)
    ]
    assert result.completed
    assert not chain.history.changed
    assert result.summary["distinct_models"] == 1
    assert np.array_equal(result.params, plain.params)
    assert [(r["peer"], r["kind"]) for r in result.removals] == [(r["peer"], r["kind"]) for r in plain.removals]
    chain.job.check_conservation()
    names = [event.name for block in chain.blocks for event in block.events]
    traced = [event.name for _, event in world.observer.recorder.of_type(ContractEvent)]
    assert (
        traced.count("Committed")
        > names.count("Committed")
        == len(
            {
                (e.fields["step"], e.fields["peer"])
                for b in chain.blocks
                for e in b.events
                if e.name == "Committed"
            }
        )
    )
    assert {row["function"]: row["calls"] for row in result.calls}["commit"] >= names.count("Committed")
    assert (result.summary["reorganisations"], result.summary["stale_blocks"]) == (4, 9)


def test_behind_finality_peers_act_as_if_there_were_no_forks():
    deadlines = ("chain.finality_blocks=3", "protocol.steps=3")
    world, forked = live(f"chain.reorgs={FORKS}", *deadlines)
    other, plain = live(*deadlines)
    assert len(world.chain.reorganised) == 4
    assert all(peer.chain._forks == () for peer in world.peers)
    assert np.array_equal(forked.params, plain.params)
    steps = [
        [(event.step, event.peer, event.state) for _, event in w.observer.recorder.of_type(StepFinished)]
        for w in (world, other)
    ]
    assert sorted(steps[0]) == sorted(steps[1])


def test_what_censors_and_forks_spoil_together_is_sent_again():
    """A branch whose proposers leave calls out lets later calls fail; nobody honest loses a seat for it."""
    deep = "[{at_s: 500, depth: 4}, {at_s: 560, depth: 3}, {at_s: 600, depth: 5}, {at_s: 640, depth: 3}]"
    changes = ["protocol.steps=8", "chain.block_time_s=5", f"chain.reorgs={deep}"]
    censors = ["adversaries=[{name: censoring_proposer, count: 4}]"]
    world = build(load(ROOT / "scenarios" / "proof_of_work.yaml", [*changes, *censors]).scenario)
    result = world.run()
    reasons = [receipt.reason for block in world.chain.blocks for receipt in block.receipts]
    assert "not in the reveal phase" in reasons
    assert result.completed
    assert result.removals == []
    assert result.summary["distinct_models"] == 1
    world.chain.job.check_conservation()
