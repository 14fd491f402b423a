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
from simdfl.network.compiled_queue import N_FAR, N_FREE_CHUNKS, N_NEAR, machine_code, put, settle, take
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

# Columns of a host's row.
UP_FREE, DOWN_FREE, UP_PS, DOWN_PS, IS_DOWN, FIRST_LINK, END_LINK, PENDING, N_KEPT, MAY_REFUSE, SIDE = range(11)
TOGETHER, SERVED_NS, SINCE_NS, VERSION, N_FLOWS, FIRST_FLOW = range(11, 17)
HOST_COLUMNS = 17
# Columns of a flow on a shared downlink, in the order of their ends: how much service ends it, its last bit.
ENDS, FLOW_LINK, FLOW_MESSAGE, LAST_BIT, NEXT_FLOW = range(5)
FLOW_COLUMNS = 5
# Columns of a link's row.
SOURCE, TARGET, LATENCY, SPREAD, COUNT = range(5)
LINK_COLUMNS = 5
# Columns of a message's row: which waits it counts for, whether each delivery is reported, copies and deliveries
# that are still to come or kept back.
SIZE, VALIDATE, SLOT, REPORTED, TRAFFIC, SEEN_ROW, LIVE = range(7)
MESSAGE_COLUMNS = 7
# Entries of the state's numbers.
TRANSMISSIONS, FREE_PENDING, N_FINISHED, HEALS, SLOW_START = range(5)
STOP_TIME, STOP_LINK, STOP_MESSAGE = range(5, 8)
SHARES, WINDOW, LOSSY, FREE_FLOW, KEPT = range(8, 13)
N_NUMBERS = 13
# What happens to a copy, and how it is packed beside its link and message.
ARRIVE, COMPLETE, RELAY, SERVED = range(4)
LINK_SHIFT, MESSAGE_SHIFT, LINK_MASK = 2, 34, (1 << 32) - 1
VERSION_MASK = (1 << 29) - 1
# Why the loop stopped.
DONE, DELIVERED, ASKS, FULL = range(4)
NONE = -1
NO_INBOX = -2


class State(NamedTuple):
    """Everything the loop reads and writes."""

    hosts: np.ndarray
    links: np.ndarray
    messages: np.ndarray
    seen: np.ndarray
    near: np.ndarray
    far: np.ndarray
    buckets: np.ndarray
    chunks: np.ndarray
    queue: np.ndarray
    pending: np.ndarray
    row_of_slot: np.ndarray
    remaining: np.ndarray
    sent: np.ndarray
    received: np.ndarray
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
    s.messages[message, LIVE] += 1
    put(s, time, what | (link << LINK_SHIFT) | (message << MESSAGE_SHIFT))


