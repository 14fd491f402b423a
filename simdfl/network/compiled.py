"""The fidelity ``kernel``, compiled part: the loop over what happens next.

Plain functions on arrays of whole numbers, compiled by numba to machine code that is cached on disk. The
arithmetic is that of :mod:`simdfl.network.event`, statement by statement. Copies that nothing but jitter delays
leave by a shorter way, which ends with the same numbers.

The loop stops where Python has something to do: a message wakes or calls an actor, a relay wants to be asked, an
array is full.
"""

from __future__ import annotations

import numpy as np

from simdfl.network.clock import NEVER_NS
from simdfl.network.compiled_code import machine_code
from simdfl.network.compiled_kept import is_awaited, keep, release
from simdfl.network.compiled_lines import arrive, served
from simdfl.network.compiled_links import ends_of, fan_out, has_room, join, push, transmit
from simdfl.network.compiled_queue import head_time, settle, take
from simdfl.network.compiled_rows import (
    ARRIVE,
    ASKS,
    COMPLETE,
    DELIVERED,
    DONE,
    END_LINK,
    FIRST_LINK,
    FULL,
    IS_DOWN,
    LINK_MASK,
    LINK_SHIFT,
    LOSSY,
    MAY_REFUSE,
    MESSAGE_MASK,
    MESSAGE_SHIFT,
    N_KEPT,
    NO_INBOX,
    NONE,
    RELAY,
    SEEN_ROW,
    SERVED,
    SHARES,
    SPLIT,
    STOP_LINK,
    STOP_MESSAGE,
    STOP_TIME,
    TARGET,
    TOGETHER,
    VALIDATE,
)


@machine_code
def complete(s, time, link, message):  # type: ignore[no-untyped-def]
    """Deliver; return whether Python has to do it."""
    target = np.int64(s.ends[link, TARGET])
    if s.hosts[target, IS_DOWN]:
        seen = s.messages[message, SEEN_ROW]
        if seen != NONE:
            s.seen[seen, target >> 3] &= ~(1 << (target & 7))
        release(s, message, 1)
        return False
    done = 1
    if s.messages[message, VALIDATE] >= 0:
        push(s, time + s.messages[message, VALIDATE], RELAY, link, message)
        done = 0
    awaited = is_awaited(s, target, message)
    if not awaited and s.hosts[target, N_KEPT] != NO_INBOX:
        keep(s, target, message)
        done -= 1
    release(s, message, done)
    return awaited


@machine_code
def relay(s, time, link, message):  # type: ignore[no-untyped-def]
    """Pass a broadcast on to all neighbours but the one it came from."""
    source, host = ends_of(s, link)
    if s.hosts[host, IS_DOWN]:
        return
    if not (s.numbers[SHARES] or s.numbers[LOSSY] or s.numbers[SPLIT]):
        fan_out(s, time, host, source, message)
        return
    first, end = s.hosts[host, FIRST_LINK], s.hosts[host, END_LINK]
    if s.numbers[SHARES]:
        s.hosts[host, TOGETHER] = 0
        for onward in range(first, end):
            if s.ends[onward, TARGET] != source:
                join(s, time, onward, message)
    for onward in range(first, end):
        if s.ends[onward, TARGET] != source:
            transmit(s, time, onward, message)


@machine_code
def advance(s, limit, spare):  # type: ignore[no-untyped-def]
    """Let things happen before `limit`; return why the loop stopped.

    Every event adds at most `spare` entries to the queue. A message whose relay Python has to ask is released by
    Python, when it is done with it.
    """
    while True:
        if not has_room(s, spare):
            return FULL
        time = head_time(s)
        if time >= limit:
            if time < NEVER_NS:
                return DONE
            if not settle(s):
                return FULL
            time = head_time(s)
            if time >= limit:
                return DONE
        packed = take(s, time)
        what, link = packed & 3, (packed >> LINK_SHIFT) & LINK_MASK
        message = (packed >> MESSAGE_SHIFT) & MESSAGE_MASK
        stop = DONE
        if what == ARRIVE:
            arrive(s, time, link, message)
        elif what == COMPLETE:
            if complete(s, time, link, message):
                stop = DELIVERED
        elif what == SERVED:
            served(s, time, link, message)
        elif s.hosts[s.ends[link, TARGET], MAY_REFUSE]:
            stop = ASKS
        else:
            relay(s, time, link, message)
            release(s, message, 1)
        if stop != DONE:
            s.numbers[STOP_TIME], s.numbers[STOP_LINK], s.numbers[STOP_MESSAGE] = time, link, message
            return stop
