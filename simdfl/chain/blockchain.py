"""The chain as an actor: it takes transactions, makes a block every slot and sends it to every peer.

Slots lie at ``k · block_time_s``: no accumulated drift. Blocks are executed as they are made, by the contracts
themselves; each carries the hash of the one before. What it leaves out: missed slots, forks, several proposers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts_model import Event
from contracts_model.abi import AbiError
from contracts_model.deployment import Deployment
from contracts_model.runtime import Revert
from simdfl.chain.fees import next_base_fee_wei
from simdfl.chain.history import ChainHistory
from simdfl.chain.mempool import Mempool
from simdfl.chain.profiles import ChainProfile
from simdfl.chain.proposer import ProposerPolicy
from simdfl.chain.transaction import Receipt, Transaction
from simdfl.crypto.hashing import digest
from simdfl.crypto.signatures import recover
from simdfl.errors import CryptoError
from simdfl.kernel import Actor, Environment
from simdfl.kernel.actor import Life
from simdfl.network import Message, Network, Traffic
from simdfl.trace import Tracer

PROPOSER = b"simdfl-proposer-acct"
FEE_BURN = b"simdfl-basefee-burnt"
BLOCK_HEADER_BYTES = 512
EVENT_BYTES = 96
"""A log entry as a light client receives it: topic, address and the proof's share."""


