"""Where a verified job's contracts run: on a blockchain, or in the peers' own channel with anchors on one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from contracts_model import Call, Job
from contracts_model.anchor import AnchorJob
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.channel import PeerChannel, channel_profile
from simdfl.chain.host import ChainHost
from simdfl.chain.profiles import ChainProfile
from simdfl.chain.transaction import Transaction
from simdfl.crypto.beacon import RandomBeacon
from simdfl.crypto.signatures import Keypair
from simdfl.rng import Rng
from simdfl.scenario import Scenario

if TYPE_CHECKING:
    from simdfl.world.build import World

FUND_GAS_LIMIT = 200_000


@dataclass(frozen=True)
class Chains:
    """``main`` runs the job's contracts; ``base`` holds anchors and stakes, if the main one is a channel."""

    main: Blockchain
    base: Blockchain | None = None

    @property
    def all(self) -> list[Blockchain]:
        """Both, as far as there are."""
        return [self.main] if self.base is None else [self.main, self.base]

    @property
    def paid(self) -> Blockchain | None:
        """Where gas is paid: None if only the peers' own channel runs."""
        return self.base if isinstance(self.main, PeerChannel) else self.main

    def settlement(self, funded_wei: int) -> tuple[int, ...]:
        """Return what the channel's contracts gave every member beside the balance that it came with, in wei."""
        terms, wallets = self.main.job.terms, self.main.job.wallets
        return tuple(max(0, wallets.of(member) - funded_wei) for member in terms.members)


def make_chains(
    scenario: Scenario, world: World, contracts: Job, profile: ChainProfile, scheme: RandomBeacon
) -> Chains:
    """Return the chains of a run, by its anchoring policy; the protocol ``btard`` has a channel only."""
    env, network, observer, rng = world.env, world.network, world.observer, Rng(scenario.seed)
    anchoring = scenario.protocol.anchoring
    if scenario.protocol.name == "btard":
        return Chains(PeerChannel(env, network, contracts, main_profile(scenario, profile), observer))
    if anchoring.policy == "step":
        return Chains(Blockchain(env, network, contracts, profile, observer, rng=rng))
    channel = PeerChannel(env, network, contracts, main_profile(scenario, profile), observer)
    deployed = AnchorJob(
        contracts.terms,
        ChainHost(scheme),
        dict(contracts.balances),
        0,
        anchoring.policy == "dispute",
        anchoring.challenge_s,
    )
    return Chains(channel, Blockchain(env, network, deployed, profile, observer, "base", rng))


def main_profile(scenario: Scenario, profile: ChainProfile) -> ChainProfile:
    """Return the profile of where the contracts run: the chain's, or the channel's."""
    is_channel = scenario.protocol.name == "btard" or scenario.protocol.anchoring.policy != "step"
    return channel_profile(scenario.protocol.anchoring.round_ms * 1e-3) if is_channel else profile


def fund_rewards(scenario: Scenario, chain: Blockchain, owner: Keypair) -> Transaction:
    """Return the owner's transaction that fills the pot for all rewards the job can owe."""
    terms = chain.job.terms
    amount_wei = scenario.contracts.reward_wei * (scenario.protocol.steps + 1) * scenario.peers.count
    amount_wei += terms.contribution_wei * terms.contribution_rounds
    call = Call(owner.address, "treasury", "fund", (), amount_wei)
    fee_wei = 2 * chain.profile.base_fee_wei + chain.profile.priority_fee_wei
    tip_wei = chain.profile.priority_fee_wei
    unsigned = Transaction(call, chain.job.calldata(call), 0, FUND_GAS_LIMIT, fee_wei, tip_wei)
    return replace(unsigned, signature=owner.sign(unsigned.signing_digest(chain.chain_id)))
