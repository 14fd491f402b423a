"""Proofs of knowledge of a preimage under a group homomorphism: the one Σ-protocol behind all proofs here.

For a homomorphism φ from vectors of scalars to vectors of points, and an image Y = φ(x), the prover draws
r, announces a = φ(r), gets the challenge e = H(statement, a) and answers z = r + e x. The proof is (e, z);
the verifier recomputes a = φ(z) - e Y and the challenge. Schnorr's proof, Chaum and Pedersen's, and those
of the three sharings differ in φ alone.

`statement` must determine φ, Y and the context (Fiat and Shamir's transform in its strong form): a proof says
nothing about what was not hashed.

References
----------
.. [1] Maurer, *Unifying zero-knowledge proofs of knowledge*, AFRICACRYPT 2009.
.. [2] Bernhard, Pereira and Warinschi, *How not to prove yourself*, ASIACRYPT 2012.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from simdfl.crypto.groups.base import Group, Point
from simdfl.crypto.hashing import digest, sha256

Homomorphism: TypeAlias = Callable[[Sequence[int]], list[Point]]

SHORT_CHALLENGE_BYTES = 16
"""128 bits: a cheating prover's try succeeds with probability 2^-128, and multiplying takes half the time."""


@dataclass(frozen=True)
class Statement:
    """What is proved.

    Parameters
    ----------
    group : Group
        Where the points live.
    tag : str
        The kind of the proof.
    digest : bytes
        A hash that determines the homomorphism, the image and the context.
    phi : callable
        The homomorphism, from a list of scalars to a list of points.
    challenge_space : int
        Challenges are uniform over ``0 .. challenge_space - 1``, at most the group's order.
    """

    group: Group
    tag: str
    digest: bytes
    phi: Homomorphism
    challenge_space: int = 1 << (8 * SHORT_CHALLENGE_BYTES)

    def challenge(self, announcements: Sequence[Point]) -> int:
        """Return the challenge to these announcements.

        SHA-256 absorbs them one by one, so that a contract can follow with a precompile and 32 bytes of memory. A
        256-bit hash modulo the order is not uniform, which matters to nonces and not to challenges: these must be
        unforeseeable, and ``z = r + e x`` hides x for every e.
        """
        state = self.digest
        for point in announcements:
            state = sha256(state + self.group.encode(point))
        wide = digest(f"{self.tag}/challenge", self.group.suite, state)
        return int.from_bytes(wide, "big") % self.challenge_space

    def nonces(self, seed: bytes, count: int) -> list[int]:
        """Return `count` secret scalars; they differ whenever the statement does, also under one seed."""
        tag = f"{self.tag}/nonce"
        return [
            self.group.hash_to_scalar(tag, seed, self.digest, index.to_bytes(4, "little"))
            for index in range(count)
        ]


def prove(statement: Statement, witness: Sequence[int], seed: bytes) -> tuple[int, list[int]]:
    """Return the proof (e, z) that the image's preimage `witness` is known.

    Parameters
    ----------
    statement : Statement
        What is proved.
    witness : sequence of int
        The preimage.
    seed : bytes
        32 secret bytes.

    Returns
    -------
    challenge : int
    responses : list of int
        One scalar for each of the witness.
    """
    nonces = statement.nonces(seed, len(witness))
    challenge = statement.challenge(statement.phi(nonces))
    order = statement.group.order
    return challenge, [(r + challenge * x) % order for r, x in zip(nonces, witness, strict=True)]


def verify(statement: Statement, image: Sequence[Point], challenge: int, responses: Sequence[int]) -> bool:
    """Return whether (challenge, responses) proves knowledge of a preimage of `image`."""
    group = statement.group
    announcements = [
        group.add(left, group.neg(group.mul(challenge, point)))  # e stays short; -e would not
        for left, point in zip(statement.phi(responses), image, strict=True)
    ]
    return statement.challenge(announcements) == challenge
