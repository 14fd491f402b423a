"""A shared sequencer: elected leaders, runs of bad slots, builders' orders, and what malicious leaders do."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, islice

import numpy as np
import pytest
from chain_stage import GWEI, ChainStage
from hypothesis import given
from hypothesis import strategies as st

from simdfl.chain.leaders import leader_policy
from simdfl.chain.profiles import PROFILES
from simdfl.chain.sources import QUANTILE, SharedSequencer
from simdfl.errors import UserError
from simdfl.rng import Rng
from simdfl.scenario.sections import Chain
from simdfl.world.deadlines import make_source

MANY = 60_000
ALPHA = 1e-6


def hoeffding(count):
    return np.sqrt(np.log(2 / ALPHA) / (2 * count))


def bad_slots(source, count):
    """Return for so many slots whether they are malicious leaders'; all slots of a turn are alike."""
    turn = source.slots_per_leader
    return np.repeat([source.is_bad(slot) for slot in range(1, count + 1, turn)], turn)


# ---- the election


@pytest.mark.parametrize("turn", [1, 4, 16])
def test_leaders_hold_whole_turns_as_often_as_their_stake(turn):
    source = SharedSequencer(1.0, leaders=4, stakes=[4, 3, 2, 1], slots_per_leader=turn, seed=3)
    turns = MANY // 16
    leaders = [source.election.leader(slot) for slot in range(1, turns * turn + 1)]
    assert all(len(set(leaders[start : start + turn])) == 1 for start in range(0, len(leaders), turn))
    shares = Counter(leaders[::turn])
    for leader, stake in enumerate((0.4, 0.3, 0.2, 0.1)):
        assert abs(shares[leader] / turns - stake) < hoeffding(turns)


def test_another_seed_is_another_order_and_the_same_one_is_the_same():
    def order(seed):
        return [SharedSequencer(1.0, seed=seed).election.leader(slot) for slot in range(1, 400, 4)]

    assert order(1) == order(1) != order(2)


@given(
    stakes=st.lists(st.integers(1, 10**12), min_size=2, max_size=12),
    share=st.floats(0.0, 0.9),
    seed=st.integers(0, 2**63 - 1),
)
def test_malicious_leaders_hold_at_most_their_share_and_none_more_would_fit(stakes, share, seed):
    election = SharedSequencer(1.0, leaders=len(stakes), stakes=stakes, seed=seed).election
    bad = election.corrupted(share)
    held = sum(stakes[leader] for leader in bad)
    assert held <= share * sum(stakes)
    assert all(held + stakes[other] > share * sum(stakes) for other in set(range(len(stakes))) - bad)


# ---- runs of bad slots


@pytest.mark.parametrize("turn", [1, 3, 8])
def test_runs_of_bad_slots_are_geometric_in_turns(turn):
    source = SharedSequencer(1.0, malicious=0.25, slots_per_leader=turn, seed=5)
    share = source.bad_share
    lengths = [len(list(run)) for is_bad, run in groupby(bad_slots(source, 5_000 * turn)) if is_bad]
    assert all(length % turn == 0 for length in lengths[:-1])
    for turns in (2, 3, 4):
        at_least = np.mean(np.array(lengths) >= turns * turn)
        assert abs(at_least - share ** (turns - 1)) < hoeffding(len(lengths))
    assert source.longest_bad_run(5_000 * turn) == max(lengths)


@pytest.mark.parametrize("turn", [1, 4, 16])
def test_the_mean_wait_for_a_good_slot_follows_the_closed_form(turn):
    """What is left of the turn, then geometrically many bad turns: the same share lost, longer waits."""
    source = SharedSequencer(1.0, malicious=0.25, slots_per_leader=turn, seed=6)
    bad, share = bad_slots(source, MANY * turn), source.bad_share
    good = np.flatnonzero(~bad)
    starts = np.arange(good[-1])
    waits = good[np.searchsorted(good, starts)] - starts + 1
    again = turn * share / (1 - share)
    expected = 1 + share * ((turn + 1) / 2 + again)
    assert waits.mean() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(("turn", "acts"), [(1, "empty"), (4, "censor"), (16, "empty")])
