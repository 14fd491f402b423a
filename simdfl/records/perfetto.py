"""A timeline as a trace file that ui.perfetto.dev and chrome://tracing open.

Chrome's JSON trace format: one process per peer, chain and network; a thread per track; phases, work, uplinks and
arrivals as complete slices; each drawn copy of a message as a flow from the sender's uplink to its arrival;
counters for queues. Timestamps are simulated microseconds. Slices of one thread never overlap: those that would
take a further lane of their track.

References
----------
.. [1] Trace Event Format, complete (X), flow (s, f), counter (C) and metadata (M) events.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simdfl.world.timeline import Flight, Slice, Timeline

Event = dict[str, Any]
TRACKS = ("phase", "work", "uplink", "arrivals", "blocks", "calls")
LANES = 1000
"""Thread numbers per track; they are unique in the whole file, as the viewer takes them so."""
LEAST_US = 1.0
"""Width of an arrival, which has no duration."""


def write_timeline(path: Path, timeline: Timeline) -> None:
    """Write a trace file, compressed; the bytes depend on the timeline alone."""
    body = {"displayTimeUnit": "ms", "traceEvents": list(trace_events(timeline))}
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(json.dumps(body, separators=(",", ":")).encode())


def trace_events(timeline: Timeline) -> Iterator[Event]:
    """Yield metadata first, then all events in the order of their time."""
    flights = [flight for thinned in timeline.flights.values() for flight in thinned.items]
    numbers = _process_numbers(timeline)
    threads: dict[int, str] = {}
    drawn = [*timeline.slices, *_flight_slices(flights)]
    places = _place(drawn, numbers, threads)
    events = [_slice_event(part, numbers, thread) for part, thread in zip(drawn, places)]
    events += _flow_events(flights, numbers, places[len(timeline.slices) :])
    events += _counter_events(timeline, numbers)
    yield from _metadata(numbers, threads)
    yield from sorted(events, key=lambda event: (event["ts"], "sf".find(event["ph"])))


def _us(time_s: float) -> float:
    """Return microseconds, rounded to the viewer's nanosecond."""
    return round(1e6 * time_s, 3)


def _process_numbers(timeline: Timeline) -> dict[str, int]:
    others = [part.who for part in timeline.slices] + [who for who, _ in timeline.counters]
    return {name: number for number, name in enumerate(dict.fromkeys([*timeline.names, *others]), start=1)}


def _flight_slices(flights: Iterable[Flight]) -> Iterator[Slice]:
    """Yield two slices for each flight: on the uplink, and its arrival."""
    for flight in flights:
        about = {"step": flight.step, "class": flight.traffic, "bytes": flight.size_bytes}
        to, by = about | {"to": flight.target}, about | {"from": flight.source}
        yield Slice(flight.source, "uplink", flight.topic, flight.start_s, flight.end_s, to)
        yield Slice(flight.target, "arrivals", flight.topic, flight.arrives_s, flight.arrives_s, by)


def _place(drawn: list[Slice], numbers: dict[str, int], threads: dict[int, str]) -> list[int]:
    """Return the thread of every slice, and name the threads: the first lane of its track that is free."""
    free_us: dict[tuple[str, str], list[float]] = defaultdict(list)
    places = [0] * len(drawn)
    for index in sorted(range(len(drawn)), key=lambda i: (drawn[i].begin_s, drawn[i].end_s)):
        part = drawn[index]
        lanes = free_us[part.who, part.track]
        begin_us, end_us = _us(part.begin_s), _end_us(part)
        lane = next((lane for lane, until_us in enumerate(lanes) if until_us <= begin_us), len(lanes))
        lanes[lane : lane + 1] = [end_us]
        thread = (numbers[part.who] * len(TRACKS) + TRACKS.index(part.track)) * LANES + lane
        threads[thread] = part.track if lane == 0 else f"{part.track} {lane + 1}"
        places[index] = thread
    return places


def _end_us(part: Slice) -> float:
    return _us(part.end_s) if part.end_s > part.begin_s else _us(part.begin_s) + LEAST_US


def _slice_event(part: Slice, numbers: dict[str, int], thread: int) -> Event:
    begin_us = _us(part.begin_s)
    return {
        "ph": "X",
        "name": part.name,
        "cat": part.track,
        "pid": numbers[part.who],
        "tid": thread,
        "ts": begin_us,
        "dur": round(_end_us(part) - begin_us, 3),
        "args": part.about,
    }


def _flow_events(flights: list[Flight], numbers: dict[str, int], places: list[int]) -> Iterator[Event]:
    """Yield a beginning and an end for each flight; its two slices lie on two successive `places`."""
    for number, flight in enumerate(flights):
        about = {"id": number, "name": flight.topic, "cat": flight.traffic}
        ends = ((flight.source, flight.start_s), (flight.target, flight.arrives_s))
        for ph, (who, time_s), thread in zip("sf", ends, places[2 * number : 2 * number + 2]):
            event = {"ph": ph, **about, "pid": numbers[who], "tid": thread, "ts": _us(time_s)}
            yield event | {"bp": "e"} if ph == "f" else event


def _counter_events(timeline: Timeline, numbers: dict[str, int]) -> Iterator[Event]:
    for (who, name), thinned in timeline.counters.items():
        for time_s, value in thinned.items:
            yield {"ph": "C", "name": name, "pid": numbers[who], "ts": _us(time_s), "args": {"bytes": value}}


def _metadata(numbers: dict[str, int], threads: dict[int, str]) -> Iterator[Event]:
    for name, number in numbers.items():
        yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": name}}
        yield {"ph": "M", "name": "process_sort_index", "pid": number, "args": {"sort_index": number}}
    for thread in sorted(threads):
        number = thread // LANES // len(TRACKS)
        about = {"ph": "M", "pid": number, "tid": thread}
        yield {**about, "name": "thread_name", "args": {"name": threads[thread]}}
        yield {**about, "name": "thread_sort_index", "args": {"sort_index": thread}}
