"""Juries, canaries, void cases, wrong shares, comings and goings: the contracts' side of them."""

from __future__ import annotations

from hashlib import sha256

import pytest
from contract_stage import DEPOSIT, Stage, h, make_terms
from hypothesis import given
from hypothesis import strategies as st

from contracts_model import Phase, Withheld
from contracts_model.court import Kind, share_topic
from contracts_model.draw import draw_jury, is_canary
from contracts_model.storage import members
from contracts_model.terms import tolerated_for
from simdfl.crypto.signatures import Keypair


def others_commit(stage, *done):
    """All but these act in the COMMIT phase."""
    stage.commit(*[peer for peer in stage.peers("roster") if peer not in done])


# ---- juries


def test_a_case_waits_for_the_output_that_draws_its_jury():
    stage = Stage(jury_size=3).until_step(1)
    validator, target = stage.pairs()[0]
    stage.attest(validator, honest=False)
    assert "CaseOpened" not in [event.name for event in stage.log]
    stage.refuse("the vote is over", 0, "court.vote", 1, b"", b"", b"")
    stage.refuse("the jury is not drawn yet", 0, "court.close_case", 1)
    others_commit(stage, validator)
    stage.aggregate()
    stage.reveal(2)
    case = stage.last("CaseOpened")
    jury = list(members(int.from_bytes(case["jury"], "little")))
    assert (case["target"], case["accuser"], len(jury)) == (target, validator, 3)
    assert not {validator, target} & set(jury)
    outsider = next(peer for peer in range(6) if peer not in jury)
    stage.refuse("not eligible", outsider, "court.vote", 1, b"", b"", b"")
    guilty = (1 << target).to_bytes(1, "little")
    for juror in jury[:2]:
        stage.do(juror, "court.vote", 1, guilty, b"", b"")
    assert stage.standing(target) == "banned"


def test_in_the_closing_step_all_judge_as_no_output_follows():
    stage = Stage(jury_size=2, steps=2).until_step(2)
    stage.attest(stage.pairs()[0][0], honest=False)
    assert len(list(members(int.from_bytes(stage.last("CaseOpened")["jury"], "little")))) == 6


@given(st.integers(2, 40), st.integers(1, 50), st.integers(1, 9), st.binary(min_size=32, max_size=32))
def test_juries_are_distinct_members(n, size, case, randomness):
    jury = draw_jury(randomness, case, range(n), size)
    assert len(set(jury)) == len(jury) == min(size, n)
    assert jury == sorted(jury)


# ---- void


def test_more_than_half_can_blame_nobody():
    stage = Stage().until_step(1)
    validator, target = stage.pairs()[0]
    stage.attest(validator, honest=False)
    for voter in range(3):
        assert stage.do(voter, "court.vote_void", 1) == ["VotedVoid"]
    stage.refuse("already voted", 0, "court.vote_void", 1)
    stage.refuse("already voted", 0, "court.vote", 1, b"", b"", b"")
    assert stage.do(3, "court.vote_void", 1) == ["VotedVoid", "Void"]
    assert {stage.standing(validator), stage.standing(target)} == {"active"}


def test_unshown_targets_are_asked_for_and_accused_by_nobody():
    stage = Stage(shows=True).until_step(1)
    validator, target = stage.pairs()[0]
    stage.do(validator, "ledger.attest", 1, target, False, bytes(32), h("state", 1))
    case = stage.last("CaseOpened")
    assert (case["kind"], case["accuser"]) == (Kind.COMPUTATION, -1)
    for voter in range(4):
        stage.do(voter, "court.vote", 1, b"", b"", b"")
    assert {stage.standing(validator), stage.standing(target)} == {"active"}


def test_where_nothing_must_be_shown_it_is_an_accusation():
    stage = Stage().until_step(1)
    validator, target = stage.pairs()[0]
    stage.do(validator, "ledger.attest", 1, target, False, bytes(32), h("state", 1))
    for voter in range(4):
        stage.do(voter, "court.vote", 1, b"", b"", b"")
    assert (stage.standing(validator), stage.standing(target)) == ("banned", "active")


