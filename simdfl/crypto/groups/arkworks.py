"""BLS12-381 G1 over the compiled arkworks library: the default, about a hundred times faster than py_ecc.

Traps that this wrapper closes: ``Scalar(int)`` reduces silently and modulo the wrong thing beyond 256 bits,
``multiexp_unchecked`` cuts lists of unequal lengths, and some non-canonical encodings of infinity decode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import ClassVar

from py_arkworks_bls12381 import G1Point, Scalar

from simdfl.crypto.groups import curve
from simdfl.crypto.groups.base import SCALAR_BYTES, Group, check_length, hash_message
from simdfl.crypto.groups.fixed_base import FixedBase
from simdfl.errors import CryptoError

_TABLES = 512  # about 270 kB each
_MSM_FROM = 8  # below, single multiplications are as fast


def _scalar(value: int) -> Scalar:
    return Scalar.from_be_bytes((value % curve.ORDER).to_bytes(SCALAR_BYTES, "big"))


class Bls12381Fast(Group):
    """BLS12-381 G1 by ``py_arkworks_bls12381``; its points are ``G1Point``."""

    order: ClassVar[int] = curve.ORDER
    element_bytes: ClassVar[int] = curve.ELEMENT_BYTES
    suite: ClassVar[bytes] = curve.SUITE

    def __init__(self) -> None:
        self._fixed_base = lru_cache(maxsize=_TABLES)(lambda point: FixedBase(self, point))

    @cached_property
    def g(self) -> G1Point:
        """The standard generator."""
        return G1Point.from_compressed_bytes(curve.GENERATOR)

    @cached_property
    def identity(self) -> G1Point:
        """The neutral element."""
        return G1Point.identity()

    def add(self, a: G1Point, b: G1Point) -> G1Point:
        """Return a + b."""
        return a + b

    def neg(self, a: G1Point) -> G1Point:
        """Return -a."""
        return -a

    def mul(self, scalar: int, point: G1Point) -> G1Point:
        """Return `scalar` times `point`."""
        return point * _scalar(scalar)

    def equal(self, a: G1Point, b: G1Point) -> bool:
        """Return whether a = b."""
        return a == b

    def encode(self, point: G1Point) -> bytes:
        """Return the 48-byte compressed encoding."""
        return point.to_compressed_bytes()

    def decode(self, data: bytes, allow_identity: bool = False) -> G1Point:
        """Return the point with this encoding; strict, see :meth:`Group.decode`."""
        check_length(data, curve.ELEMENT_BYTES)
        try:
            point = G1Point.from_compressed_bytes(data)
        except ValueError as error:
            raise CryptoError(f"decode: no point of BLS12-381 G1 ({error})") from error
        if point.to_compressed_bytes() != data:
            raise CryptoError("decode: not the canonical encoding of its point")
        if data == curve.IDENTITY and not allow_identity:
            raise CryptoError("decode: the identity is not allowed here")
        return point

    def msm(self, scalars: Sequence[int], points: Sequence[G1Point]) -> G1Point:
        """Return the sum of ``scalars[k]`` times ``points[k]``."""
        if len(scalars) != len(points) or len(points) < _MSM_FROM:
            return super().msm(scalars, points)
        return G1Point.multiexp_unchecked(list(points), [_scalar(scalar) for scalar in scalars])

    def fixed_base(self, point: G1Point) -> Callable[[int], G1Point]:
        """Return the map from k to k times `point`, from a table kept for the last 512 points asked for."""
        return self._fixed_base(point)

    def hash_to_group(self, tag: str, message: bytes) -> G1Point:
        """Return a point with unknown logarithm."""
        point = G1Point.hash_to_curve(hash_message(tag, message), curve.HASH_DST)
        return G1Point.from_compressed_bytes(point.to_compressed_bytes())  # affine: encodes and hashes faster
