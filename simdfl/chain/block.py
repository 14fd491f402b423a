"""Blocks, what a trace tells of them, and the hash that chains them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts_model import Event
from simdfl.chain.transaction import Receipt
from simdfl.crypto.hashing import digest


@dataclass(frozen=True)
class Block:
    """One block: header fields, and what happened in it.

    ``gas_used`` is all of its gas, of which ``outside_gas`` went to others than the job. ``forks`` is no part of
    the block, but what a subscription tells beside it: the numbers of the blocks to which peers had to go back
    before this one, in order. ``leader`` held the block's slot, where leaders are elected.
    """

    number: int
    timestamp_s: int
    parent: bytes
    hash: bytes
    base_fee_wei: int
    gas_used: int
    receipts: tuple[Receipt, ...]
    events: tuple[Event, ...]
    outside_gas: int = 0
    forks: tuple[int, ...] = ()
    leader: int | None = None


@dataclass(frozen=True)
class BlockProduced:
    """Trace: a block with at least one transaction."""

    number: int
    hash: bytes
    transactions: int
    gas_used: int


@dataclass(frozen=True)
class Reorganised:
    """Trace: the last `depth` blocks of a chain are abandoned; `ancestor` is the last block that stands."""

    chain: str
    ancestor: int
    depth: int
    abandoned: bytes


@dataclass(frozen=True)
class ContractEvent:
    """Trace: an event of a contract, its fields in canonical JSON."""

    name: str
    fields: str


def event_json(fields: dict[str, Any]) -> str:
    """Return event fields as canonical JSON; bytes in hexadecimal."""
    plain = {key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def block_hash(
    number: int,
    timestamp_s: int,
    parent: bytes,
    base_fee_wei: int,
    receipts: Sequence[Receipt],
    outside_gas: int = 0,
    leader: int | None = None,
) -> bytes:
    """Return the hash that chains a block: over its header, transactions and outcomes.

    Gas of others is a fourth number of the header where there is any; the leader a fifth, and then that always.
    """
    values = [number, timestamp_s, base_fee_wei]
    if outside_gas or leader is not None:
        values.append(outside_gas)
    if leader is not None:
        values.append(leader)
    header = b"".join(value.to_bytes(16, "little") for value in values)
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
