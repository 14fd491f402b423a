"""The arrays of the compiled fidelity: how they are made, how they grow, how rows are reused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdfl.network import compiled as c
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
        heap=np.zeros((START, 3), dtype=np.int64),
        pending=_chain(0, START),
        row_of_slot=np.full(START, c.NONE, dtype=np.int64),
        remaining=np.zeros((4, n), dtype=np.int32),
        sent=np.zeros((len(Traffic), n), dtype=np.int64),
        received=np.zeros((len(Traffic), n), dtype=np.int64),
        jitter=as_array(links.jitter),
        losses=np.array(links.losses),
        rates=np.zeros(2),
        finished=np.zeros(START, dtype=np.int64),
        numbers=numbers,
    )
    return state, {source * n + target: row for row, (source, target) in enumerate(pairs)}


def _chain(first: int, end: int, after: int = c.NONE) -> np.ndarray:
    """Return free places ``first … end - 1``, each pointing to the next and the last to `after`."""
    places = np.zeros((end - first, 2), dtype=np.int64)
    places[:, 1] = np.arange(first + 1, end + 1)
    places[-1, 1] = after
    return places


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
    state.rates[:] = links.loss, links.hazard
    state.numbers[c.HEALS], state.numbers[c.SLOW_START] = links.heals_ns, links.slow_start


def grown(array: np.ndarray, need: int, fill: int = 0) -> np.ndarray:
    """Return an array with at least `need` rows, at least doubled if it must grow."""
    if need <= len(array):
        return array
    more = max(need, 2 * len(array)) - len(array)
    return np.concatenate([array, np.full((more, *array.shape[1:]), fill, dtype=array.dtype)])


def make_room(state: c.State, spare: int) -> c.State:
    """Return a state whose heap holds `spare` more entries and whose kept deliveries have a free place."""
    heap = grown(state.heap, int(state.numbers[c.HEAP_SIZE]) + spare)
    pending = state.pending
    if state.numbers[c.FREE_PENDING] == c.NONE:
        size = len(pending)
        pending = np.concatenate([pending, _chain(size, 2 * size)])
        state.numbers[c.FREE_PENDING] = size
    return state._replace(heap=heap, pending=pending)
