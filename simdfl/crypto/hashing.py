"""Hashes with domain separation: a digest made for one purpose never equals one made for another.

The framing writes the tag and every part behind its own length, hence ``digest("t", b"ab", b"c")`` and
``digest("t", b"a", b"bc")`` hash different strings.

References
----------
.. [1] FIPS 180-4 (SHA-256), FIPS 202 (SHAKE-128); Keccak-256 with the padding that Ethereum kept.
"""

from __future__ import annotations

import hashlib

from Crypto.Hash import keccak

DIGEST_BYTES = 32


def _frame(tag: str, parts: tuple[bytes, ...]) -> bytes:
    """Encode tag and parts injectively."""
    pieces = []
    for piece in (tag.encode(), *parts):
        pieces += [len(piece).to_bytes(8, "little"), piece]
    return b"".join(pieces)


def sha256(data: bytes) -> bytes:
    """Return the plain SHA-256 of `data` (32 bytes)."""
    return hashlib.sha256(data).digest()


def digest(tag: str, *parts: bytes) -> bytes:
    """Return the 32-byte hash of `parts` in the domain `tag`, injective in the list of parts.

    >>> digest("t", b"ab", b"c") == digest("t", b"a", b"bc")
    False
    """
    return hashlib.sha256(_frame(tag, parts)).digest()


def xof(tag: str, *parts: bytes, size: int) -> bytes:
    """Return `size` bytes of SHAKE-128 over `parts` in the domain `tag` (128-bit security)."""
    return hashlib.shake_128(_frame(tag, parts)).digest(size)


def keccak256(data: bytes) -> bytes:
    """Return Ethereum's Keccak-256 of `data` (32 bytes; not SHA-3, whose padding differs)."""
    return keccak.new(digest_bits=256, data=data).digest()
