"""The interface of publicly verifiable secret sharings, and what they have in common.

A dealer shares ``p(0) h`` for a random polynomial p of degree t - 1 over the scalars: receiver i gets
``p(i) h`` encrypted as ``p(i) pk_i``, where ``pk_i = sk_i h``. Anybody can check that all shares lie on
one such polynomial. Any t receivers recover the secret; fewer learn nothing (decisional Diffie-Hellman).
Every transcript also commits to the secret by ``p(0) g``, so an honest dealer opens it later with the 32
bytes of p(0).

A scheme names the points it publishes, the homomorphism of its proof and the image under it; dealing and
verifying are the same for all, see :mod:`simdfl.crypto.sigma`. Proofs are compact: challenge and responses
travel, the announcements are recomputed. Measured, that is also the fastest form, since decoding a
transmitted announcement (square root and subgroup check) costs as much as recomputing it with a short
challenge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from simdfl.crypto import sigma
from simdfl.crypto.groups.base import Group, Point
from simdfl.crypto.hashing import digest
from simdfl.crypto.sharing.polynomial import evaluate_many
from simdfl.crypto.sharing.transcript import Layout, Transcript, write
from simdfl.errors import CryptoError


@dataclass(frozen=True)
class Dealing:
    """What a dealer keeps: the `transcript` to publish and the `secrets` p(0), p(-1), … that open it."""

    transcript: bytes
    secrets: tuple[int, ...] = field(repr=False)

    @property
    def secret(self) -> int:
        """The first secret, p(0)."""
        return self.secrets[0]


@dataclass(frozen=True)
class Setting:
    """To whom is shared, under which threshold, in which context.

    Raises
    ------
    ValueError
        The threshold lies outside ``1 .. n``.
    """

    group: Group
    context: bytes
    keys: tuple[Point, ...]
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys):
            raise ValueError(f"threshold {self.threshold} outside 1..{len(self.keys)}")

    @property
    def n(self) -> int:
        """How many receivers there are."""
        return len(self.keys)

    def has_identity_key(self) -> bool:
        """Return whether a key is the identity, under which nothing is encrypted."""
        return any(self.group.is_identity(key) for key in self.keys)

    def digest(self, scheme: str) -> bytes:
        """Return a hash that determines the setting."""
        keys = b"".join([self.group.encode(key) for key in self.keys])
        threshold = self.threshold.to_bytes(4, "little")
        return digest("simdfl/sharing/setting", scheme.encode(), self.group.suite, self.context, threshold, keys)


class SharingScheme(ABC):
    """A publicly verifiable secret sharing."""

    name: ClassVar[str]

    def packing(self, n: int, threshold: int) -> int:
        """Return how many secrets one sharing holds."""
        return 1

    @abstractmethod
    def layout(self, n: int, threshold: int) -> Layout:
        """Return where things lie in a transcript."""

    @abstractmethod
    def publish(self, setting: Setting, coefficients: Sequence[int]) -> list[Point]:
        """Return the points that the dealer of this polynomial publishes."""

    @abstractmethod
    def witness(self, setting: Setting, coefficients: Sequence[int]) -> list[int]:
        """Return the scalars whose knowledge is proved."""

    @abstractmethod
    def homomorphism(self, setting: Setting) -> sigma.Homomorphism:
        """Return the map from the witness to the image."""

    @abstractmethod
    def image(self, setting: Setting, points: Sequence[Point]) -> list[Point]:
        """Return the image of the witness, from the published points."""

    def is_low_degree(self, setting: Setting, points: Sequence[Point], transcript: bytes) -> bool:
        """Return whether p has degree below t, in schemes whose proof alone does not tell."""
        return True

    @abstractmethod
    def deal_exponentiations(self, n: int, threshold: int) -> float:
        """Return the cost of dealing, in multiplications of a point."""

    @abstractmethod
    def verify_exponentiations(self, n: int, threshold: int) -> float:
        """Return the cost of verifying one dealing, in multiplications (very short ones in proportion)."""

    def recover_exponentiations(self, threshold: int) -> int:
        """Return the cost of one peer's part in a recovery.

        Three for its own share and proof, four for verifying each of t shares, t for the interpolation.
        """
        return 5 * threshold + 3

    def transcript_bytes(self, group: Group, n: int, threshold: int) -> int:
        """Return the length of a transcript."""
        return self.layout(n, threshold).size_bytes(group)

    def parse(self, group: Group, n: int, threshold: int, transcript: bytes) -> Transcript:
        """Return the fields of a transcript, verified or not.

        Raises
        ------
        CryptoError
            The length is wrong.
        """
        return Transcript(group, self.layout(n, threshold), transcript)

    def deal(
        self, group: Group, context: bytes, public_keys: Sequence[Point], threshold: int, seed: bytes
    ) -> Dealing:
        """Share a random secret.

        Parameters
        ----------
        group : Group
            Where the points live.
        context : bytes
            Names the chain, contract, run, output and dealer: the sharing is valid nowhere else.
        public_keys : sequence of Point
            Of receivers 1 .. n.
        threshold : int
            How many shares recover the secret.
        seed : bytes
            32 secret bytes. Polynomial and nonces depend on them and on all arguments.

        Returns
        -------
        Dealing

        Raises
        ------
        ValueError
            The threshold lies outside ``1 .. n``.
        CryptoError
            A public key is the identity.
        """
        setting = Setting(group, context, tuple(public_keys), threshold)
        tag, bound = "simdfl/sharing/coefficient", setting.digest(self.name)
        coefficients = [group.hash_to_scalar(tag, seed, bound, k.to_bytes(4, "little")) for k in range(threshold)]
        return self.deal_polynomial(setting, coefficients, seed)

    def deal_polynomial(self, setting: Setting, coefficients: Sequence[int], seed: bytes) -> Dealing:
        """Share a chosen polynomial; one of too high a degree makes the transcript of a cheating dealer."""
        if setting.has_identity_key():
            raise CryptoError("deal: a public key is the identity; remove that receiver")
        group = setting.group
        points = b"".join([group.encode(point) for point in self.publish(setting, coefficients)])
        proof = sigma.prove(self._statement(setting, points), self.witness(setting, coefficients), seed)
        places = range(0, -self.packing(setting.n, setting.threshold), -1)
        return Dealing(write(group, points, *proof), tuple(evaluate_many(coefficients, places, group.order)))

    def verify(
        self, group: Group, context: bytes, public_keys: Sequence[Point], threshold: int, transcript: bytes
    ) -> bool:
        """Return whether `transcript` is a valid sharing to these keys in this context.

        Malformed bytes of any kind give False, never an exception.

        Raises
        ------
        ValueError
            The threshold lies outside ``1 .. n``.
        """
        setting = Setting(group, context, tuple(public_keys), threshold)
        try:
            parsed = self.parse(group, setting.n, threshold, transcript)
            challenge, responses = parsed.proof()
            points = parsed.points()
        except CryptoError:
            return False
        if setting.has_identity_key() or not self.is_low_degree(setting, points, transcript):
            return False
        statement = self._statement(setting, parsed.points_bytes())
        return sigma.verify(statement, self.image(setting, points), challenge, responses)

    def _statement(self, setting: Setting, points: bytes) -> sigma.Statement:
        bound = digest("simdfl/sharing/statement", setting.digest(self.name), points)
        return sigma.Statement(setting.group, f"simdfl/sharing/{self.name}", bound, self.homomorphism(setting))


def share_homomorphism(setting: Setting) -> sigma.Homomorphism:
    """Return the map from x_1 .. x_n to all ``x_i g`` and ``x_i pk_i``: n equal logarithms at once."""
    group = setting.group
    base = group.fixed_base(group.g)
    keys = [group.fixed_base(key) for key in setting.keys]

    def phi(witness: Sequence[int]) -> list[Point]:
        return [base(x) for x in witness] + [key(x) for key, x in zip(keys, witness, strict=True)]

    return phi


def encrypt_shares(setting: Setting, shares: Sequence[int]) -> list[Point]:
    """Return ``p(i) pk_i`` for the values p(1) .. p(n)."""
    group = setting.group
    return [group.fixed_base(key)(share) for key, share in zip(setting.keys, shares, strict=True)]
