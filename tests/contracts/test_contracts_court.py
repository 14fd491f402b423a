"""The court: proofs, challenges, complaints, absences, votes. Who loses a deposit, and who never does."""

from __future__ import annotations

import pytest
from contract_stage import DEPOSIT, PHASE_S, Stage, h

from contracts_model import Phase
from contracts_model.beacon import mask_bytes
from contracts_model.court import Absence, Kind, message_digest
from simdfl.crypto.signatures import Keypair

STRANGER = Keypair.from_seed(h("stranger")).address
AGGREGATE, REPORT, DEALING = (int(kind) for kind in Absence)


def equivocation(stage, peer, topic=b"COMMIT", step=0, job=None):
    bodies = [h("one"), h("two")]
    one, two = (stage.sign(peer, topic, step, body, job) for body in bodies)
    return peer, topic, step, bodies[0], one, bodies[1], two


def mask(*peers):
    return mask_bytes(sum(1 << peer for peer in peers))


# ---- decided by arithmetic


def test_two_signatures_for_one_slot_cost_the_deposit_and_reward_the_reporter():
    stage = Stage(reporter_percent=30).until_step(0)
    assert stage.do(1, "court.prove_equivocation", *equivocation(stage, 4)) == ["Banned"]
    assert (stage.standing(4), stage.deposit(4)) == ("banned", 0)
    assert stage.balance(1) == 9 * DEPOSIT + DEPOSIT * 3 // 10
    assert stage.job.treasury.totals["burned"] == DEPOSIT * 7 // 10
    stage.refuse("banned already", 2, "court.prove_equivocation", *equivocation(stage, 4))


@pytest.mark.parametrize("percent", [0, 33, 50])
def test_a_colluding_pair_of_culprit_and_reporter_loses(percent):
    stage = Stage(reporter_percent=percent).until_step(0)
    stage.do(4, "court.prove_equivocation", *equivocation(stage, 4))  # a peer reports itself
    assert stage.balance(4) <= 9 * DEPOSIT + DEPOSIT // 2


def test_what_is_no_equivocation():
    stage = Stage().until_step(0)
    peer, topic, step, body, one, other_body, two = equivocation(stage, 4)
    wrong = [
        ("the same message twice", (peer, topic, step, body, one, body, one)),
        ("not signed by that peer", (3, topic, step, body, one, other_body, two)),
        ("not signed by that peer", (peer, b"REPORT", step, body, one, other_body, two)),
        ("not signed by that peer", (peer, topic, 1, body, one, other_body, two)),
        ("not signed by that peer", (peer, topic, step, body, two, other_body, one)),
        ("not signed by that peer", (peer, topic, step, body, b"", other_body, b"")),
        ("not signed by that peer", (peer, topic, step, body, bytes(65), other_body, two)),
        ("not signed by that peer", (6, topic, step, body, one, other_body, two)),
        ("not signed by that peer", (2**256 - 1, topic, step, body, one, other_body, two)),
        ("no message has this slot", (peer, topic, 2**64, body, one, other_body, two)),
        ("no message has this slot", (peer, topic, 2**256 - 1, body, one, other_body, two)),
        ("no message has this slot", (peer, b"x" * 256, step, body, one, other_body, two)),
        ("not signed by that peer", equivocation(stage, 4, job=h("another job"))),
    ]
    for reason, args in wrong:
        stage.refuse(reason, 1, "court.prove_equivocation", *args)
    stage.refuse("not registered", STRANGER, "court.prove_equivocation", *equivocation(stage, 4))
    assert stage.deposit(4) == DEPOSIT


def test_slots_of_signed_messages_do_not_run_into_each_other():
    def slot(topic, step, body):
        return message_digest(lambda data: data, h("job"), topic, step, body)

    assert slot(b"AB", 0, b"x" * 32) != slot(b"A", int.from_bytes(b"B\0\0\0\0\0\0\0", "little"), b"x" * 32)
    assert len(slot(b"A", 2**64 - 1, b"")) == 14 + 32 + 1 + 1 + 8