@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_the_span_covers_the_quantile_of_waits_and_no_slot_too_many(acts, turn, blocks):
    source = SharedSequencer(2.0, malicious=0.3, slots_per_leader=turn, seed=7, acts=acts)
    good = np.flatnonzero(~bad_slots(source, MANY * turn))
    starts = np.arange(good[-blocks])
    waits = good[np.searchsorted(good, starts) + blocks - 1] - starts + 1
    spans = source.span_s(blocks) / 2.0
    turns = MANY  # what is independent of each other
    assert np.mean(waits > spans) <= 1 - QUANTILE + hoeffding(turns)
    assert np.mean(waits > 0.6 * spans) > 1 - QUANTILE


def test_what_does_not_delay_calls_does_not_lengthen_deadlines():
    front = SharedSequencer(1.0, malicious=0.3, acts="front_run", functions=["recover"])
    assert front.span_s(5) == SharedSequencer(1.0, malicious=0.3, acts="last").span_s(5) == 5.0
    spans = [SharedSequencer(1.0, malicious=0.3, slots_per_leader=turn).span_s(2) for turn in (1, 4, 16)]
    assert spans == sorted(spans)


def test_empty_slots_have_no_block_and_blocks_name_their_maker():
    source = SharedSequencer(0.5, malicious=0.3, seed=8)
    for found in islice(source.found(Rng(0).stream("unused")), 500):
        assert found.at_s % 0.5 == 0
        assert not source.is_bad(source.slot(found.at_s))
        assert found.maker == source.election.leader(source.slot(found.at_s))


# ---- builders


def test_the_best_bid_wins_and_malicious_leaders_forgo_it():
    source = SharedSequencer(1.0, builders=5, malicious=0.25, order_value_wei=1000, seed=9)
    wins = Counter(source.best_bid(slot)[0] for slot in range(1, 5001))
    for builder in range(5):
        assert abs(wins[builder] / 5000 - 0.2) < hoeffding(5000)
    taken, forgone = source.auction(5000)
    bids = [source.best_bid(slot)[1] for slot in range(1, 5001)]
    assert taken + forgone == sum(bids)
    assert np.mean(bids) == pytest.approx(2000 * 5 / 6, rel=0.02)  # the largest of five uniform values
    bad = [source.is_bad(slot) for slot in range(1, 5001)]
    assert forgone == sum(bid for bid, is_bad in zip(bids, bad, strict=True) if is_bad)
    assert SharedSequencer(1.0).auction(100) == (0, 0)


class Lane(ChainStage):
    """Four peers behind a shared sequencer, of whom peer 3 is Byzantine."""

    def __init__(self, **params) -> None:
        self.source = SharedSequencer(1.0, leaders=4, slots_per_leader=5, **params)
        super().__init__(source=self.source)
        self.chain.proposers = leader_policy(
            self.source,
            frozenset({3}),
            [keypair.address for keypair in self.keys],
            ["fund", "register"],
            lambda: 0,
            self.clients,
        )

    def first(self, is_bad):
        """Return the first slot of the first turn, after the first one, that is malicious or not."""
        turns = range(6, 1000, 5)
        return next(slot for slot in turns if self.source.is_bad(slot) == is_bad)

    def senders(self, slot):
        """Run to a slot's block, and return who is in it."""
        self.run(slot + 0.5)
        for block in self.chain.blocks:
            if block.timestamp_s == slot:
                return [
                    self.keys.index(next(k for k in self.keys if k.address == r.sender)) for r in block.receipts
                ]
        return None


def test_equal_tips_are_ordered_by_the_winning_builder_and_higher_tips_go_first():
    orders = set()
    for seed in range(12):
        stage = Lane(builders=6, seed=seed)
        for peer in (0, 1, 2):
            stage.send(stage.make(peer, 0))
        stage.send(stage.make(3, 0, priority_fee_wei=3 * GWEI))
        order = stage.senders(1)
        taste = stage.source.taste(1)
        assert order == [3, *sorted((0, 1, 2), key=lambda peer: taste(stage.keys[peer].address))]
        orders.add(tuple(order))
    assert len(orders) > 2


