"""What an outsider can check with the files alone: hashes of blocks and receipts, and every signature."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from recorded_run import small_run, write_small

from contracts_model.merkle import merkle_root
from simdfl.canonical import canonical_json
from simdfl.crypto.encoding import Writer
from simdfl.crypto.hashing import digest
from simdfl.crypto.signatures import recover

Lines = list[dict[str, Any]]


def read_lines(path: Path) -> Lines:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("records") / "run")


@pytest.fixture(scope="module")
def job_digest(run_folder: Path) -> bytes:
    manifest = json.loads((run_folder / "manifest.json").read_text())
    return digest("simdfl/manifest", canonical_json(manifest))


@pytest.fixture(scope="module")
def blocks(run_folder: Path) -> Lines:
    return read_lines(run_folder / "chain.jsonl.gz")


@pytest.fixture(scope="module")
def messages(run_folder: Path) -> Lines:
    return read_lines(run_folder / "messages.jsonl.gz")


@pytest.fixture(scope="module")
def addresses(blocks: Lines) -> dict[int, bytes]:
    """Who is who: the accounts by peer, from the registrations on chain."""
    events = [event for block in blocks for receipt in block["transactions"] for event in receipt["events"]]
    found = [event["fields"] for event in events if event["name"] == "Registered"]
    return {fields["peer"]: bytes.fromhex(fields["account"]) for fields in found}


def test_lines_are_canonical(run_folder: Path) -> None:
    for name in ("chain", "messages"):
        for line in gzip.decompress((run_folder / f"{name}.jsonl.gz").read_bytes()).splitlines():
            assert canonical_json(json.loads(line)) == line


def receipt_hash(receipt: dict[str, Any]) -> bytes:
    events = [f"{event['name']}{canonical_json(event['fields']).decode()}" for event in receipt["events"]]
    return digest(
        "simdfl/receipt",
        bytes.fromhex(receipt["signature"]),
        bytes.fromhex(receipt["calldata"]),
        receipt["gas_used"].to_bytes(8, "little"),
        receipt["reason"].encode(),
        *[event.encode() for event in events],
    )


def test_blocks_are_chained_and_bind_their_receipts(blocks: Lines, job_digest: bytes) -> None:
    parent = digest("simdfl/chain", b"chain", job_digest)
    assert [block["number"] for block in blocks] == list(range(1, len(blocks) + 1))
    for block in blocks:
        assert block["parent"] == parent.hex()
        numbers = (block["number"], block["timestamp_s"], int(block["base_fee_wei"]))
        header = b"".join(number.to_bytes(16, "little") for number in numbers)
        parent = digest("simdfl/block", header, parent, *map(receipt_hash, block["transactions"]))
        assert block["hash"] == parent.hex()
        assert block["gas_used"] == sum(receipt["gas_used"] for receipt in block["transactions"])


def test_every_transaction_is_signed_by_its_sender(blocks: Lines, job_digest: bytes) -> None:
    chain_id = digest("simdfl/chain", b"chain", job_digest)
    count = 0
    for block in blocks:
        for receipt in block["transactions"]:
            writer = Writer().u64(receipt["nonce"]).u64(receipt["gas_limit"])
            writer = writer.u64(int(receipt["max_fee_wei"])).u64(int(receipt["priority_fee_wei"]))
            writer = writer.var(receipt["contract"].encode())
            writer = writer.raw(int(receipt["value_wei"]).to_bytes(32, "little"))
            body = writer.var(bytes.fromhex(receipt["calldata"])).done()
            signer = recover(digest("simdfl/transaction", chain_id, body), bytes.fromhex(receipt["signature"]))
            assert signer == bytes.fromhex(receipt["sender"])
            count += 1
    assert count > 50


def content_digest(message: dict[str, Any]) -> bytes:
    """Return what the signature must cover, from the content as archived."""
    content, topic = message["content"], message["topic"]
    if topic == "COMMIT":
        return merkle_root([bytes.fromhex(text) for text in content["hashes"]])
    if topic == "REPORT":
        return merkle_root([bytes.fromhex(text) for text in content["entries"]])
    if topic.startswith("SHARE"):
        return digest("simdfl/share", bytes.fromhex(content["share"]))
    assert topic == "DEALING"
    return bytes.fromhex(message["digest"])


def test_every_message_is_signed_by_its_sender_and_binds_its_content(
    messages: Lines, addresses: dict[int, bytes], job_digest: bytes
) -> None:
    assert len(addresses) == 10
    assert len(messages) == len(small_run()[1]["main"].messages) > 100
    for message in messages:
        body = bytes.fromhex(message["digest"])
        assert content_digest(message) == body, message["topic"]
        topic = message["topic"].encode()
        framed = b"simdfl.message" + job_digest + len(topic).to_bytes(1, "little") + topic
        signed = hashlib.sha256(framed + message["step"].to_bytes(8, "little") + body).digest()
        assert recover(signed, bytes.fromhex(message["signature"])) == addresses[message["sender"]]


def test_a_changed_file_is_noticed(blocks: Lines, messages: Lines, addresses: dict[int, bytes]) -> None:
    """The checks above have teeth: one changed bit of a receipt or an entry changes what is signed."""
    receipt = next(block["transactions"][0] for block in blocks if block["transactions"])
    assert receipt_hash(receipt) != receipt_hash({**receipt, "gas_used": receipt["gas_used"] + 1})
    commit = next(message for message in messages if message["topic"] == "COMMIT")
    swapped = {**commit, "content": {"hashes": commit["content"]["hashes"][::-1]}}
    assert content_digest(swapped) != content_digest(commit)


def test_posted_roots_are_the_gossiped_ones(blocks: Lines, messages: Lines) -> None:
    """The chain and the archive tell the same story: each committed root was gossiped by its peer."""
    gossiped = {(m["step"], m["sender"], m["digest"]) for m in messages if m["topic"] == "COMMIT"}
    events = [event for block in blocks for receipt in block["transactions"] for event in receipt["events"]]
    posted = [event["fields"] for event in events if event["name"] == "Committed"]
    real = [fields for fields in posted if int(fields["root"], 16)]
    assert len(real) > 30
    assert {(f["step"], f["peer"], f["root"]) for f in real} <= gossiped


def test_dealing_roots_bind_their_transcripts(blocks: Lines, messages: Lines) -> None:
    """A dealing's digest is the root that the dealer posted, and can be recomputed from the transcripts."""
    from simdfl.protocols.beacon_duty import make_epoch

    dealings = [message for message in messages if message["topic"] == "DEALING"]
    assert dealings
    for message in dealings:
        transcripts, commitments = (
            [bytes.fromhex(text) for text in message["content"][key]] for key in ("transcripts", "commitments")
        )
        assert make_epoch(transcripts, commitments).root.hex() == message["digest"]