def test_a_signed_commitment_that_is_not_the_posted_one():
    stage = Stage().until_step(0)
    stage.commit(4)
    honest = (4, 0, stage.root(0, 4), stage.sign(4, b"COMMIT", 0, stage.root(0, 4)))
    stage.refuse("no contradiction", 1, "court.prove_contradiction", *honest)
    lie = (4, 0, h("lie"), stage.sign(4, b"COMMIT", 0, h("lie")))
    stage.refuse("not signed", 1, "court.prove_contradiction", 4, 0, h("lie"), honest[3])
    stage.refuse("no contradiction", 1, "court.prove_contradiction", 3, *lie[1:])
    for step in (1, 4, 2**64 + 0, 2**256 - 4):  # 4: the ring buffer of the dispute window comes round to 0
        stage.refuse("no contradiction", 1, "court.prove_contradiction", 4, step, *lie[2:])
    stage.do(1, "court.prove_contradiction", *lie)
    assert stage.standing(4) == "banned"
    stage.refuse("banned already", 1, "court.prove_contradiction", *lie)


def test_old_roots_do_not_pass_for_new_ones():
    """Steps 0 and 3 share a slot of a window of 3; a peer that did not commit in step 3 has no root there."""
    stage = Stage(steps=5, dispute_window=3).until_step(3)
    assert stage.job.ledger.root_of(0, 0) == stage.root(0, 0)
    assert stage.job.ledger.root_of(3, 0) == 0
    stage.commit()
    validator = stage.pairs()[0][0]
    assert [stage.job.ledger.root_of(3, peer) == 0 for peer in range(6)] == [p == validator for p in range(6)]
    assert stage.job.ledger.root_of(0, 0) == (stage.root(0, 0) if validator == 0 else 0)


# ---- V2 and V3


def sums(total, contributors):
    """Projections that sum to `total` over the contributors."""
    return {peer: [total if peer == contributors[0] else 0, 0] for peer in contributors}


def scene_of_reports(step=1):
    stage = Stage().until_step(step)
    return stage, stage.peers("contributors")


def test_a_sum_beyond_the_tolerance_opens_a_case_about_the_part():
    stage, contributors = scene_of_reports()
    bound = 10 * len(contributors)
    within = stage.challenge_args(0, 2, sums(bound, contributors))
    stage.refuse("within tolerance", 0, "court.challenge_sum", *within)
    beyond = stage.challenge_args(0, 2, sums(-bound - 1, contributors))
    assert stage.do(0, "court.challenge_sum", *beyond) == ["CaseOpened"]
    case = stage.last("CaseOpened")
    assert (case["kind"], case["step"], case["target"], case["accuser"]) == (Kind.AGGREGATION, 0, 2, -1)
    assert stage.do(1, "court.challenge_sum", *beyond) == []  # one case is enough


def test_a_challenge_takes_every_contributors_signed_entry():
    stage, contributors = scene_of_reports()
    good = list(stage.challenge_args(0, 2, sums(10**6, contributors)))
    step, part, position, _, leaves, roots, paths, signatures = good
    wrong = [
        ("outside the dispute window", (1, *good[1:])),
        ("outside the dispute window", (2**256 - 4, *good[1:])),
        ("not this part's entry", (step, 3, *good[2:])),
        ("not in the report", (step, part, 3, *good[3:])),
        ("not in the report", (step, part, 2**255, *good[3:])),
        ("more parts than peers", (step, part, position, 2**64, *good[4:])),
        ("more parts than peers", (step, part, position, 7, *good[4:])),
        ("not in the report", (step, part, position, 0, *good[4:])),
        ("one report per contributor", (*good[:4], leaves[1:], roots[1:], paths[1:], signatures[1:])),
        ("one report per contributor", (*good[:4], leaves, roots, paths, signatures[1:])),
        ("one report per contributor", (*good[:4], [], [], [], [])),
        ("not in the report", (*good[:4], [leaves[0] + b"\0", *leaves[1:]], *good[5:])),
        ("not in the report", (*good[:6], [p[:-1] for p in paths], signatures)),
        ("not in the report", (*good[:6], [b""] * 6, signatures)),
        ("not signed", (*good[:7], signatures[::-1])),
        ("not signed", (*good[:7], [b""] * 6)),
    ]
    for reason, args in wrong:
        stage.refuse(reason, 0, "court.challenge_sum", *args)


def test_reports_of_another_step_cannot_be_replayed():
    stage, contributors = scene_of_reports(2)
    args = stage.challenge_args(0, 2, sums(10**6, contributors))
    stage.refuse("not signed", 0, "court.challenge_sum", 1, *args[1:])


def test_half_of_the_contributors_is_not_enough_to_complain():
    stage, contributors = scene_of_reports()
    assert len(contributors) == 6
    stage.refuse("outside the dispute window", 0, "court.complain", 1, 2)  # not over yet: no reports
    for peer in (0, 1, 2):
        assert stage.do(peer, "court.complain", 0, 2) == ["Complaint"]
    stage.refuse("already complained", 0, "court.complain", 0, 2)
    assert stage.do(3, "court.complain", 0, 2) == ["Complaint", "CaseOpened"]
    assert stage.do(4, "court.complain", 0, 2) == ["Complaint"]


