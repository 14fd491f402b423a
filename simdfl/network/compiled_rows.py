"""The fidelity ``kernel``: the arrays of its loop, whole numbers in rows.

Rows are packed by what is read together, and a host's row begins with a line of the processor's cache: the loop
is bound by how many lines it touches. Indices are unsigned where they are stored, and read by ``np.int64``: a
number that cannot be negative needs no check for indices from the end, and mixing unsigned with signed ones would
make numba compute in floating point.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simdfl.network.conditions import JITTER_TABLE_SIZE

MASK = JITTER_TABLE_SIZE - 1
PACE = 40503
"""How far a link walks through the table of jitter from one copy to the next."""

# Columns of a host's row: what sending needs, what receiving needs, and the rest; each is a line of the cache.
UP_FREE, UP_PS, FIRST_LINK, END_LINK, SENT = range(5)
DOWN_FREE, DOWN_PS, IS_DOWN, N_KEPT, RECEIVED = range(8, 13)
MAY_REFUSE, SIDE, TOGETHER, SERVED_NS, SINCE_NS, VERSION, N_FLOWS, FIRST_FLOW = range(16, 24)
HOST_COLUMNS = 24
TRAFFIC_COLUMNS = 4
"""Bytes by class, from ``SENT`` and ``RECEIVED`` on."""
# Columns of a flow on a shared downlink, in the order of their ends: how much service ends it, its last bit.
ENDS, FLOW_LINK, FLOW_MESSAGE, LAST_BIT, NEXT_FLOW = range(5)
FLOW_COLUMNS = 5
# Columns of a link's ends and of its row; PLACE is where it reads the table of jitter next.
SOURCE, TARGET = range(2)
LATENCY, SPREAD, PLACE = range(3)
LINK_COLUMNS = 3
# Columns of a message's row: which waits it counts for, whether each delivery is reported, copies and deliveries
# that are still to come or kept back.
SIZE, VALIDATE, SLOT, REPORTED, TRAFFIC, SEEN_ROW, LIVE = range(7)
MESSAGE_COLUMNS = 8
# What is kept back for a host: 15 messages a row and the next row, in a chain like that of a bucket.
FIRST_KEPT, END_KEPT = range(2)
KEPT_ENTRIES, NEXT_PENDING, PENDING_COLUMNS = 15, 15, 16
NOTHING_KEPT = KEPT_ENTRIES
# Entries of the state's numbers.
TRANSMISSIONS, FREE_PENDING, N_FINISHED, HEALS, SLOW_START = range(5)
STOP_TIME, STOP_LINK, STOP_MESSAGE = range(5, 8)
SHARES, WINDOW, LOSSY, FREE_FLOW, KEPT, PENDING_USED, SPLIT = range(8, 15)
N_NUMBERS = 15
# What happens to a copy, and how it is packed beside its link and message.
ARRIVE, COMPLETE, RELAY, SERVED = range(4)
LINK_SHIFT, MESSAGE_SHIFT, LINK_MASK = 2, 34, (1 << 32) - 1
MESSAGE_MASK = (1 << 29) - 1
VERSION_MASK = MESSAGE_MASK
# Why the loop stopped.
DONE, DELIVERED, ASKS, FULL = range(4)
NONE = -1
NO_INBOX = -1


class State(NamedTuple):
    """Everything the loop reads and writes."""

    hosts: np.ndarray
    ends: np.ndarray
    links: np.ndarray
    messages: np.ndarray
    seen: np.ndarray
    near: np.ndarray
    far: np.ndarray
    run: np.ndarray
    half_sorted: np.ndarray
    tallies: np.ndarray
    buckets: np.ndarray
    chunks: np.ndarray
    queue: np.ndarray
    kept: np.ndarray
    pending: np.ndarray
    row_of_slot: np.ndarray
    remaining: np.ndarray
    jitter: np.ndarray
    losses: np.ndarray
    rates: np.ndarray
    bursts: np.ndarray
    flows: np.ndarray
    finished: np.ndarray
    numbers: np.ndarray
