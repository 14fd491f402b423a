"""Cheating dealers and receivers, who know everything they may know."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.crypto import sigma
from simdfl.crypto.groups import curve, get_group
from simdfl.crypto.sharing import SHARINGS, Setting
from simdfl.crypto.sharing.opening import decrypt_share, verify_share
from simdfl.crypto.sharing.transcript import write
from simdfl.errors import CryptoError

SEED, CONTEXT, N, T = b"s" * 32, b"run 1, output 2, dealer 3", 5, 3
schemes = pytest.mark.parametrize("scheme", SHARINGS.values(), ids=SHARINGS)
names = st.sampled_from(sorted(SHARINGS))
_CACHE: dict[str, bytes] = {}


@pytest.fixture
def setting(ring):
    return Setting(ring.group, CONTEXT, ring.public_keys, T)


def honest(ring, name):
    if name not in _CACHE:
        _CACHE[name] = SHARINGS[name].deal(ring.group, CONTEXT, ring.public_keys, T, SEED).transcript
    return _CACHE[name]


def accepts(ring, scheme, transcript, context=CONTEXT):
    return scheme.verify(ring.group, context, ring.public_keys, T, transcript)


def replace_point(transcript, place, point_bytes):
    return transcript[: 48 * place] + point_bytes + transcript[48 * (place + 1) :]


@schemes
def test_replayed_and_copied_sharings_fail(ring, scheme):
    transcript = honest(ring, scheme.name)
    assert accepts(ring, scheme, transcript)
    assert not accepts(ring, scheme, transcript, b"run 1, output 3, dealer 3")
    assert not accepts(ring, scheme, transcript, b"run 1, output 2, dealer 4")
    swapped = (*ring.public_keys[1::-1], *ring.public_keys[2:])
    assert not scheme.verify(ring.group, CONTEXT, swapped, T, transcript)


@schemes
@pytest.mark.parametrize("degree", [T, T + 1, N])
def test_too_high_degrees_fail(ring, setting, scheme, degree):
    """The dealer does everything right, with a polynomial of too high a degree."""
    coefficients = list(range(11, 12 + degree))
    transcript = scheme.deal_polynomial(setting, coefficients, SEED).transcript
    assert not accepts(ring, scheme, transcript)
    low = scheme.deal_polynomial(setting, coefficients[:T], SEED).transcript
    assert accepts(ring, scheme, low)


@schemes
@pytest.mark.parametrize("receiver", [0, 1, N])
def test_one_wrong_share_with_matching_proofs_fails(ring, setting, scheme, receiver):
    """The polynomial leaves one of low degree at a single point (0: the commitment); all proofs are right."""
    order, bump = ring.group.order, [1]
    for root in set(range(N + 1)) - {receiver}:
        bump = [(a - root * b) % order for a, b in zip([0, *bump], [*bump, 0], strict=True)]
    coefficients = [(a + b) % order for a, b in zip([5, 6, 7, 0, 0, 0], bump, strict=True)]
    transcript = scheme.deal_polynomial(setting, coefficients, SEED).transcript
    assert not accepts(ring, scheme, transcript)


def test_a_low_degree_answer_to_high_degree_points_fails(ring, setting):
    """LDEI: the dealer shares with degree t and answers with t coefficients, cut in every way."""
    scheme, group, coefficients = SHARINGS["ldei"], ring.group, [5, 6, 7, 8]
    points = b"".join(group.encode(point) for point in scheme.publish(setting, coefficients))
    statement = scheme._statement(setting, points)
    cut_witness = write(group, points, *sigma.prove(statement, coefficients[:T], SEED))
    e, z = sigma.prove(statement, coefficients, SEED)
    full, cut_answer = write(group, points, e, z), write(group, points, e, z[:T])
    assert len(full) == len(cut_answer) + 32
    for transcript in (cut_witness, full, cut_answer):
        assert not accepts(ring, scheme, transcript)


@schemes
def test_one_replaced_point_fails(ring, scheme):
    transcript, group = honest(ring, scheme.name), ring.group
    other = group.encode(group.mul(77, group.h))
    for place in range(scheme.layout(N, T).points):
        assert not accepts(ring, scheme, replace_point(transcript, place, other))
        assert not accepts(ring, scheme, replace_point(transcript, place, curve.IDENTITY))
        assert not accepts(ring, scheme, replace_point(transcript, place, b"\xe0" + bytes(47)))
        assert not accepts(ring, scheme, replace_point(transcript, place, b"\x80" + bytes(47)))


@schemes
def test_zero_sharings_fail(ring, setting, scheme):
    """A dealer of the zero polynomial would add nothing to the beacon; all its points are the identity."""
    assert not accepts(ring, scheme, scheme.deal_polynomial(setting, [0] * T, SEED).transcript)
    assert not accepts(ring, scheme, scheme.deal_polynomial(setting, [0, 1, 2], SEED).transcript)


@schemes
def test_an_identity_key_fails(ring, scheme):
    keys = (ring.group.identity, *ring.public_keys[1:])
    assert not scheme.verify(ring.group, CONTEXT, keys, T, honest(ring, scheme.name))
    with pytest.raises(CryptoError):
        scheme.deal(ring.group, CONTEXT, keys, T, SEED)


@schemes
def test_a_response_beyond_the_order_fails(ring, scheme):
    """The same scalar plus q satisfies every equation; it must not be a second form of the transcript."""
    transcript = honest(ring, scheme.name)
    z = int.from_bytes(transcript[-32:], "big") + ring.group.order
    assert not accepts(ring, scheme, transcript[:-32] + z.to_bytes(32, "big"))


@settings(max_examples=250, deadline=None)
@given(names, st.data())
def test_any_flipped_bit_fails(ring, name, data):
    transcript = bytearray(honest(ring, name))
    bit = data.draw(st.integers(0, 8 * len(transcript) - 1))
    transcript[bit // 8] ^= 1 << bit % 8
    assert not accepts(ring, SHARINGS[name], bytes(transcript))


@settings(max_examples=60, deadline=None)
@given(names, st.integers(1, 100), st.binary(min_size=1, max_size=50))
def test_truncated_and_extended_transcripts_fail(ring, name, cut, tail):
    transcript = honest(ring, name)
    assert not accepts(ring, SHARINGS[name], transcript[:-cut])
    assert not accepts(ring, SHARINGS[name], transcript + tail)
    assert not accepts(ring, SHARINGS[name], tail * (len(transcript) // len(tail)))


def test_transcripts_of_other_schemes_and_thresholds_fail(ring):
    for scheme in SHARINGS.values():
        for name in SHARINGS:
            assert accepts(ring, scheme, honest(ring, name)) == (name == scheme.name)
        for threshold in (T - 1, T + 1):
            keys = ring.public_keys
            assert not scheme.verify(ring.group, CONTEXT, keys, threshold, honest(ring, scheme.name))


def test_the_dual_word_depends_on_the_whole_transcript(ring, setting):
    scheme, transcript = SHARINGS["scrape"], honest(ring, "scrape")
    words = {tuple(scheme._dual_word(setting, transcript))}
    for at in (0, 48 * 6, len(transcript) - 1):
        changed = transcript[:at] + bytes([transcript[at] ^ 1]) + transcript[at + 1 :]
        words.add(tuple(scheme._dual_word(setting, changed)))
    assert len(words) == 4


@pytest.fixture(scope="module")
def decrypted(ring):
    """Receiver 1's encrypted share and its decryption."""
    encrypted = SHARINGS["ldei"].parse(ring.group, N, T, honest(ring, "ldei")).encrypted_share(1)
    return encrypted, decrypt_share(ring.group, CONTEXT, ring.secret_keys[0], encrypted, SEED)


