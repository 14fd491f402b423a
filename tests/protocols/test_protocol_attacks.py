"""What becomes of each attack: who goes, for what; and that no honest peer is ever slashed."""

from __future__ import annotations

from typing import Any

import pytest
from small_runs import attack, reasons, removed, run_small

from simdfl.peers.behaviour import Byzantine
from simdfl.protocols.verification_duty import VerificationDuty

STEPS = "protocol.steps=30"
MISCOMPUTED = "failed validation"

BANNED_FOR = {
    "sign_flip": {MISCOMPUTED},
    "random_direction": {MISCOMPUTED},
    "label_flip": {MISCOMPUTED},
    "delayed_gradient": {MISCOMPUTED},
    "ipm": {MISCOMPUTED},
    "alie": {MISCOMPUTED},
    "copy_gradient": {MISCOMPUTED},
    "nan": {MISCOMPUTED},
    "inf": {MISCOMPUTED},
    "slow_drift": {MISCOMPUTED},
    "backdoor": {MISCOMPUTED},
    "equivocate": {"equivocation"},
    "withhold_reveal": {"withheld reveal"},
    "invalid_dealing": {"invalid dealing"},
    "false_accusation": {"false accusation"},
    "lying_projections": {"V1: false report", "CheckAveraging: false report", MISCOMPUTED},
    "aggregation_shift": {"CheckAveraging: wrong aggregate", "CheckAveraging: false report", MISCOMPUTED},
}
EJECTED_FOR = {
    "withhold_aggregate": "withheld the aggregated part",
    "withhold_report": "withheld the report",
    "silent_validator": "missed deadline: commit",
}


@pytest.mark.parametrize("name", sorted(BANNED_FOR))
def test_provable_attackers_are_banned_and_slashed(name: str) -> None:
    world, result = run_small(STEPS, attack(name))
    byzantine = set(range(10)) - world.honest
    assert result.completed
    assert removed(result, "banned", True) == byzantine
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    assert reasons(result) <= BANNED_FOR[name]
    assert all(int(row["slashed_wei"]) == 32 * 10**18 for row in result.removals)
    assert result.summary["distinct_models"] == 1


