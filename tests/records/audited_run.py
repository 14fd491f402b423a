"""Small published runs for the audit's tests, and what a forger can do to them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from recorded_run import TEXT

from simdfl.auditing.chain import block_hash
from simdfl.auditing.inspection import Outcome, Request, inspect
from simdfl.auditing.reading import read_lines
from simdfl.crypto.hashing import digest
from simdfl.records.archive import write_lines
from simdfl.records.publication import write_json, write_publication
from simdfl.scenario import loads
from simdfl.world import RunResult, build

Lines = list[dict[str, Any]]
COIN = 11


@cache
def run_once(text: str = TEXT) -> RunResult:
    """Run a scenario's main run, once for all tests of a process."""
    return build(loads(text, "small").scenario).run()


def publish(folder: Path, text: str = TEXT) -> Path:
    """Publish a run into a fresh folder."""
    folder.mkdir(parents=True)
    write_publication(folder, run_once(text))
    return folder


def audit(folder: Path, level: int = 0, **more: Any) -> Outcome:
    """Audit with a fixed coin."""
    return inspect(Request(folder, level, COIN, **more))


def first_of(outcome: Outcome) -> tuple[str, int | None]:
    """Return the check that failed first, and in which step."""
    found = outcome.findings.first()
    assert found is not None, outcome.unusable or "nothing failed"
    return found[0].name, found[1].step


class Forger:
    """A copy of a run folder, changed by somebody who holds no key and hides the change as well as one can."""

    def __init__(self, source: Path, folder: Path) -> None:
        shutil.copytree(source, folder)
        self.folder = folder

    def bytes_of(self, name: str, change: Callable[[bytearray], Any]) -> Path:
        """Change the bytes of a file and index it again."""
        data = bytearray((self.folder / name).read_bytes())
        change(data)
        (self.folder / name).write_bytes(bytes(data))
        return self.reindex()

    def json_of(self, name: str, change: Callable[[dict[str, Any]], Any]) -> Path:
        """Change a JSON file and index it again."""
        value = json.loads((self.folder / name).read_text())
        change(value)
        write_json(self.folder / name, value)
        return self.reindex()

    def messages(self, change: Callable[[Lines], Any]) -> Path:
        """Change the archive of messages and index it again."""
        lines = list(read_lines(self.folder, "messages.jsonl.gz"))
        change(lines)
        write_lines(self.folder / "messages.jsonl.gz", lines)
        return self.reindex()

    def blocks(self, change: Callable[[Lines], Any]) -> Path:
        """Change the chain, make all hashes fit again, and index it."""
        lines = list(read_lines(self.folder, "chain.jsonl.gz"))
        change(lines)
        manifest = json.loads((self.folder / "manifest.json").read_text())
        from simdfl.canonical import canonical_json

        parent = digest("simdfl/chain", b"chain", digest("simdfl/manifest", canonical_json(manifest)))
        for block in lines:
            block["parent"] = parent.hex()
            parent = block_hash(block, parent)
            block["hash"] = parent.hex()
        write_lines(self.folder / "chain.jsonl.gz", lines)
        index = json.loads((self.folder / "published.json").read_text())
        index["heads"]["chain"] = parent.hex()
        write_json(self.folder / "published.json", index)
        return self.reindex()

    def reindex(self) -> Path:
        """Make the index fit the files."""
        index = json.loads((self.folder / "published.json").read_text())
        for name, entry in index["files"].items():
            data = (self.folder / name).read_bytes()
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        sizes = [entry["bytes"] for entry in index["files"].values()]
        index["bytes_per_step"] = sum(sizes) // max(1, index["steps"])
        write_json(self.folder / "published.json", index)
        return self.folder


def receipts(blocks: Lines, function: str) -> Lines:
    """Return all successful calls of a function, in order."""
    calls = [call for block in blocks for call in block["transactions"]]
    return [call for call in calls if call["function"] == function and not call["reason"]]
