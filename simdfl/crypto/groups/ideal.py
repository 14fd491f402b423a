"""Integers modulo the order of BLS12-381, under addition: no secrecy at all, and very fast.

Discrete logarithms are a division here, so nothing is hidden. Everything else holds: sizes on the wire, the code
path, all algebraic checks, the outcome of honest and of crude dishonest behaviour. It stands for a trusted
beacon in large sweeps, where real proofs would only cost wall time; simulated time is charged all the same.
"""

from __future__ import annotations

from typing import ClassVar

from simdfl.crypto.groups import curve
from simdfl.crypto.groups.base import SCALAR_BYTES, Group, check_length
from simdfl.errors import CryptoError

_PADDING = bytes(curve.ELEMENT_BYTES - SCALAR_BYTES)


class Ideal(Group):
    """The additive group of integers modulo q; points are integers."""

    order: ClassVar[int] = curve.ORDER
    element_bytes: ClassVar[int] = curve.ELEMENT_BYTES
    suite: ClassVar[bytes] = b"ideal"

    @property
    def g(self) -> int:
        """The standard generator."""
        return 1

    @property
    def identity(self) -> int:
        """The neutral element."""
        return 0

    def add(self, a: int, b: int) -> int:
        """Return a + b."""
        return (a + b) % self.order

    def neg(self, a: int) -> int:
        """Return -a."""
        return -a % self.order

    def mul(self, scalar: int, point: int) -> int:
        """Return `scalar` times `point`."""
        return scalar * point % self.order

    def equal(self, a: int, b: int) -> bool:
        """Return whether a = b."""
        return a == b

    def encode(self, point: int) -> bytes:
        """Return 48 bytes: zeros, then the integer."""
        return _PADDING + point.to_bytes(SCALAR_BYTES, "big")

    def decode(self, data: bytes, allow_identity: bool = False) -> int:
        """Return the point with this encoding; strict, see :meth:`Group.decode`."""
        check_length(data, self.element_bytes)
        point = int.from_bytes(data, "big")
        if point >= self.order:
            raise CryptoError("decode: not the canonical encoding of a point")
        if point == 0 and not allow_identity:
            raise CryptoError("decode: the identity is not allowed here")
        return point

    def hash_to_group(self, tag: str, message: bytes) -> int:
        """Return a point that depends on tag and message."""
        return self.hash_to_scalar("simdfl/ideal/" + tag, message)