@machine_code
def has_room(s, spare):  # type: ignore[no-untyped-def]
    """Return whether `spare` more entries fit wherever they belong, one more kept delivery and one more flow."""
    return (
        s.queue[N_NEAR] + spare <= len(s.near)
        and s.queue[N_FAR] + spare <= len(s.far)
        and s.queue[N_FREE_CHUNKS] >= spare
        and s.numbers[FREE_PENDING] != NONE
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
        s.sent[s.messages[message, TRAFFIC], source] += resent
        s.hosts[source, UP_FREE] += transmission(resent, s.hosts[source, UP_PS])
        delay += min(timeout, MAXIMUM_TIMEOUT_NS)
        timeout = min(2 * timeout, MAXIMUM_TIMEOUT_NS)
    return delay


@machine_code
def reserve(s, now, link, message):  # type: ignore[no-untyped-def]
    """Return when a copy starts on the uplink of the link's source, which is then busy with it."""
    source = s.links[link, SOURCE]
    start = max(now, s.hosts[source, UP_FREE])
    s.hosts[source, UP_FREE] = start + transmission(s.messages[message, SIZE], s.hosts[source, UP_PS])
    return start


@machine_code
def depart(s, start, link, message):  # type: ignore[no-untyped-def]
    """Let the first bit of a copy leave."""
    source, target = s.links[link, SOURCE], s.links[link, TARGET]
    size = s.messages[message, SIZE]
    count = s.links[link, COUNT]
    s.links[link, COUNT] = count + 1
    latency = s.links[link, LATENCY]
    offset = ((source * len(s.hosts) + target) * 2654435761 + count * 40503) & MASK
    s.sent[s.messages[message, TRAFFIC], source] += size
    s.numbers[TRANSMISSIONS] += 1
    here, there = s.hosts[source, SIDE], s.hosts[target, SIDE]
    if here != there and here != EVERYWHERE and there != EVERYWHERE:
        start = resend_after(start, latency, s.numbers[HEALS])
        if start >= NEVER_NS:
            return
    arrival = start + latency + ((s.links[link, SPREAD] * s.jitter[offset]) >> BINARY_PLACES)
    if s.numbers[LOSSY]:
        arrival += retransmit(s, source, target, message, start, latency, offset)
    if s.numbers[SHARES] and s.numbers[SLOW_START]:
        ps = max(s.hosts[source, TOGETHER] * 1000 // size, s.hosts[target, DOWN_PS])
        arrival += stall(size, ps, 2 * latency, s.numbers[WINDOW])
    push(s, arrival, ARRIVE, link, message)


@machine_code
def join(s, now, link, message):  # type: ignore[no-untyped-def]
    """Let a copy share the uplink with others that leave together."""
    source = s.links[link, SOURCE]
    if not s.hosts[source, IS_DOWN]:
        start = reserve(s, now, link, message)
        s.hosts[source, TOGETHER] += s.hosts[source, UP_FREE] - start


@machine_code
def transmit(s, now, link, message):  # type: ignore[no-untyped-def]
    """Put a copy on the uplink of the link's source; one that shares it has joined before, and ends with all."""
    source = s.links[link, SOURCE]
    if s.hosts[source, IS_DOWN]:
        return
    if s.numbers[SHARES]:
        own = transmission(s.messages[message, SIZE], s.hosts[source, UP_PS])
        depart(s, s.hosts[source, UP_FREE] - own, link, message)
    else:
        depart(s, reserve(s, now, link, message), link, message)


@machine_code
def release(s, message):  # type: ignore[no-untyped-def]
    """Forget one copy or kept delivery of a message; the last one finishes it."""
    s.messages[message, LIVE] -= 1
    if s.messages[message, LIVE] == 0:
        s.finished[s.numbers[N_FINISHED]] = message
        s.numbers[N_FINISHED] += 1


@machine_code
def join_all(s, sendings):  # type: ignore[no-untyped-def]
    """Let what actors sent at one instant share the uplinks: rows of time, link, message."""
    for row in range(len(sendings)):
        if sendings[row, 1] >= 0:
            s.hosts[s.links[sendings[row, 1], SOURCE], TOGETHER] = 0
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
            s.messages[message, LIVE] += 1
            release(s, message)
        row += 1
    return row


@machine_code
def is_here(s, time, link, message):  # type: ignore[no-untyped-def]
    """Let the first copy that a host has be complete at `time`."""
    target, seen = s.links[link, TARGET], s.messages[message, SEEN_ROW]
    if seen != NONE:
        if s.seen[seen, target]:
            return
        s.seen[seen, target] = 1
    push(s, time, COMPLETE, link, message)


@machine_code
def arrive(s, time, link, message):  # type: ignore[no-untyped-def]
    """Carry an arriving copy over the downlink; a duplicate takes its time too."""
    target, size = s.links[link, TARGET], s.messages[message, SIZE]
    s.received[s.messages[message, TRAFFIC], target] += size
    ps, down_ps = s.hosts[s.links[link, SOURCE], UP_PS], s.hosts[target, DOWN_PS]
    last_bit = time + transmission(size, ps)
    if s.numbers[SHARES] and down_ps != 0:
        join_line(s, time, last_bit, link, message)
        return
    if s.numbers[SLOW_START] and not s.numbers[SHARES]:
        last_bit += stall(size, max(ps, down_ps), 2 * s.links[link, LATENCY], s.numbers[WINDOW])
    end = max(time, s.hosts[target, DOWN_FREE]) + transmission(size, down_ps)
    s.hosts[target, DOWN_FREE] = end
    is_here(s, max(end, last_bit), link, message)


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
    target = s.links[link, TARGET]
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
    s.messages[message, LIVE] += 1
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
    is_here(s, max(time, last_bit), link, message)
    release(s, message)


@machine_code
def keep(s, target, message):  # type: ignore[no-untyped-def]
    """Keep a delivery back, unless somebody is woken or called by it; return whether it was kept."""
    if s.messages[message, REPORTED]:
        return False
    row = s.row_of_slot[s.messages[message, SLOT]]
    if row != NONE and s.remaining[row, target] > 0:
        s.remaining[row, target] -= 1
        if s.remaining[row, target] == 0:
            return False
    if s.hosts[target, PENDING] == NO_INBOX:
        return True
    s.hosts[target, N_KEPT] += 1
    place = s.numbers[FREE_PENDING]
    s.numbers[FREE_PENDING] = s.pending[place, 1]
    s.pending[place, 0] = message
    s.pending[place, 1] = s.hosts[target, PENDING]
    s.hosts[target, PENDING] = place
    s.messages[message, LIVE] += 1
    return True


@machine_code
def complete(s, time, link, message):  # type: ignore[no-untyped-def]
    """Deliver; return whether Python has to do it."""
    target = s.links[link, TARGET]
    if s.hosts[target, IS_DOWN]:
        if s.messages[message, SEEN_ROW] != NONE:
            s.seen[s.messages[message, SEEN_ROW], target] = 0
        return False
    if s.messages[message, VALIDATE] >= 0:
        push(s, time + s.messages[message, VALIDATE], RELAY, link, message)
    return not keep(s, target, message)


@machine_code
def relay(s, time, link, message):  # type: ignore[no-untyped-def]
    """Pass a broadcast on to all neighbours but the one it came from."""
    source, target = s.links[link, SOURCE], s.links[link, TARGET]
    if s.numbers[SHARES]:
        s.hosts[target, TOGETHER] = 0
        for onward in range(s.hosts[target, FIRST_LINK], s.hosts[target, END_LINK]):
            if s.links[onward, TARGET] != source:
                join(s, time, onward, message)
    for onward in range(s.hosts[target, FIRST_LINK], s.hosts[target, END_LINK]):
        if s.links[onward, TARGET] != source:
            transmit(s, time, onward, message)


@machine_code
def advance(s, limit, spare):  # type: ignore[no-untyped-def]
    """Let things happen before `limit`; return why the loop stopped.

    Every event adds at most `spare` entries to the queue.
    """
    numbers = s.numbers
    while True:
        if not settle(s) or not has_room(s, spare):
            return FULL
        if s.queue[N_NEAR] == 0 or s.near[0, 0] >= limit:
            return DONE
        time, packed = s.near[0, 0], s.near[0, 2]
        what, link = packed & 3, (packed >> LINK_SHIFT) & LINK_MASK
        message = packed >> MESSAGE_SHIFT
        take(s)
        if what == SERVED:
            served(s, time, link, message)
            continue
        stop = DONE
        if what == ARRIVE:
            arrive(s, time, link, message)
        elif what == COMPLETE:
            if complete(s, time, link, message):
                stop = DELIVERED
        elif s.hosts[s.links[link, TARGET], MAY_REFUSE]:
            stop = ASKS
        else:
            relay(s, time, link, message)
        if stop != DONE:
            numbers[STOP_TIME], numbers[STOP_LINK], numbers[STOP_MESSAGE] = time, link, message
            return stop  # Python releases the message when it is done with it
        release(s, message)


@machine_code
def pull(s, host, out):  # type: ignore[no-untyped-def]
    """Write the messages kept back for a host to `out`, as long as they are many, oldest first."""
    count = len(out)
    place = s.hosts[host, PENDING]
    for back in range(count):
        message, older = s.pending[place, 0], s.pending[place, 1]
        out[count - 1 - back] = message
        s.pending[place, 1] = s.numbers[FREE_PENDING]
        s.numbers[FREE_PENDING] = place
        release(s, message)
        place = older
    s.hosts[host, PENDING] = NONE
    s.hosts[host, N_KEPT] = 0
