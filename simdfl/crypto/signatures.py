"""Signatures of peers: secp256k1 ECDSA with Ethereum's addresses, recoverable and deterministic.

A signature is 65 bytes, ``r`` (32) ``|| s`` (32) ``|| v`` (1, 0 or 1). Nonces follow RFC 6979; ``s`` must
lie in the lower half of the group's order, so that nobody can turn a valid signature into a second one.

References
----------
.. [1] RFC 6979 (deterministic nonces); SEC 1 v2, section 4.1.6 (recovery); EIP-2 (low s).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import coincurve

from simdfl.crypto.hashing import keccak256, xof

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES = 65
ADDRESS_BYTES = 20
_DIGEST_BYTES = 32


def address_of(public_key: bytes) -> bytes:
    """Return the 20-byte address of an uncompressed public key (65 bytes, 0x04 first)."""
    return keccak256(public_key[1:])[-ADDRESS_BYTES:]


@dataclass(frozen=True)
class Keypair:
    """A signing key.

    Parameters
    ----------
    secret : bytes
        The private key, 32 big-endian bytes in ``1 .. ORDER - 1``.

    Examples
    --------
    >>> Keypair((1).to_bytes(32, "big")).address.hex()
    '7e5f4552091a69125d5dfcb7b8c2659029395bdf'
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != 32 or not 0 < int.from_bytes(self.secret, "big") < ORDER:
            raise ValueError("a secp256k1 private key has 32 bytes and lies in 1..order-1")

    def __reduce__(self) -> tuple[type[Keypair], tuple[bytes]]:
        return Keypair, (self.secret,)  # without the cached native key, which cannot be copied

    @classmethod
    def from_seed(cls, seed: bytes) -> Keypair:
        """Derive a key from a 32-byte seed (any seed gives a valid key)."""
        wide = int.from_bytes(xof("simdfl/signature/key", seed, size=48), "big")
        return cls((1 + wide % (ORDER - 1)).to_bytes(32, "big"))

    @cached_property
    def _key(self) -> coincurve.PrivateKey:
        return coincurve.PrivateKey(self.secret)

    @cached_property
    def public_key(self) -> bytes:
        """The uncompressed public key, 65 bytes."""
        return self._key.public_key.format(compressed=False)

    @cached_property
    def address(self) -> bytes:
        """The 20-byte address."""
        return address_of(self.public_key)

    def sign(self, digest: bytes) -> bytes:
        """Return the 65-byte signature of a 32-byte digest.

        Raises
        ------
        ValueError
            `digest` has not 32 bytes.
        """
        if len(digest) != _DIGEST_BYTES:
            raise ValueError(f"sign: a digest has 32 bytes, got {len(digest)}")
        return self._key.sign_recoverable(digest, hasher=None)


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """Return the address that signed `digest`, or None.

    None means: wrong lengths, v above 1, s in the upper half, r or s out of range, or no such curve point.
    """
    if len(digest) != _DIGEST_BYTES or len(signature) != SIGNATURE_BYTES or signature[64] > 1:
        return None
    if int.from_bytes(signature[32:64], "big") > ORDER // 2:
        return None
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # coincurve raises a bare Exception on malformed or unrecoverable signatures
        return None
    return address_of(key.format(compressed=False))


def verify(digest: bytes, signature: bytes, address: bytes) -> bool:
    """Return whether `signature` is `address`'s signature of the 32-byte `digest`."""
    return recover(digest, signature) == address
