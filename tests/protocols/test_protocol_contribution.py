"""Rewards for contribution, end to end: bad data earn less, liars are outvoted, and the books hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_runs import attack, build_small, run_small

from contracts_model.accounts import total
from simdfl.auditing.inspection import Request, inspect
from simdfl.errors import UserError
from simdfl.peers.behaviour import Behaviour
from simdfl.protocols.contributions import ContributionGame, Valuation, split_budget
from simdfl.records.publication import write_publication
from simdfl.world import RunResult, World
from simdfl.world.accounts import keep_accounts

REWARDED = "contracts.contribution={percent: 50, every: 4, permutations: 16, records: 128}"
UNCHECKED = "protocol.validators=0"


def earned(result: RunResult, where: str = "chain") -> dict[int, int]:
    return {row["peer"]: int(row["contribution_wei"]) for row in result.accounts if row["where"] == where}


def paid_rounds(world: World) -> list[int]:
    assert world.chain is not None
    events = [event for block in world.chain.blocks for event in block.events]
    return [event.fields["round"] for event in events if event.name == "ContributionPaid"]


def test_who_learns_from_wrong_labels_earns_less_than_half(tmp_path: Path) -> None:
    groups = "adversaries=[{name: random_labels, count: 2}, {name: gaussian, count: 1}]"
    often = REWARDED.replace("every: 4", "every: 2")
    world, result = run_small(often, UNCHECKED, groups, "beacon.epoch_outputs=6")
    assert result.removals == []
    assert paid_rounds(world) == [0, 1, 2, 3, 4, 5]
    amounts = earned(result)
    liars = set(amounts) - world.honest
    assert 2 * np.mean([amounts[peer] for peer in liars]) < np.mean([amounts[peer] for peer in world.honest])
    assert min(amounts.values()) in [amounts[peer] for peer in liars]
    assert world.chain is not None
    terms = world.chain.job.terms
    budget_wei = terms.contribution_wei * terms.contribution_rounds
    assert budget_wei - 60 < sum(amounts.values()) <= budget_wei  # all but what rounding left
    sums = total(keep_accounts(world.chain).peers)
    assert sums.reward_wei + sums.contribution_wei == world.chain.job.treasury.totals.data["rewarded"]
    write_publication(tmp_path, result)
    outcome = inspect(Request(tmp_path))
    assert outcome.exit_status == 0
    assert {row["peer"]: int(row["contribution_wei"]) for row in outcome.accounts} == amounts


def test_all_peers_compute_the_same_whole_numbers_and_liars_are_outvoted(tmp_path: Path) -> None:
    world = build_small(REWARDED, UNCHECKED, "protocol.steps=4", "beacon.epoch_outputs=6")
    voted: list[tuple[int, ...]] = []

    class Greedy(Behaviour):
        def values_contributions(self, round: int, amounts: list[int]) -> list[int]:
            return [sum(amounts), *[0] * 9]

    class Watched(Behaviour):
        def values_contributions(self, round: int, amounts: list[int]) -> list[int]:
            voted.append(tuple(amounts))
            return amounts

    for peer in world.peers:
        peer.behaviour = Greedy() if peer.index < 4 else Watched()
    result = world.run()
    assert len(voted) == 6
    [right] = set(voted)
    assert earned(result) == dict(enumerate(right))
    assert world.chain is not None
    world.chain.job.check_conservation()
    write_publication(tmp_path, result)
    assert inspect(Request(tmp_path, 2)).exit_status == 0


def test_without_a_majority_nobody_is_paid() -> None:
    world = build_small(REWARDED, UNCHECKED, "protocol.steps=4", "beacon.epoch_outputs=6")

    class Own(Behaviour):
        def __init__(self, peer: int) -> None:
            self.peer = peer

        def values_contributions(self, round: int, amounts: list[int]) -> list[int]:
            return [wei * (peer == self.peer) for peer, wei in enumerate(amounts)]

    for peer in world.peers:
        peer.behaviour = Own(peer.index)
    result = world.run()
    assert result.completed
    assert set(earned(result).values()) == {0}


def test_banned_peers_earn_nothing_after_their_ban() -> None:
    world, result = run_small(REWARDED, attack("sign_flip", 3), "protocol.validators=3", "beacon.epoch_outputs=6")
    banned = {row["peer"]: row["step"] for row in result.removals if row["kind"] == "banned"}
    assert banned
    assert world.chain is not None
    for block in world.chain.blocks:
        for event in block.events:
            if event.name == "Contributed" and event.fields["peer"] in banned:
                assert (event.fields["round"] + 1) * 4 <= banned[event.fields["peer"]] + 1


def test_where_steps_run_in_a_channel_the_anchor_settles_contributions() -> None:
    world, result = run_small(
        REWARDED, UNCHECKED, "protocol.anchoring.policy=epoch", "beacon.epoch_outputs=24", "protocol.steps=8"
    )
    inside, rows = earned(result, "channel"), {r["peer"]: r for r in result.accounts if r["where"] == "chain"}
    assert sum(inside.values()) > 0
    for peer, amount in inside.items():
        steps = 8 * 10**15
        assert int(rows[peer]["reward_wei"]) == steps + amount
    assert world.chains is not None
    assert world.chains.base is not None
    world.chains.base.job.check_conservation()


def test_the_option_costs_nothing_where_it_is_not_taken() -> None:
    _, plain = run_small("protocol.steps=3")
    assert "contribution" not in str(plain.manifest["configuration"]["contracts"])
    assert not [row for row in plain.calls if row["contract"] == "rewards"]


def test_a_round_longer_than_the_job_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"contracts.contribution.every: 20 is more than the 12 steps of the job"):
        run_small("contracts.contribution={every: 20}")


# ---- the game by itself


def test_an_opened_update_must_be_the_committed_one() -> None:
    world, _ = run_small(REWARDED, UNCHECKED, "protocol.steps=4", "beacon.epoch_outputs=6")
    game, peer = ContributionGame(world.training, Valuation(4, 16, 0.0)), world.peers[0]
    own = peer.own_commitments[3]  # type: ignore[attr-defined]
    assert game.is_opened(own, own.root)
    assert not game.is_opened(own, bytes(32))


def test_a_budget_is_never_exceeded_and_huge_updates_make_nobody_else_useful() -> None:
    assert split_budget(10, {}, 2) == split_budget(10, {0: 0, 1: 0}, 2) == [0, 0]
    assert sum(split_budget(7, {0: 1, 1: 1, 2: 1}, 3)) == 6
    world = build_small()
    training, state = world.training, world.training.genesis
    good = training.gradient(state, training.batch_seed(bytes(32), 0, 0))
    useless = np.zeros_like(good)
    useless[:2] = np.linalg.norm(good) * np.array([1.0, -1.0], dtype=np.float32) * 1e-3
    updates = {0: good, 1: good, 2: useless, 3: -1e6 * good}
    weights = ContributionGame(training, Valuation(24, 128, 0.0)).weights(state, b"r" * 32, updates)
    assert weights[0] == pytest.approx(weights[1], rel=0.3)
    assert weights[3] == 0
    assert weights[2] < weights[0] / 4
