"""The fidelity ``kernel``, compiled part: the loop over the heap and what happens to a copy.

Plain functions on arrays of whole numbers, compiled by numba to machine code that is cached on disk. Rows are
packed by what is read together: a host, a link and a message each are one row. The arithmetic is that of
:mod:`simdfl.network.event`, statement by statement.

The loop stops where Python has something to do: a message wakes or calls an actor, a relay wants to be asked, an
array is full.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simdfl.network.clock import NEVER_NS
from simdfl.network.compiled_queue import (
    N_FAR,
    N_FREE_CHUNKS,
    N_NEAR,
    PLACE_MASK,
    PLACE_SHIFT,
    head_time,
    machine_code,
    put,
    settle,
    take,
)
from simdfl.network.conditions import JITTER_TABLE_SIZE
from simdfl.network.links import (
    BINARY_PLACES,
    EVERYWHERE,
    KEPT_ONE,
    KEPT_PLACES,
    MAXIMUM_ROUNDS,
    MAXIMUM_TIMEOUT_NS,
    MINIMUM_TIMEOUT_NS,
    PACKET_BYTES,
)

MASK = JITTER_TABLE_SIZE - 1
PACE = 40503
"""How far a link walks through the table of jitter from one copy to the next."""

# Columns of a host's row: what sending needs, what receiving needs, and the rest, eight each, as a cache line has.
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


@machine_code
def push(s, time, what, link, message):  # type: ignore[no-untyped-def]
    """Let something happen to a copy at `time`."""
    put(s, time, what | (link << LINK_SHIFT) | (message << MESSAGE_SHIFT))


@machine_code
def has_room(s, spare):  # type: ignore[no-untyped-def]
    """Return whether `spare` more entries fit wherever they belong, one more kept delivery and one more flow."""
    return (
        s.queue[N_NEAR] + spare <= len(s.near)
        and s.queue[N_FAR] + spare <= len(s.far)
        and s.queue[N_FREE_CHUNKS] >= spare
        and s.numbers[FREE_PENDING] < len(s.pending)
        and s.numbers[FREE_FLOW] != NONE
    )


@machine_code
def transmission(size, ps):  # type: ignore[no-untyped-def]
    """See :func:`simdfl.network.links.transmission_ns`."""
    return (size * ps + 500) // 1000


@machine_code
def resend_after(start, latency, heals):  # type: ignore[no-untyped-def]
    """See :func:`simdfl.network.links.resent_at`."""
    if heals >= NEVER_NS:
        return NEVER_NS
    timeout = max(MINIMUM_TIMEOUT_NS, 4 * latency)
    while start < heals:
        start += timeout
        timeout = min(2 * timeout, MAXIMUM_TIMEOUT_NS)
    return start


@machine_code
def stall(size, ps, round_trip, window):  # type: ignore[no-untyped-def]
    """See :func:`simdfl.network.links.stall_ns`."""
    gone, idle = 0, 0
    while size - gone > window:
        burst = transmission(window, ps)
        if burst >= round_trip:
            break
        idle += round_trip - burst
        gone += window
        window *= 2
    return idle


@machine_code
def is_bursting(s, host, time):  # type: ignore[no-untyped-def]
    """See :meth:`simdfl.network.links.Links.is_bursting`."""
    if host >= len(s.bursts):
        return 0
    low, high = 0, s.bursts.shape[1]
    time %= s.bursts[host, high - 1]
    while low < high:
        middle = (low + high) >> 1
        if s.bursts[host, middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low & 1


@machine_code
def retransmit(s, source, target, message, start, latency, offset):  # type: ignore[no-untyped-def]
    """Return the delay from lost packets."""
    packets = -(-s.messages[message, SIZE] // PACKET_BYTES)
    timeout = max(MINIMUM_TIMEOUT_NS, 4 * latency)
    delay = 0
    for _ in range(MAXIMUM_ROUNDS):
        offset = (offset * 40503 + 30011) & MASK
        bad = is_bursting(s, source, start + delay) + is_bursting(s, target, start + delay)
        if s.losses[offset] > packets * s.rates[bad, 1]:
            break
        packets = max(1, int(packets * s.rates[bad, 0]))
        resent = packets * PACKET_BYTES
        s.hosts[source, SENT + s.messages[message, TRAFFIC]] += resent
        s.hosts[source, UP_FREE] += transmission(resent, s.hosts[source, UP_PS])
        delay += min(timeout, MAXIMUM_TIMEOUT_NS)
        timeout = min(2 * timeout, MAXIMUM_TIMEOUT_NS)
    return delay


@machine_code
def reserve(s, now, link, message):  # type: ignore[no-untyped-def]
    """Return when a copy starts on the uplink of the link's source, which is then busy with it."""
    source = np.int64(s.ends[link, SOURCE])
    start = max(now, s.hosts[source, UP_FREE])
    s.hosts[source, UP_FREE] = start + transmission(s.messages[message, SIZE], s.hosts[source, UP_PS])
    return start


