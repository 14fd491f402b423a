"""Attacks on the protocol: what each does, and that the check meant for it has something to see."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from adversaries import make_adversary
from simdfl.peers.behaviour import Behaviour
from simdfl.protocols.parts import ClipSettings, PartMath, commit_gradient, make_aggregate
from simdfl.testing import LeastSquares, make_coalition, make_turn

MEMBERS, N = (1, 2, 5), 9
HONEST = (0, 3, 4, 6, 7, 8)
ONE = 1 << 40
SETTINGS = ClipSettings(radius=1.0, tolerance=1e-6, iterations=500, projections=2, max_deviation=10.0)


def accomplices(name: str, params=None, **schedule):
    coalition = make_coalition(MEMBERS, N)
    return {peer: make_adversary(name, params or {}, coalition=coalition, **schedule) for peer in MEMBERS}


def unused(part: int) -> np.ndarray:
    raise AssertionError("the oracle is not needed")


# ---- communication


def test_withhold_part_takes_other_victims_for_each_accomplice():
    peers = accomplices("withhold_part", {"victims": 2})
    victims = {
        peer: [receiver for receiver in range(N) if not peers[peer].sends_part(make_turn(4, peer), receiver)]
        for peer in MEMBERS
    }
    assert [len(chosen) for chosen in victims.values()] == [2, 2, 2]
    assert sorted(itertools.chain(*victims.values())) == list(HONEST)


def test_withhold_part_draws_victims_anew_in_every_step():
    peer = accomplices("withhold_part")[1]
    victims = {r for step in range(30) for r in HONEST if not peer.sends_part(make_turn(step, 1), r)}
    assert victims == set(HONEST)


def test_withhold_part_with_more_victims_than_honest_peers():
    peer = accomplices("withhold_part", {"victims": 100})[2]
    sent = [receiver for receiver in range(N) if peer.sends_part(make_turn(0, 2), receiver)]
    assert sent == sorted(MEMBERS)


def test_what_is_withheld_is_withheld_from_everybody_while_attacking():
    for name, method, arguments in [
        ("withhold_aggregate", "sends_aggregate", (0,)),
        ("withhold_report", "sends_report", ()),
        ("withhold_reveal", "reveals", ()),
    ]:
        peer = accomplices(name, start_step=2, stop_step=6, period=2)[1]
        answers = [getattr(peer, method)(make_turn(step, 1), *arguments) for step in range(8)]
        assert answers == [True, True, False, True, False, True, True, True]


def test_equivocate_tells_two_stories():
    turn = make_turn(0, 1)
    peer = accomplices("equivocate")[1]
    assert commit_gradient(peer.gradient(turn), N).root != commit_gradient(peer.other_gradient(turn), N).root
    np.testing.assert_array_equal(peer.other_gradient(turn), -turn.own_gradient())


# ---- aggregation and reports


def play_step(peers, step: int = 0, validators=()):
    """Commit, aggregate and report a step with the protocol's own arithmetic.

    Returns sums (p, K) of reports, true and sent reports (c, p, K), right and published parts.
    """
    problem = LeastSquares()
    math = PartMath(SETTINGS, capacity=N)
    behaviours = {peer: peers.get(peer, Behaviour()) for peer in range(N)}

    def turn(peer):
        return make_turn(step, peer, N, validators, problem)

    contributors = turn(0).contributors
    commitments = [commit_gradient(behaviours[peer].gradient(turn(peer)), N) for peer in contributors]
    right = math.aggregate(commitments)
    published = [
        make_aggregate(behaviours[owner].aggregate(turn(owner), right[owner].values)) for owner in range(N)
    ]
    true, norms = math.true_reports(bytes(32), range(N), commitments, published)
    true.flags.writeable = norms.flags.writeable = False
    reported = np.stack(
        [
            behaviours[peer].report(turn(peer), true[row], norms[row], lambda part: true[:, part].sum(axis=0))[0]
            for row, peer in enumerate(contributors)
        ]
    )
    return reported.sum(axis=0), true, reported, right, published


@pytest.mark.parametrize("validators", [(), (1,), (1, 2), (0, 5)])
@pytest.mark.parametrize("params", [{}, {"size": 0.5, "relative": False}])
def test_aggregation_shift_passes_v2_because_accomplices_cancel_it_exactly(params, validators):
    tolerance = SETTINGS.sum_tolerance(3) * (N - len(validators))
    sums, true, reported, right, published = play_step(accomplices("aggregation_shift", params), 0, validators)
    excess = np.abs(true.sum(axis=0)).max(axis=1)
    assert (excess[list(MEMBERS)] > tolerance).all(), "V2 would see the shift if nobody covered it"
    assert (np.abs(sums) <= tolerance).all(), "covered, it does not"
    assert not sums[list(MEMBERS)].any(), "the correction is exact"
    for owner in MEMBERS:
        shift = np.linalg.norm(published[owner].values - right[owner].values)
        wanted = params.get("size") or np.linalg.norm(right[owner].values)
        assert shift == pytest.approx(wanted, rel=1e-4)
    for owner in HONEST:
        assert published[owner].hash == right[owner].hash
        np.testing.assert_array_equal(reported[:, owner], true[:, owner])
    contributors = [peer for peer in range(N) if peer not in validators]
    liars = [peer for row, peer in enumerate(contributors) if (reported[row] != true[row]).any()]
    assert liars == [peer for peer in MEMBERS if peer not in validators], "a validator finds each of them"


def test_aggregation_shift_keeps_its_direction():
    shifts = []
    peers = accomplices("aggregation_shift", {"size": 2.0, "relative": False})
    for step in range(3):
        _, _, _, right, published = play_step(peers, step)
        shifts.append(published[2].values - right[2].values)
    np.testing.assert_allclose(shifts[1], shifts[0], atol=1e-5)
    np.testing.assert_allclose(shifts[2], shifts[0], atol=1e-5)


def test_aggregation_shift_rests_where_nobody_could_cover_it():
    _, true, reported, right, published = play_step(accomplices("aggregation_shift"), 0, validators=MEMBERS)
    assert [part.hash for part in published] == [part.hash for part in right]
    np.testing.assert_array_equal(reported, true)


def test_other_members_of_the_coalition_do_not_cover_shifts():
    """Groups of several attacks collude, but only who shifts and covers bends its reports."""
    coalition = make_coalition(MEMBERS, N)
    peers = {1: make_adversary("withhold_reveal", {}, coalition=coalition)}
    peers |= {peer: make_adversary("aggregation_shift", {}, coalition=coalition) for peer in (2, 5)}
    sums, true, reported, _, _ = play_step(peers)
    np.testing.assert_array_equal(reported[1], true[1])
    assert not sums[[2, 5]].any()


def test_accomplices_neither_accuse_nor_complain_of_each_other():
    peers = accomplices("aggregation_shift")
    assert list(peers[1].accuses(make_turn(0, 1), [2, 4, 5])) == [4]
    assert not set(peers[1].complains(make_turn(0, 1), [2, 4, 5])) & set(MEMBERS)


@pytest.mark.parametrize("offset", [1.0, -0.25])
def test_lying_projections_are_off_on_one_honest_part(offset):
    peers = accomplices("lying_projections", {"offset": offset})
    _, true, reported, _, _ = play_step(peers)
    wrong = np.argwhere((reported != true).any(axis=2))
    assert [row for row, _ in wrong] == list(MEMBERS)
    assert {position for _, position in wrong} <= set(HONEST)
    for row, position in wrong:
        np.testing.assert_array_equal(reported[row, position] - true[row, position], round(offset * ONE))


def test_lying_projections_leave_inputs_and_norms_alone():
    peer = accomplices("lying_projections")[1]
    projections, norms = np.zeros((N, 1), np.int64), np.zeros(N, np.int64)
    bent, same = peer.report(make_turn(0, 1), projections, norms, unused)
    assert not projections.any()
    assert same is norms
    assert bent.sum() == ONE


# ---- court


def test_false_accusation_adds_an_innocent_and_votes_for_it():
    peer = accomplices("false_accusation", start_step=1)[1]
    assert peer.accuses(make_turn(0, 1), [3]) == [3]
    accused = peer.accuses(make_turn(1, 1, validators=[0, 4]), [3, 2])
    assert accused[0] == 3
    assert len(accused) == 2
    assert accused[1] in (6, 7, 8)
    case = {"step": 1, "accuser": 2, "target": 8}
    assert peer.votes(case, (b"", b"", b"")) == (b"\x00\x01", b"", b"")
    assert peer.votes({**case, "accuser": 0}, (b"", b"", b"")) == (b"", b"", b"")
    assert peer.votes({**case, "step": 0}, (b"", b"", b"")) == (b"", b"", b"")
    assert peer.votes({**case, "target": 5}, (b"\x20", b"", b"")) == (b"", b"", b"")


def test_false_elimination_names_an_honest_peer_first():
    peers = accomplices("false_elimination", start_step=1)
    assert list(peers[1].eliminates(make_turn(0, 1), [])) == []
    first = [peers[peer].eliminates(make_turn(1, peer), [])[0] for peer in MEMBERS]
    assert len(set(first)) == 3
    assert set(first) <= set(HONEST)


def test_bribed_juror_condemns_the_honest_and_saves_accomplices():
    peer = accomplices("bribed_juror", start_step=1)[1]
    right = (b"\x04", b"", b"")
    assert peer.votes({"step": 1, "accuser": 0, "target": 3}, (b"", b"", b"")) == (b"\x08", b"", b"")
    assert peer.votes({"step": 1, "accuser": 0, "target": 2}, right) == (b"", b"", b"")
    assert peer.votes({"step": 0, "accuser": 0, "target": 3}, (b"", b"", b"")) == (b"", b"", b"")


# ---- validators


def test_validators():
    lazy = accomplices("lazy_validator", start_step=1)[1]
    silent = accomplices("silent_validator", start_step=1)[1]
    before, during = make_turn(0, 1), make_turn(1, 1)
    assert [lazy.attests(turn, 3, False) for turn in (before, during)] == [False, True]
    assert [silent.attests(turn, 3, True) for turn in (before, during)] == [True, None]
    assert lazy.attests(before, 2, False) is True, "accomplices are covered at all times"
