"""What every role of the beacon pays on chain, by number of receivers: ``python -m contracts_model.gas_table``.

Each row is a whole transaction of a contract that keeps digests and calls the verifier of
:mod:`contracts_model.verification`. Exact: the verifier's execution. Estimated: calldata, whose random bytes are
taken to be zero one time in 256; forwarding it to the verifier; storage of the smallest contract that could do it
(one slot a digest, two read for digest and key set, one event).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from contracts_model.blobs import BLOB_BYTES, GAS_PER_BLOB
from contracts_model.gas import (
    CALLDATA_FLOOR_TOKEN_GAS,
    CALLDATA_NONZERO_BYTE_GAS,
    CALLDATA_TOKENS_PER_NONZERO_BYTE,
    CALLDATA_ZERO_BYTE_GAS,
    COLD_ACCOUNT_GAS,
    COLD_SLOAD_GAS,
    LOG_DATA_BYTE_GAS,
    LOG_GAS,
    LOG_TOPIC_GAS,
    SSTORE_RESET_GAS,
    SSTORE_SET_GAS,
    TX_BASE_GAS,
    TX_GAS_CAP,
    words,
)
from contracts_model.precompiles import sha256_gas
from contracts_model.verification import BLS12_381, BN254, CONTEXT_BYTES, COPY_WORD_GAS, Verifier, memory_gas

SIZES = (8, 16, 32, 64, 128, 256)
WORD = 32
SELECTOR_BYTES = 4
NEW_SLOT_GAS = COLD_SLOAD_GAS + SSTORE_SET_GAS
CHANGED_SLOT_GAS = COLD_SLOAD_GAS + SSTORE_RESET_GAS
EVENT_GAS = LOG_GAS + 3 * LOG_TOPIC_GAS + WORD * LOG_DATA_BYTE_GAS

# Schindler, Judmayer, Stifter and Weippl, "EthDKG" (IACR ePrint 2019/985), as published, for n = 16 and 256.
ETHDKG = {
    "share distribution: encrypted shares and commitments in calldata, hash stored": (123_000, 651_000),
    "dispute: both again in calldata, one share shown wrong": (150_000, 1_510_000),
}


@dataclass(frozen=True)
class Calldata:
    """ABI-encoded arguments: random bytes, zero bytes, and words that hold a small number."""

    random: int = 0
    zeros: int = 0
    numbers: int = 0

    def __add__(self, other: Calldata) -> Calldata:
        """Return both together."""
        return Calldata(self.random + other.random, self.zeros + other.zeros, self.numbers + other.numbers)

    @property
    def size_bytes(self) -> int:
        """All bytes, the selector included."""
        return SELECTOR_BYTES + self.random + self.zeros + WORD * self.numbers

    @property
    def nonzero_bytes(self) -> int:
        """Bytes expected not to be zero; a small number has two."""
        return SELECTOR_BYTES + self.random - self.random // 256 + 2 * self.numbers

    def transaction_gas(self, execution_gas: int) -> int:
        """Return what a transaction pays: calldata and execution, or the floor (EIP-7623)."""
        nonzero, zero = self.nonzero_bytes, self.size_bytes - self.nonzero_bytes
        standard = CALLDATA_NONZERO_BYTE_GAS * nonzero + CALLDATA_ZERO_BYTE_GAS * zero + execution_gas
        floor = CALLDATA_FLOOR_TOKEN_GAS * (CALLDATA_TOKENS_PER_NONZERO_BYTE * nonzero + zero)
        return TX_BASE_GAS + max(standard, floor)

    def forward_gas(self) -> int:
        """Return the gas of copying the arguments into a call to the verifier, which is a cold account."""
        size = words(self.size_bytes)
        return COLD_ACCOUNT_GAS + COPY_WORD_GAS * size + memory_gas(size)


def variable(size_bytes: int) -> Calldata:
    """Return a ``bytes`` argument: offset, length, content, padding."""
    return Calldata(size_bytes, -size_bytes % WORD, 2)


def roots(verifier: Verifier, count: int) -> Calldata:
    """Return an array of y coordinates."""
    padding = -verifier.element_bytes % WORD
    return Calldata(verifier.element_bytes * count, padding * count, 2)


def dealing_calldata(verifier: Verifier, n: int, threshold: int) -> Calldata:
    """Return the arguments of a whole verification."""
    keys = variable(verifier.element_bytes * n) + roots(verifier, n)
    transcript = variable(verifier.transcript_bytes(n, threshold)) + roots(verifier, n + 1)
    values = Calldata(WORD * (n + 1), 0, 2)
    return Calldata(numbers=1) + variable(CONTEXT_BYTES) + keys + transcript + values


def recovery_calldata(verifier: Verifier, n: int, threshold: int) -> Calldata:
    """Return the arguments of a recovery."""
    size = verifier.element_bytes
    shares = variable((size + 64) * threshold) + roots(verifier, threshold)
    receivers = Calldata(numbers=3 + threshold)
    keys = variable(size * threshold) + roots(verifier, threshold)
    transcript = variable(verifier.transcript_bytes(n, threshold)) + roots(verifier, threshold)
    return receivers + variable(CONTEXT_BYTES) + keys + transcript + shares


def check_digests_gas(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of comparing transcript and key set with their posted digests."""
    hashes = sha256_gas(verifier.transcript_bytes(n, threshold)) + sha256_gas(verifier.element_bytes * n)
    return hashes + 2 * COLD_SLOAD_GAS


