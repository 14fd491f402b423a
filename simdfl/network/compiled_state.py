"""The arrays of the compiled fidelity: how they are made, how they grow, how rows are reused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from simdfl.network import compiled_queue as q
from simdfl.network import compiled_rows as c
from simdfl.network import compiled_sort as sort
from simdfl.network.clock import NEVER_NS
from simdfl.network.conditions import JITTER_TABLE_SIZE
from simdfl.network.links import BINARY_PLACES, EVERYWHERE, Links, as_array

START = 1 << 10
GROWTH = 4
"""So many times more chunks are made when there are too few: copied seldom, and those never used cost nothing."""
LINE_BYTES = 64
"""What the processor's cache reads at once."""


def make_state(links: Links, neighbours: Sequence[Sequence[int]]) -> tuple[c.State, dict[int, int]]:
    """Return the arrays of a network at rest, and the row of each overlay link by ``source * n + target``."""
    n = links.n
    ends = _overlay_links(neighbours)
    n_links = max(1, len(ends))
    state = c.State(
        hosts=_zeros((n, c.HOST_COLUMNS)),
        ends=_zeros((n_links, 2), np.uint32),
        links=_zeros((n_links, c.LINK_COLUMNS)),
        messages=_zeros((START, c.MESSAGE_COLUMNS)),
        seen=_zeros((16, (n + 7) // 8), np.uint8),
        near=_zeros((START, 3)),
        far=_zeros((START, 3)),
        run=_zeros((START, 2)),
        half_sorted=_zeros((START, 2)),
        tallies=_zeros((2, sort.DIGIT_MASK + 1), np.uint32),
        buckets=_zeros((q.N_BUCKETS, 2), np.uint32),
        chunks=_zeros((START, sort.CHUNK_COLUMNS)),
        queue=_zeros((q.N_QUEUE_NUMBERS,)),
        kept=_zeros((n, 2), np.uint32),
        pending=_zeros((START, c.PENDING_COLUMNS), np.uint32),
        row_of_slot=np.full(START, c.NONE, dtype=np.int64),
        remaining=_zeros((4, n), np.int32),
        jitter=np.fromiter(links.jitter, np.int32, JITTER_TABLE_SIZE),
        losses=np.zeros(JITTER_TABLE_SIZE),
        rates=np.zeros((3, 2)),
        bursts=links.bursts,
        flows=_chain(0, START, c.FLOW_COLUMNS),
        finished=_zeros((START,)),
        numbers=_zeros((c.N_NUMBERS,)),
    )
    _empty(state)
    _write_overlay(state, ends)
    keys = ends[:, c.SOURCE] * n + ends[:, c.TARGET]
    return state, dict(zip(keys.tolist(), range(len(keys)), strict=True))


def _overlay_links(neighbours: Sequence[Sequence[int]]) -> np.ndarray:
    """Return (source, target) of all overlay links, those of a host side by side."""
    degrees = [len(targets) for targets in neighbours]
    targets = np.fromiter(chain.from_iterable(neighbours), np.int64, sum(degrees))
    return np.stack([np.repeat(np.arange(len(neighbours)), degrees), targets], axis=1)


def _zeros(shape: tuple[int, ...], dtype: type = np.int64) -> np.ndarray:
    """Return zeros that begin with a line of the processor's cache, so that rows of one line lie in one."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE_BYTES, dtype=np.uint8)
    first = -memory.ctypes.data % LINE_BYTES
    return memory[first : first + size].view(dtype).reshape(shape)


def _chain(first: int, end: int, columns: int) -> np.ndarray:
    """Return free rows ``first … end - 1``; the last column of each names the next one, of the last none."""
    rows = np.zeros((end - first, columns), dtype=np.int64)
    rows[:, -1] = np.arange(first + 1, end + 1)
    rows[-1, -1] = c.NONE
    return rows


def _empty(state: c.State) -> None:
    """Let nothing be on its way and nothing kept; the first row of a chain of rows means that there is none."""
    state.near[0, 0] = state.run[0, 0] = NEVER_NS
    state.buckets[:, q.END] = q.NO_ENTRY
    state.queue[[q.FREE_CHUNK, q.CHUNKS_USED]] = 1
    state.queue[q.N_FREE_CHUNKS] = len(state.chunks) - 1
    state.hosts[:, c.N_KEPT] = c.NO_INBOX
    state.kept[:, c.END_KEPT] = c.NOTHING_KEPT
    state.numbers[[c.FREE_PENDING, c.PENDING_USED]] = 1


def _write_overlay(state: c.State, ends: np.ndarray) -> None:
    """Write which links each host relays on."""
    n = len(state.hosts)
    degrees = np.bincount(ends[:, c.SOURCE], minlength=n)
    state.hosts[:, c.END_LINK] = np.cumsum(degrees)
    state.hosts[:, c.FIRST_LINK] = state.hosts[:, c.END_LINK] - degrees
    state.ends[: len(ends)] = ends
    state.links[: len(ends), c.PLACE] = first_place(ends, n)


def first_place(ends: np.ndarray, n: int) -> np.ndarray:
    """Return where links, (k, 2) rows of ends, begin in the table of jitter: the offset of their first copy."""
    return (ends[:, c.SOURCE] * n + ends[:, c.TARGET]) * 2654435761 & c.MASK


def write_links(state: c.State, links: Links, rows: range) -> None:
    """Write latencies and spreads of some links, as :meth:`~simdfl.network.links.Links.between` has them."""
    ends = state.ends[rows.start : rows.stop]
    regions, access_ns = as_array(links.regions)[ends], as_array(links.access_ns)[ends]
    latency = np.array(links.region_ns, dtype=np.int64)[regions[:, 0], regions[:, 1]] + access_ns.sum(axis=1)
    spread = np.array(links.spread, dtype=np.int64)[regions[:, 0], regions[:, 1]]
    state.links[rows.start : rows.stop, c.LATENCY] = latency
    state.links[rows.start : rows.stop, c.SPREAD] = (latency * spread) >> BINARY_PLACES


def write_lines(state: c.State, links: Links) -> None:
    """Write speeds, sides, rates, and the draws of losses once there are losses."""
    state.hosts[:, c.UP_PS], state.hosts[:, c.DOWN_PS] = links.up_ps, links.down_ps
    state.hosts[:, c.SIDE] = links.side
    if links.is_lossy and not state.losses.any():
        state.losses[:] = links.losses
    state.rates[:, 0], state.rates[:, 1] = links.lost_shares, links.rates
    state.numbers[[c.HEALS, c.SLOW_START, c.SHARES, c.WINDOW, c.LOSSY, c.KEPT, c.SPLIT]] = (
        links.heals_ns,
        links.slow_start,
        links.shares_lines,
        links.window_bytes,
        links.is_lossy,
        links.kept,
        any(side != EVERYWHERE for side in links.side),
    )


def grown(array: np.ndarray, need: int, fill: int = 0) -> np.ndarray:
    """Return an array with at least `need` rows, at least doubled if it must grow."""
    if need <= len(array):
        return array
    larger = _zeros((max(need, 2 * len(array)), *array.shape[1:]), array.dtype.type)
    larger[: len(array)] = array
    if fill:
        larger[len(array) :] = fill
    return larger


def n_due(state: c.State) -> int:
    """Return how many entries the next slice has."""
    bucket = (int(state.queue[q.NEAR_END]) >> q.SLICE_SHIFT) & q.BUCKET_MASK
    chunk, end = state.buckets[bucket].tolist()
    if end == q.NO_ENTRY:
        return 0
    count = end & sort.PLACE_MASK
    while chunk != end >> sort.PLACE_SHIFT:
        count += sort.CHUNK_ENTRIES
        chunk = int(state.chunks[chunk, sort.NEXT_CHUNK])
    return count


def make_room(state: c.State, spare: int) -> c.State:
    """Return a state in which `spare` more entries fit wherever they belong, and one more is kept back.

    New rows of chains are not written: memory that nobody touches costs neither time nor space.
    """
    queue, numbers, flows = state.queue, state.numbers, state.flows
    due = n_due(state) + 1
    chunks = state.chunks
    if queue[q.N_FREE_CHUNKS] < spare:
        chunks = grown(chunks, GROWTH * len(chunks) + spare)
    queue[q.N_FREE_CHUNKS] += len(chunks) - len(state.chunks)
    if numbers[c.FREE_FLOW] == c.NONE:
        flows = np.concatenate([flows, _chain(len(flows), 2 * len(flows), c.FLOW_COLUMNS)])
        numbers[c.FREE_FLOW] = len(state.flows)
    return state._replace(
        near=grown(state.near, int(queue[q.N_NEAR]) + spare),
        far=grown(state.far, int(queue[q.N_FAR]) + spare),
        run=grown(state.run, due),
        half_sorted=grown(state.half_sorted, due),
        chunks=chunks,
        pending=grown(state.pending, int(numbers[c.FREE_PENDING]) + 1),
        flows=flows,
    )
