"""The fidelity ``kernel``: a bucket of the queue is sorted into the run, by counting and without comparisons.

The times of a slice differ by two digits of one byte. Entries are written in the order of the lower digit, then
in that of the upper one; both passes keep the order of equal digits, and with it that of equal times.

References
----------
D. E. Knuth, "The Art of Computer Programming", volume 3, section 5.2.5, sorting by distribution.
"""

from __future__ import annotations

import numpy as np

from simdfl.network.compiled_code import machine_code

DIGIT = 8
DIGIT_MASK = (1 << DIGIT) - 1
# A chunk's row: 15 entries of time and what, and the next chunk. A place is 16 times a chunk plus a number in it.
CHUNK_ENTRIES = 15
PLACE_SHIFT, PLACE_MASK = 4, 15
NEXT_CHUNK, CHUNK_COLUMNS = 31, 32
LARGEST_CHUNK = (1 << 28) - 1


@machine_code
def insert_all(q, chunk, count):  # type: ignore[no-untyped-def]
    """Sort one chunk into the run by insertion."""
    for column in range(0, 2 * count, 2):
        time, place = q.chunks[chunk, column], column >> 1
        while place > 0 and q.run[place - 1, 0] > time:
            q.run[place, 0] = q.run[place - 1, 0]
            q.run[place, 1] = q.run[place - 1, 1]
            place -= 1
        q.run[place, 0] = time
        q.run[place, 1] = q.chunks[chunk, column + 1]


@machine_code
def tally(q, first, last, rest):  # type: ignore[no-untyped-def]
    """Count the digits of a bucket's times; return how many entries lie before the `rest` in its last chunk."""
    tallies = q.tallies
    for digit in range(DIGIT_MASK + 1):
        tallies[0, digit], tallies[1, digit] = 0, 0
    chunk, before = first, 0
    while True:
        after = q.chunks[chunk, NEXT_CHUNK] & LARGEST_CHUNK
        for column in range(0, 2 * (rest if chunk == last else CHUNK_ENTRIES), 2):
            time = q.chunks[chunk, column]
            tallies[0, time & DIGIT_MASK] += 1
            tallies[1, (time >> DIGIT) & DIGIT_MASK] += 1
        if chunk == last:
            return before
        before += CHUNK_ENTRIES
        chunk = after


@machine_code
def sort_bucket(q, chunk, count):  # type: ignore[no-untyped-def]
    """Sort tallied chunks into the run: by the lower digit of their times, then by the upper one."""
    tallies, low, high = q.tallies, np.int64(0), np.int64(0)
    for digit in range(DIGIT_MASK + 1):
        low_count, high_count = np.int64(tallies[0, digit]), np.int64(tallies[1, digit])
        tallies[0, digit], tallies[1, digit] = low, high
        low += low_count
        high += high_count
    left = count
    while left > 0:
        for column in range(0, 2 * min(left, CHUNK_ENTRIES), 2):
            time = q.chunks[chunk, column]
            place = np.int64(tallies[0, time & DIGIT_MASK])
            tallies[0, time & DIGIT_MASK] = place + 1
            q.half_sorted[place, 0] = time
            q.half_sorted[place, 1] = q.chunks[chunk, column + 1]
        chunk = q.chunks[chunk, NEXT_CHUNK] & LARGEST_CHUNK
        left -= CHUNK_ENTRIES
    for row in range(count):
        time = q.half_sorted[row, 0]
        place = np.int64(tallies[1, (time >> DIGIT) & DIGIT_MASK])
        tallies[1, (time >> DIGIT) & DIGIT_MASK] = place + 1
        q.run[place, 0] = time
        q.run[place, 1] = q.half_sorted[row, 1]
