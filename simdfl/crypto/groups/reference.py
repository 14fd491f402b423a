"""BLS12-381 G1 over py_ecc: pure Python, slow, readable; what the fast implementation is compared with.

py_ecc takes 0.4 s to import and is therefore imported at first use.
"""

from __future__ import annotations

import hashlib
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

from simdfl.crypto.groups import curve
from simdfl.crypto.groups.base import Group, Point, check_length, hash_message
from simdfl.errors import CryptoError


@cache
def _curve() -> ModuleType:
    from py_ecc import optimized_bls12_381

    return optimized_bls12_381


@cache
def _compression() -> ModuleType:
    from py_ecc.bls import point_compression

    return point_compression


def _hash_to_curve(message: bytes, dst: bytes) -> Point:
    from py_ecc.bls.hash_to_curve import hash_to_G1

    hash_function: Any = hashlib.sha256
    return hash_to_G1(message, dst, hash_function)


class Bls12381Reference(Group):
    """BLS12-381 G1 by ``py_ecc``; its points are projective triples."""

    order: ClassVar[int] = curve.ORDER
    element_bytes: ClassVar[int] = curve.ELEMENT_BYTES
    suite: ClassVar[bytes] = curve.SUITE

    @property
    def g(self) -> Point:
        """The standard generator."""
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
        return _curve().multiply(point, scalar % curve.ORDER)

    def equal(self, a: Point, b: Point) -> bool:
        """Return whether a = b."""
        return bool(_curve().eq(a, b))

    def encode(self, point: Point) -> bytes:
        """Return the 48-byte compressed encoding."""
        return int(_compression().compress_G1(point)).to_bytes(curve.ELEMENT_BYTES, "big")

    def decode(self, data: bytes, allow_identity: bool = False) -> Point:
        """Return the point with this encoding; strict, see :meth:`Group.decode`."""
        check_length(data, curve.ELEMENT_BYTES)
        try:
            point = _compression().decompress_G1(int.from_bytes(data, "big"))
        except ValueError as error:
            raise CryptoError(f"decode: no point of BLS12-381 G1 ({error})") from error
        if not _curve().is_inf(_curve().multiply(point, curve.ORDER)):
            raise CryptoError("decode: the point lies outside the subgroup of prime order")
        if self.encode(point) != data:
            raise CryptoError("decode: not the canonical encoding of its point")
        if data == curve.IDENTITY and not allow_identity:
            raise CryptoError("decode: the identity is not allowed here")
        return point

    def hash_to_group(self, tag: str, message: bytes) -> Point:
        """Return a point with unknown logarithm."""
        return _hash_to_curve(hash_message(tag, message), curve.HASH_DST)
