"""Proofs of equal logarithms and of possession."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.crypto.dleq import (
    PROOF_BYTES,
    DleqProof,
    prove,
    prove_possession,
    verify,
    verify_possession,
)
from simdfl.crypto.keys import public_key
from simdfl.errors import CryptoError

SEED = b"s" * 32
CONTEXT = b"run 1, step 2, dealer 3"
EXAMPLES = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def claim(fast):
    """A true claim log_g h1 = log_h h2 and its proof."""
    x = 12345
    pair = (fast.g, fast.mul(x, fast.g), fast.h, fast.mul(x, fast.h))
    return pair, prove(fast, CONTEXT, *pair, x, SEED)


@EXAMPLES
@given(st.integers(0, 2**256), st.binary(min_size=32, max_size=32), st.binary(max_size=9))
def test_true_claims_verify(fast, x, seed, context):
    pair = (fast.g, fast.mul(x, fast.g), fast.h, fast.mul(x, fast.h))
    proof = prove(fast, context, *pair, x, seed)
    assert verify(fast, context, *pair, proof)
    assert DleqProof.decode(fast, proof.encode(fast)) == proof
    assert len(proof.encode(fast)) == PROOF_BYTES == 64


def test_both_groups_prove_the_same(fast, reference):
    proofs = []
    for group in (fast, reference):
        pair = (group.g, group.mul(7, group.g), group.h, group.mul(7, group.h))
        proofs.append(prove(group, CONTEXT, *pair, 7, SEED))
        assert verify(group, CONTEXT, *pair, proofs[0])
    assert proofs[0] == proofs[1]


def test_a_false_claim_has_no_proof(fast):
    pair = (fast.g, fast.mul(7, fast.g), fast.h, fast.mul(8, fast.h))
    for x in (7, 8):
        assert not verify(fast, CONTEXT, *pair, prove(fast, CONTEXT, *pair, x, SEED))


def test_a_proof_holds_for_its_claim_and_context_only(fast, claim):
    pair, proof = claim
    assert verify(fast, CONTEXT, *pair, proof)
    assert not verify(fast, CONTEXT + b"!", *pair, proof)
    for place in range(4):
        changed = list(pair)
        changed[place] = fast.add(changed[place], fast.g)
        assert not verify(fast, CONTEXT, *changed, proof)
    g1, h1, g2, h2 = pair
    assert not verify(fast, CONTEXT, g2, h2, g1, h1, proof)


def test_identity_bases_prove_nothing(fast, claim):
    (g1, h1, _, _), _ = claim
    zero = fast.identity
    pair = (g1, h1, zero, zero)
    assert not verify(fast, CONTEXT, *pair, prove(fast, CONTEXT, *pair, 12345, SEED))


def test_scalars_beyond_the_order_are_rejected(fast, claim):
    pair, proof = claim
    assert not verify(fast, CONTEXT, *pair, DleqProof(proof.e, proof.z + fast.order))
    assert not verify(fast, CONTEXT, *pair, DleqProof(proof.e - fast.order, proof.z))
    with pytest.raises(CryptoError):
        DleqProof.decode(fast, proof.encode(fast)[:32] + fast.order.to_bytes(32, "big"))
    with pytest.raises(CryptoError):
        DleqProof.decode(fast, proof.encode(fast) + b"\x00")


def test_one_seed_never_gives_one_nonce_to_two_claims(fast):
    """Equal nonces under two challenges would reveal x."""
    pair = (fast.g, fast.mul(7, fast.g), fast.h, fast.mul(7, fast.h))
    a, b = (prove(fast, context, *pair, 7, SEED) for context in (b"a", b"b"))
    nonces = [(proof.z - proof.e * 7) % fast.order for proof in (a, b)]
    assert nonces[0] != nonces[1]


def test_possession(fast):
    pk = public_key(fast, 99)
    proof = prove_possession(fast, CONTEXT, 99, SEED)
    assert verify_possession(fast, CONTEXT, pk, proof)
    assert not verify_possession(fast, b"elsewhere", pk, proof)
    assert not verify_possession(fast, CONTEXT, fast.add(pk, fast.h), proof)
    assert not verify_possession(fast, CONTEXT, fast.identity, prove_possession(fast, CONTEXT, 0, SEED))


@EXAMPLES
@given(st.integers(0, 511))
def test_a_flipped_bit_spoils_possession(fast, bit):
    spoiled = bytearray(prove_possession(fast, CONTEXT, 99, SEED))
    spoiled[bit // 8] ^= 1 << bit % 8
    assert not verify_possession(fast, CONTEXT, public_key(fast, 99), bytes(spoiled))


@given(st.binary(max_size=70))
def test_garbage_proves_nothing(fast, garbage):
    assert not verify_possession(fast, CONTEXT, fast.h, garbage)
