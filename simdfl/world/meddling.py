"""Where Byzantine peers meddle with others' messages and calls: as relays and as block proposers.

Nothing is asked of them where none of them does, so that such runs are as fast as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simdfl.chain.proposer import ProposerPolicy
from simdfl.network import Message
from simdfl.peers.behaviour import Behaviour
from simdfl.protocols.verified import VerifiedPeer

if TYPE_CHECKING:
    from simdfl.world.build import World


def overrides(behaviours: Sequence[Behaviour], *names: str) -> bool:
    """Return whether any behaviour decides one of these differently from an honest peer."""
    return any(
        getattr(behaviour, name).__func__ is not getattr(Behaviour, name)
        for behaviour in behaviours
        for name in names
    )


def let_relays_meddle(world: World, behaviours: Sequence[Behaviour]) -> None:
    """Ask relays before they pass a broadcast on, if one of them may refuse."""
    meddlers = [peer for peer, behaviour in enumerate(behaviours) if overrides([behaviour], "relays")]
    if not meddlers:
        return

    def relays(peer: int, neighbour: int, message: Message) -> bool:
        return behaviours[peer].relays(message.step, message.sender, neighbour)

    world.network.filter_relays(relays, meddlers)


def let_peers_meddle(
    world: World, behaviours: Sequence[Behaviour], addresses: list[bytes], peers: Sequence[VerifiedPeer]
) -> None:
    """Let relays and proposers decide, if one of them decides anything of its own."""
    let_relays_meddle(world, behaviours)
    if world.chain is None or not overrides(behaviours, "includes", "front_runs"):
        return
    history = world.chain.history
    policy = ProposerPolicy(dict(enumerate(behaviours)), addresses, lambda: max(history.rosters, default=0))
    policy.clients = {peer.index: peer.chain for peer in peers}
    world.chain.proposers = policy
