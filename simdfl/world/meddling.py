"""Where Byzantine peers meddle with others' messages and calls: as relays and as block proposers.

Nothing is asked of them where none of them does, so that such runs are as fast as before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from contracts_model.deployment import Deployment
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.leaders import leader_policy
from simdfl.chain.proposer import ProposerPolicy
from simdfl.chain.sources import SharedSequencer
from simdfl.errors import UserError
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
    if world.chain is None:
        return
    proposes = overrides(behaviours, "includes", "front_runs", "puts_last")
    if let_leaders_meddle(world, addresses, peers):
        if proposes:
            raise UserError(
                "adversaries: with a shared sequencer its leaders propose blocks, not the peers; use "
                "chain.source.params.malicious and acts in place of an adversary that proposes"
            )
        return
    if not proposes:
        return
    policy = ProposerPolicy(dict(enumerate(behaviours)), addresses, open_step(world.chain))
    policy.clients = {peer.index: peer.chain for peer in peers}
    world.chain.proposers = policy


def let_leaders_meddle(world: World, addresses: list[bytes], peers: Sequence[VerifiedPeer]) -> bool:
    """Let elected leaders and their builders propose where there are any; return whether there are."""
    led = [chain for chain in world.chains.all if chain.profile.timing.elects] if world.chains is not None else []
    byzantine = frozenset(range(len(peers))) - world.honest
    for chain in led:
        source = chain.profile.timing
        assert isinstance(source, SharedSequencer)
        on_base = chain is not world.chain
        clients = [peer.anchor_duty.base if on_base and peer.anchor_duty else peer.chain for peer in peers]
        names = call_names(chain.job)
        chain.proposers = leader_policy(source, byzantine, addresses, names, open_step(chain), clients)
    return bool(led)


def open_step(chain: Blockchain) -> Callable[[], int]:
    """Return what tells the step that is open on a chain."""
    return lambda: max(chain.history.rosters, default=0)


def call_names(job: Deployment) -> list[str]:
    """Return the names of all calls that a job's contracts have."""
    kinds = [type(contract) for contract in job.contracts.values()]
    return sorted({name for kind in kinds for name in dir(kind) if hasattr(getattr(kind, name), "abi_types")})
