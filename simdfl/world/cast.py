"""The cast of a run: who lies, who fails, who is honest, and by what the liars' success is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adversaries import make_adversary, make_fault
from simdfl.learning.data import Dataset
from simdfl.learning.poison import Records
from simdfl.peers.behaviour import Behaviour, Coalition
from simdfl.rng import Rng
from simdfl.scenario import Scenario
from simdfl.scenario.adversary import PeerGroup


def draw_byzantine(scenario: Scenario, rng: Rng) -> list[list[int]]:
    """Draw who is Byzantine, group by group: never simply the first b."""
    n = scenario.peers.count
    both: list[PeerGroup] = [*scenario.adversaries, *scenario.faults]
    named = {peer for group in both for peer in group.peers or ()}
    order = [int(p) for p in rng.stream("byzantine").permutation(n) if int(p) not in named]
    return _deal_out(scenario.adversaries, order, n)


def roles(scenario: Scenario) -> list[str]:
    """Return what every peer is: honest, or the name of its attack; a fault stands behind a comma."""
    rng = Rng(scenario.seed)
    names = ["honest"] * scenario.peers.count
    groups = draw_byzantine(scenario, rng)
    for group, members in zip(scenario.adversaries, groups):
        for peer in members:
            names[peer] = group.name
    byzantine = frozenset(peer for members in groups for peer in members)
    for fault, members in zip(scenario.faults, _draw_failing(scenario, rng, byzantine)):
        for peer in members:
            names[peer] += f", {fault.name}"
    return names


def _draw_failing(scenario: Scenario, rng: Rng, byzantine: frozenset[int]) -> list[list[int]]:
    """Draw which honest peers fail, group by group."""
    n = scenario.peers.count
    named = {peer for group in scenario.faults for peer in group.peers or ()} | byzantine
    order = [int(p) for p in rng.stream("failing").permutation(n) if int(p) not in named]
    return _deal_out(scenario.faults, order, n)


def _deal_out(groups: Sequence[PeerGroup], order: list[int], n: int) -> list[list[int]]:
    """Return each group's peers: those it names, or the next of the drawn order."""
    dealt = []
    for group in groups:
        if group.peers is not None:
            dealt.append(sorted(group.peers))
        else:
            count = group.size(n)
            dealt.append(sorted(order[:count]))
            order = order[count:]
    return dealt


def make_behaviours(scenario: Scenario, rng: Rng, groups: list[list[int]], n_classes: int) -> list[Behaviour]:
    """Return one behaviour per peer; all Byzantine peers collude, whatever their group."""
    behaviours: list[Behaviour] = [Behaviour() for _ in range(scenario.peers.count)]
    everyone = frozenset(peer for members in groups for peer in members)
    coalition_rng = Rng(int.from_bytes(rng.key("coalition")[:8], "little"))
    coalition = Coalition(everyone, scenario.peers.count, n_classes, coalition_rng)
    for group, members in zip(scenario.adversaries, groups):
        for peer in members:
            behaviours[peer] = make_adversary(
                group.name,
                group.params,
                coalition=coalition,
                start_step=group.start_step,
                stop_step=group.stop_step,
                period=group.period,
            )
    for fault, failing in zip(scenario.faults, _draw_failing(scenario, rng, everyone)):
        schedule = {"start_step": fault.start_step, "stop_step": fault.stop_step, "period": fault.period}
        for peer in failing:
            behaviours[peer] = make_fault(fault.name, fault.params, **schedule)
    return behaviours


def attack_goal(behaviours: Sequence[Behaviour], dataset: Dataset) -> Records | None:
    """Return the test records, with wanted labels, by which the attacks' success is measured, or None."""
    goals = {goal for goal in (behaviour.goal() for behaviour in behaviours) if goal is not None}
    records = [goal.goal(dataset) for goal in sorted(goals, key=repr)]
    wanted = [pair for pair in records if pair is not None]
    if not wanted:
        return None
    return np.concatenate([x for x, _ in wanted]), np.concatenate([y for _, y in wanted])
