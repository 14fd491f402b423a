"""Timelines keep the rules of the trace event format, tell what happened, and do not touch the run."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simdfl.errors import UserError
from simdfl.records.perfetto import write_timeline
from simdfl.scenario import loads
from simdfl.world import RunResult, build

TEXT = """
name: watched
protocol: {steps: 3}
peers: {count: 6}
topology: {name: complete}
beacon: {group: ideal}
learning: {model: {name: logistic}}
output: {perfetto: true, perfetto_copies: 300}
"""


@cache
def watched() -> RunResult:
    return build(loads(TEXT).scenario).run()


def events(folder: Path) -> list[dict[str, Any]]:
    timeline = watched().timeline
    assert timeline is not None
    write_timeline(folder / "x.json.gz", timeline)
    found: list[dict[str, Any]] = json.loads(gzip.decompress((folder / "x.json.gz").read_bytes()))["traceEvents"]
    return found


def test_watching_changes_nothing() -> None:
    unwatched = build(loads(TEXT, "watched", ["output.perfetto=false"]).scenario).run()
    assert unwatched.timeline is None
    assert unwatched.trace_digest == watched().trace_digest
    assert unwatched.peers == watched().peers


def test_times_ascend_after_the_names(tmp_path: Path) -> None:
    kinds = [event["ph"] for event in events(tmp_path)]
    first = next(index for index, kind in enumerate(kinds) if kind != "M")
    assert "M" not in kinds[first:]
    times = [event["ts"] for event in events(tmp_path)[first:]]
    assert times == sorted(times)
    assert times[0] >= 0.0


def test_every_process_and_thread_has_a_name(tmp_path: Path) -> None:
    found = events(tmp_path)
    processes = {event["pid"]: event["args"]["name"] for event in found if event["name"] == "process_name"}
    threads = {event["tid"]: event["pid"] for event in found if event["name"] == "thread_name"}
    assert {f"peer {peer}" for peer in range(6)} | {"chain", "network"} <= set(processes.values())
    assert all(event["pid"] in processes for event in found)
    assert all(threads[event["tid"]] == event["pid"] for event in found if event["ph"] in "Xsf")


def test_slices_of_a_thread_never_overlap(tmp_path: Path) -> None:
    lanes = defaultdict(list)
    for event in events(tmp_path):
        if event["ph"] == "X":
            lanes[event["tid"]].append((event["ts"], round(event["ts"] + event["dur"], 3)))
    assert len(lanes) > 6
    for slices in lanes.values():
        assert all(end <= begin for (_, end), (begin, _) in pairwise(slices))


def test_flows_begin_and_end_once_inside_slices(tmp_path: Path) -> None:
    found = events(tmp_path)
    begins = {event["id"]: event for event in found if event["ph"] == "s"}
    ends = {event["id"]: event for event in found if event["ph"] == "f"}
    slices = {(event["tid"], event["ts"]) for event in found if event["ph"] == "X"}
    assert begins.keys() == ends.keys()
    assert len(begins) == sum(event["ph"] == "s" for event in found)
    for number, begin in begins.items():
        assert begin["ts"] <= ends[number]["ts"]
        assert (begin["name"], begin["cat"]) == (ends[number]["name"], ends[number]["cat"])
        assert {(begin["tid"], begin["ts"]), (ends[number]["tid"], ends[number]["ts"])} <= slices


def test_phases_work_blocks_and_calls_are_there(tmp_path: Path) -> None:
    found = events(tmp_path)
    phases = Counter(event["name"] for event in found if event.get("cat") == "phase")
    assert set(phases) >= {
        "BEACON",
        "COMPUTE and COMMIT",
        "EXCHANGE and AGGREGATE",
        "PROJECT",
        "VERIFY",
        "VALIDATE",
    }
    work = {event["name"] for event in found if event.get("cat") == "work"}
    assert work >= {"gradient", "hash", "aggregation", "projection", "verification", "beacon", "validation"}
    calls = Counter(event["name"] for event in found if event.get("cat") == "calls")
    included = {f"{row['contract']}.{row['function']}": row["calls"] for row in watched().calls}
    assert calls == included
    assert sum(event.get("cat") == "blocks" for event in found) == sum(bool(b.receipts) for b in watched().blocks)


def test_work_adds_up_to_what_the_tables_say(tmp_path: Path) -> None:
    spent_us = Counter()
    for event in events(tmp_path):
        if event.get("cat") == "work" and event["name"] == "beacon":
            spent_us[event["pid"]] += event["dur"]
    for row in watched().peers:
        assert abs(spent_us[row["peer"] + 1] * 1e-6 - row["beacon_s"]) < 1e-6


def test_copies_are_thinned_to_the_bound_and_queues_are_never_negative(tmp_path: Path) -> None:
    found = events(tmp_path)
    drawn = Counter(event["cat"] for event in found if event["ph"] == "s")
    assert set(drawn) == {"gradient", "control", "beacon", "chain"}
    assert max(drawn.values()) <= 300 < watched().summary["transmissions"]
    counters = [event for event in found if event["ph"] == "C"]
    assert {event["name"] for event in counters} == {"uplink queue", "bytes in flight"}
    assert all(event["args"]["bytes"] >= 0 for event in counters)
    assert max(event["args"]["bytes"] for event in counters) > 0


def test_a_fidelity_without_single_copies_is_refused() -> None:
    with pytest.raises(UserError, match=r"^output.perfetto: .* use network.fidelity event$"):
        build(loads(f"{TEXT}network: {{fidelity: kernel}}").scenario)