def test_complaints_count_against_the_contributors_of_their_own_step():
    stage = Stage().until_step(1)
    stage.commit(*[p for p in range(6) if p not in (1, 2)])
    stage.deadline()  # two of six are gone: step 1 has fewer contributors than step 0
    stage.do(0, "court.complain", 0, 5)
    stage.do(3, "court.complain", 0, 5)
    assert stage.do(4, "court.complain", 0, 5) == ["Complaint"]
    validator = 0 if 0 in dict(stage.pairs()) else None
    if validator is not None:
        stage.refuse("only a contributor", 0, "court.complain", 1, 5)


def test_a_validator_did_not_contribute_and_cannot_complain():
    stage = Stage().until_step(1)
    validator = stage.pairs()[0][0]
    stage.commit()
    stage.aggregate()
    stage.reveal(2)
    stage.refuse("only a contributor", validator, "court.complain", 1, 0)


# ---- absence


def test_a_majority_that_misses_a_report_ejects_without_slashing():
    stage = Stage().until_step(1)
    for voter in (0, 1, 2):
        assert stage.do(voter, "court.report_absence", REPORT, 0, 5) == []
    stage.refuse("already reported", 0, "court.report_absence", REPORT, 0, 5)
    events = stage.do(3, "court.report_absence", REPORT, 0, 5)
    assert events == ["Absent", "Ejected"]
    assert (stage.standing(5), stage.deposit(5)) == ("ejected", DEPOSIT)
    assert stage.do(4, "court.report_absence", REPORT, 0, 5) == []
    assert 5 not in stage.job.court._reporters(0)


def test_a_missing_report_lets_anybody_have_a_part_recomputed():
    stage = Stage().until_step(1)
    stage.refuse("no report of this step is missing", 0, "court.check_part", 0, 2)
    for voter in range(4):
        stage.do(voter, "court.report_absence", REPORT, 0, 5)
    assert stage.do(1, "court.check_part", 0, 2) == ["CaseOpened"]
    assert stage.do(3, "court.check_part", 0, 2) == []
    stage.refuse("no such peer", 0, "court.check_part", 0, 6)


def test_absences_need_a_known_kind_and_a_recent_step():
    stage = Stage(steps=9, dispute_window=4).until_step(4)
    for kind in (0, 4, 2**256 - 1):
        stage.refuse("unknown kind", 0, "court.report_absence", kind, 3, 5)
    for step in (0, 1, 4, 5, 2**256 - 1):
        stage.refuse("outside the dispute window", 0, "court.report_absence", REPORT, step, 5)
    for step in (3, 5):
        stage.refuse("not the current step", 0, "court.report_absence", AGGREGATE, step, 5)


def test_a_part_that_nobody_received_is_void_in_its_own_step_only():
    stage = Stage().until_step_reveal(0)
    for voter in (0, 1, 2):
        stage.do(voter, "court.report_absence", AGGREGATE, 0, 5)
    stage.reveal(1)
    stage.deal_ahead()
    stage.commit()
    stage.aggregate()
    # a late fourth vote on step 0 must not void the part of step 1
    stage.refuse("not the current step", 3, "court.report_absence", AGGREGATE, 0, 5)
    for voter in (0, 1, 2):
        stage.do(voter, "court.report_absence", AGGREGATE, 1, 5)
    assert stage.do(3, "court.report_absence", AGGREGATE, 1, 5) == ["AggregateAbsent", "Ejected", "PartVoided"]
    assert stage.peers("void") == [5]


def test_votes_of_the_banned_do_not_count_as_a_majority():
    """Three Byzantine of seven vote an honest peer absent, and one of them then gets itself banned."""
    stage = Stage(n=7).until_step(1)
    for voter in (0, 1):
        stage.do(voter, "court.report_absence", REPORT, 0, 6)
    for peer in (0, 1):
        stage.do(2, "court.prove_equivocation", *equivocation(stage, peer))
    stage.do(2, "court.report_absence", REPORT, 0, 6)
    assert stage.standing(6) == "active"  # one valid vote of five
    for voter in (3, 4):
        stage.do(voter, "court.report_absence", REPORT, 0, 6)
    assert stage.standing(6) == "ejected"


