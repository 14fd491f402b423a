"""Attacks on the data, backdoors and their success, combinations: what is sent, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pytest

from adversaries import make_adversary
from simdfl.learning.poison import EdgeCase, Noise, Poison, RandomLabels, Relabel, Stamp
from simdfl.peers.behaviour import Behaviour, Turn
from simdfl.scenario import loads
from simdfl.testing import LeastSquares, make_coalition, make_turn
from simdfl.world import RunResult, build

MEMBERS, N = (1, 2, 5), 9
HONEST = (0, 3, 4, 6, 7, 8)
PROBLEM = LeastSquares()


def adversary(name: str, coalition=None, **params):
    return make_adversary(name, params, coalition=coalition or make_coalition(MEMBERS, N))


def own(peer: int, poison: Poison | None = None) -> np.ndarray:
    return PROBLEM.gradient(0, peer, poison)


@pytest.mark.parametrize(
    "name, params, poison",
    [
        ("label_flip", {"source": 2, "target": 0}, Relabel((0, 1, 0))),
        ("random_labels", {"share": 0.5}, RandomLabels(0.5)),
        ("noisy_data", {"std": 0.3}, Noise(0.3)),
        ("backdoor", {"target": 2, "share": 0.3}, Stamp(2, 2, 1.0, 0.3)),
        ("distributed_backdoor", {"target": 2}, Stamp(2, 2, 1.0, 0.5, 1, 3)),
        ("edge_case", {"source": 2, "target": 1}, EdgeCase(2, 1)),
    ],
)
def test_data_attacks_send_the_gradient_of_their_poison(name, params, poison):
    np.testing.assert_array_equal(adversary(name, **params).gradient(make_turn(0, 2)), own(2, poison))


def test_neurotoxin_leaves_busy_coordinates_alone():
    mean = np.abs(np.mean([own(peer) for peer in HONEST], axis=0, dtype=np.float64))
    busy = mean >= np.sort(mean)[-4]  # 0.2 of 21
    expected = np.where(busy, 0.0, own(1, Stamp(0)))
    np.testing.assert_array_equal(adversary("neurotoxin", avoided=0.2).gradient(make_turn(0, 1)), expected)


def test_model_replacement_makes_the_mean_that_of_the_poison():
    sent = [adversary("model_replacement").gradient(make_turn(0, peer)) for peer in MEMBERS]
    poisoned = np.mean([own(peer, Stamp(0)) for peer in MEMBERS], axis=0)
    np.testing.assert_allclose(np.sum(sent, axis=0) / N, poisoned, rtol=1e-5)


def test_alternating_minimisation_alternates():
    malicious, g = own(1, Stamp(0, share=1.0)).astype(np.float64), own(1).astype(np.float64)
    mean = np.mean([own(peer) for peer in HONEST], axis=0, dtype=np.float64)
    x = np.zeros_like(g)
    for k in (1, 2):
        x = x + 3.0 * malicious / 2 + g / 2
        x = x - 0.5 * (x - k / 2 * mean)
    sent = adversary("alter_min", boost=3.0, rho=0.5, rounds=2).gradient(make_turn(0, 1))
    np.testing.assert_allclose(sent, x, rtol=1e-4, atol=1e-6)


def test_accomplices_ask_for_one_another_from_the_second_step_on():
    coalition, asked = make_coalition(MEMBERS, N), []
    peers = {peer: adversary("backdoor", coalition) for peer in MEMBERS}
    for step in range(2):
        base = make_turn(step)
        for peer in MEMBERS:
            turn = Turn(
                step,
                peer,
                base.roster,
                base.contributors,
                base.gradient_of,
                ask=lambda p, _, s=step: asked.append((s, p)),
            )
            peers[peer].gradient(turn)
    assert asked == [(0, 1), (1, 1), (1, 2), (1, 5)]


# ---- success


RUN = """
name: door
protocol: {name: all_reduce, steps: 40}
peers: {count: 8}
topology: {name: complete}
learning: {model: {name: mlp, params: {hidden: [32]}}, evaluate_every: 20, optimiser: {learning_rate: 0.2}}
"""


def run(adversaries: str = "[]", *overrides: str) -> RunResult:
    return build(loads(RUN, "door", [f"adversaries={adversaries}", *overrides]).scenario).run()


def test_a_backdoor_opens_while_accuracy_stays() -> None:
    calm = run()
    assert calm.attack_success is None
    assert all(row["attack_success"] is None for row in calm.steps)
    planned = run("[{name: backdoor, count: 2, start_step: 1000, params: {target: 7}}]")
    assert planned.attack_success is not None
    assert planned.attack_success < 0.35
    for name in ("backdoor", "distributed_backdoor", "model_replacement"):
        open_ = run(f"[{{name: {name}, count: 2, params: {{target: 7}}}}]")
        assert open_.attack_success is not None
        assert open_.attack_success > planned.attack_success + 0.3
        assert open_.accuracy > calm.accuracy - 0.1 or name == "model_replacement"
        evaluated = [row["attack_success"] for row in open_.steps if row["accuracy"] is not None]
        assert len(evaluated) == 3
        assert evaluated[-1] == open_.attack_success


def test_goals_of_several_groups_are_measured_together() -> None:
    both = run(
        "[{name: edge_case, count: 1, params: {source: 4, target: 9}}, "
        "{name: label_flip, count: 2, params: {source: 3, target: 8}}]",
        "protocol.steps=3",
    )
    assert both.attack_success is not None
    assert 0.0 <= both.attack_success <= 1.0


# ---- combinations


def test_each_decision_is_the_first_parts_that_has_an_opinion():
    attacks = [{"name": "withhold_part", "victims": 6}, {"name": "sign_flip", "scale": 2.0}, {"name": "zero"}]
    peer, turn = adversary("combine", attacks=attacks), make_turn(0, 1)
    np.testing.assert_array_equal(peer.gradient(turn), np.float32(-2.0) * own(1))
    assert not any(peer.sends_part(turn, receiver) for receiver in HONEST)
    assert peer.sends_aggregate(turn, 0)
    assert peer.reveals(turn)
    assert peer.attests(turn, 2, False) is True  # an accomplice is covered for


def test_parts_of_a_combination_share_its_schedule():
    attacks = [{"name": "sign_flip"}, {"name": "withhold_reveal"}]
    peer = make_adversary(
        "combine", {"attacks": attacks}, coalition=make_coalition(MEMBERS, N), start_step=3, period=2
    )
    lies = [step for step in range(7) if not peer.reveals(make_turn(step, 1))]
    flips = [step for step in range(7) if (peer.gradient(make_turn(step, 1)) != PROBLEM.gradient(step, 1)).any()]
    assert lies == flips == [3, 5]


def test_a_combination_may_carry_a_goal_and_infinities():
    peer = adversary("combine", attacks=[{"name": "backdoor", "target": 1}, {"name": "flooding"}])
    assert peer.goal() == Stamp(1, 2, 1.0, 0.5)
    assert peer.sends_finite
    assert not adversary("combine", attacks=[{"name": "nan"}]).sends_finite
    assert Behaviour().goal() is None