def register(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of registering a key with its proof of possession."""
    size = verifier.element_bytes
    data = variable(CONTEXT_BYTES) + variable(size) + roots(verifier, 1) + variable(64)
    slots = words(size) * NEW_SLOT_GAS
    return data.transaction_gas(data.forward_gas() + verifier.possession_gas() + slots + EVENT_GAS)


def deal_verified(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of posting a dealing that is verified at once."""
    data = dealing_calldata(verifier, n, threshold)
    checks = check_digests_gas(verifier, n, threshold) - COLD_SLOAD_GAS  # only the key set's digest is read
    verification = data.forward_gas() + verifier.dealing_gas(n, threshold)
    return data.transaction_gas(checks + verification + NEW_SLOT_GAS + EVENT_GAS)


def deal_hashed(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of posting a transcript in calldata, of which the contract keeps the hash."""
    size = verifier.transcript_bytes(n, threshold)
    data = Calldata(numbers=1) + variable(size)
    memory = COPY_WORD_GAS * words(size) + memory_gas(words(size))
    return data.transaction_gas(sha256_gas(size) + memory + NEW_SLOT_GAS + EVENT_GAS)


def deal_in_blob(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of posting a digest beside a blob; the blob's own gas comes on top."""
    return (Calldata(numbers=1) + Calldata(2 * WORD)).transaction_gas(NEW_SLOT_GAS + EVENT_GAS)


def blob_gas(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the blob gas of one transcript, in blobs of its own."""
    return -(-verifier.transcript_bytes(n, threshold) // BLOB_BYTES) * GAS_PER_BLOB


def dispute_whole(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of showing that a posted dealing does not verify (without the ban that follows)."""
    data = dealing_calldata(verifier, n, threshold)
    verification = data.forward_gas() + verifier.dealing_gas(n, threshold)
    return data.transaction_gas(check_digests_gas(verifier, n, threshold) + verification)


def dispute_index(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of showing that one element of a posted dealing is no point."""
    size = verifier.transcript_bytes(n, threshold)
    data = Calldata(numbers=2) + variable(size) + Calldata(verifier.element_bytes)
    memory = COPY_WORD_GAS * words(size) + memory_gas(words(size))
    checks = sha256_gas(size) + COLD_SLOAD_GAS + memory + COLD_ACCOUNT_GAS
    return data.transaction_gas(checks + verifier.undecodable_gas)


def reveal(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of opening a secret; the posted leaf is a hash of transcript digest and commitment."""
    data = Calldata(2 * WORD, 0, 1) + variable(verifier.element_bytes)
    state = COLD_SLOAD_GAS + sha256_gas(WORD + verifier.element_bytes) + 2 * CHANGED_SLOT_GAS + EVENT_GAS
    return data.transaction_gas(COLD_ACCOUNT_GAS + verifier.opening_gas() + state)


def recover(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of opening a withheld secret with t shares (without the ban that follows)."""
    data = recovery_calldata(verifier, n, threshold)
    checks = check_digests_gas(verifier, n, threshold)
    slots = words(verifier.element_bytes) * NEW_SLOT_GAS + CHANGED_SLOT_GAS
    verification = data.forward_gas() + verifier.recovery_gas(n, threshold)
    return data.transaction_gas(checks + verification + slots + EVENT_GAS)


def output(verifier: Verifier, n: int, threshold: int) -> int:
    """Return the gas of an output in which one secret had to be recovered."""
    state = (1 + words(verifier.element_bytes)) * COLD_SLOAD_GAS + NEW_SLOT_GAS + EVENT_GAS
    data = Calldata(numbers=1) + roots(verifier, 1)
    return data.transaction_gas(COLD_ACCOUNT_GAS + verifier.output_gas(1) + state)


Row = Callable[[Verifier, int, int], int]
ROWS: tuple[tuple[str, str, Row], ...] = (
    ("receiver", "register a key", register),
    ("dealer", "deal, verified on chain", deal_verified),
    ("dealer", "deal, hash only, calldata", deal_hashed),
    ("dealer", "deal, hash only, blob", deal_in_blob),
    ("dealer", "- and its blob gas", blob_gas),
    ("accuser", "dispute, whole dealing", dispute_whole),
    ("accuser", "dispute, one bad element", dispute_index),
    ("dealer", "reveal", reveal),
    ("receivers", "recover a secret", recover),
    ("anybody", "output, one recovered", output),
)


def threshold_of(n: int) -> int:
    """Return the default threshold, half of the receivers rounded up."""
    return -(-n // 2)


def table(verifier: Verifier) -> Iterator[str]:
    """Yield the lines of one curve's table, as Markdown."""
    yield f"| {verifier.name} | | " + " | ".join(f"n = {n}" for n in SIZES) + " |"
    yield "| --- | --- |" + " ---: |" * len(SIZES)
    for role, name, price in ROWS:
        cells = [f"{price(verifier, n, threshold_of(n)):,}" for n in SIZES]
        yield f"| {role} | {name} | " + " | ".join(cells) + " |"


def largest_under_cap(verifier: Verifier, price: Row) -> int:
    """Return the largest n that one transaction can pay for (EIP-7825), at most what the contract takes."""
    return max(n for n in range(1, 257) if price(verifier, n, threshold_of(n)) <= TX_GAS_CAP)


def main() -> None:
    """Print the tables, the largest sizes and EthDKG's figures."""
    for verifier in (BN254, BLS12_381):
        print(*table(verifier), sep="\n", end="\n\n")
    for verifier in (BN254, BLS12_381):
        deal, recovered = (largest_under_cap(verifier, price) for price in (deal_verified, recover))
        print(f"Largest n under {TX_GAS_CAP:,} gas, {verifier.name}: {deal} to deal, {recovered} to recover.")
    print("\n| EthDKG, as published | n = 16 | n = 256 |\n| --- | ---: | ---: |")
    for name, (small, large) in ETHDKG.items():
        print(f"| {name} | {small:,} | {large:,} |")


if __name__ == "__main__":
    main()