@machine_code
def ends_of(s, link):  # type: ignore[no-untyped-def]
    """Return source and target of a link."""
    return np.int64(s.ends[link, SOURCE]), np.int64(s.ends[link, TARGET])


@machine_code
def walk(s, link):  # type: ignore[no-untyped-def]
    """Return the latency of a link's next copy, jitter included."""
    place = s.links[link, PLACE] & MASK
    s.links[link, PLACE] = place + PACE
    return s.links[link, LATENCY] + ((s.links[link, SPREAD] * s.jitter[place]) >> BINARY_PLACES)


@machine_code
def depart(s, start, link, message):  # type: ignore[no-untyped-def]
    """Let the first bit of a copy leave."""
    source, target = ends_of(s, link)
    size = s.messages[message, SIZE]
    latency = s.links[link, LATENCY]
    offset = s.links[link, PLACE] & MASK
    delay = walk(s, link)
    s.hosts[source, SENT + s.messages[message, TRAFFIC]] += size
    s.numbers[TRANSMISSIONS] += 1
    here, there = s.hosts[source, SIDE], s.hosts[target, SIDE]
    if here != there and here != EVERYWHERE and there != EVERYWHERE:
        start = resend_after(start, latency, s.numbers[HEALS])
        if start >= NEVER_NS:
            return
    arrival = start + delay
    if s.numbers[LOSSY]:
        arrival += retransmit(s, source, target, message, start, latency, offset)
    if s.numbers[SHARES] and s.numbers[SLOW_START]:
        ps = max(s.hosts[source, TOGETHER] * 1000 // size, s.hosts[target, DOWN_PS])
        arrival += stall(size, ps, 2 * latency, s.numbers[WINDOW])
    s.messages[message, LIVE] += 1
    push(s, arrival, ARRIVE, link, message)


@machine_code
def fan_out(s, now, host, but, message):  # type: ignore[no-untyped-def]
    """Do what :func:`transmit` does with all links of a host but that to `but`, where nothing but jitter delays.

    What the copies have in common is read and written once: nine in ten copies leave here.
    """
    first, end, start = s.hosts[host, FIRST_LINK], s.hosts[host, END_LINK], max(now, s.hosts[host, UP_FREE])
    size = s.messages[message, SIZE]
    own = transmission(size, s.hosts[host, UP_PS])
    packed = ARRIVE | (message << MESSAGE_SHIFT)
    copies = 0
    for link in range(first, end):
        if s.ends[link, TARGET] != but:
            put(s, start + walk(s, link), packed | (link << LINK_SHIFT))
            start += own
            copies += 1
    if copies > 0:
        s.hosts[host, UP_FREE] = start
        s.hosts[host, SENT + s.messages[message, TRAFFIC]] += copies * size
        s.messages[message, LIVE] += copies
        s.numbers[TRANSMISSIONS] += copies


@machine_code
def join(s, now, link, message):  # type: ignore[no-untyped-def]
    """Let a copy share the uplink with others that leave together."""
    source = np.int64(s.ends[link, SOURCE])
    if not s.hosts[source, IS_DOWN]:
        start = reserve(s, now, link, message)
        s.hosts[source, TOGETHER] += s.hosts[source, UP_FREE] - start


@machine_code
def transmit(s, now, link, message):  # type: ignore[no-untyped-def]
    """Put a copy on the uplink of the link's source; one that shares it has joined before, and ends with all."""
    source = np.int64(s.ends[link, SOURCE])
    if s.hosts[source, IS_DOWN]:
        return
    if s.numbers[SHARES]:
        own = transmission(s.messages[message, SIZE], s.hosts[source, UP_PS])
        depart(s, s.hosts[source, UP_FREE] - own, link, message)
    else:
        depart(s, reserve(s, now, link, message), link, message)


@machine_code
def release(s, message, count):  # type: ignore[no-untyped-def]
    """Forget `count` copies or kept deliveries of a message; the last one finishes it."""
    left = s.messages[message, LIVE] - count
    s.messages[message, LIVE] = left
    if left == 0:
        s.finished[s.numbers[N_FINISHED]] = message
        s.numbers[N_FINISHED] += 1


@machine_code
def join_all(s, sendings):  # type: ignore[no-untyped-def]
    """Let what actors sent at one instant share the uplinks: rows of time, link, message."""
    for row in range(len(sendings)):
        if sendings[row, 1] >= 0:
            s.hosts[s.ends[sendings[row, 1], SOURCE], TOGETHER] = 0
    for row in range(len(sendings)):
        if sendings[row, 1] >= 0:
            join(s, sendings[row, 0], sendings[row, 1], sendings[row, 2])


@machine_code
def accept(s, sendings, row):  # type: ignore[no-untyped-def]
    """Transmit what actors sent from `row` on; return at which row there was no room."""
    while row < len(sendings):
        if not has_room(s, 1):
            return row
        message = sendings[row, 2]
        if sendings[row, 1] >= 0:
            transmit(s, sendings[row, 0], sendings[row, 1], message)
        else:  # the last row of each sending: the message is finished if no copy left
            release(s, message, 0)
        row += 1
    return row


@machine_code
def is_new(s, target, message):  # type: ignore[no-untyped-def]
    """Return whether a copy is the first one that a host has; it has it from now on."""
    seen = s.messages[message, SEEN_ROW]
    if seen == NONE:
        return True
    byte, bit = np.int64(s.seen[seen, target >> 3]), 1 << (target & 7)
    s.seen[seen, target >> 3] = byte | bit
    return byte & bit == 0


@machine_code
def arrive(s, time, link, message):  # type: ignore[no-untyped-def]
    """Carry an arriving copy over the downlink; a duplicate takes its time too, and is then forgotten."""
    target, size = np.int64(s.ends[link, TARGET]), s.messages[message, SIZE]
    s.hosts[target, RECEIVED + s.messages[message, TRAFFIC]] += size
    down_ps = s.hosts[target, DOWN_PS]
    if s.numbers[SHARES] and down_ps != 0:
        last_bit = time + transmission(size, s.hosts[s.ends[link, SOURCE], UP_PS])
        join_line(s, time, last_bit, link, message)
        return
    end = max(time, s.hosts[target, DOWN_FREE]) + transmission(size, down_ps)
    s.hosts[target, DOWN_FREE] = end
    if not is_new(s, target, message):
        release(s, message, 1)
        return
    ps = s.hosts[s.ends[link, SOURCE], UP_PS]
    last_bit = time + transmission(size, ps)
    if s.numbers[SLOW_START] and not s.numbers[SHARES]:
        last_bit += stall(size, max(ps, down_ps), 2 * s.links[link, LATENCY], s.numbers[WINDOW])
    push(s, max(end, last_bit), COMPLETE, link, message)


@machine_code
def kept_by_all(s, target):  # type: ignore[no-untyped-def]
    """Return the share of its speed that a downlink keeps, of KEPT_ONE."""
    return s.numbers[KEPT] if s.hosts[target, N_FLOWS] > 1 else KEPT_ONE


@machine_code
def catch_up(s, target, now):  # type: ignore[no-untyped-def]
    """Serve all flows of a shared downlink until now."""
    if s.hosts[target, N_FLOWS] > 0:
        passed = (now - s.hosts[target, SINCE_NS]) * kept_by_all(s, target)
        s.hosts[target, SERVED_NS] += passed // (s.hosts[target, N_FLOWS] << KEPT_PLACES)
    s.hosts[target, SINCE_NS] = now


@machine_code
def await_flow(s, target):  # type: ignore[no-untyped-def]
    """Look again when the first flow ends, if none comes."""
    s.hosts[target, VERSION] = (s.hosts[target, VERSION] + 1) & VERSION_MASK
    to_go = (s.flows[s.hosts[target, FIRST_FLOW], ENDS] - s.hosts[target, SERVED_NS]) * s.hosts[target, N_FLOWS]
    time = s.hosts[target, SINCE_NS] - (-(to_go << KEPT_PLACES) // kept_by_all(s, target))
    put(s, time, SERVED | (target << LINK_SHIFT) | (s.hosts[target, VERSION] << MESSAGE_SHIFT))


@machine_code
def join_line(s, time, last_bit, link, message):  # type: ignore[no-untyped-def]
    """Let a copy share the downlink with all that are there."""
    target = np.int64(s.ends[link, TARGET])
    catch_up(s, target, time)
    ends = s.hosts[target, SERVED_NS] + transmission(s.messages[message, SIZE], s.hosts[target, DOWN_PS])
    flow = s.numbers[FREE_FLOW]
    s.numbers[FREE_FLOW] = s.flows[flow, NEXT_FLOW]
    s.flows[flow, ENDS], s.flows[flow, LAST_BIT] = ends, last_bit
    s.flows[flow, FLOW_LINK], s.flows[flow, FLOW_MESSAGE] = link, message
    before, after = NONE, s.hosts[target, FIRST_FLOW]
    for _ in range(s.hosts[target, N_FLOWS]):
        if s.flows[after, ENDS] > ends:
            break
        before, after = after, s.flows[after, NEXT_FLOW]
    s.flows[flow, NEXT_FLOW] = after
    if before == NONE:
        s.hosts[target, FIRST_FLOW] = flow
    else:
        s.flows[before, NEXT_FLOW] = flow
    s.hosts[target, N_FLOWS] += 1
    await_flow(s, target)


@machine_code
def served(s, time, target, version):  # type: ignore[no-untyped-def]
    """End the flow that is first to end, unless another one has come meanwhile."""
    if version != s.hosts[target, VERSION]:
        return
    catch_up(s, target, time)
    flow = s.hosts[target, FIRST_FLOW]
    link, message, last_bit = s.flows[flow, FLOW_LINK], s.flows[flow, FLOW_MESSAGE], s.flows[flow, LAST_BIT]
    s.hosts[target, FIRST_FLOW] = s.flows[flow, NEXT_FLOW]
    s.hosts[target, N_FLOWS] -= 1
    s.flows[flow, NEXT_FLOW] = s.numbers[FREE_FLOW]
    s.numbers[FREE_FLOW] = flow
    if s.hosts[target, N_FLOWS] > 0:
        await_flow(s, target)
    if is_new(s, target, message):
        push(s, max(time, last_bit), COMPLETE, link, message)
    else:
        release(s, message, 1)


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


@machine_code
def pull(s, host, places, slots):  # type: ignore[no-untyped-def]
    """Write the messages kept back for a host and their slots, oldest first; return whether all are of one slot."""
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
