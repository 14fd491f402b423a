"""Well-formed files with a wrong value anywhere: refused or caught, never swallowed, never a crash."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from audited_run import Forger, audit, publish
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_records_outsider import UNCHECKED

from simdfl.auditing.findings import Unusable
from simdfl.auditing.reading import read_lines
from simdfl.records.archive import write_lines
from simdfl.records.publication import write_json

ROOT = Path(__file__).resolve().parents[2]
ODD = (None, True, -1, 0, 2**70, 1.5, 1e308, "", "00", "é\u0000", [], {}, [[]], {"": {}})
JSON_FILES = ("manifest.json", "deployment.json", "published.json")
LINE_FILES = ("chain.jsonl.gz", "messages.jsonl.gz")


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    place = tmp_path_factory.mktemp("malformed")
    return Forger(publish(place / "run", UNCHECKED), place / "forged")


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values in a JSON value, itself excepted."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, part in inner for found in [(*path, key), *places(part, (*path, key))]]


def spoil(value: Any, data: st.DataObject) -> tuple[Any, ...]:
    """Replace or remove a drawn part of a JSON value in place; return where and what."""
    path = data.draw(st.sampled_from(places(value)), label="place")
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    old, new = holder[path[-1]], data.draw(st.sampled_from(ODD), label="value")
    if data.draw(st.booleans(), label="removed"):
        del holder[path[-1]]
        return path, "removed"
    if json.dumps(new) == json.dumps(old):
        new = "another"
    holder[path[-1]] = new
    return path, new


def judge(forger: Forger, data: st.DataObject) -> None:
    """Spoil a file, audit, restore; a clean verdict or an exception other than a refusal fails."""
    name = data.draw(st.sampled_from(JSON_FILES + LINE_FILES), label="file")
    index, kept = forger.folder / "published.json", (forger.folder / name).read_bytes()
    kept_index = index.read_bytes()
    try:
        if name in JSON_FILES:
            value = json.loads(kept)
            spoil(value, data)
            write_json(forger.folder / name, value)
        else:
            lines = list(read_lines(forger.folder, name))
            spoil(lines[data.draw(st.integers(0, len(lines) - 1), label="line")], data)
            write_lines(forger.folder / name, lines)
        if name != "published.json":
            forger.reindex()
        with suppress(Unusable):
            assert audit(forger.folder).exit_status in (1, 2)
    finally:
        (forger.folder / name).write_bytes(kept)
        index.write_bytes(kept_index)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_wrong_value_is_refused_or_caught(forger: Forger, data: st.DataObject) -> None:
    judge(forger, data)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_wrong_values_are_refused_or_caught(forger: Forger, data: st.DataObject) -> None:
    judge(forger, data)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason='atheris: pip install -e ".[fuzz]"')
def test_no_bytes_break_a_reader(forger: Forger, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "fuzz_reading.py"), "--seeds", str(forger.folder)]
    limits = ["-runs=200000", "-max_total_time=240", "-max_len=65536", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [*command, *limits, str(tmp_path / "corpus")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done " in done.stderr
