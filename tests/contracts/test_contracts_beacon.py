"""The beacon contract against dealers that withhold, cheat and arrive late."""

from __future__ import annotations

from hashlib import sha256

import pytest
from contract_stage import DEPOSIT, Stage, h
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts_model import Phase
from contracts_model.beacon import dealing_context
from contracts_model.merkle import merkle_root
from simdfl.crypto.sharing import SHARINGS, Setting


def opened_by(withheld, givers):
    stage = Stage(minimum_peers=3).until_reveal()
    open_dealers = [peer for peer in range(6) if peer not in withheld]
    if open_dealers:
        stage.reveal(0, *open_dealers)
    if withheld:
        stage.deadline()
    for dealer in withheld:
        stage.do(givers[0], "beacon.recover", *stage.recover_args(dealer, 0, givers))
    return stage


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([3, 4, 5]), unique=True), st.permutations([0, 1, 2]))
def test_withholding_changes_nothing_but_the_withholder(withheld, givers):
    stage = opened_by(withheld, givers)
    assert stage.last("Output")["value"] == opened_by([], [0]).last("Output")["value"]
    assert [stage.standing(peer) for peer in withheld] == ["banned"] * len(withheld)
    assert stage.deposit(givers[0]) == DEPOSIT
    assert stage.balance(givers[0]) == 9 * DEPOSIT + len(withheld) * DEPOSIT // 2
    assert stage.phase == Phase.COMMIT


def test_recovery_does_not_depend_on_whose_shares_are_used():
    values = {opened_by([5], givers).last("Output")["value"] for givers in ([0, 1, 2], [2, 3, 4], [4, 0, 3])}
    assert len(values) == 1


def test_outputs_of_two_jobs_differ():
    one, other = Stage().until_reveal(), Stage(job_digest=h("another")).until_reveal()
    one.reveal(0)
    other.reveal(0)
    assert one.last("Output")["value"] != other.last("Output")["value"]


def test_an_invalid_dealing_is_disputed_and_the_dealer_banned():
    stage = Stage().until_deal()
    good = stage.make_dealing(5, 0)
    stage.transcripts[5, 0] = good[:-1] + bytes([good[-1] ^ 1])
    stage.deal(0)
    args = (0, 5, stage.transcripts[5, 0], *stage.opened_leaf(5, 0))
    assert stage.do(1, "beacon.dispute_dealing", *args) == ["Banned"]
    assert stage.last("Banned") == {"peer": 5, "reason": "invalid dealing", "slashed": DEPOSIT, "reporter": 1}
    assert stage.balance(1) == 9 * DEPOSIT + DEPOSIT // 2
    stage.deadline()
    assert stage.last("Locked")["dealers"] == bytes([0b11111])


def test_a_commitment_that_is_not_the_transcripts_own_is_disputed():
    stage = Stage().until_deal()
    transcripts = [stage.make_dealing(5, output) for output in (0, 1)]
    foreign = stage.scheme.commitment(6, 3, transcripts[1])
    leaves = [sha256(sha256(t).digest() + foreign).digest() for t in transcripts]
    stage.do(5, "beacon.deal", 0, merkle_root(leaves))
    path = [sha256(b"\x00" + leaves[1]).digest()]
    stage.do(0, "beacon.dispute_dealing", 0, 5, transcripts[0], foreign, path)
    assert stage.standing(5) == "banned"


def test_a_transcript_of_another_dealer_output_or_job_is_invalid():
    stage = Stage().until_deal()
    stage.deal(0, 0)
    for stolen in (stage.transcripts[0, 0], stage.transcripts[0, 1]):
        thief = Stage().until_deal()
        thief.transcripts[1, 0] = stolen
        thief.prepare(1, 0)
        thief.deal(0, 1)
        args = (0, 1, stolen, *thief.opened_leaf(1, 0))
        thief.do(0, "beacon.dispute_dealing", *args)
        assert thief.standing(1) == "banned"


def test_a_valid_dealing_cannot_be_disputed():
    stage = Stage().until_deal()
    stage.deal(0)
    line = (stage.transcripts[5, 0], *stage.opened_leaf(5, 0))
    stage.refuse("the dealing is valid", 1, "beacon.dispute_dealing", 0, 5, *line)
    stage.refuse("not in the posted root", 1, "beacon.dispute_dealing", 1, 5, *line)
    stage.refuse("not in the posted root", 1, "beacon.dispute_dealing", 0, 4, *line)
    for output, dealer in ((0, 2**256 - 1), (2**256 - 1, 5), (2**64, 5), (0, 6)):
        stage.refuse("not in the posted root", 1, "beacon.dispute_dealing", output, dealer, *line)
    stage.deadline()
    stage.refuse("open already", 1, "beacon.dispute_dealing", 0, 5, *line)


