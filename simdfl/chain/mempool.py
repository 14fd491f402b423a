"""The mempool: transactions by sender in nonce order, taken by priority fee."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from simdfl.chain.transaction import Transaction

Entry = tuple[int, Transaction]
"""A transaction with the place in the order of arrival."""
Precedence = Callable[[Transaction, int], tuple[int, ...]]
"""From a transaction and what it tips now, wei per gas, to its rank in a block: lower goes first."""


def by_tip(transaction: Transaction, tip_wei: int) -> tuple[int, ...]:
    """Rank by tip alone."""
    return (-tip_wei,)


class Mempool:
    """Pending transactions.

    A sender's transactions run in nonce order; among senders the higher priority fee goes first and ties go to
    the earlier arrival. A transaction with a nonce already waiting replaces it if it tips at least 10 % more.
    """

    def __init__(self) -> None:
        self._by_sender: dict[bytes, dict[int, Entry]] = {}
        self.arrivals = 0

    def __len__(self) -> int:
        return sum(len(pending) for pending in self._by_sender.values())

    def has(self, transaction: Transaction) -> bool:
        """Return whether a transaction waits here."""
        waiting = self._by_sender.get(transaction.call.sender, {}).get(transaction.nonce)
        return waiting is not None and waiting[1].signature == transaction.signature

    def add(self, transaction: Transaction) -> bool:
        """Take a transaction; False if it does not pay enough to replace the one that waits."""
        pending = self._by_sender.setdefault(transaction.call.sender, {})
        waiting = pending.get(transaction.nonce)
        if waiting is not None:
            tip_wei, waiting_tip_wei = transaction.priority_fee_wei, waiting[1].priority_fee_wei
            if tip_wei <= waiting_tip_wei or tip_wei * 10 < waiting_tip_wei * 11:
                return False
        self.arrivals += 1
        pending[transaction.nonce] = (self.arrivals, transaction)
        return True

    def next_nonce(self, sender: bytes) -> int:
        """Return one more than the highest nonce that waits, or 0."""
        return max(self._by_sender.get(sender, {}), default=-1) + 1

    def pending(self) -> list[Transaction]:
        """Return everything that waits, by arrival."""
        waiting = [entry for pending in self._by_sender.values() for entry in pending.values()]
        return [transaction for _, transaction in sorted(waiting, key=lambda entry: entry[0])]

    def ready(
        self,
        nonces: dict[bytes, int],
        base_fee_wei: int,
        arrivals: int | None = None,
        precedence: Precedence = by_tip,
    ) -> Iterator[Transaction]:
        """Yield executable transactions, best first; the caller counts `nonces` up as it includes them.

        Only the first `arrivals` are looked at, if it is given. Equals in `precedence` go by arrival. One whose
        fee cap is under the base fee waits, and with it all later ones of its sender.
        """
        heads: list[tuple[tuple[int, ...], int, Transaction]] = []

        def push(sender: bytes) -> None:
            arrival, head = self._by_sender[sender].get(nonces.get(sender, 0), (0, None))
            is_known = arrivals is None or arrival <= arrivals
            if head is not None and is_known and head.max_fee_wei >= base_fee_wei:
                tip_wei = min(head.priority_fee_wei, head.max_fee_wei - base_fee_wei)
                heappush(heads, (precedence(head, tip_wei), arrival, head))

        for sender in self._by_sender:
            push(sender)
        while heads:
            transaction = heappop(heads)[2]
            yield transaction
            if nonces.get(transaction.call.sender, 0) > transaction.nonce:
                push(transaction.call.sender)

    def remove_included(self, nonces: dict[bytes, int]) -> list[Entry]:
        """Take out and return the transactions whose nonce is used."""
        taken = []
        for sender, pending in list(self._by_sender.items()):
            taken += [pending.pop(nonce) for nonce in list(pending) if nonce < nonces.get(sender, 0)]
            if not pending:
                del self._by_sender[sender]
        return taken

    def drop(self, condition: Callable[[Transaction], bool]) -> int:
        """Forget all transactions of which the condition holds; return how many."""
        dropped = 0
        for sender, pending in list(self._by_sender.items()):
            for nonce in [nonce for nonce, (_, transaction) in pending.items() if condition(transaction)]:
                del pending[nonce]
                dropped += 1
            if not pending:
                del self._by_sender[sender]
        return dropped

    def restore(self, entries: list[Entry]) -> None:
        """Put back what an abandoned block had taken, where it was; what has replaced it since stays."""
        for arrival, transaction in entries:
            self._by_sender.setdefault(transaction.call.sender, {}).setdefault(
                transaction.nonce, (arrival, transaction)
            )
