"""Proofs of equal discrete logarithms (Chaum and Pedersen) and of possession of a key (Schnorr).

Both are bound to a `context`, in which the caller names the chain, the contract, the run, the step and the
people involved. Otherwise a proof could be replayed or copied.

References
----------
.. [1] Chaum and Pedersen, *Wallet databases with observers*, CRYPTO 1992.
.. [2] Schnorr, *Efficient identification and signatures for smart cards*, CRYPTO 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simdfl.crypto import sigma
from simdfl.crypto.groups.base import SCALAR_BYTES, Group, Point
from simdfl.crypto.hashing import digest
from simdfl.errors import CryptoError

PROOF_BYTES = 2 * SCALAR_BYTES


@dataclass(frozen=True)
class DleqProof:
    """A challenge and its response, both below the group's order."""

    e: int
    z: int

    def encode(self, group: Group) -> bytes:
        """Return 64 bytes."""
        return group.encode_scalar(self.e) + group.encode_scalar(self.z)

    @classmethod
    def decode(cls, group: Group, data: bytes) -> DleqProof:
        """Return the proof in 64 bytes.

        Raises
        ------
        CryptoError
            Wrong length, or a scalar that is not below the order.
        """
        if len(data) != PROOF_BYTES:
            raise CryptoError(f"DleqProof: a proof has {PROOF_BYTES} bytes, got {len(data)}")
        return cls(group.decode_scalar(data[:SCALAR_BYTES]), group.decode_scalar(data[SCALAR_BYTES:]))


def _statement(
    group: Group, tag: str, context: bytes, bases: Sequence[Point], images: Sequence[Point]
) -> sigma.Statement:
    """Return the claim that every image is its base times one and the same scalar."""
    encoded = b"".join([group.encode(point) for point in (*bases, *images)])

    def phi(witness: Sequence[int]) -> list[Point]:
        return [group.mul(witness[0], base) for base in bases]

    return sigma.Statement(group, tag, digest(tag, context, encoded), phi, group.order)


def prove(
    group: Group, context: bytes, g1: Point, h1: Point, g2: Point, h2: Point, x: int, seed: bytes
) -> DleqProof:
    """Prove that h1 = x g1 and h2 = x g2.

    Parameters
    ----------
    group : Group
        Where the points live.
    context : bytes
        What the proof is bound to.
    g1, h1, g2, h2 : Point
        The two pairs.
    x : int
        The common logarithm.
    seed : bytes
        32 secret bytes.

    Returns
    -------
    DleqProof
    """
    statement = _statement(group, "simdfl/dleq", context, (g1, g2), (h1, h2))
    e, responses = sigma.prove(statement, [x % group.order], seed)
    return DleqProof(e, responses[0])


def verify(group: Group, context: bytes, g1: Point, h1: Point, g2: Point, h2: Point, proof: DleqProof) -> bool:
    """Return whether `proof` shows log_g1 h1 = log_g2 h2 under `context` (false for identity bases)."""
    if group.is_identity(g1) or group.is_identity(g2):
        return False
    if not (0 <= proof.e < group.order and 0 <= proof.z < group.order):
        return False
    statement = _statement(group, "simdfl/dleq", context, (g1, g2), (h1, h2))
    return sigma.verify(statement, (h1, h2), proof.e, [proof.z])


def prove_possession(group: Group, context: bytes, sk: int, seed: bytes) -> bytes:
    """Return a 64-byte proof that the key behind ``pk = sk h`` is known.

    Registered keys need one: otherwise a key could be made to depend on those of others.
    """
    pk = group.fixed_base(group.h)(sk)
    statement = _statement(group, "simdfl/possession", context, (group.h,), (pk,))
    e, responses = sigma.prove(statement, [sk % group.order], seed)
    return DleqProof(e, responses[0]).encode(group)


def verify_possession(group: Group, context: bytes, pk: Point, proof: bytes) -> bool:
    """Return whether `proof` shows possession of the key behind `pk` (never for the identity)."""
    if group.is_identity(pk):
        return False
    try:
        decoded = DleqProof.decode(group, proof)
    except CryptoError:
        return False
    statement = _statement(group, "simdfl/possession", context, (group.h,), (pk,))
    return sigma.verify(statement, (pk,), decoded.e, [decoded.z])
