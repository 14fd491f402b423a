"""The fidelity ``kernel``, compiled part: a copy is here, by a downlink in turn or shared with others."""

from __future__ import annotations

import numpy as np

from simdfl.network.compiled_code import machine_code
from simdfl.network.compiled_kept import release
from simdfl.network.compiled_links import push, stall, transmission
from simdfl.network.compiled_queue import put
from simdfl.network.compiled_rows import (
    COMPLETE,
    DOWN_FREE,
    DOWN_PS,
    ENDS,
    FIRST_FLOW,
    FLOW_LINK,
    FLOW_MESSAGE,
    FREE_FLOW,
    KEPT,
    LAST_BIT,
    LATENCY,
    LINK_SHIFT,
    MESSAGE_SHIFT,
    N_FLOWS,
    NEXT_FLOW,
    NONE,
    RECEIVED,
    SEEN_ROW,
    SERVED,
    SERVED_NS,
    SHARES,
    SINCE_NS,
    SIZE,
    SLOW_START,
    SOURCE,
    TARGET,
    TRAFFIC,
    UP_PS,
    VERSION,
    VERSION_MASK,
    WINDOW,
)
from simdfl.network.links import KEPT_ONE, KEPT_PLACES


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