@pytest.mark.parametrize("name", sorted(EJECTED_FOR))
def test_faults_that_prove_nothing_are_ejected_not_slashed(name: str) -> None:
    world, result = run_small(STEPS, attack(name))
    assert result.completed
    assert removed(result, "ejected", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    assert reasons(result) == {EJECTED_FOR[name]}


@pytest.mark.parametrize("name", ["withhold_part", "false_elimination"])
def test_an_elimination_trades_one_for_one(name: str) -> None:
    world, result = run_small(STEPS, attack(name))
    assert result.completed
    assert removed(result, "ejected", True) == set(range(10)) - world.honest
    assert len(removed(result, "ejected", False)) == 3
    assert removed(result, "banned", False) == set()
    assert all(row["slashed_wei"] == "0" for row in result.removals)


@pytest.mark.parametrize("name", ["lazy_validator", "bribed_juror"])
def test_cover_without_an_attack_harms_nobody(name: str) -> None:
    _, result = run_small(attack(name))
    assert result.completed
    assert result.removals == []


def test_the_attack_breaks_the_unprotected_twin() -> None:
    _, verified = run_small(STEPS, attack("sign_flip"))
    _, unprotected = run_small(STEPS, attack("sign_flip"), "protocol.name=all_reduce")
    assert verified.accuracy > 0.7
    assert unprotected.accuracy < 0.3


def test_a_robust_rule_on_a_server_resists_without_any_ban() -> None:
    _, result = run_small(
        STEPS, attack("sign_flip"), "protocol.name=parameter_server", "protocol.rule={name: median}"
    )
    assert result.accuracy > 0.8
    assert result.removals == []


def test_the_job_is_given_up_when_too_few_are_left() -> None:
    _, result = run_small(STEPS, attack("withhold_part", 4), "contracts.minimum_peers=4")
    assert "fewer active peers" in result.outcome
    assert removed(result, "banned", False) == set()


def test_schedules_and_late_starts_are_obeyed() -> None:
    late = "adversaries=[{name: sign_flip, count: 3, start_step: 8}]"
    _, result = run_small(STEPS, late)
    assert min(row["step"] for row in result.removals) > 8


@pytest.mark.parametrize("seed", range(4))
def test_mixed_coalitions_never_get_an_honest_peer_slashed(seed: int) -> None:
    names = ("aggregation_shift", "withhold_reveal", "false_accusation", "withhold_aggregate")
    groups = ", ".join(f"{{name: {name}, count: 1, start_step: {seed}, period: 2}}" for name in names)
    _, result = run_small(STEPS, f"adversaries=[{groups}]", seed=seed)
    assert result.completed
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    assert result.summary["distinct_models"] == 1


def test_an_accuser_that_does_not_open_its_evidence_is_not_slashed() -> None:
    """It may have crashed: nobody can prove malice, so it is ejected; the accused stays."""
    _, result = run_small(STEPS, "adversaries=[{name: 'silent_accuser:SilentAccuser', count: 1, start_step: 2}]")
    assert reasons(result) == {"did not open the parts in court"}
    assert removed(result, "banned", True) == removed(result, "banned", False) == set()


def test_every_dealing_is_checked_before_its_output_is_locked() -> None:
    _, result = run_small("protocol.steps=6")
    checked = [row for row in result.peers if row["beacon_s"] > 0]
    assert len(checked) == 10


@pytest.mark.parametrize("scheme", ["pvss_ldei", "pvss_scrape", "pvss_schoenmakers"])
def test_an_invalid_dealing_is_caught_with_real_proofs(scheme: str) -> None:
    world, result = run_small(
        "protocol.steps=2",
        "peers.count=5",
        "topology.name=complete",
        "protocol.validators=1",
        f"beacon.scheme={scheme}",
        "beacon.group=bls12_381",
        "adversaries=[{name: invalid_dealing, count: 2, start_step: 1}]",
    )
    assert removed(result, "banned", True) == set(range(5)) - world.honest
    assert removed(result, "banned", False) == set()
    assert {row["step"] for row in result.removals} == {0}


@pytest.mark.parametrize(
    "name", ["WideReport", "ShortReport", "ShortAggregate", "LongGradient", "Extreme", "Garbage"]
)
@pytest.mark.parametrize("count", [1, 3])
def test_hostile_values_harm_no_honest_peer(name: str, count: int) -> None:
    _, result = run_small(attack(f"hostile:{name}", count), "contracts.minimum_peers=3")
    assert result.completed
    assert removed(result, "banned", False) == set()
    assert result.summary["distinct_models"] == 1
    if name != "LongGradient":
        assert removed(result, "ejected", False) == set()


@pytest.mark.parametrize("blocks", ["", "chain.block_time_s=12"])
def test_withholders_of_the_first_ranks_cannot_stop_the_recovery(blocks: str) -> None:
    """Whose turn it is must not depend on peers that withhold."""
    group = "adversaries=[{name: withhold_reveal, peers: [0, 1, 2, 3], start_step: 1}]"
    slow = ("chain.block_time_s=12", "contracts.deal_s=120") if blocks else ()
    _, result = run_small("protocol.steps=3", group, *slow)
    assert result.completed
    assert removed(result, "banned", True) == {0, 1, 2, 3}
    assert removed(result, "banned", False) == set()


def test_finality_delays_a_run_and_harms_nobody() -> None:
    finality = ("chain.finality_blocks=6", "contracts.deal_s=60", "beacon.epoch_outputs=4")
    _, result = run_small("protocol.steps=3", *finality, attack("lying_projections", 1))
    assert result.completed
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    assert result.summary["step_s"] > 30.0


@pytest.mark.parametrize("early_s", [0.01, 0.05, 0.1, 0.2])
def test_a_report_timed_at_the_deadline_does_not_divide_the_honest(
    early_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_time = VerificationDuty.project

    def project_late(self: VerificationDuty, step: int, randomness: bytes) -> Any:
        if isinstance(self.peer.behaviour, Byzantine) and step >= 2:
            yield self.peer.env.sleep(self.peer.job.report_s - early_s)
        yield from in_time(self, step, randomness)

    monkeypatch.setattr(VerificationDuty, "project", project_late)
    _, result = run_small(attack("lying_projections", 1))
    assert result.completed
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()
    assert result.summary["distinct_models"] == 1


def test_what_is_left_is_paid_out_after_an_abort() -> None:
    world, result = run_small(STEPS, attack("withhold_part", 4), "contracts.minimum_peers=4")
    assert "fewer active peers" in result.outcome
    assert world.chain is not None
    assert world.chain.job.treasury.deposits.items() == []
