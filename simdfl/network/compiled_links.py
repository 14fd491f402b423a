"""The fidelity ``kernel``, compiled part: a copy leaves, by an uplink and a link.

The arithmetic is that of :mod:`simdfl.network.event`, statement by statement.
"""

from __future__ import annotations

import numpy as np

from simdfl.network.clock import NEVER_NS
from simdfl.network.compiled_code import machine_code
from simdfl.network.compiled_kept import release
from simdfl.network.compiled_queue import N_FAR, N_FREE_CHUNKS, N_NEAR, put
from simdfl.network.compiled_rows import (
    ARRIVE,
    DOWN_PS,
    END_LINK,
    FIRST_LINK,
    FREE_FLOW,
    FREE_PENDING,
    HEALS,
    IS_DOWN,
    LATENCY,
    LINK_SHIFT,
    LIVE,
    LOSSY,
    MASK,
    MESSAGE_SHIFT,
    NONE,
    PACE,
    PLACE,
    SENT,
    SHARES,
    SIDE,
    SIZE,
    SLOW_START,
    SOURCE,
    SPREAD,
    TARGET,
    TOGETHER,
    TRAFFIC,
    TRANSMISSIONS,
    UP_FREE,
    UP_PS,
    WINDOW,
)
from simdfl.network.links import (
    BINARY_PLACES,
    EVERYWHERE,
    MAXIMUM_ROUNDS,
    MAXIMUM_TIMEOUT_NS,
    MINIMUM_TIMEOUT_NS,
    PACKET_BYTES,
)


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
