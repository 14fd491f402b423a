"""Who joins late or leaves: honest peers are drawn, Byzantine ones decide for themselves."""

from __future__ import annotations

from collections.abc import Sequence

from simdfl.peers.behaviour import Behaviour
from simdfl.protocols.job import MembershipPlan
from simdfl.rng import Rng
from simdfl.scenario import Scenario


def draw_plans(
    scenario: Scenario, honest: frozenset[int], behaviours: Sequence[Behaviour], rng: Rng
) -> dict[int, MembershipPlan]:
    """Return the plan of every peer that has one, by peer."""
    order = [int(peer) for peer in rng.stream("membership").permutation(sorted(honest))]
    plans: dict[int, MembershipPlan] = {}
    for group in scenario.membership:
        plan = MembershipPlan(group.join_step, group.leave_step)
        plans.update({order.pop(): plan for _ in range(group.count)})
    for peer, behaviour in enumerate(behaviours):
        if behaviour.joins_in() is not None:
            plans[peer] = MembershipPlan(behaviour.joins_in())
    return plans


def count_founders(plans: dict[int, MembershipPlan], n_peers: int) -> int:
    """Return how many peers start the job."""
    return n_peers - sum(plan.join_step is not None for plan in plans.values())
