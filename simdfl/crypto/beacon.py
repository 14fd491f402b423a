"""Everything that a beacon round needs, on bytes: deal, verify, open, share, recover, output.

One object binds a sharing scheme to a group and remembers verdicts: a public proof is checked for real once per
distinct bytes, however many peers and contracts ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from simdfl.crypto.dleq import prove_possession, verify_possession
from simdfl.crypto.groups import Group, Point, get_group
from simdfl.crypto.hashing import sha256
from simdfl.crypto.keys import derive_secret_key, public_key
from simdfl.crypto.sharing import SHARINGS, Dealing, opening
from simdfl.errors import CryptoError
from simdfl.memo import Memo

SHARE_LABEL = b"share"


class BeaconScheme:
    """A publicly verifiable beacon: sharing scheme, group and the memory of checked proofs.

    Parameters
    ----------
    scheme : str
        ``pvss_ldei``, ``pvss_scrape`` or ``pvss_schoenmakers``.
    group : str
        Name of the group.
    """

    def __init__(self, scheme: str, group: str) -> None:
        self.name = scheme
        self.group: Group = get_group(group)
        self.sharing = SHARINGS[scheme.removeprefix("pvss_")]
        self._verdicts = Memo(1 << 16)
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

    def deal(self, context: bytes, receivers: Sequence[bytes], threshold: int, seed: bytes) -> Dealing:
        """Share a secret to the holders of `receivers`."""
        return self.sharing.deal(self.group, context, self._keys(receivers), threshold, seed)

    def commitment(self, receivers: int, threshold: int, transcript: bytes) -> bytes:
        """Return the encoded commitment g^p(0) inside a transcript.

        Raises
        ------
        CryptoError
            If the transcript has the wrong length.
        """
        return self.sharing.parse(self.group, receivers, threshold, transcript).commitment

    def verify_dealing(
        self, context: bytes, receivers: Sequence[bytes], threshold: int, transcript: bytes, commitment: bytes
    ) -> bool:
        """Check a sharing and that `commitment` is its own; False for malformed bytes."""
        key = (context, sha256(b"".join(receivers)), threshold, transcript, commitment)
        return self._verdicts.get(
            key, lambda: self._verify(context, receivers, threshold, transcript, commitment)
        )

    def _verify(
        self, context: bytes, receivers: Sequence[bytes], threshold: int, transcript: bytes, commitment: bytes
    ) -> bool:
        try:
            inside = self.commitment(len(receivers), threshold, transcript)
        except CryptoError:
            return False
        keys = self._keys(receivers)
        return inside == commitment and self.sharing.verify(self.group, context, keys, threshold, transcript)

    # ---- opening

    def check_opening(self, commitment: bytes, secret: int) -> bool:
        """Check that g^secret is the commitment."""
        point = self._point(commitment)
        return (
            point is not None
            and 0 <= secret < self.group.order
            and opening.check_opening(self.group, point, secret)
        )

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
        key = self._point(receivers[position - 1])
        return opening.verify_share(self.group, _share_context(context, position), key, encrypted, share)

    def recover_secret(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        shares: Sequence[tuple[int, bytes]],
    ) -> bytes | None:
        """Return the encoded secret h^p(0) from exactly `threshold` shares, or None if one is wrong."""
        numbers = {position for position, _ in shares}
        if len(shares) != threshold or len(numbers) != threshold:
            return None
        for position, share in shares:
            if not self.verify_share(context, receivers, threshold, transcript, position, share):
                return None
        points = {position: opening.decode_share(self.group, share) for position, share in shares}
        return self.group.encode(opening.reconstruct(self.group, points))

    def add_secrets(self, left: int, right: int) -> int:
        """Add two opened secrets."""
        return (left + right) % self.group.order

    def output(self, run: bytes, index: int, secret_sum: int, recovered: Sequence[bytes]) -> bytes:
        """Return H("BEACON", run, index, product of all secrets)."""
        points = [self.group.decode(encoded) for encoded in recovered]
        total = opening.combine_secrets(self.group, [secret_sum], points)
        return opening.beacon_output(self.group, run, index, total)


def _share_context(context: bytes, position: int) -> bytes:
    return context + SHARE_LABEL + position.to_bytes(4, "little")
