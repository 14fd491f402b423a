"""The chain as an actor: it takes transactions, makes blocks as its source finds them, and sends them to peers.

Blocks are executed when they become part of the longest branch, by the contracts themselves; each carries the
hash of the one before. When a branch overtakes, the last blocks are taken back, their transactions wait again,
and the other branch is executed (:mod:`simdfl.chain.forks`, :mod:`simdfl.chain.execution`). What it leaves out:
peers at different entry points, who would see different heads for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts_model import Event
from contracts_model.abi import AbiError
from contracts_model.deployment import Deployment
from contracts_model.runtime import Revert
from simdfl.chain.block import Block, BlockProduced, ContractEvent, Reorganised, block_hash, event_json
from simdfl.chain.demand import make_demand
from simdfl.chain.execution import Execution
from simdfl.chain.forks import KEPT, Header, Tree
from simdfl.chain.history import ChainHistory
from simdfl.chain.mempool import Precedence, by_tip
from simdfl.chain.profiles import ChainProfile
from simdfl.chain.proposer import ProposerPolicy
from simdfl.chain.sources import Found
from simdfl.chain.transaction import Receipt, Transaction
from simdfl.crypto.hashing import digest
from simdfl.crypto.signatures import recover
from simdfl.errors import CryptoError
from simdfl.kernel import Actor, Environment
from simdfl.kernel.actor import Life
from simdfl.network import Message, Network, Traffic
from simdfl.rng import Rng
from simdfl.trace import Tracer

BLOCK_HEADER_BYTES = 512
EVENT_BYTES = 96
"""A log entry as a light client receives it: topic, address and the proof's share."""
BARRIERS = {"Exchange", "Final", "StepOpened"}
"""Events that let a step go on: all commitments, all aggregates, or the beacon's output are there."""


