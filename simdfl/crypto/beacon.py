"""Everything that a beacon round needs, on bytes: deal, verify, open, share, recover, output.

One object binds a way of dealing to a group and remembers verdicts: a public proof is checked for real once per
distinct bytes, however many peers and contracts ask. :class:`BeaconScheme` deals publicly verifiable sharings;
:class:`CommitScheme` deals hashes, which nobody but the dealer can open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from simdfl.crypto.dleq import prove_possession, verify_possession
from simdfl.crypto.groups import Group, Point, get_group
from simdfl.crypto.hashing import digest, sha256
from simdfl.crypto.keys import derive_secret_key, public_key
from simdfl.crypto.sharing import SHARINGS, Dealing, opening
from simdfl.errors import CryptoError
from simdfl.memo import Memo
from simdfl.store import NOTHING, Nothing

SHARE_LABEL = b"share"
SECRET_BYTES = 32
COMMIT_SCHEMES = ("commit_reveal", "randao", "ideal")
SCHEMES = (*(f"pvss_{name}" for name in SHARINGS if name != "albatross"), "albatross", *COMMIT_SCHEMES)


class RandomBeacon(ABC):
    """What all beacons have in common: keys, openings, output.

    Parameters
    ----------
    name : str
        Name of the scheme.
    group : str
        Name of the group.
    """

    def __init__(self, name: str, group: str) -> None:
        self.name = name
        self.group: Group = get_group(group)
        self._points = Memo(1 << 14)

    # ---- keys

    def make_key(self, seed: bytes) -> tuple[int, bytes]:
        """Return a secret key and the encoded public key."""
        secret = derive_secret_key(self.group, seed)
        return secret, self.group.encode(public_key(self.group, secret))

    def prove_possession(self, context: bytes, secret_key: int, seed: bytes) -> bytes:
        """Return the proof that the holder of a public key knows its secret."""
        return prove_possession(self.group, context, secret_key, seed)

    def verify_possession(self, context: bytes, key: bytes, proof: bytes) -> bool:
        """Check a proof of possession; False for malformed bytes."""
        point = self._point(key)
        return point is not None and verify_possession(self.group, context, point, proof)

    def _point(self, encoded: bytes) -> Point | None:
        return self._points.get(encoded, lambda: self._decode(encoded))

    def _decode(self, encoded: bytes) -> Point | None:
        try:
            return self.group.decode(encoded)
        except CryptoError:
            return None

    def _keys(self, receivers: Sequence[bytes]) -> list[Point]:
        """Decode registered keys, which were checked at registration."""
        return [self._point(key) for key in receivers]

    # ---- dealing

    def packing(self, receivers: int, threshold: int) -> int:
        """Return how many outputs one dealing serves."""
        return 1

    @abstractmethod
    def deal(self, context: bytes, receivers: Sequence[bytes], threshold: int, seed: bytes) -> Dealing:
        """Fix a secret (or several) before all; `receivers` are the keys of those who could recover it."""

    @abstractmethod
    def commitment(self, receivers: int, threshold: int, transcript: bytes, coordinate: int = 0) -> bytes:
        """Return the commitment to one secret inside a transcript.

        Raises
        ------
        CryptoError
            If the transcript has the wrong length, or no such secret.
        """

    @abstractmethod
    def verify_dealing(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        commitment: bytes,
        coordinate: int = 0,
    ) -> bool:
        """Check a dealing and that `commitment` is its own; False for malformed bytes."""

    @abstractmethod
    def check_opening(self, context: bytes, commitment: bytes, secret: int) -> bool:
        """Check that the secret opens the commitment of this dealing."""

    @abstractmethod
    def deal_exponentiations(self, receivers: int, threshold: int) -> float:
        """Return the cost of one dealing, in multiplications of a point."""

    @abstractmethod
    def verify_exponentiations(self, receivers: int, threshold: int) -> float:
        """Return the cost of verifying one dealing, in multiplications of a point."""

    # ---- output

    def add_secrets(self, left: int, right: int) -> int:
        """Add two opened secrets."""
        return (left + right) % self.group.order

    def output(self, run: bytes, index: int, secret_sum: int, recovered: Sequence[bytes]) -> bytes:
        """Return H("BEACON", run, index, product of all secrets)."""
        points = [self.group.decode(encoded) for encoded in recovered]
        total = opening.combine_secrets(self.group, [secret_sum], points)
        return opening.beacon_output(self.group, run, index, total)


class BeaconScheme(RandomBeacon):
    """A publicly verifiable beacon: a secret that its dealer withholds is recovered from the shares.

    Parameters
    ----------
    name : str
        ``pvss_ldei``, ``pvss_scrape``, ``pvss_schoenmakers`` or ``albatross``.
    group : str
        Name of the group.
    """

    def __init__(self, name: str, group: str) -> None:
        super().__init__(name, group)
        self.sharing = SHARINGS[name.removeprefix("pvss_")]
        self.store: Nothing = NOTHING
        self._verdicts = Memo(1 << 16)

    # ---- dealing

    def packing(self, receivers: int, threshold: int) -> int:
        """Return how many outputs one dealing serves."""
        return self.sharing.packing(receivers, threshold)

    def deal(self, context: bytes, receivers: Sequence[bytes], threshold: int, seed: bytes) -> Dealing:
        """Share secrets to the holders of `receivers`."""
        parts = [context, *receivers, _number(threshold), seed]
        raw = self.store.get("dealing", parts, lambda: self._deal(context, receivers, threshold, seed))
        cut = len(raw) - SECRET_BYTES * self.packing(len(receivers), threshold)
        secrets = [raw[at : at + SECRET_BYTES] for at in range(cut, len(raw), SECRET_BYTES)]
        return Dealing(raw[:cut], tuple(int.from_bytes(secret, "little") for secret in secrets))

    def _deal(self, context: bytes, receivers: Sequence[bytes], threshold: int, seed: bytes) -> bytes:
        """Return transcript and secrets of a fresh dealing, one after the other."""
        dealing = self.sharing.deal(self.group, context, self._keys(receivers), threshold, seed)
        return dealing.transcript + b"".join(s.to_bytes(SECRET_BYTES, "little") for s in dealing.secrets)

    def commitment(self, receivers: int, threshold: int, transcript: bytes, coordinate: int = 0) -> bytes:
        """Return the encoded commitment g^p(-coordinate) inside a transcript."""
        return self.sharing.parse(self.group, receivers, threshold, transcript).commitment(coordinate)

    def verify_dealing(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        commitment: bytes,
        coordinate: int = 0,
    ) -> bool:
        """Check a sharing and that `commitment` is its own; False for malformed bytes."""
        try:
            inside = self.commitment(len(receivers), threshold, transcript, coordinate)
        except CryptoError:
            return False
        key = (context, sha256(b"".join(receivers)), threshold, transcript)
        return inside == commitment and self._verdicts.get(
            key, lambda: self._verify(context, receivers, threshold, transcript)
        )

    def _verify(self, context: bytes, receivers: Sequence[bytes], threshold: int, transcript: bytes) -> bool:
        def verdict() -> bool:
            return self.sharing.verify(self.group, context, self._keys(receivers), threshold, transcript)

        return self._stored("dealing-verdict", [context, *receivers, _number(threshold), transcript], verdict)

    def _stored(self, kind: str, parts: list[bytes], verdict: Callable[[], bool]) -> bool:
        """Return a verdict, from the store if it is known there."""
        return self.store.get(kind, parts, lambda: bytes([verdict()])) == b"\x01"

    def deal_exponentiations(self, receivers: int, threshold: int) -> float:
        """Return the cost of one dealing, in multiplications of a point."""
        return self.sharing.deal_exponentiations(receivers, threshold)

    def verify_exponentiations(self, receivers: int, threshold: int) -> float:
        """Return the cost of verifying one dealing, in multiplications of a point."""
        return self.sharing.verify_exponentiations(receivers, threshold)

    # ---- opening

    def check_opening(self, context: bytes, commitment: bytes, secret: int) -> bool:
        """Check that g^secret is the commitment, which the dealing's proof binds to its context."""
        if not 0 <= secret < self.group.order:
            return False

        def verdict() -> bool:
            point = self._point(commitment)
            return point is not None and opening.check_opening(self.group, point, secret)

        return self._stored("opening", [commitment, secret.to_bytes(SECRET_BYTES, "little")], verdict)

    def decrypt_share(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        position: int,
        secret_key: int,
        seed: bytes,
    ) -> bytes:
        """Return the proven share of receiver `position` (from 1) of a valid dealing."""
        parsed = self.sharing.parse(self.group, len(receivers), threshold, transcript)
        bound = _share_context(context, position)
        return opening.decrypt_share(self.group, bound, secret_key, parsed.encrypted_share(position), seed)

    def verify_share(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        position: int,
        share: bytes,
    ) -> bool:
        """Check a decrypted share; False for malformed bytes."""
        if not 1 <= position <= len(receivers):
            return False
        try:
            encrypted = self.sharing.parse(self.group, len(receivers), threshold, transcript).encrypted_share(
                position
            )
        except CryptoError:
            return False
        key, bound = receivers[position - 1], _share_context(context, position)

        def verdict() -> bool:
            return opening.verify_share(self.group, bound, self._point(key), encrypted, share)

        return self._stored("share", [bound, key, self.group.encode(encrypted), share], verdict)

    def recover_secret(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        shares: Sequence[tuple[int, bytes]],
        coordinate: int = 0,
    ) -> bytes | None:
        """Return the encoded secret h^p(-coordinate) from exactly `threshold` shares, or None if one is wrong."""
        numbers = {position for position, _ in shares}
        if len(shares) != threshold or len(numbers) != threshold:
            return None
        for position, share in shares:
            if not self.verify_share(context, receivers, threshold, transcript, position, share):
                return None
        points = {position: opening.decode_share(self.group, share) for position, share in shares}
        return self.group.encode(opening.reconstruct(self.group, points, coordinate))