@dataclass(frozen=True)
class Block:
    """One block: header fields, and what happened in it."""

    number: int
    timestamp_s: int
    parent: bytes
    hash: bytes
    base_fee_wei: int
    gas_used: int
    receipts: tuple[Receipt, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class BlockProduced:
    """Trace: a block with at least one transaction."""

    number: int
    hash: bytes
    transactions: int
    gas_used: int


@dataclass(frozen=True)
class ContractEvent:
    """Trace: an event of a contract, its fields in canonical JSON."""

    name: str
    fields: str


BARRIERS = {"Exchange", "Final", "StepOpened"}
"""Events that let a step go on: all commitments, all aggregates, or the beacon's output are there."""


def event_json(fields: dict[str, Any]) -> str:
    """Return event fields as canonical JSON; bytes in hexadecimal."""
    plain = {key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


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
        Slots, limits and fees.
    tracer : Tracer
        Receives blocks and contract events.
    name : str
        Tells apart the chains of one run: their messages, events and signatures.
    """

    def __init__(
        self,
        env: Environment,
        network: Network,
        job: Deployment,
        profile: ChainProfile,
        tracer: Tracer,
        name: str = "chain",
    ) -> None:
        super().__init__(env)
        self._network = network
        self.job = job
        self.profile = profile
        self._trace = tracer
        self.name = name
        self.chain_id = digest("simdfl/chain", name.encode(), job.terms.job_digest)
        self.blocks: list[Block] = []
        self.mempool = Mempool()
        self.nonces: dict[bytes, int] = {}
        self.base_fee_wei = profile.base_fee_wei
        self.rejected = 0
        self.fees_wei = 0
        self.barriers_s: list[tuple[float, float]] = []
        self._arrived_s: dict[bytes, float] = {}
        self.history = ChainHistory()
        self.on_block: list[Callable[[Block], None]] = []
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

    def run(self) -> Life:
        """Make a block at every slot, for ever."""
        number = 0
        while True:
            number += 1
            yield self.env.until_time(number * self.profile.block_time_s)
            self._produce(number)

    def _produce(self, number: int) -> None:
        timestamp_s = int(self.env.now)
        receipts = self._execute(number, timestamp_s)
        self._note_barriers(receipts)
        events: tuple[Event, ...] = tuple(event for receipt in receipts for event in receipt.events)
        gas_used = sum(receipt.gas_used for receipt in receipts)
        parent = self.blocks[-1].hash if self.blocks else self.chain_id
        block = Block(
            number,
            timestamp_s,
            parent,
            block_hash(number, timestamp_s, parent, self.base_fee_wei, receipts),
            self.base_fee_wei,
            gas_used,
            tuple(receipts),
            events,
        )
        self.blocks.append(block)
        self.base_fee_wei = next_base_fee_wei(self.base_fee_wei, gas_used, self.profile.gas_limit)
        if receipts:
            self._trace(self.env.now, BlockProduced(number, block.hash, len(receipts), gas_used))
        for event in block.events:
            self.history.record(event)
            self._trace(self.env.now, ContractEvent(event.name, event_json(event.fields)))
        for watcher in self.on_block:
            watcher(block)
        self._publish()

    def _execute(self, number: int, timestamp_s: int) -> list[Receipt]:
        receipts: list[Receipt] = []
        self._propose(number)
        left = self.profile.gas_limit
        for transaction in self.mempool.ready(self.nonces, self.base_fee_wei):
            if transaction.gas_limit > left or not self._can_pay(transaction) or not self._includes(transaction):
                continue
            receipt = self._apply(transaction, number, len(receipts), timestamp_s)
            left -= receipt.gas_used
            receipts.append(receipt)
        self.mempool.remove_included(self.nonces)
        return receipts

    def _note_barriers(self, receipts: Sequence[Receipt]) -> None:
        """Note how long every call that ended a phase of a step waited here until peers may act on it."""
        depth_s = self.profile.finality_blocks * self.profile.block_time_s
        for receipt in receipts:
            arrived_s = self._arrived_s.pop(receipt.signature, self.env.now)
            if any(event.name in BARRIERS for event in receipt.events):
                self.barriers_s.append((self.env.now, self.env.now - arrived_s + depth_s))

    def _propose(self, number: int) -> None:
        """Draw who makes this block, and let it add what it wants to run first."""
        if self.proposers is None:
            return
        self._proposer = self.proposers.draw(self.chain_id, number)
        for copy in self.proposers.copies(self._proposer, self.mempool.pending()):
            self.mempool.add(copy)

    def _includes(self, transaction: Transaction) -> bool:
        """Return whether the proposer of this block includes a transaction that could be."""
        return self.proposers is None or self.proposers.includes(self._proposer, transaction)

    def _can_pay(self, transaction: Transaction) -> bool:
        most = transaction.gas_limit * transaction.max_fee_wei + transaction.call.value_wei
        return self.job.wallets.of(transaction.call.sender) >= most

    def _apply(self, transaction: Transaction, number: int, position: int, timestamp_s: int) -> Receipt:
        call = transaction.call
        outcome = self.job.execute(call, number, timestamp_s, transaction.gas_limit)
        self.nonces[call.sender] = transaction.nonce + 1
        tip_wei = min(transaction.priority_fee_wei, transaction.max_fee_wei - self.base_fee_wei)
        self.job.wallets.move(call.sender, FEE_BURN, outcome.gas_used * self.base_fee_wei)
        self.job.wallets.move(call.sender, PROPOSER, outcome.gas_used * tip_wei)
        fee_wei = outcome.gas_used * (self.base_fee_wei + tip_wei)
        self.fees_wei += fee_wei
        return Receipt(
            number,
            position,
            call.sender,
            call.contract,
            call.function,
            transaction.calldata,
            call.value_wei,
            transaction.nonce,
            transaction.gas_limit,
            transaction.max_fee_wei,
            transaction.priority_fee_wei,
            transaction.signature,
            outcome.gas_used,
            fee_wei,
            outcome.reason,
            outcome.events,
        )

    def _publish(self) -> None:
        """Send peers the block on which they may act now: the head less the finality depth."""
        position = len(self.blocks) - 1 - self.profile.finality_blocks
        if position < 0 or not self.blocks[position].events:
            return
        message = self._block_message(self.blocks[position])
        for peer in range(self._network.n_peers):
            self._network.send(message, peer)

    def before(self, number: int) -> int:
        """Return the last block before `number` that peers are sent, 0 for none: those without events are not."""
        return next((at for at in range(number - 1, 0, -1) if self.blocks[at - 1].events), 0)

    def _block_message(self, block: Block) -> Message:
        size = BLOCK_HEADER_BYTES + EVENT_BYTES * len(block.events)
        return Message(f"BLOCK:{self.name}", block.number, self._network.host, block, size, Traffic.CHAIN)

    def _serve_sync(self, head: int, sender: int, message: Message) -> None:
        """Send a peer that was down the blocks after its head, as far as peers may act on them."""
        last = len(self.blocks) - self.profile.finality_blocks
        for block in self.blocks[head : max(head, last)]:
            if block.events:
                self._network.send(self._block_message(block), sender)


def block_hash(
    number: int, timestamp_s: int, parent: bytes, base_fee_wei: int, receipts: Sequence[Receipt]
) -> bytes:
    """Return the hash that chains a block: over its header, transactions and outcomes."""
    header = b"".join(value.to_bytes(16, "little") for value in (number, timestamp_s, base_fee_wei))
    pieces = [
        digest(
            "simdfl/receipt",
            receipt.signature,
            receipt.calldata,
            receipt.gas_used.to_bytes(8, "little"),
            receipt.reason.encode(),
            *[f"{event.name}{event_json(event.fields)}".encode() for event in receipt.events],
        )
        for receipt in receipts
    ]
    return digest("simdfl/block", header, parent, *pieces)
