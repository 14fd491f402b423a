"""The fidelity ``kernel``: what happens next, a queue in three parts that stay in the processor's cache.

The near part is a small heap of what happens within the present slice of time; a ring of buckets holds, unsorted,
what happens within a second; a heap holds the rest. An entry is written once into its bucket, read once when its
slice begins, and sorted among the few hundred of that slice: a single heap of a million entries would miss the
cache at every level. Entries of one time keep the order in which they were added: the far heap sorts by sequence,
a bucket keeps its order, and an entry enters a bucket before any later entry of its time can.

References
----------
R. Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem",
Communications of the ACM 31(10), 1988. W. T. Tang, R. S. M. Goh, I. L.-J. Thng, "Ladder queue",
ACM TOMACS 15(3), 2005.
"""

from __future__ import annotations

from numba import njit

machine_code = njit(cache=True, _nrt=False, forceinline=True)  # type: ignore[call-overload]
"""Compile and keep on disk.

No function makes an array, so references need no counting, half of the time. LLVM writes callees into their
callers: the state is 19 arrays of seven words, which a call would put on the stack each time. (Numba's own
``inline`` gives the same speed and compiles three times as long.)
"""

SLICE_SHIFT = 16
"""A slice is 2**16 ns, 66 microseconds."""
N_BUCKETS = 1 << 14
SPAN = N_BUCKETS << SLICE_SHIFT
BUCKET_MASK = N_BUCKETS - 1
# A bucket's row: first and last chunk, number of entries. A chunk's row: entries, their number, the next chunk.
FIRST, LAST, N_IN_BUCKET = range(3)
CHUNK_ENTRIES = 15
N_IN_CHUNK, NEXT_CHUNK, CHUNK_COLUMNS = 30, 31, 32
# Entries of the queue's numbers.
N_NEAR, N_RING, N_FAR, SEQUENCE, NEAR_END, FREE_CHUNK, N_FREE_CHUNKS = range(7)
N_QUEUE_NUMBERS = 7
NO_CHUNK = -1


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
    """Remove the head of a heap; `size` is that without it."""
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


@machine_code
def put(q, time, packed):  # type: ignore[no-untyped-def]
    """Add an entry to the part that its time belongs to."""
    numbers = q.queue
    if time >= numbers[NEAR_END]:
        if time < numbers[NEAR_END] + SPAN:
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
    numbers = q.queue
    bucket = (time >> SLICE_SHIFT) & BUCKET_MASK
    chunk = q.buckets[bucket, LAST]
    if chunk == NO_CHUNK or q.chunks[chunk, N_IN_CHUNK] == CHUNK_ENTRIES:
        fresh = numbers[FREE_CHUNK]
        numbers[FREE_CHUNK] = q.chunks[fresh, NEXT_CHUNK]
        numbers[N_FREE_CHUNKS] -= 1
        q.chunks[fresh, N_IN_CHUNK] = 0
        q.chunks[fresh, NEXT_CHUNK] = NO_CHUNK
        if chunk == NO_CHUNK:
            q.buckets[bucket, FIRST] = fresh
        else:
            q.chunks[chunk, NEXT_CHUNK] = fresh
        q.buckets[bucket, LAST] = fresh
        chunk = fresh
    count = q.chunks[chunk, N_IN_CHUNK]
    q.chunks[chunk, 2 * count] = time
    q.chunks[chunk, 2 * count + 1] = packed
    q.chunks[chunk, N_IN_CHUNK] = count + 1
    q.buckets[bucket, N_IN_BUCKET] += 1
    numbers[N_RING] += 1


@machine_code
def take(q):  # type: ignore[no-untyped-def]
    """Remove the head of the near part; its entry was read before."""
    q.queue[N_NEAR] -= 1
    drop_head(q.near, q.queue[N_NEAR])


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
    """Move the next bucket to the near part, which is empty and large enough."""
    numbers = q.queue
    bucket = (numbers[NEAR_END] >> SLICE_SHIFT) & BUCKET_MASK
    chunk = q.buckets[bucket, FIRST]
    while chunk != NO_CHUNK:
        for place in range(q.chunks[chunk, N_IN_CHUNK]):
            numbers[SEQUENCE] += 1
            time, packed = q.chunks[chunk, 2 * place], q.chunks[chunk, 2 * place + 1]
            sift_up(q.near, numbers[N_NEAR], time, numbers[SEQUENCE], packed)
            numbers[N_NEAR] += 1
        after = q.chunks[chunk, NEXT_CHUNK]
        q.chunks[chunk, NEXT_CHUNK] = numbers[FREE_CHUNK]
        numbers[FREE_CHUNK] = chunk
        numbers[N_FREE_CHUNKS] += 1
        chunk = after
    numbers[N_RING] -= q.buckets[bucket, N_IN_BUCKET]
    q.buckets[bucket, FIRST], q.buckets[bucket, LAST], q.buckets[bucket, N_IN_BUCKET] = NO_CHUNK, NO_CHUNK, 0
    numbers[NEAR_END] += 1 << SLICE_SHIFT


@machine_code
def settle(q):  # type: ignore[no-untyped-def]
    """Bring what happens next into the near part; return whether there was room."""
    numbers = q.queue
    while numbers[N_NEAR] == 0 and numbers[N_RING] + numbers[N_FAR] > 0:
        if numbers[N_RING] == 0:
            numbers[NEAR_END] = (q.far[0, 0] >> SLICE_SHIFT) << SLICE_SHIFT
        if not draw_in(q):
            return False
        bucket = (numbers[NEAR_END] >> SLICE_SHIFT) & BUCKET_MASK
        if q.buckets[bucket, N_IN_BUCKET] > len(q.near):
            return False
        open_slice(q)
        if not draw_in(q):
            return False
    return True
