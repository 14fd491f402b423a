"""Gas of verifying sharings on chain, exact to the unit, in closed form.

The contracts are ``vyper/pvss_bn254.vy`` and ``vyper/pvss_bls12381.vy``. Every method here gives the execution
gas of one accepted call into them: precompiles by their tariff, hashing and copying by the word, memory by its
highest address, and the other opcodes as one constant a call and one a round of each loop, measured once on the
execution specifications. Branches do not depend on data, so nothing else matters: tests compare with the
specifications, for both curves, many sizes and random inputs.

What it leaves out: the transaction, its calldata, access to the verifier's account (2,600 or 100) and what the
caller does. Constants belong to Vyper 0.4.3, optimised for gas, for the Prague instruction set;
``python tests/evm/measure_verifiers.py`` measures them anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts_model.gas import KECCAK_WORD_GAS, words
from contracts_model.precompiles import (
    BLS_G1_ADD_GAS,
    BN254_ADD_GAS,
    BN254_MUL_GAS,
    bls_msm_gas,
    modexp_gas,
    sha256_gas,
)

COPY_WORD_GAS = 3
MEMORY_WORD_GAS = 3
MEMORY_QUADRATIC_DIVISOR = 512

SCALAR_BYTES = 32
CHALLENGE_BYTES = 16
CONTEXT_BYTES = 48
SHARE_LABEL_BYTES = 9
PROOF_BYTES = 2 * SCALAR_BYTES
LARGEST_N = 256
LARGEST_THRESHOLD = 128

_FRAME_BYTES = 8  # the length before every hashed piece
_ORDER_MINUS_TWO_BITS = {"bn254": 254, "bls12_381": 255}
_HORNER_STEP_GAS = 241
_LAGRANGE_PAIR_GAS = 175


def memory_gas(highest_word: int) -> int:
    """Return the gas of memory up to a word.

    >>> memory_gas(0), memory_gas(1024)
    (0, 5120)
    """
    return MEMORY_WORD_GAS * highest_word + highest_word**2 // MEMORY_QUADRATIC_DIVISOR


@dataclass(frozen=True)
class Opcodes:
    """What remains of a call: a constant, one a round of its loop, and the memory that it always reaches."""

    call: int
    round: int
    memory_words: int


@dataclass(frozen=True)
class Verifier:
    """The verifier of one curve.

    Parameters
    ----------
    name : str
        Name of the group, as in ``simdfl.crypto.groups``.
    element_bytes : int
        Size of a compressed element.
    suite_bytes : int
        Length of the group's name in hashes.
    multiply_gas, combine_gas, add_gas : int
        Precompiles behind k P, k P + m Q and P + Q.
    possession, opening, dealing, share, recovery, output : Opcodes
        What the compiled contract adds.
    weights_word : int
        Where a recovery keeps its weights; many of them reach beyond the rest.
    undecodable_gas : int
        Showing that no point has an element's coordinate.
    outside_subgroup_gas : int, optional
        Showing that an element's point lies outside the subgroup of prime order; None where there are no others.
    """

    name: Literal["bn254", "bls12_381"]
    element_bytes: int
    suite_bytes: int
    multiply_gas: int
    combine_gas: int
    add_gas: int
    possession: Opcodes
    opening: Opcodes
    dealing: Opcodes
    share: Opcodes
    recovery: Opcodes
    output: Opcodes
    weights_word: int
    undecodable_gas: int
    outside_subgroup_gas: int | None = None

    def transcript_bytes(self, n: int, threshold: int) -> int:
        """Return the size of an LDEI transcript: n + 1 elements, the challenge, t scalars.

        >>> BN254.transcript_bytes(16, 8), BLS12_381.transcript_bytes(16, 8)
        (816, 1088)
        """
        return self.element_bytes * (n + 1) + CHALLENGE_BYTES + SCALAR_BYTES * threshold

    def possession_gas(self, context_bytes: int = CONTEXT_BYTES) -> int:
        """Return the gas of checking a proof of possession of a key."""
        statement = len("simdfl/possession") + context_bytes + 2 * self.element_bytes + 3 * _FRAME_BYTES
        hashes = sha256_gas(statement) + self._absorb_gas() + self._challenge_gas("simdfl/possession")
        copies = 2 * COPY_WORD_GAS * words(context_bytes)
        return self.combine_gas + hashes + copies + _fixed(self.possession)

    def opening_gas(self) -> int:
        """Return the gas of checking a secret scalar against its commitment."""
        return self.multiply_gas + _fixed(self.opening)

    def dealing_gas(self, n: int, threshold: int, context_bytes: int = CONTEXT_BYTES) -> int:
        """Return the gas of verifying a whole dealing.

        Parameters
        ----------
        n : int
            Receivers, at most 256.
        threshold : int
            Shares that recover, at most 128 and n.
        context_bytes : int
            Length of the context, at most 128.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            The contract does not take these sizes.
        """
        _check_sizes(n, threshold)
        size, keys, points = self.element_bytes, self.element_bytes * n, self.element_bytes * (n + 1)
        transcript = self.transcript_bytes(n, threshold)
        curve = (n + 1) * (self.combine_gas + self._absorb_gas())
        setting = sum(map(len, ("simdfl/sharing/setting", "ldei"))) + self.suite_bytes + 4 + 6 * _FRAME_BYTES
        statement = len("simdfl/sharing/statement") + 32 + 3 * _FRAME_BYTES
        hashes = sha256_gas(setting + context_bytes + keys) + sha256_gas(statement + points)
        hashes += self._challenge_gas("simdfl/sharing/ldei")
        hashes += KECCAK_WORD_GAS * (words(transcript) + n + 1 + 2)
        copies = 2 * words(context_bytes) + 2 * words(keys) + words(points)
        memory = memory_gas(self.dealing.memory_words + words(size * n))
        rounds = self.dealing.round * (n + 1) + _HORNER_STEP_GAS * threshold
        return curve + hashes + COPY_WORD_GAS * copies + memory + rounds + self.dealing.call

    def share_gas(self, context_bytes: int = CONTEXT_BYTES) -> int:
        """Return the gas of checking one decrypted share (it depends on neither n nor t)."""
        copies = 3 * COPY_WORD_GAS * words(context_bytes)
        return self._equal_logarithms_gas(context_bytes) + copies + _fixed(self.share)

    def recovery_gas(self, n: int, threshold: int, context_bytes: int = CONTEXT_BYTES) -> int:
        """Return the gas of checking t shares and computing the secret; sizes and errors as for a dealing."""
        _check_sizes(n, threshold)
        shares = threshold * (self._equal_logarithms_gas(context_bytes) + self.multiply_gas + self.add_gas)
        order_bits = _ORDER_MINUS_TWO_BITS[self.name]
        inverse = modexp_gas(SCALAR_BYTES, 1 << order_bits - 1, SCALAR_BYTES, SCALAR_BYTES)
        copies = words(self.transcript_bytes(n, threshold)) + words(self.element_bytes * threshold)
        copies += words((self.element_bytes + PROOF_BYTES) * threshold)
        copies += (1 + 2 * threshold) * words(context_bytes)
        rounds = self.recovery.round * threshold + _LAGRANGE_PAIR_GAS * threshold**2
        memory = memory_gas(max(self.recovery.memory_words, self.weights_word + threshold))
        return shares + inverse + COPY_WORD_GAS * copies + memory + rounds + self.recovery.call

    def output_gas(self, recovered: int = 0) -> int:
        """Return the gas of combining the opened secrets' sum with `recovered` points into an output."""
        message = len("BEACON") + 32 + 8 + self.element_bytes + 4 * _FRAME_BYTES
        curve = self.multiply_gas + recovered * self.add_gas
        memory = memory_gas(self.output.memory_words + self._recovered_words() * (recovered > 0))
        entered = self._loop_entry_gas() * (recovered > 0)
        rounds = self.output.round * recovered + entered
        return curve + sha256_gas(message) + memory + rounds + self.output.call

    # ---- parts

    def _absorb_gas(self) -> int:
        """Return the gas of hashing one announcement behind the state."""
        return sha256_gas(32 + self.element_bytes)

    def _challenge_gas(self, tag: str) -> int:
        return sha256_gas(len(tag + "/challenge") + self.suite_bytes + 32 + 3 * _FRAME_BYTES)

    def _equal_logarithms_gas(self, context_bytes: int) -> int:
        """Return precompiles and hashes of one proof that two logarithms are equal."""
        bound = context_bytes + SHARE_LABEL_BYTES
        statement = len("simdfl/dleq") + bound + 4 * self.element_bytes + 3 * _FRAME_BYTES
        hashes = sha256_gas(statement) + 2 * self._absorb_gas() + self._challenge_gas("simdfl/dleq")
        return 2 * self.combine_gas + hashes

    def _recovered_words(self) -> int:
        """Return the memory that only a loop over recovered elements reaches."""
        return 9 if self.name == "bls12_381" else 0

    def _loop_entry_gas(self) -> int:
        """Return what a loop with rounds costs beyond them; one without is left at once."""
        return 6 if self.name == "bls12_381" else 3