class Blockchain(Actor):
    """The block source, with the job's contracts deployed on it.

    Parameters
    ----------
    env : Environment
        The clock.
    network : Network
        Transactions arrive at its infrastructure host; blocks leave from there.
    job : Deployment
        The contracts.
    profile : ChainProfile
        Block source, limits and fees.
    tracer : Tracer
        Receives blocks and contract events.
    name : str
        Tells apart the chains of one run: their messages, events and signatures.
    rng : Rng
        Where the source's chances come from.
    """

    def __init__(
        self,
        env: Environment,
        network: Network,
        job: Deployment,
        profile: ChainProfile,
        tracer: Tracer,
        name: str = "chain",
        rng: Rng | None = None,
    ) -> None:
        super().__init__(env)
        self._network = network
        self.job = job
        self.profile = profile
        self._trace = tracer
        self.name = name
        self.chain_id = digest("simdfl/chain", name.encode(), job.terms.job_digest)
        self.blocks: list[Block] = []
        rng = rng or Rng(0)
        self.execution = Execution(job, profile, KEPT * profile.can_fork, make_demand(profile, rng, name))
        self.mempool, self.nonces = self.execution.mempool, self.execution.nonces
        self.tree = Tree(profile.timing.delay_s)
        self.rejected = self.expired = 0
        self.reorganised: list[Reorganised] = []
        self._rng = rng.stream("blocks", name)
        self._forced = list(profile.reorgs)
        self._published = 0
        self._times_s: list[float] = []
        self._forks: tuple[int, ...] = ()
        self._told: tuple[int, ...] = ()
        self.barriers_s: list[tuple[float, float, int]] = []
        self.waits_s: list[tuple[bytes, float]] = []
        self._arrived_s: dict[bytes, float] = {}
        self.history = ChainHistory()
        self.on_block: list[Callable[[Block], None]] = []
        self.on_reorganised: list[Callable[[Reorganised], None]] = []
        self.proposers: ProposerPolicy | None = None
        self._proposer = 0
        for event in job.genesis_events:
            self.history.record(event)
        self._connect()

    def _connect(self) -> None:
        """Listen at the chain's entry point."""
        self._network.attach(self._network.host, self.inbox)
        self.inbox.listen("TX", self._receive)
        self.inbox.listen("SYNC", self._serve_sync)

    def post(self, message: Message) -> None:
        """Carry a peer's transaction to where blocks are made."""
        self._network.send(message, self._network.host)

    def _receive(self, step: int, sender: int, message: Message) -> None:
        """Admit a transaction to the mempool if its signature and calldata are right."""
        transaction: Transaction = message.content
        if not self._is_valid(transaction) or not self._pool(transaction):
            self.rejected += 1

    def next_nonce(self, sender: bytes) -> int:
        """Return the nonce of a sender's next transaction, what waits in the mempool included."""
        return max(self.nonces.get(sender, 0), self.mempool.next_nonce(sender))

    def admit(self, transaction: Transaction) -> None:
        """Put a transaction into the mempool without a way over the network: the owner's, whose host this is."""
        self._pool(transaction)

    def _pool(self, transaction: Transaction) -> bool:
        """Add a transaction to the mempool; return whether it is new there."""
        self._arrived_s.setdefault(transaction.signature, self.env.now)
        return self.mempool.add(transaction)

    def _is_valid(self, transaction: Transaction) -> bool:
        try:
            signer = recover(transaction.signing_digest(self.chain_id), transaction.signature)
            encoded = self.job.calldata(transaction.call)
        except (AbiError, CryptoError, OverflowError, Revert):
            return False
        within = transaction.gas_limit <= self.profile.tx_gas_cap
        return within and signer == transaction.call.sender and encoded == transaction.calldata

    @property
    def base_fee_wei(self) -> int:
        """Base fee of the next block, wei per gas."""
        return self.execution.base_fee_wei

    @property
    def stale(self) -> int:
        """Blocks that were made and are not part of the chain now."""
        return self.tree.made - len(self.blocks)

    @property
    def fees_wei(self) -> int:
        """Fees paid so far."""
        return self.execution.fees_wei

    def run(self) -> Life:
        """Take the blocks that the source finds, for ever."""
        for found in self.profile.timing.found(self._rng):
            yield self.env.until_time(found.at_s)
            self._take(found)

    def _take(self, found: Found) -> None:
        """Put a block into the tree; go over to its branch if that is now the longest."""
        arrivals = self.mempool.arrivals
        if self._forced and found.at_s >= self._forced[0][0] and self.blocks:
            header = self.tree.overtake(found, self._forced.pop(0)[1], arrivals)
        else:
            header = self.tree.place(found, arrivals)
        if header.number <= len(self.blocks):
            return
        ancestor, branch = self.tree.adopt(header)
        if ancestor < len(self.blocks):
            self._abandon(ancestor)
        for step in branch:
            self._produce(step)
        self._publish()

    def _abandon(self, ancestor: int) -> None:
        """Take back the blocks after `ancestor`, the last one first; what they did has not happened."""
        depth = len(self.blocks) - ancestor
        event = Reorganised(self.name, ancestor, depth, self.blocks[-1].hash)
        for _ in range(depth):
            self.execution.take_back()
            self.blocks.pop()
            self._times_s.pop()
        self.reorganised.append(event)
        self._trace(self.env.now, event)
        self.history.rebuild([*self.job.genesis_events, *(e for block in self.blocks for e in block.events)])
        if ancestor < self._published:
            self._forks = (*self._forks, ancestor)
            self._published = ancestor
        self.barriers_s = [barrier for barrier in self.barriers_s if barrier[2] <= ancestor]
        for watcher in self.on_reorganised:
            watcher(event)

    def _produce(self, header: Header) -> None:
        """Execute a block on the head."""
        number, timestamp_s, base_fee_wei = header.number, int(header.at_s), self.base_fee_wei
        self._propose(header)
        self._let_expire()
        arrivals = self.mempool.arrivals if header is self.tree.head else header.arrivals
        receipts = self.execution.execute(number, header.at_s, arrivals, self._includes, self._precedence(header))
        leader = header.maker if self.profile.timing.elects else None
        self._note_barriers(receipts)
        events: tuple[Event, ...] = tuple(event for receipt in receipts for event in receipt.events)
        own_gas, outside_gas = sum(receipt.gas_used for receipt in receipts), self.execution.outside_gas
        parent = self.blocks[-1].hash if self.blocks else self.chain_id
        block = Block(
            number,
            timestamp_s,
            parent,
            block_hash(number, timestamp_s, parent, base_fee_wei, receipts, outside_gas, leader),
            base_fee_wei,
            own_gas + outside_gas,
            tuple(receipts),
            events,
            outside_gas,
            self._forks,
            leader,
        )
        self.blocks.append(block)
        self._times_s.append(header.at_s)
        if receipts:
            self._trace(self.env.now, BlockProduced(number, block.hash, len(receipts), own_gas))
        for event in block.events:
            self.history.record(event)
            self._trace(self.env.now, ContractEvent(event.name, event_json(event.fields)))
        for watcher in self.on_block:
            watcher(block)

    def _let_expire(self) -> None:
        """Drop what has waited for too long."""
        if self.profile.expiry_s is None:
            return
        earliest_s = self.env.now - self.profile.expiry_s
        self.expired += self.mempool.drop(lambda t: self._arrived_s.get(t.signature, self.env.now) < earliest_s)

    def _note_barriers(self, receipts: Sequence[Receipt]) -> None:
        """Note how long every call that ended a phase of a step waited here until peers may act on it.

        Behind elected leaders, also how long every call waited for its block.
        """
        depth_s = self.profile.finality_blocks * self.profile.block_time_s
        depth_s += self.profile.timing.settled_at(self.env.now) - self.env.now
        for receipt in receipts:
            arrived_s = self._arrived_s.get(receipt.signature, self.env.now)
            if self.profile.timing.elects:
                self.waits_s.append((receipt.sender, self.env.now - arrived_s))
            if not self.execution.keeps:
                self._arrived_s.pop(receipt.signature, None)
            if any(event.name in BARRIERS for event in receipt.events):
                self.barriers_s.append((self.env.now, self.env.now - arrived_s + depth_s, receipt.block))

    def _propose(self, header: Header) -> None:
        """Draw who makes this block, and let it add what it wants to run first.

        A branch that overtakes has been made before: nobody reacts to what waits now.
        """
        if self.proposers is None:
            return
        self._proposer = self.proposers.draw(self.chain_id, header)
        if header is not self.tree.head:
            return
        for copy in self.proposers.copies(self._proposer, self.mempool.pending()):
            self.mempool.add(copy)

    def _includes(self, transaction: Transaction) -> bool:
        """Return whether the proposer of this block includes a transaction that could be."""
        return self.proposers is None or self.proposers.includes(self._proposer, transaction)

    def _precedence(self, header: Header) -> Precedence:
        """Return how the proposer of this block orders it."""
        if self.proposers is None:
            return by_tip
        return self.proposers.precedence(self._proposer, header.at_s)

    def _settled(self) -> int:
        """Return how many blocks the source lets peers act on, the finality depth aside."""
        settled_at, number = self.profile.timing.settled_at, len(self.blocks)
        while number and settled_at(self._times_s[number - 1]) > self.env.now:
            number -= 1
        return number

    def _is_news(self, block: Block) -> bool:
        """Return whether peers are sent a block: it has events or, where forks happen, failed calls."""
        return bool(block.events or (self.profile.can_fork and block.receipts))

    def _publish(self) -> None:
        """Send peers the blocks on which they may act now: up to the head less the finality depth.

        After a fork the first one is sent even if nothing happened in it: it tells them to go back.
        """
        last = self._settled() - self.profile.finality_blocks
        news = [block for block in self.blocks[self._published : max(last, 0)] if self._is_news(block)]
        if not news and last > self._published and self._forks != self._told:
            news = [self.blocks[last - 1]]
        self._published = max(last, self._published)
        for block in news:
            self._told = block.forks
            message = self._block_message(block)
            for peer in range(self._network.n_peers):
                self._network.send(message, peer)

    def before(self, number: int) -> int:
        """Return the last block before `number` that peers are sent, 0 for none: those without events are not."""
        earlier = range(number - 1, 0, -1)
        return next((at for at in earlier if self._is_news(self.blocks[at - 1])), 0)

    def _block_message(self, block: Block) -> Message:
        """Return what peers are sent of a block: header, events, and the calls with proven sharings."""
        size = BLOCK_HEADER_BYTES + EVENT_BYTES * len(block.events)
        size += sum(len(r.calldata) for r in block.receipts if any(e.name == "Proven" for e in r.events))
        return Message(f"BLOCK:{self.name}", block.number, self._network.host, block, size, Traffic.CHAIN)

    def _serve_sync(self, head: int, sender: int, message: Message) -> None:
        """Send a peer that was down the blocks after its head, as far as peers may act on them."""
        last = self._settled() - self.profile.finality_blocks
        for block in self.blocks[head : max(head, last)]:
            if self._is_news(block):
                self._network.send(self._block_message(block), sender)
