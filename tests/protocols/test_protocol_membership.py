"""Joining late, leaving, crashing, coming back; Sybils and the banned at the door."""

from __future__ import annotations

from small_runs import attack, reasons, removed, run_small

from simdfl.world import RunResult, World

PROBATION = "contracts.probation_steps=3"
STEPS = "protocol.steps=24"


def named(world: World, *names: str) -> list[tuple[str, int]]:
    assert world.chain is not None
    return [(e.name, e.fields["peer"]) for block in world.chain.blocks for e in block.events if e.name in names]


def standing(result: RunResult, peer: int) -> str:
    return str(result.peers[peer]["standing"])


def test_who_joins_late_works_unused_before_it_takes_part() -> None:
    world, result = run_small(STEPS, PROBATION, "membership=[{count: 1, join_step: 3}]")
    [(_, newcomer)] = named(world, "ProbationBegun")
    assert named(world, "Joined") == [("Joined", newcomer)]
    assert standing(result, newcomer) == "active"
    assert result.removals == []
    assert result.summary["distinct_models"] == 1
    history = world.chain.history  # type: ignore[union-attr]
    probes = [step for step, made in history.probes.items() if newcomer in made]
    first = min(step for step, roster in history.rosters.items() if newcomer in roster)
    assert len(probes) >= 3
    assert max(probes) < first
    assert first % 4 == 0  # the beginning of an epoch, for which it has dealt
    assert newcomer in history.roots[first] or any(newcomer == v for v, _ in history.pairs[first])


def test_who_leaves_gets_its_stake_back_after_the_dispute_window() -> None:
    world, result = run_small(STEPS, "membership=[{count: 2, leave_step: 5}]")
    leavers = {peer for _, peer in named(world, "Left")}
    assert len(leavers) == 2
    assert result.completed
    blocks = world.chain.blocks  # type: ignore[union-attr]
    paid = {e.fields["peer"]: b.number for b in blocks for e in b.events if e.name == "Withdrawn"}
    done = max(b.number for b in blocks for e in b.events if e.name == "StepOpened")
    assert all(paid[peer] < done for peer in leavers)
    opened = {e.fields["step"]: b.number for b in blocks for e in b.events if e.name == "StepOpened"}
    assert all(paid[peer] > opened[6 + 8] for peer in leavers)


def test_a_crash_costs_the_seat_and_not_the_stake_and_the_peer_comes_back() -> None:
    crash = "faults=[{name: crash, count: 1, start_step: 4, params: {return_after_s: 150}}]"
    world, result = run_small(STEPS, PROBATION, crash)
    [(_, peer)] = named(world, "Ejected")
    assert named(world, "ProbationBegun", "Joined") == [("ProbationBegun", peer), ("Joined", peer)]
    assert reasons(result) == {"missed deadline: commit"}
    assert removed(result, "banned", False) == set()
    assert standing(result, peer) == "active"
    assert int(result.peers[peer]["balance_wei"]) > 10**21 - 10**18  # its stake less fees


def test_a_crash_for_ever_ends_nobody_elses_training() -> None:
    world, result = run_small("faults=[{name: crash, count: 2, start_step: 3}]")
    assert result.completed
    assert removed(result, "ejected", False) == {peer for _, peer in named(world, "Ejected")}
    assert len(result.removals) == 2
    assert removed(result, "banned", False) == set()


def test_a_sybil_pays_for_its_probation_and_is_banned_like_any_other() -> None:
    sybil = "adversaries=[{name: sybil_join, count: 2, params: {join_step: 2}}]"
    world, result = run_small("protocol.steps=60", PROBATION, sybil)
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    probes = world.chain.history.probes  # type: ignore[union-attr]
    for peer in set(range(10)) - world.honest:
        assert sum(peer in made for made in probes.values()) >= 3


def test_a_sybil_that_does_not_work_is_found_in_its_probation() -> None:
    lazy = "adversaries=[{name: sybil_join, count: 3, params: {join_step: 1, works: false}}]"
    world, result = run_small("protocol.steps=40", "contracts.probation_steps=30", lazy)
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert named(world, "Joined") == []


def test_the_banned_do_not_come_back() -> None:
    world, result = run_small("protocol.steps=40", PROBATION, attack("ban_evasion"))
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert named(world, "ProbationBegun") == []
    failed = [row for row in result.calls if row["function"] in ("rejoin", "register") and row["failed"]]
    assert {row["function"] for row in failed} == {"rejoin", "register"}


def test_the_ejected_come_back_and_work_for_nobody_meanwhile() -> None:
    world, result = run_small("protocol.steps=40", PROBATION, attack("reentry", 1))
    [peer] = set(range(10)) - world.honest
    assert named(world, "Ejected").count(("Ejected", peer)) >= 2
    assert len(named(world, "Joined")) >= 1
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()


def test_the_job_ends_when_the_assumed_liars_could_be_a_majority() -> None:
    crashes = "faults=[{name: crash, count: 3, start_step: 2}]"
    _, result = run_small(crashes, "contracts.assumed_byzantine=4")
    assert "could be a majority" in result.outcome
    _, fine = run_small(crashes, "contracts.assumed_byzantine=3")
    assert fine.completed


def test_every_ban_takes_a_liar_off_the_assumption() -> None:
    _, result = run_small(STEPS, attack("equivocate", 4), "contracts.assumed_byzantine=4")
    assert result.completed
    assert len(removed(result, "banned", True)) == 4