def _fixed(opcodes: Opcodes) -> int:
    return opcodes.call + memory_gas(opcodes.memory_words)


def _check_sizes(n: int, threshold: int) -> None:
    if not 1 <= threshold <= min(n, LARGEST_THRESHOLD) or n > LARGEST_N:
        raise ValueError(
            f"threshold {threshold} of {n}: the verifiers take up to {LARGEST_N} receivers "
            f"and thresholds from 1 to the smaller of n and {LARGEST_THRESHOLD}"
        )


BN254 = Verifier(
    name="bn254",
    element_bytes=32,
    suite_bytes=len("BN254G1"),
    multiply_gas=BN254_MUL_GAS,
    combine_gas=2 * BN254_MUL_GAS + BN254_ADD_GAS,
    add_gas=BN254_ADD_GAS,
    possession=Opcodes(call=3_408, round=0, memory_words=69),
    opening=Opcodes(call=745, round=0, memory_words=19),
    dealing=Opcodes(call=4_335, round=2_783, memory_words=1_869),
    share=Opcodes(call=5_687, round=0, memory_words=89),
    recovery=Opcodes(call=2_471, round=7_384, memory_words=2_118),
    output=Opcodes(call=1_734, round=724, memory_words=290),
    weights_word=2_092,
    undecodable_gas=412,
)

BLS12_381 = Verifier(
    name="bls12_381",
    element_bytes=48,
    suite_bytes=len("BLS12381G1"),
    multiply_gas=bls_msm_gas(1),
    combine_gas=bls_msm_gas(2),
    add_gas=BLS_G1_ADD_GAS,
    possession=Opcodes(call=4_094, round=0, memory_words=96),
    opening=Opcodes(call=1_280, round=0, memory_words=37),
    dealing=Opcodes(call=4_076, round=3_647, memory_words=2_781),
    share=Opcodes(call=7_484, round=0, memory_words=134),
    recovery=Opcodes(call=2_915, round=9_565, memory_words=2_776),
    output=Opcodes(call=2_186, round=1_250, memory_words=686),
    weights_word=2_732,
    undecodable_gas=3_457,
    outside_subgroup_gas=13_819,
)

VERIFIERS = {verifier.name: verifier for verifier in (BN254, BLS12_381)}
