"""The fidelity ``kernel``: what happens next, a queue in four parts that stay in the processor's cache.

A ring of buckets holds, unsorted, what happens within a second, a slice of 66 microseconds each; a heap holds
what is later still. When a slice begins its bucket is sorted into a run, from which entries are taken one after
the other; a small heap holds what is added to that slice meanwhile. So most entries are written to the end of a
bucket, sorted once, by two passes of counting, and read in order: no comparison that a processor could guess
wrongly, where a heap has ten.

Entries of one time keep the order in which they were added. A bucket keeps its order and its sort is stable; what
is in the run was added before the slice began, so before what is in the small heap; the heaps sort by sequence;
an entry of the later heap enters a bucket before any later entry of its time can.

References
----------
R. Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem",
Communications of the ACM 31(10), 1988. W. T. Tang, R. S. M. Goh, I. L.-J. Thng, "Ladder queue",
ACM TOMACS 15(3), 2005.
"""

from __future__ import annotations

import numpy as np

from simdfl.network.clock import NEVER_NS
from simdfl.network.compiled_code import machine_code
from simdfl.network.compiled_sort import (
    CHUNK_ENTRIES,
    DIGIT,
    LARGEST_CHUNK,
    NEXT_CHUNK,
    PLACE_MASK,
    PLACE_SHIFT,
    insert_all,
    sort_bucket,
    tally,
)

SLICE_SHIFT = 2 * DIGIT
"""A slice is 2**16 ns, 66 microseconds."""
N_BUCKETS = 1 << 14
SPAN = N_BUCKETS << SLICE_SHIFT
BUCKET_MASK = N_BUCKETS - 1
# A bucket's row: its first chunk, and the place of its next entry. Chunk 0 is never used; the place behind it
# means that there is no entry yet, so that one comparison tells that a bucket needs a chunk.
FIRST, END = range(2)
NO_ENTRY = CHUNK_ENTRIES
# Entries of the queue's numbers.
N_NEAR, N_RING, N_FAR, SEQUENCE, NEAR_END, FREE_CHUNK, N_FREE_CHUNKS, CHUNKS_USED, RUN_AT = range(9)
N_QUEUE_NUMBERS = 9


@machine_code
def sift_up(heap, place, time, sequence, packed):  # type: ignore[no-untyped-def]
    """Add an entry, later than all of its time, to a heap of four children a node; `place` is its size."""
    while place > 0:
        parent = (place - 1) >> 2
        if heap[parent, 0] <= time:
            break
        heap[place, 0] = heap[parent, 0]
        heap[place, 1] = heap[parent, 1]
        heap[place, 2] = heap[parent, 2]
        place = parent
    heap[place, 0] = time
    heap[place, 1] = sequence
    heap[place, 2] = packed


@machine_code
def drop_head(heap, size):  # type: ignore[no-untyped-def]
    """Remove the head of a heap; `size` is that without it. The head of an empty heap is never."""
    time, sequence, packed = heap[size, 0], heap[size, 1], heap[size, 2]
    place = 0
    while True:
        child = 4 * place + 1
        if child >= size:
            break
        best, best_time, best_sequence = child, heap[child, 0], heap[child, 1]
        for other in range(child + 1, min(child + 4, size)):
            other_time = heap[other, 0]
            if other_time < best_time or (other_time == best_time and heap[other, 1] < best_sequence):
                best, best_time, best_sequence = other, other_time, heap[other, 1]
        if time < best_time or (time == best_time and sequence < best_sequence):
            break
        heap[place, 0] = best_time
        heap[place, 1] = best_sequence
        heap[place, 2] = heap[best, 2]
        place = best
    heap[place, 0] = time
    heap[place, 1] = sequence
    heap[place, 2] = packed
    if size == 0:
        heap[0, 0] = NEVER_NS


@machine_code
def put(q, time, packed):  # type: ignore[no-untyped-def]
    """Add an entry to the part that its time belongs to."""
    numbers = q.queue
    ahead = time - numbers[NEAR_END]
    if ahead >= 0:
        if ahead < SPAN:
            put_in_bucket(q, time, packed)
            return
        numbers[SEQUENCE] += 1
        sift_up(q.far, numbers[N_FAR], time, numbers[SEQUENCE], packed)
        numbers[N_FAR] += 1
        return
    numbers[SEQUENCE] += 1
    sift_up(q.near, numbers[N_NEAR], time, numbers[SEQUENCE], packed)
    numbers[N_NEAR] += 1


