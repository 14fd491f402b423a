"""From a scenario to the peers of a gossip protocol: mixing matrix, a rule for each, and what cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simdfl.aggregation import GOSSIP_RULES, GossipRule, make_gossip_rule
from simdfl.errors import UserError
from simdfl.learning.local_steps import StepEngine
from simdfl.peers.peer import Seat
from simdfl.protocols.async_gossip import AsyncGossipPeer
from simdfl.protocols.gossip import GossipJob, GossipStyle, RowBuffer
from simdfl.protocols.gossip_sgd import GossipSgdPeer
from simdfl.protocols.partners import Partners, make_partners
from simdfl.rng import Rng
from simdfl.scenario import Scenario
from simdfl.scenario.sections import RuleConfig

if TYPE_CHECKING:
    from simdfl.world.build import World

ALONE = ("mean", "mixing", "self_centred_clip")
"""Rules that judge a model by itself."""
REMEMBERING = {"fools_gold", "afa", "clipped_clustering"}
"""Rules that keep a memory of rows, which a neighbourhood with absent members cannot number."""


def add_gossip(world: World, rng: Rng, seats: list[Seat]) -> None:
    """Add the peers of a gossip protocol.

    Raises
    ------
    UserError
        If the rule cannot work here, or a peer has fewer neighbours than it should send to.
    """
    scenario, training = world.scenario, world.training
    gossip = scenario.protocol.gossip
    is_asynchronous = scenario.protocol.name == "async_gossip"
    if is_asynchronous:
        _check_fanout(world, gossip.fanout)
    partners = make_partners(gossip.partners, world.network.overlay, rng)
    _check_partners(world, gossip.partners)
    job = GossipJob(
        training,
        StepEngine(training.optimiser, training.engine.model.lanes),
        make_rules(world, partners),
        partners,
        GossipStyle(gossip.order, gossip.merge, gossip.fanout),
        scenario.protocol.steps,
        scenario.peers.count,
        float(scenario.contracts.aggregate_s),
        rng,
        world.observer,
        RowBuffer(training.n_parameters),
    )
    kind: Any = AsyncGossipPeer if is_asynchronous else GossipSgdPeer
    world.peers.extend(kind(seat, job) for seat in seats)


def _check_partners(world: World, partners: str) -> None:
    """Refuse one partner at a time where there is nothing to compare it with, or nobody is waited for."""
    protocol = world.scenario.protocol
    if partners == "all":
        return
    if protocol.name == "async_gossip":
        raise UserError(
            f"protocol.gossip.partners: async_gossip draws its own, got {partners}; set protocol.gossip.fanout"
        )
    if protocol.rule.name not in ALONE:
        raise UserError(
            f"protocol.rule.name: {protocol.rule.name!r} compares neighbours, and {partners} has one at a time; "
            f"use one of {', '.join(ALONE)}"
        )


def make_rules(world: World, partners: Partners) -> list[GossipRule]:
    """Return one rule for each peer; f defaults to the most Byzantine neighbours that an honest peer has."""
    config = world.scenario.protocol.rule
    name = "mixing" if config.name == "mean" else config.name
    _check_rule(world.scenario, config)
    network = world.network
    around = [network.neighbours(peer) for peer in range(network.n_peers)]
    liars = max(sum(other not in world.honest for other in around[peer]) for peer in world.honest)
    sizes = [partners.most(peer) for peer in range(network.n_peers)]
    return [make_gossip_rule(name, config.params, size, min(liars, size), config.then) for size in sizes]


def _check_rule(scenario: Scenario, config: RuleConfig) -> None:
    if scenario.protocol.name == "async_gossip" and config.name not in {"mean", *GOSSIP_RULES}:
        raise UserError(
            f"protocol.rule.name: {config.name!r} needs a whole neighbourhood, but in async_gossip models arrive "
            f"one by one; use gossip_sgd or one of {', '.join(GOSSIP_RULES)}"
        )
    link: RuleConfig | None = config
    while link is not None:
        if link.name in REMEMBERING:
            raise UserError(
                f"protocol.rule.name: {link.name!r} remembers rows by number, which a neighbourhood does not "
                "keep; use a rule without memory such as self_centred_clip"
            )
        link = link.then


def _check_fanout(world: World, fanout: int) -> None:
    least = min(degree for _, degree in world.network.overlay.degree)
    if fanout > least:
        raise UserError(
            f"protocol.gossip.fanout: {fanout} is more than the {least} neighbours of some peer; "
            f"use at most {least} or more links"
        )
