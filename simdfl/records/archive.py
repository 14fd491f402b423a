"""What an outsider needs: blocks with all calls and receipts, and signed messages, as compressed JSON lines."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simdfl.canonical import canonical_json
from simdfl.chain.block import Block
from simdfl.chain.transaction import Receipt
from simdfl.network import Message
from simdfl.protocols.beacon_duty import DealtEpoch
from simdfl.protocols.parts import Commitment, Report


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write one canonical JSON value per line, compressed; the bytes depend on the values alone."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        for value in values:
            packed.write(canonical_json(value) + b"\n")


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def receipt_record(receipt: Receipt) -> dict[str, Any]:
    """Return a transaction with its outcome as JSON; bytes in hexadecimal, wei as text."""
    record = {key: _plain(value) for key, value in vars(receipt).items() if key != "events"}
    record |= {key: str(record[key]) for key in ("value_wei", "max_fee_wei", "priority_fee_wei", "fee_wei")}
    record["events"] = [
        {
            "contract": event.contract,
            "name": event.name,
            "fields": {key: _plain(value) for key, value in event.fields.items()},
        }
        for event in receipt.events
    ]
    return record


def block_records(blocks: Iterable[Block]) -> Iterator[dict[str, Any]]:
    """Yield blocks as JSON."""
    for block in blocks:
        yield {
            "number": block.number,
            "timestamp_s": block.timestamp_s,
            "parent": block.parent.hex(),
            "hash": block.hash.hex(),
            "base_fee_wei": str(block.base_fee_wei),
            "gas_used": block.gas_used,
            "outside_gas": block.outside_gas,
            **({} if block.leader is None else {"leader": block.leader}),
            "transactions": [receipt_record(receipt) for receipt in block.receipts],
        }


def message_content(content: Any) -> Any:
    """Return a message's content as JSON."""
    if isinstance(content, Commitment):
        return {"hashes": [part_hash.hex() for part_hash in content.hashes]}
    if isinstance(content, Report):
        return {"entries": [leaf.hex() for leaf in content.leaves]}
    if isinstance(content, DealtEpoch):
        return {
            "transcripts": [transcript.hex() for transcript in content.transcripts],
            "commitments": [commitment.hex() for commitment in content.commitments],
        }
    if isinstance(content, tuple):
        root, bans, amounts = content
        return {"root": root.hex(), "bans": bans.hex(), "amounts": [str(amount) for amount in amounts]}
    return {"share": content.hex()}


def message_records(messages: Iterable[Message]) -> Iterator[dict[str, Any]]:
    """Yield signed messages as JSON."""
    for message in messages:
        yield {
            "topic": message.topic,
            "step": message.step,
            "sender": message.sender,
            "digest": message.digest.hex(),
            "signature": message.signature.hex(),
            "content": message_content(message.content),
        }
