"""The fast group against published vectors and against its slow twin."""

from __future__ import annotations

import sys
from subprocess import run

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from py_arkworks_bls12381 import G1Point

from simdfl.crypto.groups import curve, get_group
from simdfl.crypto.groups.reference import _hash_to_curve
from simdfl.errors import CryptoError, UserError

FEW = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=200, deadline=None)
FIELD_MODULUS = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
scalars = st.integers(0, curve.ORDER - 1)
RFC_DST = b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
RFC_9380 = {
    b"": "052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1"
    "08ba738453bfed09cb546dbb0783dbb3a5f1f566ed67bb6be0e8c67e2e81a4cc68ee29813bb7994998f3eae0c9c6a265",
    b"abc": "03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903"
    "0b9c15f3fe6e5cf4211f346271d7b01c8f3b28be689c8429c85b67af215533311f0b8dfaaa154fa6b88176c229f2885d",
}


@pytest.mark.parametrize("message", sorted(RFC_9380))
def test_rfc_9380_vectors(reference, message):
    """Appendix J.9.1 of RFC 9380, through the libraries both groups hash with."""
    fast_point = G1Point.hash_to_curve(message, RFC_DST)
    assert fast_point.to_xy_bytes_be().hex() == RFC_9380[message]
    slow_point = _hash_to_curve(message, RFC_DST)
    assert reference.encode(slow_point) == fast_point.to_compressed_bytes()


@pytest.mark.parametrize("name", ["bls12_381", "bls12_381_reference"])
def test_known_encodings(name):
    group = get_group(name)
    assert group.encode(group.g).hex().startswith("97f1d3a73197d7942695638c4fa9ac0f")
    assert group.encode(group.mul(2, group.g)).hex() == (
        "a572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e"
    )
    assert group.encode(group.identity) == b"\xc0" + bytes(47)
    assert group.equal(group.mul(curve.ORDER, group.g), group.identity)


@FEW
@given(a=scalars, b=scalars)
@example(a=0, b=curve.ORDER - 1)
def test_both_groups_compute_the_same(fast, reference, a, b):
    encodings = []
    for group in (fast, reference):
        p, q = group.mul(a, group.g), group.mul(b, group.h)
        results = [p, q, group.add(p, q), group.neg(q), group.add(p, group.neg(p)), group.fixed_base(q)(a)]
        results.append(group.msm([a, b, 5], [q, p, group.g]))
        encodings.append([group.encode(point) for point in results])
    assert encodings[0] == encodings[1]
    assert all(fast.encode(fast.decode(data, allow_identity=True)) == data for data in encodings[0])
    assert reference.encode(reference.decode(encodings[0][0], allow_identity=True)) == encodings[0][0]


@FEW
@given(st.text(max_size=5), st.binary(max_size=40))
def test_both_groups_hash_the_same(fast, reference, tag, message):
    assert fast.encode(fast.hash_to_group(tag, message)) == reference.encode(
        reference.hash_to_group(tag, message)
    )
    assert fast.hash_to_scalar(tag, message) == reference.hash_to_scalar(tag, message) < curve.ORDER


@MANY
@given(scalars, scalars)
@example(0, 1)
@example(curve.ORDER - 1, curve.ORDER + 5)
@example(-3, 2**300)
def test_tables_agree_with_multiplication(fast, base, scalar):
    point = fast.mul(base % 7, fast.h)  # few bases: their tables are shared by the examples
    assert fast.equal(fast.fixed_base(point)(scalar), fast.mul(scalar, point))


@settings(max_examples=20, deadline=None)
@given(st.lists(scalars, max_size=20))
def test_msm_is_the_sum(fast, values):
    points = [fast.mul(3 * k + 1, fast.h) for k in range(len(values))]
    total = sum(value * (3 * k + 1) for k, value in enumerate(values))
    assert fast.equal(fast.msm(values, points), fast.mul(total, fast.h))


def test_msm_refuses_unequal_lengths(fast):
    for k in (1, 20):
        with pytest.raises(ValueError):
            fast.msm([1] * k, [fast.g] * (k + 1))


def test_generators_differ(fast):
    assert not fast.equal(fast.g, fast.h)
    assert fast.encode(fast.decode(fast.encode(fast.h))) == fast.encode(fast.h)


BAD_ENCODINGS = {
    "empty": b"",
    "too short": curve.GENERATOR[:-1],
    "too long": curve.GENERATOR + b"\x00",
    "uncompressed flag": bytes([curve.GENERATOR[0] & 0x7F]) + curve.GENERATOR[1:],
    "infinity with sign": b"\xe0" + bytes(47),
    "infinity with content": b"\xc0" + bytes(46) + b"\x01",
    "infinity of ones": b"\xff" * 48,
    "order three": b"\x80" + bytes(47),
    "coordinate p": (FIELD_MODULUS | 1 << 383).to_bytes(48, "big"),
    "off the curve": b"\x80" + bytes(46) + b"\x01",
}


@pytest.mark.parametrize("allow_identity", [False, True])
@pytest.mark.parametrize("name", ["bls12_381", "bls12_381_reference"])
@pytest.mark.parametrize("case", sorted(BAD_ENCODINGS))
def test_bad_encodings_are_rejected(name, case, allow_identity):
    with pytest.raises(CryptoError):
        get_group(name).decode(BAD_ENCODINGS[case], allow_identity)


@pytest.mark.parametrize("name", ["bls12_381", "bls12_381_reference"])
def test_the_identity_needs_permission(name):
    group = get_group(name)
    assert group.is_identity(group.decode(curve.IDENTITY, allow_identity=True))
    with pytest.raises(CryptoError, match="identity"):
        group.decode(curve.IDENTITY)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([0x00, 0x40, 0x80, 0x81, 0xA0, 0xC0, 0xE0, 0xFF]), st.binary(min_size=47, max_size=47))
@example(0xC0, b"\x00" * 46 + b"\x02")
def test_what_decodes_encodes_to_itself(fast, first, rest):
    data = bytes([first]) + rest
    try:
        point = fast.decode(data, allow_identity=True)
    except CryptoError:
        return
    assert fast.encode(point) == data


def test_scalars_are_canonical(fast):
    assert fast.decode_scalar(fast.encode_scalar(5)) == 5
    for bad in (curve.ORDER.to_bytes(32, "big"), b"\x01", bytes(33)):
        with pytest.raises(CryptoError):
            fast.decode_scalar(bad)
    for out in (-1, curve.ORDER):
        with pytest.raises(CryptoError):
            fast.encode_scalar(out)


def test_unknown_group():
    with pytest.raises(UserError, match="did you mean 'bls12_381'"):
        get_group("bls12-381")
    assert get_group("bls12_381") is get_group("bls12_381")


def test_the_slow_library_is_imported_only_at_use():
    code = "import simdfl.crypto.sharing, simdfl.crypto.groups, sys; sys.exit('py_ecc' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