def test_wrong_shares_fail(ring, decrypted):
    group, pk = ring.group, ring.public_keys[0]
    encrypted, share = decrypted
    assert verify_share(group, CONTEXT, pk, encrypted, share)
    assert not verify_share(group, b"elsewhere", pk, encrypted, share)
    assert not verify_share(group, CONTEXT, ring.public_keys[1], encrypted, share)
    assert not verify_share(group, CONTEXT, pk, group.add(encrypted, group.h), share)
    assert not verify_share(group, CONTEXT, pk, encrypted, group.encode(group.h) + share[48:])
    assert not verify_share(group, CONTEXT, pk, encrypted, share + b"\x00")
    wrong_key = decrypt_share(group, CONTEXT, ring.secret_keys[1], encrypted, SEED)
    assert not verify_share(group, CONTEXT, pk, encrypted, wrong_key)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 112 * 8 - 1))
def test_a_flipped_bit_spoils_a_share(ring, decrypted, bit):
    encrypted, share = decrypted
    spoiled = bytearray(share)
    spoiled[bit // 8] ^= 1 << bit % 8
    assert not verify_share(ring.group, CONTEXT, ring.public_keys[0], encrypted, bytes(spoiled))


@schemes
def test_the_slow_twin_rejects_too(ring_maker, scheme):
    ring = ring_maker(get_group("bls12_381_reference"), 2)
    transcript = scheme.deal(ring.group, CONTEXT, ring.public_keys, 2, SEED).transcript
    assert not scheme.verify(ring.group, b"elsewhere", ring.public_keys, 2, transcript)
    assert not scheme.verify(ring.group, CONTEXT, ring.public_keys, 2, transcript[:-1] + b"\x00\x00")
