"""Juries, canaries, tolerant arithmetic, private data: who judges whom by what, and what it costs."""

from __future__ import annotations

import pytest
from small_runs import attack, reasons, removed, run_small

from contracts_model.storage import members
from simdfl.world import World

STEPS = "protocol.steps=30"
TOLERANT = "protocol.arithmetic={name: tolerant}"
PRIVATE = "learning.privacy={data: private}"


def events(world: World, name: str) -> list[dict]:  # type: ignore[type-arg]
    assert world.chain is not None
    return [event.fields for block in world.chain.blocks for event in block.events if event.name == name]


# ---- juries


@pytest.mark.parametrize("name", ["sign_flip", "lying_projections", "aggregation_shift"])
def test_a_drawn_jury_judges_as_all_would(name: str) -> None:
    world, result = run_small(STEPS, attack(name), "contracts.jury_size=5")
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    juries = [list(members(int.from_bytes(case["jury"], "little"))) for case in events(world, "CaseOpened")]
    assert juries
    assert all(len(jury) <= 5 for jury in juries)
    for case, jury in zip(events(world, "CaseOpened"), juries):
        assert case["target"] not in jury
        assert case["accuser"] not in jury


def test_only_jurors_vote() -> None:
    world, _ = run_small(STEPS, attack("sign_flip"), "contracts.jury_size=3")
    juries = {
        case["case"]: set(members(int.from_bytes(case["jury"], "little"))) for case in events(world, "CaseOpened")
    }
    votes = events(world, "Voted")
    assert votes
    assert all(vote["voter"] in juries[vote["case"]] for vote in votes)


def test_a_jury_is_cheaper_than_everybody() -> None:
    cost = {}
    for size in (0, 3):
        world, result = run_small(STEPS, attack("sign_flip"), f"contracts.jury_size={size}")
        cases = {event["case"] for event in events(world, "Voted")}
        cost[size] = sum(row["court_s"] for row in result.peers) / len(cases)
    assert 0 < cost[3] < cost[0] / 2


# ---- canaries


@pytest.mark.parametrize("arithmetic", ["protocol.projections=1", TOLERANT])
def test_planted_errors_expose_lazy_validators_and_nobody_else(arithmetic: str) -> None:
    world, result = run_small(
        "protocol.steps=40", attack("lazy_validator"), "protocol.canary_permille=500", arithmetic
    )
    assert reasons(result) == {"missed a canary"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()
    assert events(world, "Void")  # honest validators found planted errors: nobody was to blame


def test_canaries_do_no_harm_and_hide_no_attacker() -> None:
    _, calm = run_small(STEPS, "protocol.canary_permille=300")
    assert calm.removals == []
    world, result = run_small("protocol.steps=40", attack("sign_flip"), "protocol.canary_permille=300")
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()
    assert calm.accuracy > 0.7


def test_without_canaries_a_lazy_validator_stays() -> None:
    _, result = run_small(STEPS, attack("lazy_validator"))
    assert result.removals == []


# ---- tolerant arithmetic


def test_heterogeneous_devices_agree_within_the_calibrated_tolerance() -> None:
    _, result = run_small(STEPS, TOLERANT)
    [row] = result.assurance
    assert result.removals == []
    assert row["honest_checks"] == 60
    assert row["false_alarms"] <= 1
    assert 1e-5 < row["tolerance"] < 1e-2


def test_a_tight_tolerance_accuses_wrongly_and_most_cases_end_void() -> None:
    world, result = run_small(STEPS, "protocol.arithmetic={name: tolerant, false_alarm: 0.3}")
    [row] = result.assurance
    assert row["false_alarm_rate"] > 0.1
    assert len(events(world, "Void")) > row["false_alarms"] / 2
    assert len(removed(result, "banned", False)) <= 3  # what a tolerance costs that is far too tight


@pytest.mark.parametrize("name", ["sign_flip", "label_flip", "copy_gradient"])
def test_distances_tell_an_attack_from_rounding(name: str) -> None:
    world, result = run_small(STEPS, TOLERANT, attack(name))
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()


def test_a_slow_drift_inside_the_tolerance_is_free_and_outside_it_is_not() -> None:
    _, calm = run_small(STEPS, TOLERANT)
    free = calm.assurance[0]["tolerance"] / 2
    _, inside = run_small(STEPS, TOLERANT, attack("slow_drift", 3, relative=free))
    assert inside.removals == []
    world, outside = run_small("protocol.steps=40", TOLERANT, attack("slow_drift", 3, relative=20 * free))
    assert removed(outside, "banned", True) == set(range(10)) - world.honest


def test_who_shows_its_gradient_to_nobody_is_ejected_and_not_slashed() -> None:
    world, result = run_small(STEPS, TOLERANT, attack("refuse_to_show"))
    assert reasons(result) == {"did not open the parts in court"}
    assert removed(result, "ejected", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()


# ---- private data


@pytest.mark.parametrize("partition", ["iid", "dirichlet"])
def test_private_batches_are_opened_to_validators_alone(partition: str) -> None:
    world, result = run_small(f"learning.privacy={{data: private, partition: {partition}}}")
    assert result.removals == []
    validations = sum(row["validations"] for row in result.peers)
    assert result.assurance[0]["records_opened"] == validations * 32
    assert len(events(world, "DataCommitted")) == 10
    assert world.manifest["shard_roots"] == [
        root.hex()
        for root in world.training.shards.roots  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize("name", ["sign_flip", "wrong_batch"])
def test_recomputation_works_on_opened_batches(name: str) -> None:
    world, result = run_small(STEPS, PRIVATE, attack(name))
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()


def test_with_checks_off_nothing_is_opened_and_nobody_is_caught() -> None:
    _, result = run_small(PRIVATE, "protocol.validators=0", attack("label_flip"))
    assert result.removals == []
    assert result.assurance[0]["records_opened"] == 0


def test_griefing_costs_others_their_privacy_and_the_griefer_nothing() -> None:
    _, calm = run_small("protocol.steps=20", PRIVATE)
    _, griefed = run_small("protocol.steps=20", PRIVATE, attack("stake_griefing"))
    assert griefed.removals == []
    assert griefed.assurance[0]["records_opened"] > 2 * calm.assurance[0]["records_opened"]


def test_in_a_public_exact_job_the_same_claim_is_an_accusation_and_bans_the_claimant() -> None:
    world, result = run_small(STEPS, attack("false_attestation"))
    assert reasons(result) == {"false accusation"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
