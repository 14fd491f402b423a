"""Who makes a block, and what a Byzantine proposer does with what it sees in the mempool.

Proposers are drawn among the peers, one a slot, by a public hash; or they are the elected leaders of a shared
sequencer. Only the choice and order of transactions is theirs: the block is executed by everybody. What is left
out: bribes between proposers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from simdfl.chain.sources import SharedSequencer
from simdfl.crypto.hashing import digest

if TYPE_CHECKING:
    from simdfl.chain.client import ChainClient
    from simdfl.chain.forks import Header
    from simdfl.chain.mempool import Precedence
    from simdfl.chain.transaction import Transaction


class Chooser(Protocol):
    """What a proposer decides: see :class:`simdfl.peers.behaviour.Behaviour`."""

    def accomplices(self) -> frozenset[int]:
        """Return one's coalition."""
        ...

    def includes(self, step: int, sender: int, function: str) -> bool:
        """Return whether to include a peer's call."""
        ...

    def front_runs(self, step: int, function: str) -> bool:
        """Return whether to put one's own copy of a call before it."""
        ...

    def puts_last(self, step: int, sender: int, function: str) -> bool:
        """Return whether to put a peer's call behind all others."""
        ...


class ProposerPolicy:
    """What the proposers include when it is their turn.

    Parameters
    ----------
    behaviours : mapping of int to Chooser
        Decisions by proposer.
    addresses : list of bytes
        Addresses by peer.
    step : callable
        Returns the step that is open.
    sequencer : SharedSequencer, optional
        Whose leaders propose, and whose builders order; without it, peers do both.
    """

    def __init__(
        self,
        behaviours: Mapping[int, Chooser],
        addresses: list[bytes],
        step: Callable[[], int],
        sequencer: SharedSequencer | None = None,
    ) -> None:
        self._behaviours = behaviours
        self._senders = {address: peer for peer, address in enumerate(addresses)}
        self._step = step
        self._sequencer = sequencer
        self._copied: set[bytes] = set()
        self.clients: dict[int, ChainClient] = {}

    def draw(self, chain_id: bytes, header: Header) -> int:
        """Return who proposes a block; siblings have proposers of their own."""
        if self._sequencer is not None:
            return header.maker
        number = header.number + (header.sibling << 32)
        word = digest("simdfl/proposer", chain_id, number.to_bytes(8, "little"))
        return int.from_bytes(word, "little") % len(self._behaviours)

    def includes(self, proposer: int, transaction: Transaction) -> bool:
        """Return whether the proposer includes a transaction; the owner's always."""
        sender = self._senders.get(transaction.call.sender)
        if sender is None:
            return True
        return self._behaviours[proposer].includes(self._step(), sender, transaction.call.function)

    def precedence(self, proposer: int, at_s: float) -> Precedence:
        """Return how the block of this time is ordered: what is put last, then tips, then the builder's taste."""
        behaviour, sequencer, step = self._behaviours[proposer], self._sequencer, self._step()
        prefers = None
        if sequencer is not None:
            prefers = sequencer.taste(sequencer.slot(at_s))

        def rank(transaction: Transaction, tip_wei: int) -> tuple[int, ...]:
            sender = self._senders.get(transaction.call.sender)
            is_last = sender is not None and behaviour.puts_last(step, sender, transaction.call.function)
            taste = 0 if prefers is None else prefers(transaction.call.sender)
            return int(is_last), -tip_wei, taste

        return rank

    def copies(self, proposer: int, pending: Iterable[Transaction]) -> list[Transaction]:
        """Return the proposer's own copies of calls that it wants to run first, each call once."""
        behaviour, client = self._behaviours[proposer], self.clients.get(proposer)
        made = []
        for transaction in pending:
            call, sender = transaction.call, self._senders.get(transaction.call.sender)
            wanted = sender is not None and sender not in behaviour.accomplices()
            if client is None or not wanted or transaction.signature in self._copied:
                continue
            if behaviour.front_runs(self._step(), call.function):
                self._copied.add(transaction.signature)
                copy = (call.contract, call.function, call.args, call.value_wei, transaction.gas_limit, 2)
                made.append(client.sign(*copy))
        return made
