"""The arrays of the compiled fidelity: how they are made, how they grow, how rows are reused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdfl.network import compiled as c
from simdfl.network import compiled_queue as q
from simdfl.network.links import Links, as_array
from simdfl.network.message import Traffic

Rows = list[int]
START = 1 << 10


def make_state(links: Links, neighbours: Sequence[Sequence[int]]) -> tuple[c.State, dict[int, int]]:
    """Return the arrays of a network at rest, and the row of each overlay link by ``source * n + target``."""
    n = links.n
    pairs = [(source, target) for source in range(n) for target in neighbours[source]]
    table = np.zeros((max(1, len(pairs)), c.LINK_COLUMNS), dtype=np.int64)
    if pairs:
        table[:, : c.TARGET + 1] = pairs
    hosts = np.zeros((n, c.HOST_COLUMNS), dtype=np.int64)
    degrees = as_array([len(targets) for targets in neighbours])
    hosts[:, c.END_LINK] = np.cumsum(degrees)
    hosts[:, c.FIRST_LINK] = hosts[:, c.END_LINK] - degrees
    hosts[:, c.PENDING] = c.NO_INBOX
    numbers = np.zeros(c.N_NUMBERS, dtype=np.int64)
    state = c.State(
        hosts=hosts,
        links=table,
        messages=np.zeros((START, c.MESSAGE_COLUMNS), dtype=np.int64),
        seen=np.zeros((16, n), dtype=np.uint8),
        near=np.zeros((START, 3), dtype=np.int64),
        far=np.zeros((START, 3), dtype=np.int64),
        buckets=np.tile(as_array([q.NO_CHUNK, q.NO_CHUNK, 0]), (q.N_BUCKETS, 1)),
        chunks=_chain(0, START, q.CHUNK_COLUMNS),
        queue=_empty_queue(START),
        pending=_chain(0, START, 2),
        row_of_slot=np.full(START, c.NONE, dtype=np.int64),
        remaining=np.zeros((4, n), dtype=np.int32),
        sent=np.zeros((len(Traffic), n), dtype=np.int64),
        received=np.zeros((len(Traffic), n), dtype=np.int64),
        jitter=np.array(links.jitter, dtype=np.int32),
        losses=np.array(links.losses),
        rates=np.zeros((3, 2)),
        bursts=links.bursts,
        flows=_chain(0, START, c.FLOW_COLUMNS),
        finished=np.zeros(START, dtype=np.int64),
        numbers=numbers,
    )
    return state, {source * n + target: row for row, (source, target) in enumerate(pairs)}


def _chain(first: int, end: int, columns: int) -> np.ndarray:
    """Return free rows ``first … end - 1``; the last column of each names the next one, of the last none."""
    rows = np.zeros((end - first, columns), dtype=np.int64)
    rows[:, -1] = np.arange(first + 1, end + 1)
    rows[-1, -1] = c.NONE
    return rows


def _empty_queue(n_chunks: int) -> np.ndarray:
    numbers = np.zeros(q.N_QUEUE_NUMBERS, dtype=np.int64)
    numbers[q.N_FREE_CHUNKS] = n_chunks
    return numbers


def write_links(state: c.State, links: Links, rows: range) -> None:
    """Write latencies and spreads of some links."""
    pairs = state.links[rows.start : rows.stop, : c.TARGET + 1].tolist()
    delays = [links.between(source, target) for source, target in pairs]
    if delays:
        state.links[rows.start : rows.stop, c.LATENCY : c.SPREAD + 1] = delays


def write_lines(state: c.State, links: Links) -> None:
    """Write speeds, sides and rates."""
    state.hosts[:, c.UP_PS], state.hosts[:, c.DOWN_PS] = links.up_ps, links.down_ps
    state.hosts[:, c.SIDE] = links.side
    state.rates[:, 0], state.rates[:, 1] = links.lost_shares, links.rates
    state.numbers[[c.HEALS, c.SLOW_START, c.SHARES, c.WINDOW, c.LOSSY, c.KEPT]] = (
        links.heals_ns,
        links.slow_start,
        links.shares_lines,
        links.window_bytes,
        links.is_lossy,
        links.kept,
    )


def grown(array: np.ndarray, need: int, fill: int = 0) -> np.ndarray:
    """Return an array with at least `need` rows, at least doubled if it must grow."""
    if need <= len(array):
        return array
    more = max(need, 2 * len(array)) - len(array)
    return np.concatenate([array, np.full((more, *array.shape[1:]), fill, dtype=array.dtype)])


def make_room(state: c.State, spare: int) -> c.State:
    """Return a state in which `spare` more entries fit wherever they belong, and one more is kept back."""
    queue = state.queue
    bucket = (int(queue[q.NEAR_END]) >> q.SLICE_SHIFT) & q.BUCKET_MASK
    due = int(state.buckets[bucket, q.N_IN_BUCKET])
    near = grown(state.near, int(queue[q.N_NEAR]) + due + spare)
    far = grown(state.far, int(queue[q.N_FAR]) + spare)
    pending, chunks, flows = state.pending, state.chunks, state.flows
    if state.numbers[c.FREE_PENDING] == c.NONE:
        pending = np.concatenate([pending, _chain(len(pending), 2 * len(pending), 2)])
        state.numbers[c.FREE_PENDING] = len(state.pending)
    if state.numbers[c.FREE_FLOW] == c.NONE:
        flows = np.concatenate([flows, _chain(len(flows), 2 * len(flows), c.FLOW_COLUMNS)])
        state.numbers[c.FREE_FLOW] = len(state.flows)
    if queue[q.N_FREE_CHUNKS] < spare:
        size, more = len(chunks), max(len(chunks), spare)
        chunks = np.concatenate([chunks, _chain(size, size + more, q.CHUNK_COLUMNS)])
        chunks[-1, -1] = queue[q.FREE_CHUNK]
        queue[q.FREE_CHUNK] = size
        queue[q.N_FREE_CHUNKS] += more
    return state._replace(near=near, far=far, pending=pending, chunks=chunks, flows=flows)