def test_a_falling_majority_cannot_be_skipped():
    """Votes already cast may suddenly be more than are needed; the next one must still take effect."""
    stage = Stage(n=8).until_step(1)
    for voter in (0, 1, 2, 3):
        stage.do(voter, "court.report_absence", REPORT, 0, 7)
    for peer in (5, 6):
        stage.do(4, "court.prove_equivocation", *equivocation(stage, peer))
    events = stage.do(4, "court.report_absence", REPORT, 0, 7)
    assert (events[0], events[-1]) == ("Absent", "Ejected")


def test_a_begun_epoch_keeps_its_dealings():
    stage = Stage().until_reveal()
    for voter in (0, 1, 2):
        stage.do(voter, "court.report_absence", DEALING, 0, 5)
    stage.refuse("this epoch has begun", 3, "court.report_absence", DEALING, 0, 5)


# ---- elimination


def test_a_pair_leaves_together_and_the_aggregation_starts_again():
    stage = Stage().until_aggregate(0)
    stage.aggregate(0, 1, 2)
    events = stage.do(4, "ledger.eliminate", 0, 1)
    assert events == ["Ejected", "Ejected", "Eliminated", "Phase", "Exchange"]
    assert stage.last("Exchange") == {
        "step": 0,
        "attempt": 1,
        "contributors": mask(0, 2, 3, 5),
        "dropped": mask(1, 4),
    }
    assert (stage.peers("aggregated"), stage.peers("dropped")) == ([], [1, 4])
    assert [stage.job.ledger.root_of(0, peer) for peer in (1, 4)] == [0, 0]
    stage.refuse("contributors have changed", 0, "ledger.aggregate", 0, 0, h())
    stage.refuse("eliminated in this step", 1, "ledger.aggregate", 0, 1, h())
    for who, other in ((4, 0), (0, 4), (1, 0), (0, 1)):
        stage.refuse("one of the pair is gone already", who, "ledger.eliminate", 0, other)
    stage.refuse("a pair takes two", 0, "ledger.eliminate", 0, 0)
    for nobody in (6, 255, 256, 2**256 - 1):
        stage.refuse("not in the roster", 0, "ledger.eliminate", 0, nobody)
    stage.aggregate()
    assert (stage.peers("void"), stage.last("Locked")["dealers"]) == ([1, 4], mask(0, 2, 3, 5))
    stage.reveal(1)
    assert stage.peers("roster") == [0, 2, 3, 5]
    assert (stage.standing(1), stage.deposit(1), stage.deposit(4)) == ("ejected", DEPOSIT, DEPOSIT)


def test_each_peer_takes_at_most_one_other_with_it():
    stage = Stage(n=8).until_aggregate(0)
    for liar, victim in ((0, 4), (1, 5), (2, 6)):
        stage.do(liar, "ledger.eliminate", 0, victim)
        for other in (3, 7):
            stage.refuse("gone already", liar, "ledger.eliminate", 0, other)
    stage.do(3, "ledger.eliminate", 0, 7)
    assert stage.phase == Phase.ABORTED


# ---- accusations and votes


def case_of_validator(**terms):
    stage = Stage(**terms).until_step(1)
    stage.deal_ahead()
    validator, target = stage.pairs()[0]
    stage.attest(validator, honest=False)
    assert stage.last("CaseOpened")["accuser"] == validator
    return stage, validator, target


def vote(stage, voters, guilty=b"", suspects=b"", absent=b"", case=1):
    return [name for voter in voters for name in stage.do(voter, "court.vote", case, guilty, suspects, absent)]


def test_a_guilty_verdict_takes_more_than_half_of_the_eligible():
    stage, validator, target = case_of_validator()
    assert vote(stage, [0, 1, 2], mask(target)) == ["Voted"] * 3
    assert vote(stage, [3], mask(target)) == ["Voted", "Verdict", "Banned"]
    banned = stage.last("Banned")
    assert (banned["peer"], banned["slashed"], banned["reporter"]) == (target, DEPOSIT, validator)
    assert stage.balance(validator) == 9 * DEPOSIT + DEPOSIT // 2
    stage.refuse("the case is closed", 4, "court.vote", 1, b"", b"", b"")


def test_a_refuted_accuser_is_banned_and_nobody_rewarded():
    stage, validator, target = case_of_validator()
    vote(stage, [0, 1, 2, 3])
    assert (stage.standing(validator), stage.standing(target)) == ("banned", "active")
    assert stage.job.treasury.totals["burned"] == DEPOSIT


