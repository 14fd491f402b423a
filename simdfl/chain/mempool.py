"""The mempool: transactions by sender in nonce order, taken by priority fee."""

from __future__ import annotations

from collections.abc import Iterator

from simdfl.chain.transaction import Transaction


class Mempool:
    """Pending transactions.

    A sender's transactions run in nonce order; among senders the higher priority fee goes first and ties go to
    the earlier arrival. A transaction with a nonce already waiting replaces it if it tips at least 10 % more.
    """

    def __init__(self) -> None:
        self._by_sender: dict[bytes, dict[int, tuple[int, Transaction]]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return sum(len(pending) for pending in self._by_sender.values())

    def add(self, transaction: Transaction) -> bool:
        """Take a transaction; False if it does not pay enough to replace the one that waits."""
        pending = self._by_sender.setdefault(transaction.call.sender, {})
        waiting = pending.get(transaction.nonce)
        if waiting is not None and transaction.priority_fee_wei * 10 < waiting[1].priority_fee_wei * 11:
            return False
        self._arrivals += 1
        pending[transaction.nonce] = (self._arrivals, transaction)
        return True

    def ready(self, nonces: dict[bytes, int], base_fee_wei: int) -> Iterator[Transaction]:
        """Yield executable transactions, best first; the caller counts `nonces` up as it includes them.

        A transaction whose fee cap is under the base fee waits, and with it all later ones of its sender.
        """
        skipped: set[bytes] = set()
        while True:
            heads = [
                (-min(head[1].priority_fee_wei, head[1].max_fee_wei - base_fee_wei), head[0], head[1])
                for sender, pending in self._by_sender.items()
                if sender not in skipped
                and (head := pending.get(nonces.get(sender, 0))) is not None
                and head[1].max_fee_wei >= base_fee_wei
            ]
            if not heads:
                return
            transaction = min(heads, key=lambda head: head[:2])[2]
            yield transaction
            if nonces.get(transaction.call.sender, 0) == transaction.nonce:
                skipped.add(transaction.call.sender)

    def remove_included(self, nonces: dict[bytes, int]) -> None:
        """Forget transactions whose nonce is used."""
        for sender, pending in list(self._by_sender.items()):
            for nonce in [nonce for nonce in pending if nonce < nonces.get(sender, 0)]:
                del pending[nonce]
            if not pending:
                del self._by_sender[sender]