# ---- canaries


def test_lots_have_the_rate_that_is_asked_for():
    hits = sum(is_canary(h("job"), output, secret, 100) for output in range(100) for secret in range(50))
    assert abs(hits / 5000 - 0.1) < 0.025  # Hoeffding: false alarm below 1 in 200,000


def test_a_canary_can_accuse_only_who_attested_it():
    stage = Stage(canary_permille=1000).until_step(1)
    validator, target = stage.pairs()[0]
    other = next(peer for peer in range(6) if peer not in (validator, target))
    stage.attest(validator)
    others_commit(stage, validator)
    stage.aggregate()
    stage.reveal(2)
    assert {event.fields["step"] for event in stage.log if event.name == "Canary"} == {0}
    stage.refuse("no such attestation", other, "court.accuse_canary", 0, validator)
    stage.refuse("no such attestation", target, "court.accuse_canary", 0, other)
    stage.do(target, "court.accuse_canary", 0, validator)
    assert stage.last("CaseOpened")["kind"] == Kind.CANARY
    for voter in range(4):
        stage.do(voter, "court.vote", 1, (1 << validator).to_bytes(1, "little"), b"", b"")
    assert stage.last("Banned") == {
        "peer": validator,
        "reason": "missed a canary",
        "slashed": DEPOSIT,
        "reporter": target,
    }


def test_a_canary_that_planted_nothing_is_a_false_accuser():
    stage = Stage(canary_permille=1000).until_step(1)
    validator, target = stage.pairs()[0]
    stage.attest(validator)
    others_commit(stage, validator)
    stage.aggregate()
    stage.reveal(2)
    stage.do(target, "court.accuse_canary", 0, validator)
    for voter in range(4):
        stage.do(voter, "court.vote", 1, b"", b"", b"")
    assert (stage.standing(validator), stage.standing(target)) == ("active", "banned")


def test_without_canaries_nobody_is_one():
    stage = Stage().until_step(1)
    stage.refuse("plants no canaries", 0, "court.accuse_canary", 0, 1)


# ---- wrong shares


def test_a_signed_wrong_share_is_proved():
    stage = Stage(group="bls12_381").until_step_reveal(1)
    stage.reveal(2, 0, 1, 2, 3, 4)
    stage.deadline()
    share = stage.share(0, 5, 2)[1]
    wrong = share[:-1] + bytes([share[-1] ^ 1])
    evidence = (stage.transcripts[5, 2], *stage.opened_leaf(5, 2))

    def proof(peer, shown):
        body = sha256(shown).digest()
        return 2, 5, peer, shown, stage.sign(peer, share_topic(5), 2, body), *evidence

    stage.refuse("the share is valid", 1, "court.prove_bad_share", *proof(0, share))
    stage.do(1, "court.prove_bad_share", *proof(0, wrong))
    assert stage.last("Banned")["reason"] == "invalid share"
    stage.refuse("banned already", 2, "court.prove_bad_share", *proof(0, wrong))


# ---- policies for what is withheld


def test_skipping_leaves_out_what_is_closed():
    stage = Stage(withheld=Withheld.SKIP).until_step_reveal(0)
    stage.reveal(1, 0, 1, 2)
    stage.deadline()
    assert list(members(int.from_bytes(stage.last("Skipped")["dealers"], "little"))) == [3, 4, 5]
    assert (stage.phase, stage.current) == (Phase.COMMIT, 1)
    assert all(stage.standing(peer) == "active" for peer in range(6))


def test_when_nobody_opens_the_job_ends():
    stage = Stage(withheld=Withheld.SKIP).until_step_reveal(0)
    stage.deadline()
    assert stage.phase == Phase.ABORTED


