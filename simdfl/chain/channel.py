"""The peers' own channel: blocks without a chain, made by the peers in turn and certified by more than half.

Under the anchoring policies ``epoch`` and ``dispute`` the steps do not wait for a blockchain. Calls are gossiped;
in every round the next peer of the roster gossips a block of those that it has heard of; everybody executes it
and sends the proposer a signed vote; the proposer gossips the certificate, and on that peers act. A block stands
only on a certified one, so with an honest majority and timely messages there is one history. What it lacks: it
stops when more than half are gone or the network is split, and a proposer may leave calls out for a round.

Messages are those of a linear-communication BFT protocol (HotStuff, Yin et al., PODC 2019, section 4) with a
quorum of a majority, which needs synchrony (Abraham et al., *Sync HotStuff*, S&P 2020). View changes are as
simple as can be: a silent proposer's round passes without a block, and if a proposer falls silent before it has
gossiped the certificate, the next peer gossips its block again and collects the votes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from simdfl.chain.block import Block
from simdfl.chain.blockchain import BLOCK_HEADER_BYTES, Blockchain
from simdfl.chain.client import ChainClient
from simdfl.chain.forks import Header
from simdfl.chain.profiles import ChainProfile
from simdfl.chain.sources import Found
from simdfl.chain.transaction import Transaction
from simdfl.crypto.signatures import Keypair
from simdfl.kernel import Inbox
from simdfl.kernel.actor import Life
from simdfl.network import Message, Network, Traffic

HASH_BYTES = 32
VOTE_BYTES = 32 + 8 + 65
SIGNATURE_BYTES = 65
SETTLE_S = 3.0
"""A call's way through gossip, block, votes and certificate takes no longer, as a rule."""
PATIENCE_S = 10.0
"""Without a certificate after so long, somebody else collects the votes."""


def channel_profile(round_s: float) -> ChainProfile:
    """Return a profile without gas prices and limits that matter."""
    return ChainProfile("peer_channel", round_s, 1 << 40, 0, 0)


@dataclass
class _Round:
    """A block on its way to its certificate."""

    block: Block
    leader: int
    since_s: float
    voters: set[int] = field(default_factory=set)
    certified: bool = False