def test_split_votes_are_void_after_the_deadline():
    stage, validator, target = case_of_validator()
    vote(stage, [0, 1, 2], mask(target))
    vote(stage, [3, 4])
    stage.refuse("already voted", 0, "court.vote", 1, b"", b"", b"")
    stage.refuse("the vote is going on", 0, "court.close_case", 1)
    stage.now += PHASE_S + 1
    stage.refuse("the vote is over", 5, "court.vote", 1, mask(target), b"", b"")
    assert stage.do(STRANGER, "court.close_case", 1) == ["Void"]
    stage.refuse("the case is closed", 0, "court.close_case", 1)
    assert all(stage.standing(peer) == "active" for peer in (validator, target))


@pytest.mark.parametrize("case", [0, 2, 2**256 - 1])
def test_there_must_be_a_case(case):
    stage, *_ = case_of_validator()
    stage.refuse("no such case", 0, "court.vote", case, b"", b"", b"")
    stage.refuse("no such case", 0, "court.close_case", case)
    stage.refuse("not registered", STRANGER, "court.vote", 1, b"", b"", b"")


def test_suspects_open_new_cases_and_the_absent_are_ejected():
    stage, _, target = case_of_validator()
    others = [p for p in range(6) if p != target]
    events = vote(stage, [0, 1, 2, 3], mask(target), mask(others[0]), mask(others[1]))
    assert events[-4:] == ["Verdict", "Banned", "CaseOpened", "Ejected"]
    assert stage.last("CaseOpened")["target"] == others[0]
    assert stage.deposit(others[1]) == DEPOSIT


@pytest.mark.parametrize("wild", [mask(6), mask(300, 1000), b"\xff" * 2000])
def test_masks_may_name_members_only(wild):
    stage, *_ = case_of_validator()
    for masks in ((wild, b"", b""), (b"", wild, b""), (b"", b"", wild)):
        stage.refuse("no such peer", 3, "court.vote", 1, *masks)


def test_v1_accusations_are_about_contributors_of_finished_steps():
    stage = Stage().until_step(1)
    stage.refuse("outside the dispute window", 0, "court.accuse_report", 1, 5)
    stage.refuse("did not contribute", 0, "court.accuse_report", 0, 6)
    stage.refuse("did not contribute", 0, "court.accuse_report", 0, 2**256 - 1)
    assert stage.do(0, "court.accuse_report", 0, 5) == ["CaseOpened"]
    assert stage.do(0, "court.accuse_report", 0, 5) == []
    assert stage.do(1, "court.accuse_report", 0, 5) == ["CaseOpened"]  # another accuser, another case


def test_one_who_left_before_the_case_cannot_vote_but_one_who_leaves_after_can():
    stage = Stage().until_step(0)
    stage.do(0, "court.prove_equivocation", *equivocation(stage, 5))
    stage.commit()
    stage.aggregate()
    stage.reveal(1)
    stage.do(0, "court.accuse_report", 0, 4)
    stage.refuse("not eligible", 5, "court.vote", 1, b"", b"", b"")
    stage.do(1, "court.prove_equivocation", *equivocation(stage, 3))
    vote(stage, [3])


def test_an_ejected_culprit_still_loses_what_is_proven_later():
    stage = Stage().until_aggregate(0)
    stage.do(5, "ledger.eliminate", 0, 4)
    stage.do(0, "court.prove_equivocation", *equivocation(stage, 5))
    assert (stage.standing(5), stage.deposit(5)) == ("banned", 0)
    assert (stage.standing(4), stage.deposit(4)) == ("ejected", DEPOSIT)


def test_the_banned_never_withdraw():
    stage = Stage(steps=1).until_step(1)
    stage.do(0, "court.prove_equivocation", *equivocation(stage, 5))
    stage.commit()
    assert stage.phase == Phase.DONE
    stage.now += 1000
    stage.refuse("banned", 5, "ledger.withdraw")
    stage.do(0, "ledger.withdraw")


def test_aborting_the_job_does_not_let_a_culprit_run_away_with_its_deposit():
    stage, _, target = case_of_validator(minimum_peers=6)
    stage.commit(*[p for p in range(6) if p not in (dict(stage.pairs()).keys() | {0})])
    opened_s = stage.now
    stage.deadline()  # peer 0 is missing: below the minimum at the next step
    stage.aggregate()
    stage.now = opened_s
    stage.reveal(2)
    assert stage.phase == Phase.ABORTED
    stage.now += 1
    stage.refuse("cases may still be decided", target, "ledger.withdraw")
    vote(stage, [1, 2, 3, 4], mask(target))
    stage.now += 1000
    stage.refuse("banned", target, "ledger.withdraw")
