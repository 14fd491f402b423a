"""BN254 G1 over py_ecc: the curve of Ethereum's oldest precompiles (EIP-196), slow here and cheap there.

An element has 32 bytes: x, big-endian, below two flag bits: 10 for the smaller y, 11 for the larger, 01 for the
identity (the convention of gnark). About 100 bits of security since the improved number field sieves, against
120 of BLS12-381: for comparing prices, not for new systems.

References
----------
.. [1] Barreto and Naehrig, *Pairing-friendly elliptic curves of prime order*, SAC 2005.
.. [2] EIP-196, *Precompiled contracts for addition and scalar multiplication on alt_bn128*.
.. [3] Barbulescu and Duquesne, *Updating key size estimations for pairings*, Journal of Cryptology 2019.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import ClassVar

from simdfl.crypto.groups.base import Group, Point, check_length, hash_message
from simdfl.crypto.groups.bn254_hash import CURVE_B, FIELD_MODULUS, hash_to_field, map_to_curve, square_root
from simdfl.errors import CryptoError

ORDER = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
ELEMENT_BYTES = 32
HASH_DST = b"SIMDFL-V01-CS01-with-BN254G1_XMD:SHA-256_SVDW_RO_"
IDENTITY = b"\x40" + bytes(31)

_SMALLER, _LARGER = 0b10, 0b11
_FLAG_SHIFT = 254


@cache
def _curve() -> ModuleType:
    from py_ecc import optimized_bn128

    return optimized_bn128


class Bn254(Group):
    """BN254 G1 by ``py_ecc``; its points are projective triples."""

    order: ClassVar[int] = ORDER
    element_bytes: ClassVar[int] = ELEMENT_BYTES
    suite: ClassVar[bytes] = b"BN254G1"

    @property
    def g(self) -> Point:
        """The standard generator (1, 2)."""
        return _curve().G1

    @property
    def identity(self) -> Point:
        """The neutral element."""
        return _curve().Z1

    def add(self, a: Point, b: Point) -> Point:
        """Return a + b."""
        return _curve().add(a, b)

    def neg(self, a: Point) -> Point:
        """Return -a."""
        return _curve().neg(a)

    def mul(self, scalar: int, point: Point) -> Point:
        """Return `scalar` times `point`."""
        return _curve().multiply(point, scalar % ORDER)

    def equal(self, a: Point, b: Point) -> bool:
        """Return whether a = b."""
        return bool(_curve().eq(a, b))

    def affine(self, point: Point) -> tuple[int, int]:
        """Return the coordinates x and y of a point other than the identity."""
        x, y = _curve().normalize(point)
        return int(x), int(y)

    def encode(self, point: Point) -> bytes:
        """Return the 32-byte compressed encoding."""
        if _curve().is_inf(point):
            return IDENTITY
        x, y = self.affine(point)
        flags = _LARGER if y > FIELD_MODULUS // 2 else _SMALLER
        return (flags << _FLAG_SHIFT | x).to_bytes(ELEMENT_BYTES, "big")

    def decode(self, data: bytes, allow_identity: bool = False) -> Point:
        """Return the point with this encoding; strict, see :meth:`Group.decode`."""
        check_length(data, ELEMENT_BYTES)
        if data == IDENTITY:
            if not allow_identity:
                raise CryptoError("decode: the identity is not allowed here")
            return self.identity
        number = int.from_bytes(data, "big")
        flags, x = number >> _FLAG_SHIFT, number % (1 << _FLAG_SHIFT)
        if flags not in (_SMALLER, _LARGER) or x >= FIELD_MODULUS:
            raise CryptoError("decode: not the canonical encoding of a point")
        y = square_root(x**3 + CURVE_B)
        if y is None:
            raise CryptoError("decode: no point of BN254 G1 has this coordinate")
        return self._point(x, FIELD_MODULUS - y if flags == _LARGER else y)

    def hash_to_group(self, tag: str, message: bytes) -> Point:
        """Return a point with unknown logarithm."""
        return self.hash_to_curve(hash_message(tag, message), HASH_DST)

    def hash_to_curve(self, message: bytes, dst: bytes) -> Point:
        """Return the point of RFC 9380's hash_to_curve in any domain."""
        first, second = (self._point(*map_to_curve(u)) for u in hash_to_field(message, dst, 2))
        return self.add(first, second)

    def _point(self, x: int, y: int) -> Point:
        field = _curve().FQ
        return field(x), field(y), field(1)
