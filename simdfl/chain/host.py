"""The precompiles of the simulated chain: real hashes, signatures and beacon proofs for the contracts."""

from __future__ import annotations

from collections.abc import Sequence

from contracts_model.merkle import verify_path
from simdfl.chain.prices import ProofPrices
from simdfl.crypto.beacon import BeaconScheme, RandomBeacon
from simdfl.crypto.hashing import keccak256, sha256
from simdfl.crypto.signatures import recover
from simdfl.memo import Memo


class ChainHost(ProofPrices):
    """Implements :class:`contracts_model.host.Host` over :mod:`simdfl.crypto`.

    Parameters
    ----------
    scheme : RandomBeacon
        The beacon of the job.
    """

    def __init__(self, scheme: RandomBeacon) -> None:
        super().__init__(scheme)
        self._keccak = Memo(1 << 10)
        self._neutral = scheme.group.encode(scheme.group.identity)
        self.verify_possession = scheme.verify_possession
        self.verify_dealing = scheme.verify_dealing
        self.check_opening = scheme.check_opening
        self.beacon_output = scheme.output
        self.add_secrets = scheme.add_secrets

    def recover_secret(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        shares: Sequence[tuple[int, bytes]],
        coordinate: int,
    ) -> bytes | None:
        """Return the encoded secret, or None if a share is wrong or the secret is the neutral element.

        No valid dealing has that secret, and no output could be made of it. Nothing is ever recovered where
        dealings are no sharings.
        """
        if not isinstance(self._scheme, BeaconScheme):
            return None
        secret = self._scheme.recover_secret(context, receivers, threshold, transcript, shares, coordinate)
        return None if secret == self._neutral else secret

    def verify_share(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        position: int,
        share: bytes,
    ) -> bool:
        """Check a decrypted share of a sharing."""
        if not isinstance(self._scheme, BeaconScheme):
            return False
        return self._scheme.verify_share(context, receivers, threshold, transcript, position, share)

    def sha256(self, data: bytes) -> bytes:
        """Return the SHA-256 digest."""
        return sha256(data)

    def keccak256(self, data: bytes) -> bytes:
        """Return the Keccak-256 digest; remembered, since selectors are asked for again and again."""
        return self._keccak.get(data, lambda: keccak256(data))

    def recover_signer(self, digest: bytes, signature: bytes) -> bytes | None:
        """Return the signer's address, or None."""
        return recover(digest, signature)

    def verify_path(self, root: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
        """Check a Merkle opening."""
        return verify_path(root, leaf, index, size, tuple(path))