def test_an_empty_turn_keeps_everybody_waiting_to_its_end():
    stage = Lane(malicious=0.5, acts="empty", seed=1)
    slot = stage.first(is_bad=True)
    stage.send(stage.make(0, 0), at_s=slot - 0.5)
    stage.run(slot + 4.5)
    assert all(not block.receipts for block in stage.chain.blocks)
    run = next(later for later in range(slot, slot + 500) if not stage.source.is_bad(later))
    assert stage.senders(run) == [0]
    assert stage.chain.waits_s[0][1] == pytest.approx(run - slot + 0.5, abs=0.2)


def test_a_censor_leaves_out_the_named_calls_of_honest_peers_only():
    stage = Lane(malicious=0.5, acts="censor", functions=["fund"], seed=1)
    slot = stage.first(is_bad=True)
    for peer in range(4):
        stage.send(stage.make(peer, 0), at_s=slot - 0.5)
    assert stage.senders(slot) == [3]
    good = next(later for later in range(slot, slot + 500) if not stage.source.is_bad(later))
    assert sorted(stage.senders(good)) == [0, 1, 2]
    named = Lane(malicious=0.5, acts="censor", peers=[1], seed=1)
    for peer in range(4):
        named.send(named.make(peer, 0), at_s=slot - 0.5)
    assert sorted(named.senders(slot)) == [0, 2, 3]


def test_who_is_put_last_is_behind_lower_tips():
    stage = Lane(malicious=0.5, acts="last", peers=[1], seed=1)
    slot = stage.first(is_bad=True)
    stage.send(stage.make(1, 0, priority_fee_wei=5 * GWEI), at_s=slot - 0.6)
    stage.send(stage.make(0, 0), at_s=slot - 0.5)
    assert stage.senders(slot) == [0, 1]


def test_a_front_runner_s_copy_is_the_byzantine_peer_s_and_goes_first():
    stage = Lane(malicious=0.5, acts="front_run", functions=["fund"], seed=1)
    slot = stage.first(is_bad=True)
    stage.send(stage.make(0, 0, priority_fee_wei=GWEI // 10), at_s=slot - 0.5)
    assert stage.senders(slot) == [3, 0]


# ---- mistakes


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"leaders": 0}, r"params.leaders: got 0; allowed is a number between 1 and 10,000"),
        ({"stakes": [1, 2]}, r"params.stakes: got \[1, 2\]; allowed is a list of 16 whole positive"),
        ({"malicious": 0.01}, r"params.malicious: got 0.01; allowed is 0, or a share that some leader"),
        ({"malicious": 1.0}, r"params.malicious: got 1.0; allowed is a share of at most 0.9"),
        ({"malicious": 0.3, "acts": "front_run"}, r"params.functions: got None; allowed is a list of the calls"),
        ({"acts": "sleep"}, r"params.acts: got 'sleep'; allowed is"),
        ({"slots_per_leader": 0}, r"params.slots_per_leader: got 0"),
        ({"builders": -1}, r"params.builders: got -1"),
        ({"seed": -1}, r"params.seed: got -1"),
        ({"leader": 3}, r"unknown parameter 'leader' \(did you mean 'leaders'\?\)"),
    ],
)
def test_a_bad_lane_is_a_sentence(params, sentence):
    section = Chain.model_validate({"source": {"name": "shared_sequencer", "params": params}})
    with pytest.raises(UserError, match=sentence):
        make_source(section, PROFILES["optimism"])


@pytest.mark.parametrize(
    ("params", "byzantine", "sentence"),
    [
        ({"peers": [4]}, {3}, r"params.peers: there is no peer 4; the last one is 3"),
        ({"functions": ["fnd"]}, {3}, r"no contract has a call 'fnd' \(did you mean 'fund'\?\)"),
        ({"acts": "front_run", "functions": ["fund"]}, set(), r"pays a Byzantine peer and there is none"),
    ],
)
def test_names_that_do_not_exist_are_a_sentence(params, byzantine, sentence):
    source = SharedSequencer(1.0, malicious=0.3, **params)
    with pytest.raises(UserError, match=sentence):
        leader_policy(source, frozenset(byzantine), [bytes(20)] * 4, ["fund"], lambda: 0, [])
