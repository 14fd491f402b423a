"""Who joins late or leaves: honest peers are drawn, Byzantine ones decide for themselves."""

from __future__ import annotations

from collections.abc import Sequence

from simdfl.errors import UserError
from simdfl.peers.behaviour import Behaviour
from simdfl.protocols.job import MembershipPlan
from simdfl.rng import Rng
from simdfl.scenario import Scenario


def draw_plans(
    scenario: Scenario, honest: frozenset[int], behaviours: Sequence[Behaviour], rng: Rng
) -> dict[int, MembershipPlan]:
    """Return the plan of every peer that has one, by peer; who fails has no other plans.

    Raises
    ------
    UserError
        If there are fewer honest peers without a fault than plans.
    """
    sound = [peer for peer in sorted(honest) if type(behaviours[peer]) is Behaviour]
    order = [int(peer) for peer in rng.stream("membership").permutation(sound)]
    plans: dict[int, MembershipPlan] = {}
    for group in scenario.membership:
        plan = MembershipPlan(group.join_step, group.leave_step)
        if group.count > len(order):
            raise UserError("membership: not enough honest peers are left that have no fault; use fewer")
        plans.update({order.pop(): plan for _ in range(group.count)})
    for peer, behaviour in enumerate(behaviours):
        if behaviour.joins_in() is not None:
            plans[peer] = MembershipPlan(behaviour.joins_in())
    return plans


def count_founders(plans: dict[int, MembershipPlan], n_peers: int) -> int:
    """Return how many peers start the job."""
    return n_peers - sum(plan.join_step is not None for plan in plans.values())
