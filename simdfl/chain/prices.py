"""What checking the beacon's proofs costs on chain, by scheme.

LDEI sharings have verifier contracts, whose gas is known to the unit (:mod:`contracts_model.verification`); the
group ``ideal`` is priced as BLS12-381, in whose place it stands. The other sharings have none: their price is
that of LDEI, scaled by the multiplications of points. So is that of sizes which the verifiers do not take.
Commitments are opened by one hash.
"""

from __future__ import annotations

from contracts_model.gas import CALLDATA_NONZERO_BYTE_GAS
from contracts_model.runtime import sha256_gas
from contracts_model.verification import LARGEST_N, LARGEST_THRESHOLD, VERIFIERS, Verifier
from simdfl.crypto.beacon import BeaconScheme, CommitScheme, RandomBeacon

POSSESSION_CONTEXT_BYTES = 52
"""A job's digest and an address."""
COMMITTED_BYTES = 120
"""What a commitment hashes: tag, context and secret, each behind its length."""
AROUND_PROOF_GAS = 400_000
"""Covers what a call with a sharing spends beside verifying it: hashes, a Merkle path, slots, and a ban."""


class ProofPrices:
    """Gas of the verifier contract by check, for :class:`contracts_model.host.Host`.

    Parameters
    ----------
    scheme : RandomBeacon
        The beacon of the job.
    """

    def __init__(self, scheme: RandomBeacon) -> None:
        self._scheme = scheme
        self._verifier: Verifier = VERIFIERS["bn254" if scheme.group.suite == b"BN254G1" else "bls12_381"]
        self._is_hash = isinstance(scheme, CommitScheme)

    def possession_gas(self) -> int:
        """Return the gas of checking a proof of possession."""
        return self._verifier.possession_gas(POSSESSION_CONTEXT_BYTES)

    def opening_gas(self) -> int:
        """Return the gas of checking an opened secret."""
        return sha256_gas(COMMITTED_BYTES) if self._is_hash else self._verifier.opening_gas()

    def dealing_gas(self, receivers: int, threshold: int) -> int:
        """Return the gas of verifying a dealing."""
        if self._is_hash:
            return 0
        n, t, scale = _fitting(receivers, threshold)
        return int(self._verifier.dealing_gas(n, t) * scale * self._relative_work(n, t))

    def proof_gas_limit(self, receivers: int, threshold: int, transcript_bytes: int) -> int:
        """Return a gas limit for a call with a sharing that is verified."""
        calldata_gas = CALLDATA_NONZERO_BYTE_GAS * transcript_bytes
        return self.dealing_gas(receivers, threshold) + calldata_gas + AROUND_PROOF_GAS

    def share_gas(self, receivers: int, threshold: int) -> int:
        """Return the gas of verifying a decrypted share."""
        return self._verifier.share_gas()

    def recovery_gas(self, receivers: int, threshold: int) -> int:
        """Return the gas of recovering a secret."""
        n, t, scale = _fitting(receivers, threshold)
        return int(self._verifier.recovery_gas(n, t) * scale)

    def output_gas(self, recovered: int) -> int:
        """Return the gas of combining the secrets into an output."""
        return self._verifier.output_gas(recovered)

    def _relative_work(self, receivers: int, threshold: int) -> float:
        """Return the multiplications of this scheme's verification over those of LDEI's."""
        if self._scheme.name == "pvss_ldei":
            return 1.0
        ldei = BeaconScheme("pvss_ldei", "ideal")
        ours = self._scheme.verify_exponentiations(receivers, threshold)
        return ours / ldei.verify_exponentiations(receivers, threshold)


def _fitting(receivers: int, threshold: int) -> tuple[int, int, float]:
    """Return sizes that the verifiers take, and by how much the true ones are larger.

    >>> _fitting(16, 8), _fitting(512, 256)
    ((16, 8, 1.0), (256, 128, 2.0))
    """
    scale = max(1.0, receivers / LARGEST_N, threshold / LARGEST_THRESHOLD)
    return int(receivers / scale), max(1, int(threshold / scale)), scale
