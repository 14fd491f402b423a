"""The beacon contract that verifies every sharing before it counts."""

from __future__ import annotations

import pytest
from contract_stage import Stage, h

from contracts_model import Phase
from contracts_model.merkle import merkle_root
from contracts_model.terms import Withheld


def proving(**changed) -> Stage:
    return Stage(proves_dealings=True, minimum_peers=3, **changed).until_deal()


def test_a_dealer_counts_when_all_of_its_dealings_are_proven() -> None:
    stage = proving()
    stage.do(0, "beacon.deal", 0, stage.prepare(0, 0))
    assert not stage.job.beacon.dealt.has(0, 0)
    first, second = stage.outputs(0)
    assert stage.do(0, "beacon.prove", *stage.proof_args(0, first)) == ["Proven"]
    assert not stage.job.beacon.dealt.has(0, 0)
    stage.do(0, "beacon.prove", *stage.proof_args(0, second))
    assert stage.job.beacon.dealt.has(0, 0)


def test_who_has_not_proven_all_is_ejected_when_the_epoch_begins() -> None:
    stage = proving()
    stage.deal(0, 0, 1, 2, 3, 4)
    stage.do(5, "beacon.deal", 0, stage.prepare(5, 0))
    stage.do(5, "beacon.prove", *stage.proof_args(5, 0))
    stage.deadline()
    assert stage.standing(5) == "ejected"
    assert stage.phase == Phase.REVEAL
    assert stage.job.beacon.awaited() == 0b11111


def test_an_invalid_dealing_bans_its_dealer_by_its_own_call() -> None:
    stage = proving()
    stage.prepare(2, 0)
    made = bytearray(stage.transcripts[2, 1])
    made[-1] ^= 1
    stage.transcripts[2, 1] = bytes(made)
    stage.do(2, "beacon.deal", 0, merkle_root(stage.leaves(2, 0)))
    stage.do(2, "beacon.prove", *stage.proof_args(2, 0))
    assert "Banned" in stage.do(2, "beacon.prove", *stage.proof_args(2, 1))
    assert stage.standing(2) == "banned"
    assert not stage.job.beacon.dealt.has(0, 2)


def test_dealings_are_proven_in_their_order_once_and_as_posted() -> None:
    stage = proving()
    root = stage.prepare(0, 0)
    stage.refuse("not in the posted root", 0, "beacon.prove", *stage.proof_args(0, 0))
    stage.do(0, "beacon.deal", 0, root)
    stage.refuse("already dealt", 0, "beacon.deal", 0, h("another"))
    stage.refuse("not the next dealing to prove", 0, "beacon.prove", *stage.proof_args(0, 1))
    stage.prove(0, 0)
    for output in stage.outputs(0):
        stage.refuse("not the next dealing to prove", 0, "beacon.prove", *stage.proof_args(0, output))
    stage.refuse("not in the posted root", 1, "beacon.prove", *stage.proof_args(0, 0))


def test_nothing_is_proven_of_an_epoch_that_has_begun() -> None:
    stage = proving()
    stage.deal(0, 0, 1, 2, 3)
    stage.do(4, "beacon.deal", 0, stage.prepare(4, 0))
    stage.deadline()
    stage.refuse("this output is open already", 0, "beacon.prove", *stage.proof_args(0, 0))
    stage.refuse("not an active peer", 4, "beacon.prove", *stage.proof_args(4, 0))


def test_a_job_runs_to_its_end_on_proven_dealings() -> None:
    stage = Stage(proves_dealings=True)
    stage.until_step(3)
    stage.commit()
    assert stage.phase == Phase.DONE


@pytest.mark.parametrize("changed", [{"withheld": Withheld.RESTART}, {"tolerated_percent": 33}])
def test_only_unpacked_sharings_can_be_proven(changed: dict) -> None:
    with pytest.raises(ValueError, match="only unpacked sharings"):
        Stage(proves_dealings=True, **changed)
