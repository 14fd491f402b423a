"""The fidelity ``kernel``, compiled part: deliveries that wake and call nobody are kept back for their host."""

from __future__ import annotations

import numpy as np

from simdfl.network.compiled_code import machine_code
from simdfl.network.compiled_rows import (
    END_KEPT,
    FIRST_KEPT,
    FREE_PENDING,
    KEPT_ENTRIES,
    LIVE,
    N_FINISHED,
    N_KEPT,
    NEXT_PENDING,
    NONE,
    NOTHING_KEPT,
    PENDING_USED,
    REPORTED,
    SLOT,
)
from simdfl.network.compiled_sort import PLACE_MASK, PLACE_SHIFT


@machine_code
def release(s, message, count):  # type: ignore[no-untyped-def]
    """Forget `count` copies or kept deliveries of a message; the last one finishes it."""
    left = s.messages[message, LIVE] - count
    s.messages[message, LIVE] = left
    if left == 0:
        s.finished[s.numbers[N_FINISHED]] = message
        s.numbers[N_FINISHED] += 1


@machine_code
def is_awaited(s, target, message):  # type: ignore[no-untyped-def]
    """Return whether somebody is woken or called by a delivery."""
    if s.messages[message, REPORTED]:
        return True
    row = s.row_of_slot[s.messages[message, SLOT]]
    if row == NONE or s.remaining[row, target] == 0:
        return False
    s.remaining[row, target] -= 1
    return s.remaining[row, target] == 0


@machine_code
def keep(s, host, message):  # type: ignore[no-untyped-def]
    """Keep a delivery back for a host."""
    s.hosts[host, N_KEPT] += 1
    place = np.int64(s.kept[host, END_KEPT])
    if place & PLACE_MASK == KEPT_ENTRIES:
        place = begin_row(s, host, place >> PLACE_SHIFT) << PLACE_SHIFT
    s.pending[place >> PLACE_SHIFT, place & PLACE_MASK] = message
    s.kept[host, END_KEPT] = place + 1


@machine_code
def begin_row(s, host, last):  # type: ignore[no-untyped-def]
    """Return a free row of what is kept back, appended to the `last` one of a host; as with chunks."""
    numbers = s.numbers
    row = numbers[FREE_PENDING]
    if row == numbers[PENDING_USED]:
        numbers[PENDING_USED] = numbers[FREE_PENDING] = row + 1
    else:
        numbers[FREE_PENDING] = s.pending[row, NEXT_PENDING]
    if last == 0:
        s.kept[host, FIRST_KEPT] = row
    else:
        s.pending[last, NEXT_PENDING] = row
    return row


@machine_code
def pull(s, host, places, slots):  # type: ignore[no-untyped-def]
    """Write what is kept back for a host, messages and slots, oldest first; return whether all is of one slot."""
    first, left, done, is_one = np.int64(s.kept[host, FIRST_KEPT]), s.hosts[host, N_KEPT], 0, True
    last = np.int64(s.kept[host, END_KEPT]) >> PLACE_SHIFT
    row = first
    while left > 0:
        for column in range(min(left, KEPT_ENTRIES)):
            message = np.int64(s.pending[row, column])
            places[done], slots[done] = message, s.messages[message, SLOT]
            is_one = is_one and slots[done] == slots[0]
            done += 1
            release(s, message, 1)
        left -= KEPT_ENTRIES
        row = np.int64(s.pending[row, NEXT_PENDING])
    s.pending[last, NEXT_PENDING] = s.numbers[FREE_PENDING]
    s.numbers[FREE_PENDING] = first
    s.kept[host, END_KEPT] = NOTHING_KEPT
    s.hosts[host, N_KEPT] = 0
    return is_one
