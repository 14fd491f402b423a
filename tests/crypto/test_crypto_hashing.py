"""Published vectors and domain separation."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from simdfl.crypto.hashing import digest, keccak256, sha256, xof

parts = st.lists(st.binary(max_size=4), max_size=3)


def test_published_vectors():
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"transfer(address,uint256)")[:4].hex() == "a9059cbb"
    assert keccak256(b"") != hashlib.sha3_256(b"").digest()


@given(st.text(max_size=3), parts, st.text(max_size=3), parts)
def test_digests_differ_where_anything_differs(tag_a, parts_a, tag_b, parts_b):
    same = (tag_a, parts_a) == (tag_b, parts_b)
    assert (digest(tag_a, *parts_a) == digest(tag_b, *parts_b)) == same
    assert (xof(tag_a, *parts_a, size=32) == xof(tag_b, *parts_b, size=32)) == same


def test_longer_outputs_extend_shorter_ones():
    assert xof("t", b"x", size=100)[:10] == xof("t", b"x", size=10)
    assert len(xof("t", size=0)) == 0
