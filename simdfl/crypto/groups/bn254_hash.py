"""Hashing to BN254 (RFC 9380, suite BN254G1_XMD:SHA-256_SVDW_RO_), on plain integers.

The curve is y^2 = x^3 + 3 over a prime field with p = 3 mod 4, of prime order: no cofactor to clear. Shallue and
van de Woestijne's map serves it, since its first coefficient is zero.

References
----------
.. [1] RFC 9380, sections 5.2 (hash to field), 5.3.1 (expansion by a hash) and 6.6.1 (the map).
"""

from __future__ import annotations

from hashlib import sha256

FIELD_MODULUS = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
CURVE_B = 3

_Z = 1
_G_OF_Z = _Z**3 + CURVE_B
_ELEMENT_BYTES = 48  # 254 bits and 128 more, so that the bias of reducing is negligible
_HASH_BYTES = 32
_BLOCK_BYTES = 64


def square_root(value: int) -> int | None:
    """Return a square root modulo p, or None of a non-residue.

    >>> square_root(4), square_root(FIELD_MODULUS - 1)
    (2, None)
    """
    root = pow(value, (FIELD_MODULUS + 1) // 4, FIELD_MODULUS)
    if root * root % FIELD_MODULUS != value % FIELD_MODULUS:
        return None
    return min(root, FIELD_MODULUS - root) if root else 0


def expand_message(message: bytes, dst: bytes, size: int) -> bytes:
    """Return `size` uniform bytes, below 8,161 (RFC 9380, expand_message_xmd with SHA-256).

    Parameters
    ----------
    message : bytes
        What is hashed.
    dst : bytes
        The domain, at most 255 bytes.
    size : int
        How many bytes are wanted.
    """
    domain = dst + bytes([len(dst)])
    seed = sha256(bytes(_BLOCK_BYTES) + message + size.to_bytes(2, "big") + b"\x00" + domain).digest()
    blocks = [sha256(seed + b"\x01" + domain).digest()]
    for number in range(2, -(-size // _HASH_BYTES) + 1):
        mixed = bytes(a ^ b for a, b in zip(seed, blocks[-1], strict=True))
        blocks.append(sha256(mixed + bytes([number]) + domain).digest())
    return b"".join(blocks)[:size]


def hash_to_field(message: bytes, dst: bytes, count: int) -> list[int]:
    """Return `count` field elements."""
    uniform = expand_message(message, dst, count * _ELEMENT_BYTES)
    starts = range(0, len(uniform), _ELEMENT_BYTES)
    return [int.from_bytes(uniform[at : at + _ELEMENT_BYTES], "big") % FIELD_MODULUS for at in starts]


def map_to_curve(u: int) -> tuple[int, int]:
    """Return the affine point that belongs to a field element."""
    p = FIELD_MODULUS
    left = u * u * _G_OF_Z % p
    left, right = (1 - left) % p, (1 + left) % p
    inverse = pow(left * right, p - 2, p)  # of zero: zero
    shift = u * left * inverse * _root_of_minus_twelve() % p
    third = _Z - 16 * pow(3, -1, p) * pow(right * right * inverse, 2, p)
    half = -_Z * pow(2, -1, p)
    for x in (half - shift, half + shift, third):
        y = square_root(x**3 + CURVE_B)
        if y is not None:
            return x % p, y if y % 2 == u % 2 else p - y
    raise AssertionError("one of three candidates lies on the curve")


def _root_of_minus_twelve() -> int:
    """Return the even root of -g(Z) (3 Z^2)."""
    root = square_root(-3 * _Z * _Z * _G_OF_Z)
    assert root is not None
    return root if root % 2 == 0 else FIELD_MODULUS - root
