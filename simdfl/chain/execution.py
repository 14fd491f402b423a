"""Executing blocks on the head of a chain, and taking the last ones back.

With a journal every block keeps how to undo it: the contracts' own undo logs, fees, nonces and the base fee. What
was taken out of the mempool goes back to its place there, in the order of its first arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts_model.deployment import Deployment
from simdfl.chain.demand import Demand, Waiting
from simdfl.chain.fees import next_base_fee_wei
from simdfl.chain.mempool import Entry, Mempool, Precedence, by_tip
from simdfl.chain.profiles import ChainProfile
from simdfl.chain.transaction import Receipt, Transaction

PROPOSER = b"simdfl-proposer-acct"
FEE_BURN = b"simdfl-basefee-burnt"
DATA_FEES = b"simdfl-l1-data-fees-"


@dataclass
class _Undo:
    """How to take one block back."""

    base_fee_wei: int
    fees_wei: int
    outsiders: Waiting | None
    steps: list[Callable[[], None]] = field(default_factory=list)
    taken: list[Entry] = field(default_factory=list)


class Execution:
    """The state of a chain at its head.

    Parameters
    ----------
    job : Deployment
        The contracts and accounts.
    profile : ChainProfile
        Limits and fees.
    depth : int
        How many blocks can be taken back.
    demand : Demand, optional
        Everybody else.
    """

    def __init__(
        self, job: Deployment, profile: ChainProfile, depth: int = 0, demand: Demand | None = None
    ) -> None:
        self.job = job
        self.profile = profile
        self.mempool = Mempool()
        self.nonces: dict[bytes, int] = {}
        self.base_fee_wei = profile.base_fee_wei
        self.fees_wei = 0
        self.keeps = depth > 0
        self.outside_gas = 0
        self._demand = demand
        self._journal: deque[_Undo] = deque(maxlen=depth)

    def execute(
        self,
        number: int,
        at_s: float,
        arrivals: int,
        includes: Callable[[Transaction], bool],
        precedence: Precedence = by_tip,
    ) -> list[Receipt]:
        """Execute a block of those of the first `arrivals` transactions that its proposer includes.

        ``outside_gas`` is then what the others used of it. Who is put behind all others, by a first rank above 0,
        is also behind the outsiders.
        """
        demand = self._demand
        if demand is not None:
            demand.open_block(at_s, self.base_fee_wei)
        undo = _Undo(self.base_fee_wei, self.fees_wei, demand.waiting if demand is not None else None)
        self.job.journal = undo.steps if self.keeps else None
        receipts: list[Receipt] = []
        left = self.profile.gas_limit
        self.outside_gas = 0
        for transaction in self.mempool.ready(self.nonces, self.base_fee_wei, arrivals, precedence):
            tip_wei = self._tip_wei(transaction)
            is_last = precedence(transaction, tip_wei)[0] > 0
            left -= self._let_others_in(-1 if is_last else tip_wei, left)
            if transaction.gas_limit > left or not self._can_pay(transaction) or not includes(transaction):
                continue
            receipt = self._apply(transaction, number, len(receipts), int(at_s))
            left -= receipt.gas_used
            receipts.append(receipt)
        left -= self._let_others_in(-1, left)
        if demand is not None:
            demand.close_block()
        undo.taken = self.mempool.remove_included(self.nonces)
        if self.keeps:
            self._journal.append(undo)
        gas_used = self.profile.gas_limit - left
        self.base_fee_wei = next_base_fee_wei(self.base_fee_wei, gas_used, self.profile.gas_limit)
        return receipts

    def take_back(self) -> None:
        """Undo the last block."""
        undo = self._journal.pop()
        while undo.steps:
            undo.steps.pop()()
        self.base_fee_wei, self.fees_wei = undo.base_fee_wei, undo.fees_wei
        self.mempool.restore(undo.taken)
        if self._demand is not None and undo.outsiders is not None:
            self._demand.waiting = undo.outsiders

    def _let_others_in(self, tip_wei: int, left: int) -> int:
        """Give the others who tip more their gas; return it."""
        gas = 0 if self._demand is None else self._demand.take(tip_wei, left)
        self.outside_gas += gas
        return gas

    def _tip_wei(self, transaction: Transaction) -> int:
        return min(transaction.priority_fee_wei, transaction.max_fee_wei - self.base_fee_wei)

    def _can_pay(self, transaction: Transaction) -> bool:
        most = transaction.gas_limit * transaction.max_fee_wei + transaction.call.value_wei
        return self.job.wallets.of(transaction.call.sender) >= most + self._data_fee_wei(transaction)

    def _data_fee_wei(self, transaction: Transaction) -> int:
        """Return what a transaction's bytes cost on the chain below."""
        price_wei = self.profile.timing.data_fee_wei
        return price_wei * transaction.size_bytes if price_wei else 0

    def _apply(self, transaction: Transaction, number: int, position: int, timestamp_s: int) -> Receipt:
        call = transaction.call
        outcome = self.job.execute(call, number, timestamp_s, transaction.gas_limit, transaction.calldata)
        self._count(call.sender, transaction.nonce + 1)
        tip_wei = self._tip_wei(transaction)
        self._pay(call.sender, FEE_BURN, outcome.gas_used * self.base_fee_wei)
        self._pay(call.sender, PROPOSER, outcome.gas_used * tip_wei)
        data_wei = self._data_fee_wei(transaction)
        if data_wei:
            self._pay(call.sender, DATA_FEES, data_wei)
        fee_wei = outcome.gas_used * (self.base_fee_wei + tip_wei) + data_wei
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

    def _count(self, sender: bytes, nonce: int) -> None:
        """Set an account's nonce."""
        before = self.nonces.get(sender, 0)
        self.nonces[sender] = nonce
        if self.job.journal is not None:
            self.job.journal.append(lambda: self.nonces.__setitem__(sender, before))

    def _pay(self, sender: bytes, account: bytes, amount_wei: int) -> None:
        """Take a part of the fee."""
        self.job.wallets.move(sender, account, amount_wei)
        if self.job.journal is not None:
            self.job.journal.append(lambda: self.job.wallets.move(account, sender, amount_wei))