class CommitScheme(RandomBeacon):
    """A beacon of hash commitments: whoever does not open cannot be replaced.

    A transcript *is* its commitment, H(context, secret): bound to job, output and dealer, so that copying
    somebody else's is of no use. What follows a withheld secret is the contract's policy: ``commit_reveal``
    removes the withholder and tosses again (BTARD), ``randao`` skips it. ``ideal`` has no dealers at all.

    References
    ----------
    .. [1] Blum, *Coin flipping by telephone*, CRYPTO 1981.
    .. [2] Gorbunov et al., *Secure distributed training at scale*, ICML 2022, appendix (multi-party coin
    tossing).
    """

    def deal(self, context: bytes, receivers: Sequence[bytes], threshold: int, seed: bytes) -> Dealing:
        """Commit to a random secret."""
        secret = self.group.hash_to_scalar("simdfl/toss/secret", seed, context)
        return Dealing(self._commit(context, secret), (secret,))

    def _commit(self, context: bytes, secret: int) -> bytes:
        return digest("simdfl/toss", context, self.group.encode_scalar(secret))

    def commitment(self, receivers: int, threshold: int, transcript: bytes, coordinate: int = 0) -> bytes:
        """Return the transcript itself."""
        if len(transcript) != 32 or coordinate:
            raise CryptoError("a commitment has 32 bytes and holds one secret")
        return transcript

    def verify_dealing(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        commitment: bytes,
        coordinate: int = 0,
    ) -> bool:
        """Check the length: of a hash nothing else can be checked."""
        return len(transcript) == 32 and transcript == commitment and not coordinate

    def check_opening(self, context: bytes, commitment: bytes, secret: int) -> bool:
        """Check the hash."""
        return 0 <= secret < self.group.order and self._commit(context, secret) == commitment

    def deal_exponentiations(self, receivers: int, threshold: int) -> float:
        """Return zero: one hash."""
        return 0.0

    def verify_exponentiations(self, receivers: int, threshold: int) -> float:
        """Return zero: nothing is proved."""
        return 0.0


def make_beacon(name: str, group: str) -> RandomBeacon:
    """Return the beacon of this name (see :data:`SCHEMES`) over a group.

    >>> make_beacon("albatross", "ideal").packing(16, 11)
    6
    """
    return CommitScheme(name, group) if name in COMMIT_SCHEMES else BeaconScheme(name, group)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _share_context(context: bytes, position: int) -> bytes:
    return context + SHARE_LABEL + position.to_bytes(4, "little")
