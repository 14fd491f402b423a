"""A peer's access to the chain: signed transactions out, blocks in, events into its inbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from contracts_model import Call, Event
from contracts_model.abi import AbiError
from simdfl.chain.block import Block
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.repairs import Repairs
from simdfl.chain.transaction import Transaction
from simdfl.crypto.signatures import Keypair
from simdfl.errors import UserError
from simdfl.kernel import Inbox
from simdfl.network import Message, Network, Traffic

DEFAULT_GAS_LIMIT = 1_500_000
BUMP_BLOCKS = 3
"""A call that has waited for so many blocks is replaced by one that pays more."""
PEER_GAS_LIMIT = 10_000
VALIDATOR_GAS_LIMIT = 25_000
"""Together these cover every ordinary call, also the one that happens to end a phase: it may have to eject
every peer and to store every pair of validator and target."""

WAKING_EVENTS = {
    "Phase": ("entry", "round"),
    "StepOpened": (None, "step"),
    "Exchange": ("attempt", "step"),
    "Final": (None, "step"),
    "Locked": (None, "output"),
    "EpochOpened": (None, "epoch"),
    "CaseOpened": (None, "case"),
    "Verdict": (None, "case"),
    "Absent": ("peer", "step"),
    "PartVoided": ("part", "step"),
    "Withheld": (None, "output"),
    "Proven": ("dealer", "output"),
    "Restarted": ("attempt", "output"),
    "Joined": ("peer", None),
    "Anchored": (None, "epoch"),
    "Challenged": ("peer", "epoch"),
    "Aborted": (None, None),
    "ContributionAgreed": (None, "round"),
    "ContributionPaid": (None, "round"),
}
"""Events that actors wait for; the fields that serve as inbox sender and step."""


class ChainClient:
    """One peer's client.

    Parameters
    ----------
    peer : int
        The peer's index in the network.
    keypair : Keypair
        Signs its transactions.
    chain : Blockchain
        Where calldata is encoded (a local computation) and where transactions go.
    network : Network
        Carries them.
    inbox : Inbox
        Receives events as ``<chain>:<name>``.
    """

    def __init__(
        self,
        peer: int,
        keypair: Keypair,
        chain: Blockchain,
        network: Network,
        inbox: Inbox,
    ) -> None:
        self.peer = peer
        self.keypair = keypair
        self.history = chain.history
        self.head = 0
        self._early: dict[int, Block] = {}
        self._forks: tuple[int, ...] = ()
        self.repairs = Repairs(keypair.address)
        self._asked_after = -1
        self.step_hashes: dict[int, bytes] = {}
        self._chain = chain
        self._network = network
        self._inbox = inbox
        self._nonce = 0
        self.bumped = 0
        self._listen()
        for event in chain.job.genesis_events:
            self._take(event)

    def _listen(self) -> None:
        self._inbox.listen(f"BLOCK:{self._chain.name}", self._receive)

    @property
    def block_time_s(self) -> float:
        """Seconds between blocks."""
        return self._chain.profile.block_time_s

    def _ordinary_gas_limit(self) -> int:
        terms = self._chain.job.terms
        gas_limit = DEFAULT_GAS_LIMIT + PEER_GAS_LIMIT * terms.n_peers + VALIDATOR_GAS_LIMIT * terms.validators
        return min(gas_limit, self._chain.profile.tx_gas_cap)

    @property
    def inclusion_s(self) -> float:
        """Seconds within which a transaction sent now has been included and seen, as a rule."""
        profile = self._chain.profile
        return profile.span_s(2 + profile.finality_blocks + profile.depth)

    def submit(
        self,
        contract: str,
        function: str,
        *args: Any,
        value_wei: int = 0,
        gas_limit: int | None = None,
        tips: int = 1,
    ) -> None:
        """Sign a call and send it to the chain, with so many times the usual tip."""
        self._post(self.sign(contract, function, args, value_wei, gas_limit, tips))

    def _post(self, transaction: Transaction) -> None:
        """Send a transaction; look after it where it may wait for long."""
        if not self._chain.mempool.has(transaction):
            size = transaction.size_bytes
            self._chain.post(Message("TX", transaction.nonce, self.peer, transaction, size, Traffic.CHAIN))
        if self._chain.profile.may_wait:
            env = self._chain.env
            env.at(env.now + self._chain.profile.span_s(BUMP_BLOCKS), lambda: self._bump(transaction))

    def _bump(self, transaction: Transaction) -> None:
        """Replace a call that still waits by one that pays more; those behind it wait for it only.

        The cap follows the base fee and both rise by a quarter, as far as the balance goes: a tenth is the least
        that replaces a transaction.
        """
        sender = self.keypair.address
        next_nonce = self._chain.nonces.get(sender, 0)
        if transaction.nonce < next_nonce or self._network.is_down(self.peer):
            return
        if transaction.nonce == next_nonce:
            tip_wei = transaction.priority_fee_wei * 5 // 4 + 1
            cap_wei = max(transaction.max_fee_wei * 5 // 4, 2 * self._chain.base_fee_wei + tip_wei)
            most_wei = transaction.gas_limit * cap_wei + transaction.call.value_wei
            if most_wei <= self._chain.job.wallets.of(sender):
                raised = replace(transaction, max_fee_wei=cap_wei, priority_fee_wei=tip_wei)
                signature = self.keypair.sign(raised.signing_digest(self._chain.chain_id))
                transaction = replace(raised, signature=signature)
                self.bumped += 1
        self._post(transaction)

    def sign(
        self,
        contract: str,
        function: str,
        args: tuple[Any, ...],
        value_wei: int,
        gas_limit: int | None,
        tips: int,
    ) -> Transaction:
        """Return the signed call; fees are bid so that ordinary base fee changes pass."""
        if gas_limit is None:
            gas_limit = self._ordinary_gas_limit()
        call = Call(self.keypair.address, contract, function, args, value_wei)
        try:
            calldata = self._chain.job.calldata(call)
        except AbiError as error:
            raise UserError(f"adversary: peer {self.peer} calls {contract}.{function} with {error}") from error
        tip_wei = tips * self._chain.profile.priority_fee_wei
        unsigned = Transaction(
            call,
            calldata,
            self._nonce,
            gas_limit,
            2 * max(self._chain.base_fee_wei, self._chain.profile.base_fee_wei) + tip_wei,
            tip_wei,
        )
        signature = self.keypair.sign(unsigned.signing_digest(self._chain.chain_id))
        self._nonce += 1
        return replace(unsigned, signature=signature)

    def resync(self) -> None:
        """Ask for the blocks that one missed while one was down, and for the own next nonce: calls were lost."""
        self._nonce = self._chain.next_nonce(self.keypair.address)
        self._fetch()

    def _fetch(self) -> None:
        """Ask for the blocks after one's head."""
        self._network.send(Message("SYNC", self.head, self.peer, None, 8, Traffic.CHAIN), self._network.host)

    def _fetch_after(self, head: int) -> None:
        """Ask for the block after `head` as long as it is missing."""
        if self.head == head and not self._network.is_down(self.peer):
            self._fetch()
            self._later(self.inclusion_s, head)

    def _later(self, wait_s: float, head: int) -> None:
        env = self._chain.env
        env.at(env.now + wait_s, lambda: self._fetch_after(head))

    def _receive(self, step: int, sender: int, message: Message) -> None:
        """Act on blocks in the order of the chain; they wait for one that is late, which is asked for in time."""
        block: Block = message.content
        if len(block.forks) > len(self._forks):
            self._go_back(block.forks)
        if block.number > min((self._forks[len(block.forks) :]), default=block.number):
            return  # of a branch that has been abandoned since
        if block.number > self.head:
            self._early[block.number] = block
        while self._early and self._chain.before(first := min(self._early)) <= self.head:
            self._act_on(self._early.pop(first))
        if self._early and self._asked_after != self.head:
            self._asked_after = self.head
            self._later(self.block_time_s, self.head)

    def _go_back(self, forks: tuple[int, ...]) -> None:
        """Go back to the last block that stands: what came after it has not happened."""
        ancestor = min(forks[len(self._forks) :])
        self._forks = forks
        self.repairs.go_back(ancestor, self._nonce)
        self._early = {number: block for number, block in self._early.items() if number <= ancestor}
        self.head = min(self.head, ancestor)

    def _act_on(self, block: Block) -> None:
        """Take the events of a block; send again what only failed because of a fork."""
        self.head = block.number
        for receipt in self.repairs.note(block):
            call = self._chain.job.decode_call(
                receipt.sender, receipt.contract, receipt.calldata, receipt.value_wei
            )
            self.repairs.send_again(receipt.nonce, self._nonce)
            self.submit(
                call.contract, call.function, *call.args, value_wei=call.value_wei, gas_limit=receipt.gas_limit
            )
        for event in block.events:
            if event.name == "StepOpened":
                self.step_hashes[event.fields["step"]] = block.hash
            self._take(event)

    def _take(self, event: Event) -> None:
        fields = WAKING_EVENTS.get(event.name)
        if fields is not None:
            source = event.fields[fields[0]] if fields[0] else 0
            slot = event.fields[fields[1]] if fields[1] else 0
            topic = f"{self._chain.name}:{event.name}"
            self._inbox.discard(topic, slot, source)  # an elimination opens a phase again
            self._inbox.deliver(topic, slot, source, event)