@machine_code
def put_in_bucket(q, time, packed):  # type: ignore[no-untyped-def]
    """Append an entry to its bucket."""
    bucket = (time >> SLICE_SHIFT) & BUCKET_MASK
    place = np.int64(q.buckets[bucket, END])
    if place & PLACE_MASK == CHUNK_ENTRIES:
        place = begin_chunk(q, bucket, place >> PLACE_SHIFT) << PLACE_SHIFT
    q.buckets[bucket, END] = place + 1
    chunk, column = place >> PLACE_SHIFT, 2 * (place & PLACE_MASK)
    q.chunks[chunk, column] = time
    q.chunks[chunk, column + 1] = packed
    q.queue[N_RING] += 1


@machine_code
def begin_chunk(q, bucket, last):  # type: ignore[no-untyped-def]
    """Return a free chunk, appended to the `last` one of a bucket.

    The chain of free chunks ends with the first that was never used, which need not be written before.
    """
    numbers = q.queue
    chunk = numbers[FREE_CHUNK] & LARGEST_CHUNK
    if chunk == numbers[CHUNKS_USED]:
        numbers[CHUNKS_USED] = numbers[FREE_CHUNK] = chunk + 1
    else:
        numbers[FREE_CHUNK] = q.chunks[chunk, NEXT_CHUNK]
    numbers[N_FREE_CHUNKS] -= 1
    if last == 0:
        q.buckets[bucket, FIRST] = chunk
    else:
        q.chunks[last, NEXT_CHUNK] = chunk
    return chunk


@machine_code
def draw_in(q):  # type: ignore[no-untyped-def]
    """Move what has come within a second from the far heap to the ring."""
    numbers, horizon = q.queue, q.queue[NEAR_END] + SPAN
    while numbers[N_FAR] > 0 and q.far[0, 0] < horizon:
        if numbers[N_FREE_CHUNKS] == 0:
            return False
        put_in_bucket(q, q.far[0, 0], q.far[0, 2])
        numbers[N_FAR] -= 1
        drop_head(q.far, numbers[N_FAR])
    return True


@machine_code
def open_slice(q):  # type: ignore[no-untyped-def]
    """Sort the next bucket into the run, which is read to its end; return whether there was room."""
    numbers, count = q.queue, np.int64(0)
    bucket = (numbers[NEAR_END] >> SLICE_SHIFT) & BUCKET_MASK
    end = np.int64(q.buckets[bucket, END])
    if end != NO_ENTRY:
        first, last = np.int64(q.buckets[bucket, FIRST]), end >> PLACE_SHIFT
        count = end & PLACE_MASK
        if first == last:
            insert_all(q, first, count)
        else:
            count += tally(q, first, last, count)
            if count >= len(q.run):
                return False
            sort_bucket(q, first, count)
        numbers[N_RING] -= count
        numbers[N_FREE_CHUNKS] += (count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES
        q.chunks[last, NEXT_CHUNK] = numbers[FREE_CHUNK]
        numbers[FREE_CHUNK] = first
        q.buckets[bucket, END] = NO_ENTRY
    q.run[count, 0] = NEVER_NS
    numbers[RUN_AT] = 0
    numbers[NEAR_END] += 1 << SLICE_SHIFT
    return True


@machine_code
def head_time(q):  # type: ignore[no-untyped-def]
    """Return when something happens next in the present slice, or ``NEVER_NS``."""
    return min(q.run[q.queue[RUN_AT], 0], q.near[0, 0])


@machine_code
def take(q, time):  # type: ignore[no-untyped-def]
    """Remove the head of the present slice, at `time`, and return what it is: of one time the run is first."""
    numbers = q.queue
    row = numbers[RUN_AT]
    if q.run[row, 0] == time:
        numbers[RUN_AT] = row + 1
        return q.run[row, 1]
    packed = q.near[0, 2]
    numbers[N_NEAR] -= 1
    drop_head(q.near, numbers[N_NEAR])
    return packed


@machine_code
def settle(q):  # type: ignore[no-untyped-def]
    """Open slices until something happens in the present one; return whether there was room."""
    numbers = q.queue
    while head_time(q) == NEVER_NS and numbers[N_RING] + numbers[N_FAR] > 0:
        if numbers[N_RING] == 0:
            numbers[NEAR_END] = (q.far[0, 0] >> SLICE_SHIFT) << SLICE_SHIFT
        if not draw_in(q):
            return False
        if not open_slice(q) or not draw_in(q):
            return False
    return True
