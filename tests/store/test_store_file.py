"""A store of results: what is kept is found again, what is damaged is never believed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.errors import UserError
from simdfl.store import HEADER_BYTES, Store

OURS, THEIRS = b"o" * 32, b"t" * 32
MOST = 10_000
ENTRIES = {b"one": b"first value", b"two": b"", b"three": b"third value" * 9}


def opened(path: Path, context: bytes = OURS, resume: bool = True, most: int = MOST) -> Store:
    return Store(path, context, most, resume)


def filled(path: Path) -> bytes:
    """Write the entries and return the file's bytes."""
    store = opened(path)
    for key, value in ENTRIES.items():
        store.keep("thing", [key], value)
    store.close()
    return path.read_bytes()


def found(path: Path) -> list[bytes | None]:
    store = opened(path)
    values = [store.find("thing", [key]) for key in ENTRIES]
    store.close()
    return values


def test_what_is_kept_is_found_by_the_next_process(tmp_path: Path) -> None:
    filled(tmp_path / "x.store")
    assert found(tmp_path / "x.store") == list(ENTRIES.values())


def test_a_value_is_computed_once(tmp_path: Path) -> None:
    store, calls = opened(tmp_path / "x.store"), []

    def compute() -> bytes:
        calls.append("computed")
        return b"4"

    assert [store.get("square", [b"2"], compute) for _ in range(3)] == [b"4"] * 3
    assert (calls, store.found) == (["computed"], 2)
    store.close()


def test_kind_and_parts_are_kept_apart(tmp_path: Path) -> None:
    store = opened(tmp_path / "x.store")
    store.keep("a", [b"bc"], b"1")
    assert [store.find(*key) for key in (("ab", [b"c"]), ("a", [b"b", b"c"]), ("a", [b"bc", b""]))] == [None] * 3
    store.close()


@settings(deadline=None, max_examples=50)
@given(cut=st.integers(0, 400))
def test_a_torn_tail_costs_only_itself(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.store"
        whole = filled(path)
        path.write_bytes(whole[: max(0, len(whole) - cut)])
        values = found(path)
        kept = values.index(None) if None in values else len(values)
        assert values[:kept] == list(ENTRIES.values())[:kept]
        assert values[kept:] == [None] * (len(values) - kept)
        assert kept == len(values) or cut > 0
        filled(path)
        assert found(path) == list(ENTRIES.values())


@settings(deadline=None, max_examples=50)
@given(place=st.integers(HEADER_BYTES, 300), bit=st.integers(0, 7))
def test_a_damaged_record_is_never_believed(place: int, bit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.store"
        whole = bytearray(filled(path))
        whole[min(place, len(whole) - 1)] ^= 1 << bit
        path.write_bytes(whole)
        values = found(path)
        assert None in values
        assert all(value in (None, right) for value, right in zip(values, ENTRIES.values()))


def test_another_scenario_s_store_is_refused_in_one_sentence(tmp_path: Path) -> None:
    filled(tmp_path / "x.store")
    with pytest.raises(UserError, match=r"holds the progress of another scenario.*run without --resume"):
        opened(tmp_path / "x.store", THEIRS)


def test_without_resume_an_earlier_store_is_dropped(tmp_path: Path) -> None:
    filled(tmp_path / "x.store")
    opened(tmp_path / "x.store", THEIRS, resume=False).close()
    assert (tmp_path / "x.store").stat().st_size == HEADER_BYTES


def test_two_runs_do_not_share_a_store(tmp_path: Path) -> None:
    first = opened(tmp_path / "x.store")
    with pytest.raises(UserError, match="another run uses it"):
        opened(tmp_path / "x.store")
    first.close()


def test_a_full_store_takes_no_more_and_still_answers(tmp_path: Path) -> None:
    store = opened(tmp_path / "x.store", most=200)
    store.keep("thing", [b"small"], b"fits")
    store.keep("thing", [b"large"], b"does not" * 40)
    assert [store.find("thing", [key]) for key in (b"small", b"large")] == [b"fits", None]
    store.close()
    assert (tmp_path / "x.store").stat().st_size <= 200
