"""The precompiles and proof checks that the chain gives to contracts.

The contracts use the standard library only; whoever runs them supplies a :class:`Host`. In simdfl it is
``simdfl.chain.host.ChainHost`` with real cryptography. The host also knows what the checks of proofs cost in the
contract that makes them on an EVM; the contracts charge it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Host(Protocol):
    """Cryptography offered to contracts. Malformed bytes give ``False`` or ``None``, never an exception."""

    def sha256(self, data: bytes) -> bytes:
        """Return the SHA-256 digest."""
        ...

    def keccak256(self, data: bytes) -> bytes:
        """Return the Keccak-256 digest (function selectors)."""
        ...

    def recover_signer(self, digest: bytes, signature: bytes) -> bytes | None:
        """Return the 20-byte address that signed `digest`, as the precompile at address 1."""
        ...

    def verify_path(self, root: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
        """Check a Merkle opening of leaf `index` among `size`."""
        ...

    def verify_possession(self, context: bytes, public_key: bytes, proof: bytes) -> bool:
        """Check a proof of possession of a beacon key."""
        ...

    def verify_dealing(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        commitment: bytes,
        coordinate: int,
    ) -> bool:
        """Check a dealing, and that `commitment` is that of secret number `coordinate` inside it."""
        ...

    def check_opening(self, context: bytes, commitment: bytes, secret: int) -> bool:
        """Check an opened secret against the dealer's commitment."""
        ...

    def verify_share(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        position: int,
        share: bytes,
    ) -> bool:
        """Check the decrypted share of receiver `position` (from 1)."""
        ...

    def recover_secret(
        self,
        context: bytes,
        receivers: Sequence[bytes],
        threshold: int,
        transcript: bytes,
        shares: Sequence[tuple[int, bytes]],
        coordinate: int,
    ) -> bytes | None:
        """Return the encoded secret h^p(-coordinate) from `threshold` proven shares, or None if any is wrong."""
        ...

    def beacon_output(self, run: bytes, index: int, secret_sum: int, recovered: Sequence[bytes]) -> bytes:
        """Return H("BEACON", run, index, h^secret_sum times the recovered secrets)."""
        ...

    def add_secrets(self, left: int, right: int) -> int:
        """Add two opened secrets in the scalar field."""
        ...

    # ---- what the checks cost: execution gas of the verifier contract, without the message call's own price

    def possession_gas(self) -> int:
        """Return the gas of :meth:`verify_possession`."""
        ...

    def opening_gas(self) -> int:
        """Return the gas of :meth:`check_opening`."""
        ...

    def dealing_gas(self, receivers: int, threshold: int) -> int:
        """Return the gas of :meth:`verify_dealing`."""
        ...

    def share_gas(self, receivers: int, threshold: int) -> int:
        """Return the gas of :meth:`verify_share`."""
        ...

    def recovery_gas(self, receivers: int, threshold: int) -> int:
        """Return the gas of :meth:`recover_secret`."""
        ...

    def output_gas(self, recovered: int) -> int:
        """Return the gas of :meth:`beacon_output` with so many recovered secrets."""
        ...
