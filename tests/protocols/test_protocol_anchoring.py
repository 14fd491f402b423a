"""Steps in the peers' own channel, anchors on a chain.

What it costs, what it protects, and BTARD with neither.
"""

from __future__ import annotations

import pytest
from small_runs import attack, reasons, removed, run_small

from simdfl.world import World

LONG = "beacon.epoch_outputs=12"


def anchoring(policy: str) -> str:
    return f"protocol.anchoring={{policy: {policy}}}"


def on_base(world: World, name: str) -> list[dict]:  # type: ignore[type-arg]
    assert world.chains is not None
    assert world.chains.base is not None
    blocks = world.chains.base.blocks
    return [event.fields for block in blocks for event in block.events if event.name == name]


def test_policies_trade_gas_for_trust_and_learn_the_same() -> None:
    results = {policy: run_small(LONG, anchoring(policy))[1] for policy in ("step", "epoch", "dispute")}
    step, epoch, dispute = results.values()
    assert all(result.completed and not result.removals for result in results.values())
    assert epoch.summary["gas"] < step.summary["gas"] / 10
    assert dispute.summary["gas"] <= epoch.summary["gas"]
    assert epoch.summary["step_s"] < step.summary["step_s"] / 2
    assert epoch.summary["chain_bytes"] > 10 * step.summary["chain_bytes"]
    assert (step.summary["channel_calls"], step.summary["transactions"] > 30) == (0, True)
    assert epoch.summary["channel_calls"] > 30


@pytest.mark.parametrize("policy", ["epoch", "dispute"])
def test_every_epoch_is_anchored_with_the_channels_hash(policy: str) -> None:
    world, _ = run_small("beacon.epoch_outputs=12", "protocol.steps=30", anchoring(policy))
    anchors = {fields["epoch"]: fields["root"] for fields in on_base(world, "Anchored")}
    assert world.chain is not None
    opened = {e.fields["step"]: b.hash for b in world.chain.blocks for e in b.events if e.name == "StepOpened"}
    assert anchors == {0: opened[12], 1: opened[24], 2: opened[30]}
    for chain in world.chains.all:  # type: ignore[union-attr]
        chain.job.check_conservation()


def test_the_base_chain_settles_what_the_channel_decided() -> None:
    world, result = run_small(LONG, "protocol.steps=30", anchoring("epoch"), attack("sign_flip"))
    byzantine = set(range(10)) - world.honest
    assert removed(result, "banned", True) == byzantine
    paid = {fields["peer"]: fields["amount"] for fields in on_base(world, "Withdrawn")}
    deposit = 32 * 10**18
    assert all(paid.get(peer, 0) < deposit // 10 for peer in byzantine)
    assert all(paid[peer] >= deposit for peer in world.honest)


def test_a_false_anchor_gets_no_quorum() -> None:
    false = "adversaries=[{name: false_anchor, peers: [0, 1, 2]}]"
    world, result = run_small(LONG, anchoring("epoch"), false)
    assert result.completed
    assert world.chain is not None
    hashes = {block.hash for block in world.chain.blocks}
    assert all(fields["root"] in hashes for fields in on_base(world, "Anchored"))


def test_a_false_optimistic_anchor_is_challenged_and_costs_the_stake() -> None:
    false = "adversaries=[{name: false_anchor, peers: [0, 1, 2]}]"
    world, _ = run_small(LONG, anchoring("dispute"), false)
    assert {fields["peer"] for fields in on_base(world, "Challenged")} <= {0, 1, 2}
    assert on_base(world, "Challenged")
    assert world.chain is not None
    last = {fields["epoch"]: fields["root"] for fields in on_base(world, "Anchored")}
    hashes = {block.hash for block in world.chain.blocks}
    assert set(last.values()) <= hashes


@pytest.mark.parametrize("name", ["sign_flip", "equivocate", "withhold_report", "aggregation_shift"])
def test_the_channel_catches_what_the_chain_catches(name: str) -> None:
    world, result = run_small(LONG, "protocol.steps=30", anchoring("epoch"), attack(name))
    kind = "ejected" if name == "withhold_report" else "banned"
    assert removed(result, kind, True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()
    assert result.summary["distinct_models"] == 1


def test_btard_needs_no_chain_no_stake_and_no_gas() -> None:
    world, result = run_small(LONG, "protocol.name=btard", "protocol.steps=30", attack("sign_flip"))
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert (result.summary["gas"], result.summary["transactions"], result.summary["fees_wei"]) == (0, 0, "0")
    assert all(row["slashed_wei"] == "0" for row in result.removals)
    assert result.summary["step_s"] < 4.0


def test_btard_tosses_again_when_somebody_aborts() -> None:
    world, result = run_small(LONG, "protocol.name=btard", attack("withhold_reveal"), "contracts.minimum_peers=3")
    assert result.completed
    assert reasons(result) == {"aborted the coin toss"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest


def test_a_crashed_proposer_costs_the_channel_a_round_and_not_its_life() -> None:
    crash = "faults=[{name: crash, count: 2, start_step: 3}]"
    _, result = run_small(LONG, anchoring("epoch"), crash)
    assert result.completed
    assert removed(result, "banned", False) == set()