def test_the_neutral_secret_is_no_secret():
    """p(0) = 0: the commitment has no encoding, the dealing is invalid, and recovery does not break the chain."""
    stage = Stage().until_deal()
    group, keys = stage.scheme.group, stage.receiver_keys(0)
    setting = Setting(group, dealing_context(h("job"), 0, 5), tuple(map(group.decode, keys)), 3)
    stage.transcripts[5, 0] = SHARINGS["ldei"].deal_polynomial(setting, [0, 1, 2], h()).transcript
    stage.transcripts[5, 1] = stage.make_dealing(5, 1)
    neutral = group.encode(group.identity)
    leaves = [sha256(sha256(stage.transcripts[5, k]).digest() + neutral).digest() for k in (0, 1)]
    path = [sha256(b"\x00" + leaves[1]).digest()]
    stage.do(5, "beacon.deal", 0, merkle_root(leaves))
    stage.deal(0, 0, 1, 2, 3, 4)
    stage.deadline()  # nobody disputed
    stage.reveal(0, 0, 1, 2, 3, 4)
    stage.deadline()
    shares = [stage.share(giver, 5, 0) for giver in (0, 1, 2)]
    line = (0, 5, stage.transcripts[5, 0], neutral, path, [n for n, _ in shares], [s for _, s in shares])
    stage.refuse("a share is wrong", 0, "beacon.recover", *line)


def test_a_banned_or_ejected_dealer_is_still_awaited_and_may_still_open():
    """Removal in mid-step must not change the output, so Q stays what it was at the lock."""
    stage = Stage().until_step_reveal(0)
    bodies = [h("a"), h("b")]
    signatures = [stage.sign(5, b"COMMIT", 0, body) for body in bodies]
    proof = (5, b"COMMIT", 0, bodies[0], signatures[0], bodies[1], signatures[1])
    stage.do(0, "court.prove_equivocation", *proof)
    assert stage.standing(5) == "banned"
    assert stage.job.beacon.awaited() >> 5 & 1
    stage.reveal(1, 0, 1, 2, 3, 4)
    stage.reveal(1, 5)
    honest = Stage().until_step_reveal(0)
    honest.reveal(1)
    assert stage.last("Output")["value"] == honest.last("Output")["value"]
    assert 5 not in stage.peers("roster")


def test_a_banned_withholder_is_recovered_without_a_second_slash():
    stage = Stage().until_step_reveal(0)
    bodies = [h("a"), h("b")]
    signatures = [stage.sign(5, b"X", 0, body) for body in bodies]
    stage.do(0, "court.prove_equivocation", 5, b"X", 0, bodies[0], signatures[0], bodies[1], signatures[1])
    stage.reveal(1, 0, 1, 2, 3, 4)
    stage.deadline()
    rich = stage.balance(0)
    assert "Banned" not in stage.do(0, "beacon.recover", *stage.recover_args(5, 1, [0, 1, 2]))
    assert stage.balance(0) == rich


def test_sharings_stay_bound_to_the_receivers_they_were_dealt_to():
    """Peers leave after dealing: the threshold and the share positions stay those of the dealing."""
    stage = Stage().until_step(0)
    stage.commit()
    stage.do(0, "ledger.eliminate", 0, 1)
    stage.aggregate()
    stage.reveal(1, 2, 3, 4)
    stage.deadline()
    stage.refuse("t distinct shares", 2, "beacon.recover", *stage.recover_args(5, 1, [2, 3]))
    stage.do(2, "beacon.recover", *stage.recover_args(5, 1, [0, 2, 3]))  # also a removed peer's share helps
    assert stage.phase == Phase.COMMIT


@pytest.mark.parametrize("late", [50, 51])
def test_there_is_time_to_check_every_dealing(late):
    """A root posted at the last moment can be neither disputed nor voted absent before the lock."""
    stage = Stage().until_deal()
    stage.deal(0, 0, 1, 2, 3, 4)
    stage.now = late
    outcome = stage.call(5, "beacon.deal", 0, stage.prepare(5, 0))
    assert outcome.succeeded == (late <= 50)
    stage.now = 100
    if outcome.succeeded:  # the five others never received it
        for peer in range(4):
            stage.do(peer, "court.report_absence", 3, 0, 5)
    stage.deadline()
    assert stage.last("Locked")["dealers"] == bytes([0b11111])
    assert (stage.standing(5), stage.deposit(5)) == ("ejected", DEPOSIT)
