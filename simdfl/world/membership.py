"""Who joins late, leaves or crashes: drawn among the honest peers."""

from __future__ import annotations

from simdfl.protocols.job import MembershipPlan
from simdfl.rng import Rng
from simdfl.scenario import Scenario


def draw_plans(scenario: Scenario, honest: frozenset[int], rng: Rng) -> dict[int, MembershipPlan]:
    """Return the plan of every peer that has one, by peer."""
    order = [int(peer) for peer in rng.stream("membership").permutation(sorted(honest))]
    plans: dict[int, MembershipPlan] = {}
    for group in scenario.membership:
        plan = MembershipPlan(group.join_step, group.leave_step, group.crash_step, group.return_after_s)
        plans.update({order.pop(): plan for _ in range(group.count)})
    return plans


def count_founders(scenario: Scenario) -> int:
    """Return how many peers start the job."""
    joining = sum(group.count for group in scenario.membership if group.join_step is not None)
    return scenario.peers.count - joining
