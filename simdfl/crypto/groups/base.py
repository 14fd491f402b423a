"""The interface of a group of prime order in which discrete logarithms are hard.

Written additively: ``mul(k, P)`` is what papers write as ``P^k``. Points are opaque values of the
implementation (treat them as immutable); only their encodings travel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from simdfl.crypto.hashing import xof
from simdfl.errors import CryptoError

Point: TypeAlias = Any

SCALAR_BYTES = 32
_WIDE_BYTES = 48  # 384 bits modulo a 255-bit order: the bias is below 2^-128


class Group(ABC):
    """A cyclic group of prime order with two generators whose mutual logarithm nobody knows.

    Attributes
    ----------
    order : int
        The prime order q.
    element_bytes : int
        Size of an encoded element.
    suite : bytes
        Name of the mathematical group; implementations of one group share it, hence their proofs agree.
    """

    order: ClassVar[int]
    element_bytes: ClassVar[int]
    suite: ClassVar[bytes]
    scalar_bytes: ClassVar[int] = SCALAR_BYTES

    @property
    @abstractmethod
    def g(self) -> Point:
        """The standard generator."""

    @cached_property
    def h(self) -> Point:
        """A second generator, hashed to the group: nobody knows log_g h."""
        return self.hash_to_group("simdfl/generator", b"h")

    @property
    @abstractmethod
    def identity(self) -> Point:
        """The neutral element."""

    @abstractmethod
    def add(self, a: Point, b: Point) -> Point:
        """Return a + b."""

    @abstractmethod
    def neg(self, a: Point) -> Point:
        """Return -a."""

    @abstractmethod
    def mul(self, scalar: int, point: Point) -> Point:
        """Return `scalar` times `point`; the scalar is any integer, reduced modulo the order."""

    @abstractmethod
    def equal(self, a: Point, b: Point) -> bool:
        """Return whether a = b."""

    @abstractmethod
    def encode(self, point: Point) -> bytes:
        """Return the canonical encoding."""

    @abstractmethod
    def decode(self, data: bytes, allow_identity: bool = False) -> Point:
        """Return the point with this encoding.

        Raises
        ------
        CryptoError
            Wrong length, not canonical, off the curve, outside the subgroup, or the identity where it is not
            allowed.
        """

    @abstractmethod
    def hash_to_group(self, tag: str, message: bytes) -> Point:
        """Return a point with unknown logarithm, uniform over the group (RFC 9380)."""

    def msm(self, scalars: Sequence[int], points: Sequence[Point]) -> Point:
        """Return the sum of ``scalars[k]`` times ``points[k]`` (the identity for empty lists).

        Raises
        ------
        ValueError
            The lengths differ.
        """
        total = self.identity
        for scalar, point in zip(scalars, points, strict=True):
            total = self.add(total, self.mul(scalar, point))
        return total

    def fixed_base(self, point: Point) -> Callable[[int], Point]:
        """Return the map from k to k times `point`, for points that come back often (keys, generators)."""
        return lambda scalar: self.mul(scalar, point)

    def is_identity(self, point: Point) -> bool:
        """Return whether `point` is the neutral element."""
        return self.equal(point, self.identity)

    def hash_to_scalar(self, tag: str, *parts: bytes) -> int:
        """Return a scalar, uniform over ``0 .. order - 1``, that depends on the tag and the list of parts."""
        return int.from_bytes(xof(tag, self.suite, *parts, size=_WIDE_BYTES), "big") % self.order

    def encode_scalar(self, scalar: int) -> bytes:
        """Return 32 big-endian bytes of a scalar in ``0 .. order - 1``.

        Raises
        ------
        CryptoError
            The scalar is out of range.
        """
        if not 0 <= scalar < self.order:
            raise CryptoError("encode_scalar: the scalar lies outside 0..order-1; reduce it first")
        return scalar.to_bytes(SCALAR_BYTES, "big")

    def decode_scalar(self, data: bytes) -> int:
        """Return the scalar with this encoding.

        Raises
        ------
        CryptoError
            Not 32 bytes, or not below the order.
        """
        scalar = int.from_bytes(data, "big")
        if len(data) != SCALAR_BYTES or scalar >= self.order:
            raise CryptoError("decode_scalar: not a canonical scalar (32 big-endian bytes below the order)")
        return scalar


def check_length(data: bytes, size: int) -> None:
    """Raise CryptoError where an encoded element has not `size` bytes."""
    if len(data) != size:
        raise CryptoError(f"decode: an element has {size} bytes, got {len(data)}")


def hash_message(tag: str, message: bytes) -> bytes:
    """Return what :meth:`Group.hash_to_group` hashes: the message behind its tag, injectively."""
    name = tag.encode()
    return len(name).to_bytes(4, "little") + name + message
