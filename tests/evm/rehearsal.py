"""A host and a beacon whose proofs are hashes, for tests of what asks a verifier (twin: rehearsal.vy).

Nothing is secret here; the interfaces are those of :class:`simdfl.chain.host.ChainHost` and
:class:`simdfl.crypto.beacon.BeaconScheme`. What the verifier spends is asked of the compiled contract itself.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256 as _sha256

from eels import Chain, calldata

from contracts_model.merkle import verify_path
from simdfl.crypto.groups import curve
from simdfl.crypto.hashing import keccak256
from simdfl.crypto.sharing import Dealing
from simdfl.crypto.signatures import recover


def transcript_bytes(threshold: int) -> int:
    """Return how long a transcript is: a hash, a commitment, and padding not in proportion to the threshold."""
    return 80 + 32 * (3 * threshold + threshold**2 % 5)


def sha256(*pieces: bytes) -> bytes:
    return _sha256(b"".join(pieces)).digest()


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def share_of(context: bytes, transcript: bytes, place: int) -> bytes:
    return sha256(b"share", context, word(place), sha256(transcript))


class Scheme:
    """Deals hashes."""

    def make_key(self, seed: bytes) -> tuple[int, bytes]:
        return int.from_bytes(seed, "big"), sha256(b"key", seed) + sha256(b"key", seed)[:16]

    def prove_possession(self, context: bytes, secret: int, seed: bytes) -> bytes:
        key = self.make_key(word(secret))[1]
        return sha256(b"possession", context, key)

    def deal(self, context: bytes, receivers: list[bytes], threshold: int, seed: bytes) -> Dealing:
        secret = int.from_bytes(sha256(b"toss", seed, context), "big") % curve.ORDER
        made = sha256(b"deal", context, word(threshold), word(len(receivers)))
        padded = (made + self.commit(context, secret)).ljust(transcript_bytes(threshold), b"\x01")
        return Dealing(padded, (secret,))

    def commit(self, context: bytes, secret: int) -> bytes:
        return sha256(b"open", context, word(secret)) + bytes(16)

    def commitment(self, receivers: int, threshold: int, transcript: bytes, coordinate: int = 0) -> bytes:
        return transcript[32:80]

    def decrypt_share(self, context, keys, threshold, transcript, position, secret, seed) -> bytes:
        return share_of(context, transcript, position)


class RehearsalHost:
    """The twin of rehearsal.vy; `address` is where that stands on `chain`."""

    def __init__(self, chain: Chain, address: bytes) -> None:
        self._chain = chain
        self._address = address
        for name in ("possession", "opening", "dealing", "share", "recovery", "output"):
            setattr(self, f"{name}_gas", cache(getattr(self, f"{name}_gas")))

    def sha256(self, data: bytes) -> bytes:
        return sha256(data)

    keccak256 = staticmethod(cache(keccak256))

    def recover_signer(self, digest: bytes, signature: bytes) -> bytes | None:
        return recover(digest, signature)

    def verify_path(self, root, leaf, index, size, path) -> bool:
        return verify_path(root, leaf, index, size, tuple(path))

    def verify_possession(self, context: bytes, public_key: bytes, proof: bytes) -> bool:
        return proof == sha256(b"possession", context, public_key)

    def verify_dealing(self, context, receivers, threshold, transcript, commitment, coordinate) -> bool:
        made = sha256(b"deal", context, word(threshold), word(len(receivers)))
        return transcript[:32] == made and transcript[32:80] == commitment

    def check_opening(self, context: bytes, commitment: bytes, secret: int) -> bool:
        return commitment == sha256(b"open", context, word(secret)) + bytes(16)

    def verify_share(self, context, receivers, threshold, transcript, position, share) -> bool:
        return share == share_of(context, transcript, position)

    def recover_secret(self, context, receivers, threshold, transcript, shares, coordinate) -> bytes | None:
        if any(share != share_of(context, transcript, place) for place, share in shares):
            return None
        return sha256(b"secret", sha256(transcript))

    def beacon_output(self, run: bytes, index: int, secret_sum: int, recovered) -> bytes:
        mixed = sha256(run, word(index), word(secret_sum))
        for secret in recovered:
            mixed = sha256(sha256(mixed, secret.ljust(64, b"\0")[:32]), secret.ljust(64, b"\0")[32:])
        return mixed

    def add_secrets(self, left: int, right: int) -> int:
        return (left + right) % curve.ORDER

    # ---- what the compiled verifier spends

    def _spent(self, signature: str, *arguments: object) -> int:
        return self._chain.call(self._address, calldata(signature, *arguments)).gas_used

    def possession_gas(self) -> int:
        return self._spent("verify_possession(bytes,bytes,bytes)", bytes(52), bytes(48), bytes(32))

    def opening_gas(self) -> int:
        return self._spent("check_opening(bytes,bytes,uint256)", bytes(48), bytes(48), 1)

    def dealing_gas(self, receivers: int, threshold: int) -> int:
        signature = "verify_dealing(bytes,bytes32,uint256,uint256,bytes,bytes,uint256)"
        return self._spent(signature, *_setting(receivers, threshold), bytes(48), 0)

    def share_gas(self, receivers: int, threshold: int) -> int:
        signature = "verify_share(bytes,bytes32,uint256,uint256,bytes,uint256,bytes)"
        return self._spent(signature, *_setting(receivers, threshold), 1, bytes(32))

    def recovery_gas(self, receivers: int, threshold: int) -> int:
        signature = "recover_secret(bytes,bytes32,uint256,uint256,bytes,uint256[],bytes[],uint256)"
        shares = [bytes(32)] * threshold
        return self._spent(signature, *_setting(receivers, threshold), [1] * threshold, shares, 0)

    def output_gas(self, recovered: int) -> int:
        signature = "beacon_output(bytes32,uint256,uint256,bytes32[])"
        return self._spent(signature, bytes(32), 0, 0, [bytes(32)] * (2 * recovered))


def _setting(receivers: int, threshold: int) -> tuple[object, ...]:
    """Return context, digest of the keys, sizes and transcript of any sharing of this size."""
    return bytes(48), bytes(32), receivers, threshold, bytes(transcript_bytes(threshold))
