"""Batch indices as a public function of a public seed.

Whoever knows a peer's batch seed must find the same records in any language and for all time, therefore
the map is specified here and leans on no framework's generator:

1. the stream is SHAKE-128 of the seed (tag ``simdfl.batch``), 8 bytes for each index;
2. each 8 bytes are an unsigned little-endian integer u, and the index is ``floor(u · population / 2^64)``.

Indices are drawn with replacement. The multiply-shift of step 2 favours no index by more than
population / 2^64.

References
----------
Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019, section 4 (without the
rejection step).
"""

from __future__ import annotations

import numpy as np

from simdfl.crypto.hashing import xof
from simdfl.errors import UserError

INDEX_BYTES = 8
MAX_POPULATION = 2**32


def batch_indices(seed: bytes, population: int, size: int) -> np.ndarray:
    """Return the records of one batch.

    Parameters
    ----------
    seed : bytes
        Public seed of this peer and step.
    population : int
        Number of training records, 1 to 2^32.
    size : int
        Records in the batch.

    Returns
    -------
    indices : (size,) int64

    Raises
    ------
    UserError
        If the population or the size is impossible.
    """
    if not 1 <= population <= MAX_POPULATION:
        raise UserError(f"data: a batch needs 1 to 2^32 training records, got {population}")
    if size < 1:
        raise UserError(f"learning.batch_size: must be at least 1, got {size}")
    stream = np.frombuffer(xof("simdfl.batch", seed, size=INDEX_BYTES * size), dtype="<u8")
    return multiply_shift(stream.astype(np.uint64), population)


def multiply_shift(u: np.ndarray, population: int) -> np.ndarray:
    """Return ``(u * population) >> 64`` exactly, in two 32-bit halves so that nothing overflows.

    >>> multiply_shift(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64), 1000)
    array([  0, 500, 999])
    """
    half, low_bits, factor = np.uint64(32), np.uint64(2**32 - 1), np.uint64(population)
    carry = ((u & low_bits) * factor) >> half
    return (((u >> half) * factor + carry) >> half).astype(np.int64)
