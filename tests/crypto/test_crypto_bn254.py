"""BN254 against published vectors and the laws of a group."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.crypto.groups import bn254, get_group
from simdfl.crypto.groups.bn254_hash import FIELD_MODULUS, hash_to_field, map_to_curve
from simdfl.crypto.sharing import SHARINGS
from simdfl.errors import CryptoError

FEW = settings(max_examples=8, deadline=None)
GNARK_DST = b"QUUX-V01-CS02-with-BN254G1_XMD:SHA-256_SVDW_RO_"
GNARK = {
    b"": (
        "0a976ab906170db1f9638d376514dbf8c42aef256a54bbd48521f20749e59e86",
        "02925ead66b9e68bfc309b014398640ab55f6619ab59bc1fab2210ad4c4d53d5",
    ),
    b"abc": (
        "23f717bee89b1003957139f193e6be7da1df5f1374b26a4643b0378b5baf53d1",
        "04142f826b71ee574452dbc47e05bc3e1a647478403a7ba38b7b93948f4e151d",
    ),
    b"abcdef0123456789": (
        "187dbf1c3c89aceceef254d6548d7163fdfa43084145f92c4c91c85c21442d4a",
        "0abd99d5b0000910b56058f9cc3b0ab0a22d47cf27615f588924fac1e5c63b4d",
    ),
}
scalars = st.integers(0, bn254.ORDER - 1)


@pytest.fixture(scope="module")
def group():
    return get_group("bn254")


@pytest.mark.parametrize("message", sorted(GNARK))
def test_hashing_gives_the_vectors_of_gnark_crypto(group, message):
    """``ecc/bn254/hash_vectors_test.go`` of Consensys/gnark-crypto; RFC 9380 itself has none for this curve."""
    x, y = group.affine(group.hash_to_curve(message, GNARK_DST))
    assert (x, y) == tuple(int(coordinate, 16) for coordinate in GNARK[message])


def test_the_map_meets_the_curve_everywhere(group):
    for u in [0, 1, FIELD_MODULUS - 1, *hash_to_field(b"here and there", b"test", 20)]:
        x, y = map_to_curve(u)
        assert (y * y - x**3 - 3) % FIELD_MODULUS == 0
        assert y % 2 == u % 2


@FEW
@given(scalars, scalars)
def test_scalars_add_up(group, a, b):
    left = group.add(group.mul(a, group.h), group.mul(b, group.h))
    assert group.equal(left, group.mul(a + b, group.h))


@FEW
@given(scalars)
def test_encodings_round_trip(group, a):
    point = group.mul(a, group.g)
    for each in (point, group.neg(point)):
        assert group.equal(group.decode(group.encode(each), allow_identity=True), each)


BAD_ENCODINGS = {
    "too short": bytes(31),
    "no flag": (1).to_bytes(32, "big"),
    "coordinate p": (FIELD_MODULUS | 1 << 255).to_bytes(32, "big"),
    "off the curve": (4 | 1 << 255).to_bytes(32, "big"),
    "identity with content": b"\x40" + bytes(30) + b"\x01",
    "identity": bn254.IDENTITY,
}


@pytest.mark.parametrize("case", sorted(BAD_ENCODINGS))
def test_bad_encodings_are_rejected(group, case):
    with pytest.raises(CryptoError):
        group.decode(BAD_ENCODINGS[case])


@pytest.mark.parametrize("name", ["ldei", "scrape"])
def test_sharings_work_over_it(group, ring_maker, name):
    ring, scheme = ring_maker(group, 3), SHARINGS[name]
    dealing = scheme.deal(group, b"here", ring.public_keys, 2, b"\x07" * 32)
    assert scheme.verify(group, b"here", ring.public_keys, 2, dealing.transcript)
    assert not scheme.verify(group, b"there", ring.public_keys, 2, dealing.transcript)
