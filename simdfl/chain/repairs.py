"""What a peer sends again after a fork: its calls that fail on the new branch and had not failed on the old one.

The calls of abandoned blocks wait in the mempool again and are as a rule executed in their old order. But a call
that answers an event may be executed before the event happens again; it then fails, and its nonce is used up.
"""

from __future__ import annotations

from simdfl.chain.block import Block
from simdfl.chain.transaction import Receipt

TRIES = 3


class Repairs:
    """The calls of one peer, by nonce.

    Parameters
    ----------
    address : bytes
        The peer's account.
    """

    def __init__(self, address: bytes) -> None:
        self._address = address
        self._noted: dict[int, tuple[int, bool]] = {}
        self._tries: dict[int, int] = {}

    def note(self, block: Block) -> list[Receipt]:
        """Note what became of the peer's calls in a block; return those to send again."""
        failed = []
        for receipt in block.receipts:
            if receipt.sender == self._address:
                self._noted[receipt.nonce] = block.number, not receipt.reason
                if receipt.reason and receipt.nonce in self._tries:
                    failed.append(receipt)
        return failed

    def go_back(self, ancestor: int, next_nonce: int) -> None:
        """Watch the calls that are undone and those on their way; what had failed may fail again."""
        for nonce in range(next_nonce):
            number, succeeded = self._noted.get(nonce, (ancestor + 1, True))
            if number > ancestor:
                self._noted.pop(nonce, None)
                if succeeded:
                    self._tries.setdefault(nonce, TRIES)

    def send_again(self, nonce: int, next_nonce: int) -> None:
        """Watch the copy of a failed call as well, with one try less."""
        left = self._tries.pop(nonce) - 1
        if left:
            self._tries[next_nonce] = left
