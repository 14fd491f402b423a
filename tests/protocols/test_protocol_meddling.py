"""Relays that drop, proposers that censor and copy, junk that fills blocks, two stories about one aggregate."""

from __future__ import annotations

import pytest
from small_runs import attack, reasons, removed, run_small

from simdfl.errors import UserError

DEADLINES = [
    f"contracts.{name}_s=300" for name in ("register", "deal", "commit", "aggregate", "reveal", "recover", "vote")
]


@pytest.mark.parametrize("name", ["selective_relay", "split_relay"])
def test_gossip_goes_around_relays_that_drop(name: str) -> None:
    _, calm = run_small("protocol.steps=6")
    _, result = run_small("protocol.steps=6", attack(name, 4))
    assert result.completed
    assert result.removals == []
    assert result.summary["distinct_models"] == 1
    assert result.summary["transmissions"] < calm.summary["transmissions"]


def test_an_eclipse_by_relays_leaves_the_chain_and_the_direct_lines() -> None:
    _, result = run_small("protocol.steps=6", attack("eclipse", 4, victim=0))
    assert result.completed
    assert removed(result, "banned", False) == set()


def test_censors_make_steps_slower_and_nobody_late() -> None:
    _, calm = run_small("protocol.steps=8")
    _, result = run_small("protocol.steps=8", "adversaries=[{name: censoring_proposer, count: 4}]")
    assert result.removals == []
    assert result.summary["step_s"] > 1.2 * calm.summary["step_s"]


LANE = "chain.source={name: shared_sequencer, params: {malicious: 0.4, slots_per_leader: 2, acts: ACTS, MORE}}"


def test_censoring_leaders_delay_honest_calls_as_empty_slots_do_and_nobody_is_late() -> None:
    waits = []
    for acts in ("censor", "empty"):
        lane = LANE.replace("ACTS", acts).replace("MORE", "seed: 2")
        _, result = run_small("protocol.steps=6", lane, "beacon.epoch_outputs=60", *DEADLINES)
        assert result.removals == []
        waits.append(result.summary["call_wait_max_s"])
        assert result.summary["longest_bad_run"] >= 4
    assert waits[0] == waits[1] > 4.0


def test_leaders_propose_in_place_of_peers() -> None:
    lane = LANE.replace("ACTS", "empty").replace("MORE", "seed: 2")
    with pytest.raises(UserError, match="with a shared sequencer its leaders propose blocks, not the peers"):
        run_small(lane, "beacon.epoch_outputs=60", *DEADLINES, attack("censoring_proposer", 2))


def test_a_front_runner_steals_the_reward_and_saves_nobody() -> None:
    groups = (
        "adversaries=[{name: invalid_dealing, count: 1, start_step: 1}, {name: front_running_proposer, count: 3}]"
    )
    reporters = set()
    for seed in range(4):
        world, result = run_small("protocol.steps=3", groups, seed=seed)
        bans = [row for row in result.removals if row["reason"] == "invalid dealing"]
        assert len(bans) == 1
        assert bans[0]["byzantine"]
        reporters.add(bans[0]["reporter"] in world.honest)
    assert False in reporters


def test_junk_fills_blocks_and_empties_the_spammers_pockets() -> None:
    # contracts.deposit_wei leaves room for fees; a block takes four such calls
    spam = attack("block_spam", 2, calls=6, call_bytes=100_000)
    small_blocks = "chain.gas_limit=17_000_000"
    _, calm = run_small("protocol.steps=6", small_blocks)
    world, result = run_small("protocol.steps=6", small_blocks, spam)
    assert removed(result, "banned", False) == set()
    assert result.summary["step_s"] > calm.summary["step_s"]
    spent = {row["peer"]: 10**21 - int(row["balance_wei"]) for row in result.peers}
    spammers = set(range(10)) - world.honest
    assert min(spent[peer] for peer in spammers) > 10 * max(spent[peer] for peer in world.honest)


def test_an_aggregate_told_in_two_ways_is_fetched_from_those_who_have_the_right_one() -> None:
    _, result = run_small("protocol.steps=6", attack("equivocate_aggregate"))
    assert result.completed
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    assert result.summary["distinct_models"] == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lying_norm", {"V1: false report"}),
        ("wrong_batch", {"failed validation"}),
        ("free_rider", {"failed validation"}),
    ],
)
def test_lies_about_work_are_found(name: str, expected: set[str]) -> None:
    world, result = run_small("protocol.steps=40", attack(name))
    assert reasons(result) <= expected | {"failed validation", "CheckAveraging: false report"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()


def test_the_largest_shift_that_v3_does_not_see_moves_the_model_until_a_validator_looks() -> None:
    world, result = run_small(
        "protocol.steps=40", attack("shift_under_v3", 3, max_deviation=2.0), "protocol.max_deviation=2.0"
    )
    assert removed(result, "banned", False) == set()
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert not any("V3" in reason for reason in reasons(result))


def test_silent_jurors_stop_no_verdict() -> None:
    groups = "adversaries=[{name: sign_flip, count: 2, start_step: 2}, {name: withhold_vote, count: 2}]"
    _, result = run_small("protocol.steps=30", groups)
    assert len(removed(result, "banned", True)) == 2
    assert removed(result, "banned", False) == set()
