"""Single bits turned over in all published files: each is caught, or its place is proven to carry no meaning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from audited_run import Forger, audit, publish
from test_records_outsider import UNCHECKED

from simdfl.auditing.findings import Unusable
from simdfl.auditing.inspection import Outcome
from simdfl.auditing.published import INDEX, read_index
from simdfl.auditing.reading import sha256_of
from simdfl.canonical import canonical_json
from simdfl.rng import Rng

BY_ADDRESS = BY_MEANING = 10_000


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("flips") / "run", UNCHECKED)


def draw(folder: Path, number: int) -> tuple[str, int, int]:
    """Return a file, a byte in it and a bit in that, drawn over all bits of all published files."""
    names = [*sorted(json.loads((folder / INDEX).read_text())["files"]), INDEX]
    sizes = [(folder / name).stat().st_size for name in names]
    at = int(Rng(number).stream("flip").integers(8 * sum(sizes)))
    for name, size in zip(names, sizes):
        if at < 8 * size:
            return name, at // 8, at % 8
        at -= 8 * size
    raise AssertionError


def outcome_of(folder: Path) -> Outcome | None:
    try:
        return audit(folder)
    except Unusable:
        return None


def digest_of_index(folder: Path) -> bytes | None:
    """Return what the address is made of; None where the index is refused."""
    try:
        return canonical_json(read_index(folder))
    except Unusable:
        return None


@pytest.mark.slow
def test_every_bit_is_bound_by_the_address(run_folder: Path) -> None:
    """Nobody can turn a bit without another address: SHA-256 over all of a file, and a digest of the index."""
    index = json.loads((run_folder / INDEX).read_text())["files"]
    address = digest_of_index(run_folder)
    for number in range(BY_ADDRESS):
        name, byte, bit = draw(run_folder, number)
        path = run_folder / name
        data = bytearray(path.read_bytes())
        data[byte] ^= 1 << bit
        path.write_bytes(bytes(data))
        same = (
            digest_of_index(run_folder) == address
            if name == INDEX
            else sha256_of(run_folder, name)[0] == index[name]["sha256"]
        )
        assert not same, (name, byte, bit)
        data[byte] ^= 1 << bit
        path.write_bytes(bytes(data))


@pytest.mark.slow
def test_every_bit_is_bound_by_its_meaning(run_folder: Path, tmp_path: Path) -> None:
    """Also where the index is made to fit again, a changed bit is caught: none is without meaning."""
    forger, missed = Forger(run_folder, tmp_path / "forged"), []
    kept_index = (forger.folder / INDEX).read_bytes()
    for number in range(BY_MEANING):
        name, byte, bit = draw(run_folder, number)
        path = forger.folder / name
        kept = path.read_bytes()
        data = bytearray(kept)
        data[byte] ^= 1 << bit
        path.write_bytes(bytes(data))
        if name != INDEX:
            forger.reindex()
        outcome = outcome_of(forger.folder)
        if outcome is not None and outcome.exit_status == 0:
            missed.append((name, byte, bit))
        path.write_bytes(kept)
        (forger.folder / INDEX).write_bytes(kept_index)
    assert missed == []