def test_only_the_trusted_dealer_publishes():
    stage = Stage(withheld=Withheld.TRUSTED)
    stage.register()
    assert stage.phase == Phase.REVEAL
    stage.refuse("not the trusted dealer", 0, "beacon.publish", 0, h("r"))
    stage.refuse("not the output being opened", stage.terms.owner, "beacon.publish", 1, h("r"))
    stage.do(stage.terms.owner, "beacon.publish", 0, h("r"))
    assert stage.last("StepOpened")["randomness"] == h("r")


# ---- membership


def test_leaving_ends_with_the_step_and_pays_after_the_window():
    stage = Stage(steps=9, epoch_outputs=16).until_step(1)
    stage.do(5, "registry.leave")
    stage.refuse("not an active peer", 5, "registry.leave")
    assert 5 in stage.peers("roster")
    stage.until_step(2)
    assert 5 not in stage.peers("roster")
    stage.until_step(5)
    stage.refuse("the job is running", 5, "ledger.withdraw")
    stage.until_step(6)  # left in step 2, window 4
    stage.do(5, "ledger.withdraw")
    assert stage.deposit(5) == 0
    stage.refuse("already paid", 5, "ledger.withdraw")


def test_who_left_can_still_be_banned():
    stage = Stage(steps=9, epoch_outputs=16).until_step(1)
    stage.do(5, "registry.leave")
    signatures = [stage.sign(5, b"COMMIT", 1, h(word)) for word in "xy"]
    stage.do(0, "court.prove_equivocation", 5, b"COMMIT", 1, h("x"), signatures[0], h("y"), signatures[1])
    assert stage.standing(5) == "banned"
    assert stage.deposit(5) == 0


def test_a_job_without_probation_takes_nobody_back():
    stage = Stage().until_step(0)
    stage.commit(0, 1, 2, 3, 4)
    stage.deadline()
    stage.refuse("nobody can join now", 5, "registry.rejoin")
    stage.refuse("registration is closed", 5, "registry.register", *stage.registration(5), value=DEPOSIT)


def test_probation_counts_one_gradient_a_step_and_seats_with_an_epoch():
    stage = Stage(steps=9, probation_steps=2, epoch_outputs=2).until_step(0)
    stage.deal_ahead()
    stage.commit(0, 1, 2, 3, 4)
    stage.deadline()  # peer 5 is ejected
    stage.aggregate(0, 1, 2, 3, 4)
    stage.reveal(1)
    stage.refuse("not on probation", 5, "ledger.probe", 1, h("g"))
    stage.do(5, "registry.rejoin")
    stage.refuse("not out, or not for a fault", 0, "registry.rejoin")
    assert stage.do(5, "ledger.probe", 1, h("g1")) == ["Probed"]
    stage.refuse("already probed", 5, "ledger.probe", 1, h("g1"))
    stage.refuse("not admitted", 5, "beacon.deal", 1, stage.prepare(0, 1))


# ---- terms


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold_percent": 0}, "threshold_percent"),
        ({"tolerated_percent": 50}, "tolerated_percent"),
        ({"jury_size": -1}, "jury_size"),
        ({"canary_permille": 1001}, "canary_permille"),
        ({"founders": 2}, "founders"),
    ],
)
def test_impossible_terms_are_refused(changes, sentence):
    keys = [Keypair.from_seed(h("peer", peer)) for peer in range(6)]
    with pytest.raises(ValueError, match=sentence):
        make_terms(keys, **changes)


@given(st.integers(3, 300), st.integers(1, 49))
def test_packing_and_threshold_keep_secrecy_and_liveness(n, percent):
    keys = [Keypair.from_seed(h("peer", peer)) for peer in range(6)]
    terms = make_terms(keys, tolerated_percent=percent)
    hidden, t, packed = tolerated_for(n, percent), terms.threshold(n), terms.packing(n)
    assert n - hidden >= t  # the honest recover
    assert hidden + packed <= t  # colluders with all but one secret open know nothing of the last
    assert packed >= 1
