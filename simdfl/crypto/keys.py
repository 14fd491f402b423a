"""Keys of the sharings: a scalar sk and the point pk = sk h."""

from __future__ import annotations

from simdfl.crypto.groups.base import Group, Point


def derive_secret_key(group: Group, seed: bytes) -> int:
    """Return the secret key, in ``1 .. order - 1``, that belongs to a 32-byte seed."""
    return 1 + group.hash_to_scalar("simdfl/sharing/key", seed) % (group.order - 1)


def public_key(group: Group, sk: int) -> Point:
    """Return the public key of `sk`."""
    return group.decode(group.encode(group.fixed_base(group.h)(sk)))  # affine: encodes faster ever after
