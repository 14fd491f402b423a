"""Writing what an auditor reads (docs/published-format.md): content-addressed files and their index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simdfl.crypto.encoding import canonical_float32
from simdfl.protocols.parts import Commitment
from simdfl.records.archive import block_records, message_records, write_lines
from simdfl.world.result import RunResult

INDEX = "published.json"


def write_publication(folder: Path, result: RunResult) -> None:
    """Write everything that a run publishes, and the index last."""
    np.save(folder / "model.npy", np.frombuffer(canonical_float32(result.params), dtype="<f4"))
    publication = result.publication
    if result.blocks:
        write_json(folder / "manifest.json", result.manifest)
        write_lines(folder / "chain.jsonl.gz", block_records(result.blocks))
        if result.base_blocks:
            write_lines(folder / "base_chain.jsonl.gz", block_records(result.base_blocks))
        write_lines(folder / "messages.jsonl.gz", message_records(result.messages))
    if publication is not None:
        write_json(folder / "deployment.json", publication.deployment)
        with (folder / "aggregates.f32").open("wb") as file:
            for row in publication.aggregates:
                file.write(canonical_float32(row))
        with (folder / "opened.bin").open("wb") as file:
            for record in opened_records(result):
                file.write(record)
        _write_states(folder, result)
    write_index(folder, result)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file in its one accepted form: sorted keys, two spaces, a final newline."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=True) + "\n", encoding="utf-8")


def _write_states(folder: Path, result: RunResult) -> None:
    publication = result.publication
    assert publication is not None
    assert publication.final is not None
    (folder / "optimiser.bin").write_bytes(publication.final[1])
    if publication.checkpoints:
        (folder / "checkpoints").mkdir()
    for step, (params, optimiser) in publication.checkpoints.items():
        (folder / "checkpoints" / f"{step:08d}.params").write_bytes(canonical_float32(params))
        (folder / "checkpoints" / f"{step:08d}.optimiser").write_bytes(optimiser)


def opened_records(result: RunResult) -> Iterator[bytes]:
    """Yield the committed gradients of banned peers, whose evidence is open: step, peer, (d,) float32.

    An auditor cannot recompute them, and needs them to recompute what they were aggregated to.
    """
    events = [event for block in result.blocks for event in block.events]
    banned = {event.fields["peer"] for event in events if event.name == "Banned"}
    roots = {
        (event.fields["step"], event.fields["peer"]): event.fields["root"]
        for event in events
        if event.name == "Committed" and event.fields["peer"] in banned
    }
    found: dict[tuple[int, int], Commitment] = {}
    for message in result.messages:
        slot = (message.step, message.sender)
        if message.topic == "COMMIT" and roots.get(slot) == message.digest:
            found[slot] = message.content
    for step, peer in sorted(found):
        gradient = found[step, peer].parts.reshape(-1)[: len(result.params)]
        yield step.to_bytes(8, "little") + peer.to_bytes(4, "little") + canonical_float32(gradient)


def write_index(folder: Path, result: RunResult) -> None:
    """Write the index: protocol, outcome, sizes per step, and the SHA-256 of every published file."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_published(path, folder)]
    files: dict[str, dict[str, Any]] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in paths
    }
    steps = len(result.publication.aggregates) if result.publication is not None else len(result.steps)
    heads = {"chain": result.blocks, "base_chain": result.base_blocks}
    index = {
        "format": "simdfl.published.v1",
        "protocol": result.protocol,
        "outcome": result.outcome,
        "steps": steps,
        "bytes_per_step": sum(entry["bytes"] for entry in files.values()) // max(1, steps),
        "heads": {name: blocks[-1].hash.hex() for name, blocks in heads.items() if blocks},
        "files": files,
    }
    write_json(folder / INDEX, index)


PUBLISHED = (
    *("manifest.json", "deployment.json", "chain.jsonl.gz", "base_chain.jsonl.gz", "messages.jsonl.gz"),
    *("aggregates.f32", "opened.bin", "model.npy", "optimiser.bin"),
)


def is_published(path: Path, folder: Path) -> bool:
    """Return whether a file of a run folder belongs to what is audited."""
    name = path.relative_to(folder).as_posix()
    return name in PUBLISHED or name.startswith("checkpoints/")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
