"""Each gradient attack against its formula, written again in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from adversaries import ADVERSARIES, make_adversary
from adversaries.statistical import largest_hidden_shift
from simdfl.peers.behaviour import Byzantine
from simdfl.rng import Rng
from simdfl.testing import LeastSquares, make_coalition, make_turn

MEMBERS, N = (1, 2, 5), 9
HONEST = (0, 3, 4, 6, 7, 8)
PROBLEM = LeastSquares()


def adversary(name: str, coalition=None, start_step: int = 0, **params):
    coalition = coalition or make_coalition(MEMBERS, N)
    return make_adversary(name, params, coalition=coalition, start_step=start_step)


def honest(step: int, validators=()) -> np.ndarray:
    rows = [PROBLEM.gradient(step, peer) for peer in HONEST if peer not in validators]
    return np.stack(rows).astype(np.float64)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_sign_flip_is_minus_scale_times_the_own_gradient(scale):
    sent = adversary("sign_flip", scale=scale).gradient(make_turn(4, 2))
    np.testing.assert_allclose(sent, -scale * PROBLEM.gradient(4, 2), rtol=1e-6)


def test_random_direction_is_one_direction_for_all_accomplices_and_steps():
    coalition = make_coalition(MEMBERS, N)
    peers = {peer: adversary("random_direction", coalition, scale=50.0) for peer in MEMBERS}
    sent = [peers[peer].gradient(make_turn(step, peer)) for peer in MEMBERS for step in (0, 7, 300)]
    assert len({vector.tobytes() for vector in sent}) == 1
    assert np.linalg.norm(sent[0]) == pytest.approx(50.0, rel=1e-5)
    other = adversary("random_direction", make_coalition(MEMBERS, N, seed=1)).gradient(make_turn(0, 1))
    cosine = sent[0] @ other / np.linalg.norm(sent[0]) / np.linalg.norm(other)
    assert abs(cosine) < 0.9


def test_random_direction_survives_a_full_memory():
    coalition = make_coalition(MEMBERS, N)
    peer = adversary("random_direction", coalition)
    first = peer.gradient(make_turn(0, 1))
    for key in range(100):
        coalition.once(key, object)
    np.testing.assert_array_equal(peer.gradient(make_turn(1, 1)), first)


def test_label_flip_is_the_gradient_on_turned_labels():
    weights = Rng(0).stream("weights").standard_normal((7, 3))
    records = Rng(0).stream("batch", 2, 5)
    features, labels = records.standard_normal((16, 7)), records.integers(3, size=16)
    right = features.T @ (features @ weights - np.eye(3)[labels]) / 16
    flipped = features.T @ (features @ weights - np.eye(3)[2 - labels]) / 16
    np.testing.assert_allclose(PROBLEM.gradient(2, 5), right.ravel(), rtol=1e-5)
    np.testing.assert_allclose(adversary("label_flip").gradient(make_turn(2, 5)), flipped.ravel(), rtol=1e-5)


def test_delayed_gradient_is_the_newest_that_is_old_enough():
    """It validates in steps 2 and 3, so that nothing is remembered of them; it attacks from step 4 on."""
    peer = adversary("delayed_gradient", start_step=4, delay=3)
    age = {}
    for step in (0, 1, 4, 5, 6, 7, 8, 9):
        sent = peer.gradient(make_turn(step, 1))
        matches = [s for s in range(step + 1) if np.array_equal(sent, PROBLEM.gradient(s, 1))]
        age[step] = step - matches[0]
        assert len(peer._history) <= 3
    assert age == {0: 0, 1: 0, 4: 3, 5: 4, 6: 5, 7: 3, 8: 3, 9: 3}


def test_delayed_gradient_sends_its_oldest_until_one_is_old_enough():
    peer = adversary("delayed_gradient", delay=1000)
    for step in range(5):
        np.testing.assert_array_equal(peer.gradient(make_turn(step, 1)), PROBLEM.gradient(0, 1))


def test_copy_gradient_is_some_honest_contributors_own():
    peer = adversary("copy_gradient")
    for step in range(5):
        sent = peer.gradient(make_turn(step, 1, validators=[0, 3]))
        whose = [p for p in range(N) if np.array_equal(sent, PROBLEM.gradient(step, p))]
        assert len(whose) == 1
        assert whose[0] in (4, 6, 7, 8)


@pytest.mark.parametrize("epsilon", [0.1, 0.6])
def test_ipm_is_minus_epsilon_times_the_honest_mean(epsilon):
    sent = adversary("ipm", epsilon=epsilon).gradient(make_turn(3, 1, validators=[0]))
    np.testing.assert_allclose(sent, -epsilon * honest(3, [0]).sum(axis=0) / 5, rtol=1e-5)


@pytest.mark.parametrize("validators", [(), (0, 3), (0, 1)])
def test_alie_is_the_honest_mean_less_z_max_deviations(validators):
    rows = honest(3, validators)
    n, b = N - len(validators), sum(peer not in validators for peer in MEMBERS)
    s = np.floor(n / 2 + 1) - b
    z = norm.ppf((n - b - s) / (n - b))
    deviation = np.sqrt(((rows - rows.mean(axis=0)) ** 2).mean(axis=0))
    sent = adversary("alie").gradient(make_turn(3, 2, validators=validators))
    np.testing.assert_allclose(sent, rows.mean(axis=0) - z * deviation, rtol=1e-4, atol=1e-6)


def test_alie_takes_a_given_z():
    rows = honest(0)
    sent = adversary("alie", z=1.5).gradient(make_turn(0, 1))
    np.testing.assert_allclose(sent, rows.mean(axis=0) - 1.5 * rows.std(axis=0), rtol=1e-4, atol=1e-6)


def test_largest_hidden_shift_where_its_quantile_does_not_exist():
    assert largest_hidden_shift(4, 3) == 0.0
    assert largest_hidden_shift(7, 5) == 0.0  # one of two honest vectors is support enough
    assert largest_hidden_shift(16, 7) == pytest.approx(norm.ppf((16 - 7 - 2) / (16 - 7)))


def test_two_groups_of_one_coalition_do_not_mix_their_parameters():
    coalition = make_coalition(MEMBERS, N)
    small, large = adversary("ipm", coalition, epsilon=0.1), adversary("ipm", coalition, epsilon=0.6)
    np.testing.assert_allclose(6.0 * small.gradient(make_turn(0, 1)), large.gradient(make_turn(0, 2)), rtol=1e-5)


@pytest.mark.parametrize("name", ["ipm", "alie"])
def test_without_honest_contributors_the_own_gradient_stands_in(name):
    sent = adversary(name).gradient(make_turn(0, 1, validators=HONEST))
    assert np.isfinite(sent).all()


@pytest.mark.parametrize("name", ADVERSARIES)
def test_what_is_sent_is_honest_or_is_meant_to_differ(name):
    """Attacks on the protocol leave the gradient alone; the very object, so that nothing is hashed twice."""
    on_gradients = {name for name, attack in ADVERSARIES.items() if attack.craft is not Byzantine.craft}
    at_first_honest = {"aggregation_shift", "shift_under_v3", "early_decryption", "free_rider"}
    on_gradients = on_gradients - at_first_honest | {"combine"}
    peer = adversary(name, start_step=1)
    for step in (0, 1):
        turn = make_turn(step, 1)
        is_honest = peer.gradient(turn) is turn.own_gradient()
        assert is_honest == (step == 0 or name not in on_gradients)
