"""Named random streams from one root seed: a new peer or probe disturbs nobody.

A stream is addressed by a tuple of names and indices, ``rng.stream("link", a, b)``. Its state depends on
the root seed and the address alone, never on the order in which streams are opened. This is the only
module allowed to make a generator; everything else takes one.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np


def _address(name: str, parts: tuple[str | int, ...]) -> bytes:
    """Encode an address injectively: each piece carries its type and length."""
    pieces = []
    for piece in (name, *parts):
        raw = str(piece).encode()
        pieces.append((b"i" if isinstance(piece, int) else b"s") + len(raw).to_bytes(4, "little") + raw)
    return b"".join(pieces)


def fresh_seed() -> int:
    """Return a root seed from the operating system's entropy: a coin that nobody could foresee."""
    return int.from_bytes(os.urandom(8), "little")


@dataclass(frozen=True)
class Rng:
    """The root of all randomness of one run.

    Parameters
    ----------
    seed : int
        The root seed, any non-negative integer.

    Examples
    --------
    >>> rng = Rng(7)
    >>> rng.stream("link", 1, 2).random() == Rng(7).stream("link", 1, 2).random()
    True
    >>> rng.stream("link", 1, 2).random() == rng.stream("link", 12).random()
    False
    """

    seed: int

    def key(self, name: str, *parts: str | int) -> bytes:
        """Return the 32-byte key of the stream at this address."""
        prefix = b"simdfl.rng.v1" + str(self.seed).encode() + b"/"
        return hashlib.sha256(prefix + _address(name, parts)).digest()

    def stream(self, name: str, *parts: str | int) -> np.random.Generator:
        """Return a fresh generator for this address (Philox, keyed by :meth:`key`)."""
        key = np.frombuffer(self.key(name, *parts)[:16], dtype="<u8").astype(np.uint64)
        return np.random.Generator(np.random.Philox(key=key))
