"""Signatures: published vectors, the py_ecc twin, and forgeries."""

from __future__ import annotations

import copy
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.secp256k1 import ecdsa_raw_recover, ecdsa_raw_sign

from simdfl.crypto.signatures import ORDER, Keypair, address_of, recover, verify

ONE = Keypair((1).to_bytes(32, "big"))
DIGEST = hashlib.sha256(b"a message").digest()
digests = st.binary(min_size=32, max_size=32)


def test_ethereum_addresses():
    assert ONE.address.hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    assert Keypair((2).to_bytes(32, "big")).address.hex() == "2b5ad5c4795c026514f8317c7a215e218dccd6cf"


def test_rfc_6979_on_secp256k1():
    signature = ONE.sign(hashlib.sha256(b"Satoshi Nakamoto").digest())
    assert signature[:64].hex() == (
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
    )


@settings(max_examples=5, deadline=None)
@given(digests, digests)
def test_equal_to_the_reference(seed, digest):
    pair = Keypair.from_seed(seed)
    signature = pair.sign(digest)
    v, r, s = ecdsa_raw_sign(digest, pair.secret)
    assert signature == r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v - 27])
    x, y = ecdsa_raw_recover(digest, (v, r, s))
    assert recover(digest, signature) == address_of(b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))


@settings(deadline=None)
@given(digests, digests)
def test_signatures_verify_and_bind_the_digest(seed, digest):
    pair = Keypair.from_seed(seed)
    signature = pair.sign(digest)
    assert recover(digest, signature) == pair.address
    assert verify(digest, signature, pair.address)
    assert not verify(hashlib.sha256(digest).digest(), signature, pair.address)
    assert not verify(digest, signature, ONE.address)


@settings(deadline=None)
@given(st.integers(0, 65 * 8 - 1))
def test_a_flipped_bit_spoils_the_signature(bit):
    spoiled = bytearray(ONE.sign(DIGEST))
    spoiled[bit // 8] ^= 1 << bit % 8
    assert not verify(DIGEST, bytes(spoiled), ONE.address)


@given(st.binary(max_size=70))
def test_garbage_is_nobody_s_signature(garbage):
    assert not verify(DIGEST, garbage, ONE.address)


def test_the_high_s_twin_is_rejected():
    signature = ONE.sign(DIGEST)
    s = int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([signature[64] ^ 1])
    assert ecdsa_raw_recover(
        DIGEST, (27 + twin[64], int.from_bytes(twin[:32], "big"), ORDER - s)
    ) == ecdsa_raw_recover(DIGEST, (27 + signature[64], int.from_bytes(twin[:32], "big"), s))
    assert recover(DIGEST, twin) is None


@pytest.mark.parametrize("r, s", [(0, 1), (1, 0), (ORDER, 1), (5, 1)])
def test_unusable_scalars_recover_nobody(r, s):
    assert recover(DIGEST, r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x00") is None


def test_wrong_lengths():
    assert recover(DIGEST, ONE.sign(DIGEST) + b"\x00") is None
    assert recover(DIGEST[:-1], ONE.sign(DIGEST)) is None
    with pytest.raises(ValueError, match="32 bytes"):
        ONE.sign(b"short")
    with pytest.raises(ValueError, match="order"):
        Keypair(bytes(32))


def test_keys_are_copied_and_shown_without_their_secret():
    pair = Keypair.from_seed(b"s" * 32)
    pair.sign(DIGEST)
    assert copy.deepcopy(pair) == pair
    assert pair.secret.hex() not in repr(pair)
    assert pair != Keypair.from_seed(b"t" * 32)
