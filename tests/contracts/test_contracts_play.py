"""Whole jobs as plays: who calls, and what the contracts say."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from contract_stage import DEPOSIT, POT, REWARD, Stage

from contracts_model import Phase


def names(stage):
    """The log, with repetitions counted: Registered×6."""
    return [f"{name}×{len(list(run))}" for name, run in groupby(event.name for event in stage.log)]


def test_an_honest_job_from_registration_to_withdrawal():
    stage = Stage()
    stage.until_step(3)
    stage.commit()
    assert stage.phase == Phase.DONE
    stage.now = stage.job.ledger.state["deadline"] + 1
    for peer in range(6):
        stage.do(peer, "ledger.withdraw")
    assert names(stage)[:26] == [
        *["Phase×1", "Funded×1", "Registered×6"],
        *["EpochOpened×1", "Phase×1", "Dealt×6"],
        *["Locked×1", "Phase×1", "Revealed×6", "Output×1"],
        *["StepOpened×1", "EpochOpened×1", "Phase×1", "Dealt×6"],
        *["Committed×3", "StateAgreed×1", "Committed×3"],
        *["Phase×1", "Exchange×1", "Aggregated×6", "Final×1"],
        *["Locked×1", "Phase×1", "Revealed×6", "Output×1", "StepOpened×1"],
    ]
    assert names(stage)[-2:] == ["Phase×1", "Withdrawn×6"]
    phases = [(e.fields["round"], Phase(e.fields["phase"]).name) for e in stage.log if e.name == "Phase"]
    assert phases == [
        (0, "REGISTER"),
        (0, "DEAL"),
        (0, "REVEAL"),
        *[(r, p) for r in (1, 2, 3) for p in ("COMMIT", "AGGREGATE", "REVEAL")],
        (4, "COMMIT"),
        (4, "DONE"),
    ]
    assert Counter(event.name for event in stage.log)["Attested"] == 3  # nobody validates before step 1
    assert [e.fields["step"] for e in stage.log if e.name == "StateAgreed"] == [0, 1, 2, 3]


def stage_pairs(stage, step):
    opened = next(e.fields for e in stage.log if e.name == "StepOpened" and e.fields["step"] == step)
    raw = opened["pairs"]
    numbers = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
    return list(zip(numbers[::2], numbers[1::2]))


def test_everybody_is_paid_for_every_gradient_and_attestation():
    stage = Stage().until_step(3)
    stage.commit()
    stage.now += 1000
    for peer in range(6):
        stage.do(peer, "ledger.withdraw")
        worked = 3 + sum(peer in dict(stage_pairs(stage, step)) for step in (3,))
        assert stage.balance(peer) == 10 * DEPOSIT + worked * REWARD
    assert stage.job.treasury.totals["pot"] == POT - 19 * REWARD


def test_a_pot_too_small_pays_what_it_holds():
    stage = Stage(reward_wei=POT // 3).until_step(1)
    for _ in range(2):
        stage.now += 1000
        if stage.phase == Phase.COMMIT:
            stage.deadline(0)
    assert stage.phase == Phase.ABORTED
    stage.now += 1000
    paid = [stage.do(peer, "ledger.withdraw") and stage.last("Withdrawn")["amount"] for peer in range(6)]
    assert paid == [DEPOSIT + POT // 3] * 3 + [DEPOSIT + 1] + [DEPOSIT] * 2


def test_the_real_group_plays_the_same_job():
    """Same roles, same code, bls12_381: registration to the first step, one secret recovered."""
    stage = Stage(n=4, group="bls12_381", steps=1)
    stage.until_reveal()
    stage.reveal(0, 0, 1, 2)
    stage.deadline()
    stage.do(0, "beacon.recover", *stage.recover_args(3, 0, [0, 2]))
    assert (stage.phase, stage.standing(3), stage.peers("roster")) == (Phase.COMMIT, "banned", [0, 1, 2])
    recovered = stage.last("Output")["value"]
    other = Stage(n=4, group="bls12_381", steps=1).until_reveal()
    other.reveal(0)
    assert other.last("Output")["value"] == recovered


@pytest.mark.parametrize("present", [2, 3, 5])
def test_registration_closes_at_its_deadline(present):
    stage = Stage()
    stage.register(*range(present))
    stage.refuse("the deadline has not passed", 0, "ledger.advance", 0, int(Phase.REGISTER))
    stage.deadline()
    assert stage.phase == (Phase.DEAL if present >= 3 else Phase.ABORTED)
    stage.refuse("registration is closed", 5, "registry.register", *stage.registration(5), value=DEPOSIT)


def test_who_does_not_act_is_ejected_and_keeps_its_deposit():
    stage = Stage().until_deal()
    stage.deal(0, 0, 1, 2, 3, 4)  # peer 5 does not deal
    stage.deadline()
    assert stage.last("Ejected") == {"peer": 5, "reason": "missed deadline: dealing"}
    stage.reveal(0)
    stage.deal_ahead()
    stage.commit(0, 1, 2, 3)  # peer 4 does not commit
    stage.deadline()
    assert stage.last("Ejected") == {"peer": 4, "reason": "missed deadline: commit"}
    assert stage.peers("contributors") == [0, 1, 2, 3]
    stage.aggregate(0, 1, 2)  # neither 3 nor 4 aggregates
    stage.deadline()
    assert stage.peers("void") == [3, 4]
    assert stage.last("Ejected") == {"peer": 3, "reason": "missed deadline: aggregate"}
    stage.reveal(1)  # who is out already need not open its secret
    assert stage.peers("roster") == [0, 1, 2]
    assert [stage.deposit(peer) for peer in range(6)] == [DEPOSIT] * 6
    stage.commit(*[p for p in stage.peers("roster") if p != stage.pairs()[0][0]])
    stage.deadline()  # the validator is silent
    stage.aggregate(*[p for p in (0, 1, 2) if p != stage.pairs()[0][0]])
    stage.reveal(2)
    assert stage.phase == Phase.ABORTED  # two peers are fewer than three
    stage.refuse("cases may still be decided", 5, "ledger.withdraw")
    stage.now = stage.job.ledger.state["deadline"] + 1
    for peer in range(6):
        stage.do(peer, "ledger.withdraw")
        assert stage.balance(peer) >= 10 * DEPOSIT


def test_a_beacon_that_nobody_recovers_aborts_the_job():
    stage = Stage().until_reveal()
    stage.reveal(0, 0, 1, 2)
    assert stage.deadline() == ["Phase", "Withheld"]
    assert stage.deadline() == ["Phase", "Aborted"]
    stage.now += 1000
    stage.refuse("nothing to advance", 0, "ledger.advance", 0, int(Phase.ABORTED))


def test_epochs_are_dealt_one_ahead_and_a_missing_dealer_is_out_before_the_epoch_begins():
    stage = Stage(steps=5).until_step(0)
    stage.deal(1, 0, 1, 2, 3, 4)  # peer 5 does not
    stage.commit()
    stage.aggregate()
    stage.reveal(1)
    stage.commit()
    stage.aggregate()
    assert stage.last("Locked")["dealers"] == bytes([0b11111])
    stage.reveal(2)
    assert stage.last("Ejected") == {"peer": 5, "reason": "missed deadline: dealing"}
    assert stage.peers("roster") == [0, 1, 2, 3, 4]
    assert stage.receivers(2) == [0, 1, 2, 3, 4]
