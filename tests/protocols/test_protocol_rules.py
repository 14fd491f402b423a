"""Every rule of the shelf, in the protocols that let one choose."""

from __future__ import annotations

import numpy as np
import pytest

from simdfl.aggregation import PRE_AGGREGATORS, RULES
from simdfl.scenario import loads
from simdfl.world import build

SCENARIO = """
name: rules
protocol: {{name: {protocol}, steps: 3, rule: {rule}}}
peers: {{count: 7}}
adversaries: [{{name: sign_flip, count: 1, params: {{scale: 1000}}}}]
topology: {{name: complete}}
learning:
  model: {{params: {{hidden: [4]}}}}
  batch_size: 8
  evaluate_every: 3
"""


def run(protocol, rule):
    world = build(loads(SCENARIO.format(protocol=protocol, rule=rule)).scenario)
    result = world.run()
    return world, result


@pytest.mark.parametrize("name", [*RULES, *PRE_AGGREGATORS])
@pytest.mark.parametrize("protocol", ["parameter_server", "all_reduce"])
def test_every_rule_trains_under_attack(protocol, name):
    rule = f"{{name: {name}, then: {{name: median}}}}" if name in PRE_AGGREGATORS else f"{{name: {name}}}"
    world, result = run(protocol, rule)
    assert result.outcome == "completed"
    states = {peer.state.digest for peer in world.peers}
    assert len(states) == 1
    moved = np.linalg.norm(world.peers[0].state.params - world.training.genesis.params)
    assert moved > 0.0
    if "liars" not in world.peers[0].job.rule.breaks:
        assert moved < 20.0


@pytest.mark.parametrize(
    "rule", ["{name: flame}", "{name: bucketing, then: {name: median}}", "{name: fltrust}", "{name: afa}"]
)
def test_rules_with_a_context_repeat_bit_for_bit(rule):
    first, second = (run("parameter_server", rule)[0].peers[0].state.digest for _ in range(2))
    assert first == second


def test_the_root_belongs_to_no_peer():
    world, _ = run("parameter_server", "{name: fltrust}")
    job, state = world.peers[0].job, world.training.genesis
    root = job.root(state, 0)
    turn = world.peers[0].turn(0)
    assert all(np.abs(turn.gradient_of(peer) - root).max() > 0 for peer in range(7))
    plain, _ = run("parameter_server", "{name: mean}")
    assert plain.peers[0].job.root(state, 0) is None
