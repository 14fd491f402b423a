"""What a dealer publishes: points, then a challenge of 16 bytes, then scalars, without any header.

The three schemes differ in how many there are and in which points are the encrypted shares. All fields
have fixed widths and one encoding, so equal sharings have equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simdfl.crypto.groups.base import Group, Point
from simdfl.crypto.sigma import SHORT_CHALLENGE_BYTES
from simdfl.errors import CryptoError


@dataclass(frozen=True)
class Layout:
    """Where things lie in a transcript.

    Parameters
    ----------
    points : int
        How many points there are. The first `commitments` of them commit to the secrets.
    first_share : int
        The place of receiver 1's encrypted share; the others follow.
    shares : int
        How many receivers there are.
    scalars : int
        How many responses there are.
    commitments : int
        How many secrets there are; point 0 is always the commitment ``p(0) g``.
    """

    points: int
    first_share: int
    shares: int
    scalars: int
    commitments: int = 1

    def size_bytes(self, group: Group) -> int:
        """Return the length of a transcript."""
        return self.points * group.element_bytes + SHORT_CHALLENGE_BYTES + self.scalars * group.scalar_bytes


class Transcript:
    """A sharing as published: fields are decoded when asked for, points once.

    Parameters
    ----------
    group : Group
        Where the points live.
    layout : Layout
        Where things lie.
    data : bytes
        The transcript.

    Raises
    ------
    CryptoError
        The length is wrong; later, from every accessor, where a field is malformed (the identity included).
    """

    def __init__(self, group: Group, layout: Layout, data: bytes) -> None:
        expected = layout.size_bytes(group)
        if len(data) != expected:
            raise CryptoError(f"Transcript: {expected} bytes expected, got {len(data)}")
        self._group, self._layout, self._data = group, layout, bytes(data)
        self._decoded: dict[int, Point] = {}

    def _point_bytes(self, place: int) -> bytes:
        size = self._group.element_bytes
        return self._data[place * size : (place + 1) * size]

    def _point(self, place: int) -> Point:
        if place not in self._decoded:
            self._decoded[place] = self._group.decode(self._point_bytes(place))
        return self._decoded[place]

    def commitment(self, coordinate: int = 0) -> bytes:
        """Return the encoded commitment ``p(-coordinate) g``, that the dealer opens with p(-coordinate).

        Raises
        ------
        CryptoError
            There is no such secret.
        """
        if not 0 <= coordinate < self._layout.commitments:
            raise CryptoError(f"Transcript: secret {coordinate} outside 0..{self._layout.commitments - 1}")
        return self._point_bytes(coordinate)

    @property
    def commitment_point(self) -> Point:
        """The first commitment, decoded."""
        return self._point(0)

    def encrypted_share(self, receiver: int) -> Point:
        """Return the share ``p(i) pk_i`` of receiver i, numbered from 1.

        Raises
        ------
        IndexError
            There is no such receiver.
        CryptoError
            The point is malformed.
        """
        if not 1 <= receiver <= self._layout.shares:
            raise IndexError(f"receiver {receiver} outside 1..{self._layout.shares}")
        return self._point(self._layout.first_share + receiver - 1)

    def points(self) -> list[Point]:
        """Return all points."""
        return [self._point(place) for place in range(self._layout.points)]

    def points_bytes(self) -> bytes:
        """Return all points, encoded."""
        return self._data[: self._layout.points * self._group.element_bytes]

    def proof(self) -> tuple[int, list[int]]:
        """Return the challenge and the responses."""
        group, start = self._group, self._layout.points * self._group.element_bytes
        first = start + SHORT_CHALLENGE_BYTES
        challenge = int.from_bytes(self._data[start:first], "big")
        responses = [
            group.decode_scalar(self._data[at : at + group.scalar_bytes])
            for at in range(first, len(self._data), group.scalar_bytes)
        ]
        return challenge, responses


def write(group: Group, points: bytes, challenge: int, responses: Sequence[int]) -> bytes:
    """Return the transcript of encoded `points` and a proof."""
    scalars = b"".join([group.encode_scalar(response) for response in responses])
    return points + challenge.to_bytes(SHORT_CHALLENGE_BYTES, "big") + scalars