class PeerChannel(Blockchain):
    """The channel; the parameters are those of a :class:`~simdfl.chain.blockchain.Blockchain`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.clients: dict[int, ChannelClient] = {}
        self._heard: dict[int, set[bytes]] = defaultdict(set)
        self._rounds: dict[int, _Round] = {}
        self._leader = 0
        super().__init__(*args, **more)

    def _connect(self) -> None:
        """Listen nowhere: every peer is its own entry point."""

    def post(self, message: Message) -> None:
        """Gossip a call."""
        self._network.broadcast(message)

    def admit(self, transaction: Transaction) -> None:
        """Let everybody have heard of a call."""
        for peer in range(self._network.n_peers):
            self.hear(peer, transaction)

    def hear(self, peer: int, transaction: Transaction) -> None:
        """Note that a call has reached a peer."""
        if transaction.signature not in self._heard[peer]:
            self._heard[peer].add(transaction.signature)
            if transaction.nonce >= self.nonces.get(transaction.call.sender, 0) and self._is_valid(transaction):
                self._pool(transaction)

    # ---- rounds

    def roster(self) -> list[int]:
        """Return who makes and certifies blocks: the roster of the newest step, before that everybody."""
        rosters = self.history.rosters
        return rosters[max(rosters)] if rosters else list(range(self._network.n_peers))

    def run(self) -> Life:
        """Let the peers propose in turn, for ever; a round without calls, or without its proposer, passes."""
        number = 0
        while True:
            number += 1
            yield self.env.until_time(number * self.profile.block_time_s)
            roster = self.roster()
            leader = roster[number % len(roster)]
            self._take_over(leader)
            if len(self.mempool) and self._can_propose(leader):
                self._leader = leader
                self._take(Found(self.env.now, leader))

    def _take_over(self, leader: int) -> None:
        """Let this peer collect the votes on the last block, if its proposer has not certified it for long."""
        last = self._rounds.get(len(self.blocks))
        if last is None or last.certified or self._network.is_down(leader):
            return
        if self.env.now - last.since_s >= PATIENCE_S:
            last.leader, last.since_s, last.voters = leader, self.env.now, set()
            self._gossip(last)

    def _can_propose(self, leader: int) -> bool:
        last = self._rounds.get(len(self.blocks))
        knows = last is None or (last.certified and self.clients[leader].head >= last.block.number)
        return knows and not self._network.is_down(leader)

    def _includes(self, transaction: Transaction) -> bool:
        return transaction.signature in self._heard[self._leader] and super()._includes(transaction)

    def _propose(self, header: Header) -> None:
        """Take the leader of the round as the proposer: it was drawn by the roster's turn."""
        self._proposer = self._leader

    def _publish(self) -> None:
        """Gossip the block of this round; an empty one is dropped again."""
        block = self.blocks[-1]
        if not block.receipts:
            self.blocks.pop()
            self._times_s.pop()
            self.tree.drop()
            return
        self._rounds.pop(block.number - 2, None)
        proposed = self._rounds[block.number] = _Round(block, self._leader, self.env.now)
        self._gossip(proposed)

    def _gossip(self, proposed: _Round) -> None:
        """Gossip a block from its leader, who votes for it first."""
        block, leader = proposed.block, proposed.leader
        size = BLOCK_HEADER_BYTES + SIGNATURE_BYTES + HASH_BYTES * len(block.receipts)
        self._network.broadcast(Message("PROPOSAL", block.number, leader, block, size, Traffic.CHAIN))
        self.count(block.number, leader, leader)

    def before(self, number: int) -> int:
        """Return the block before `number`: all are sent."""
        return number - 1

    def count(self, number: int, voter: int, collector: int) -> None:
        """Count a vote that has reached its proposer; with more than half, gossip the certificate."""
        current = self._rounds.get(number)
        if current is None or current.certified or current.leader != collector:
            return
        roster = self.roster()
        current.voters.add(voter)
        votes = len(current.voters & set(roster))
        if 2 * votes > len(roster):
            current.certified = True
            size = HASH_BYTES + SIGNATURE_BYTES * votes
            certificate = Message("CERTIFICATE", number, current.leader, current.block, size, Traffic.CHAIN)
            self._network.broadcast(certificate)

    def leader_of(self, number: int) -> int | None:
        """Return who collects the votes on a block, if it is still open."""
        current = self._rounds.get(number)
        return None if current is None or current.certified else current.leader

    def missed(self, head: int) -> list[Block]:
        """Return the certified blocks after `head`."""
        return [block for block in self.blocks[head:] if self.leader_of(block.number) is None]


class ChannelClient(ChainClient):
    """One peer's access to the channel: it relays, executes and votes, and acts on certified blocks."""

    _chain: PeerChannel

    def _listen(self) -> None:
        self._fetched = 0
        self._chain.clients[self.peer] = self
        self._inbox.listen("TX", lambda step, sender, message: self._chain.hear(self.peer, message.content))
        self._inbox.listen("PROPOSAL", self._vote)
        self._inbox.listen("VOTE", lambda number, sender, message: self._chain.count(number, sender, self.peer))
        self._inbox.listen("CERTIFICATE", self._receive)

    @property
    def inclusion_s(self) -> float:
        """Seconds within which a call sent now has been certified and seen, as a rule."""
        return 2 * self.block_time_s + SETTLE_S

    def _vote(self, number: int, sender: int, message: Message) -> None:
        leader = self._chain.leader_of(number)
        if leader is not None and self.peer in self._chain.roster() and self.peer != leader:
            vote = Message("VOTE", number, self.peer, message.content.hash, VOTE_BYTES, Traffic.CHAIN)
            self._network.send(vote, leader)

    def _fetch(self) -> None:
        """Fetch the certified blocks after one's head from an overlay neighbour, the next one every time."""
        neighbours = self._network.neighbours(self.peer)
        neighbour = neighbours[self._fetched % len(neighbours)]
        self._fetched += 1
        for block in self._chain.missed(self.head):
            size = BLOCK_HEADER_BYTES + HASH_BYTES * len(block.receipts)
            copy = Message("CERTIFICATE", block.number, neighbour, block, size, Traffic.CHAIN)
            self._network.send(copy, self.peer)


def make_client(peer: int, keypair: Keypair, chain: Blockchain, network: Network, inbox: Inbox) -> ChainClient:
    """Return a peer's access to a chain or channel."""
    kind = ChannelClient if isinstance(chain, PeerChannel) else ChainClient
    return kind(peer, keypair, chain, network, inbox)
