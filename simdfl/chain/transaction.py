"""Transactions: a call, its nonce, its fees and the sender's signature, with a real serialised size."""

from __future__ import annotations

from dataclasses import dataclass

from contracts_model import Call, Event
from simdfl.crypto.encoding import Writer
from simdfl.crypto.hashing import digest

SIGNATURE_BYTES = 65


@dataclass(frozen=True)
class Transaction:
    """A signed transaction (EIP-1559 fields).

    ``calldata`` is the ABI encoding of `call`; ``signature`` covers every other field.
    """

    call: Call
    calldata: bytes
    nonce: int
    gas_limit: int
    max_fee_wei: int
    priority_fee_wei: int
    signature: bytes = b""

    def body(self) -> bytes:
        """Return what is signed."""
        writer = Writer().u64(self.nonce).u64(self.gas_limit).u64(self.max_fee_wei).u64(self.priority_fee_wei)
        writer = writer.var(self.call.contract.encode()).raw(self.call.value_wei.to_bytes(32, "little"))
        return writer.var(self.calldata).done()

    def signing_digest(self, chain_id: bytes) -> bytes:
        """Return the digest to sign; it binds the chain."""
        return digest("simdfl/transaction", chain_id, self.body())

    @property
    def size_bytes(self) -> int:
        """Bytes on the wire."""
        return len(self.body()) + SIGNATURE_BYTES


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction in its block."""

    block: int
    position: int
    sender: bytes
    contract: str
    function: str
    calldata: bytes
    value_wei: int
    nonce: int
    gas_limit: int
    max_fee_wei: int
    priority_fee_wei: int
    signature: bytes
    gas_used: int
    fee_wei: int
    reason: str
    events: tuple[Event, ...]
