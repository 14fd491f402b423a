"""Honest sharings: they verify, open and recover, the same in all schemes and both groups."""

from __future__ import annotations

from itertools import combinations

import pytest

from simdfl.crypto.sharing import SHARINGS, extract
from simdfl.crypto.sharing.opening import (
    beacon_output,
    check_opening,
    check_openings,
    combine_secrets,
    decode_share,
    decrypt_share,
    reconstruct,
    share_bytes,
    verify_share,
)
from simdfl.crypto.sharing.polynomial import dual_weights, evaluate, lagrange_at
from simdfl.errors import CryptoError

SEED, CONTEXT, RUN = b"s" * 32, b"run 1, output 2, dealer 3", b"r" * 32
schemes = pytest.mark.parametrize("scheme", SHARINGS.values(), ids=SHARINGS)


def recovered_shares(ring, scheme, transcript, threshold):
    """Decrypt and verify all shares of a transcript."""
    parsed = scheme.parse(ring.group, len(ring.public_keys), threshold, transcript)
    shares = {}
    for i, (sk, pk) in enumerate(zip(ring.secret_keys, ring.public_keys, strict=True), start=1):
        share = decrypt_share(ring.group, CONTEXT, sk, parsed.encrypted_share(i), SEED)
        assert verify_share(ring.group, CONTEXT, pk, parsed.encrypted_share(i), share)
        shares[i] = decode_share(ring.group, share)
    return shares


@schemes
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_honest_dealings_verify_at_every_threshold(fast, ring_maker, scheme, n):
    ring = ring_maker(fast, n)
    for threshold in range(1, n + 1):
        dealing = scheme.deal(fast, CONTEXT, ring.public_keys, threshold, SEED)
        assert scheme.verify(fast, CONTEXT, ring.public_keys, threshold, dealing.transcript)
        assert len(dealing.transcript) == scheme.transcript_bytes(fast, n, threshold)
        parsed = scheme.parse(fast, n, threshold, dealing.transcript)
        assert check_opening(fast, parsed.commitment_point, dealing.secret)
        assert parsed.commitment() == fast.encode(parsed.commitment_point)


@schemes
def test_any_t_shares_give_the_secret_and_fewer_do_not(ring, scheme):
    group, threshold = ring.group, 3
    dealing = scheme.deal(group, CONTEXT, ring.public_keys, threshold, SEED)
    shares = recovered_shares(ring, scheme, dealing.transcript, threshold)
    secret = group.mul(dealing.secret, group.h)
    for size in range(1, 6):
        for chosen in combinations(shares, size):
            point = reconstruct(group, {i: shares[i] for i in chosen})
            assert group.equal(point, secret) == (size >= threshold)


@schemes
def test_opening_and_recovery_give_one_output(ring, scheme):
    group = ring.group
    dealings = [scheme.deal(group, CONTEXT, ring.public_keys, 3, bytes([k]) * 32) for k in range(3)]
    withheld = reconstruct(group, recovered_shares(ring, scheme, dealings[2].transcript, 3))
    secrets = [dealing.secret for dealing in dealings]
    opened = combine_secrets(group, secrets, [])
    recovered = combine_secrets(group, secrets[:2], [withheld])
    assert group.equal(opened, recovered)
    assert beacon_output(group, RUN, 0, opened) == beacon_output(group, RUN, 0, recovered)
    assert beacon_output(group, RUN, 0, opened) != beacon_output(group, RUN, 1, opened)
    assert beacon_output(group, RUN, 0, opened) != beacon_output(group, RUN + b"x", 0, opened)


@schemes
def test_both_groups_make_the_same_bytes(fast, reference, ring_maker, scheme):
    dealings = []
    for group in (fast, reference):
        ring = ring_maker(group, 4)
        dealing = scheme.deal(group, CONTEXT, ring.public_keys, 2, SEED)
        assert scheme.verify(group, CONTEXT, ring.public_keys, 2, dealing.transcript)
        dealings.append(dealing)
    assert dealings[0] == dealings[1]
    share = []
    for group in (fast, reference):
        ring = ring_maker(group, 4)
        encrypted = scheme.parse(group, 4, 2, dealings[0].transcript).encrypted_share(1)
        share.append(decrypt_share(group, CONTEXT, ring.secret_keys[0], encrypted, SEED))
    assert share[0] == share[1]
    assert len(share[0]) == share_bytes(fast) == 112


@schemes
def test_dealings_are_deterministic_and_bound(ring, scheme):
    group, keys = ring.group, ring.public_keys
    dealing = scheme.deal(group, CONTEXT, keys, 3, SEED)
    assert scheme.deal(group, CONTEXT, keys, 3, SEED) == dealing
    others = [
        scheme.deal(group, b"elsewhere", keys, 3, SEED),
        scheme.deal(group, CONTEXT, keys, 2, SEED),
        scheme.deal(group, CONTEXT, keys[::-1], 3, SEED),
        scheme.deal(group, CONTEXT, keys, 3, b"t" * 32),
    ]
    assert len({dealing.secret, *(other.secret for other in others)}) == 5


def test_openings_are_checked_together_and_singly(fast):
    secrets = [7, 8, 9, fast.order - 1]
    commitments = [fast.mul(secret, fast.g) for secret in secrets]
    assert check_openings(fast, commitments, secrets) == [True] * 4
    assert check_openings(fast, commitments, [7, 9, 8, fast.order - 1]) == [True, False, False, True]
    assert check_openings(fast, commitments, [7, 8, 9, -1]) == [True, True, True, False]
    assert check_openings(fast, [], []) == []
    with pytest.raises(ValueError):
        check_openings(fast, commitments, secrets[:3])


def test_an_opening_has_one_form(fast):
    commitment = fast.mul(7, fast.g)
    assert check_opening(fast, commitment, 7)
    assert not check_opening(fast, commitment, 7 + fast.order)
    assert not check_opening(fast, commitment, 8)


def test_costs_of_the_schemes_keep_their_order():
    for n in (16, 64, 128):
        t = (n + 1) // 2
        ldei, scrape, schoenmakers = (SHARINGS[name] for name in ("ldei", "scrape", "schoenmakers"))
        assert ldei.verify_exponentiations(n, t) < schoenmakers.verify_exponentiations(n, t)
        assert schoenmakers.verify_exponentiations(n, t) < scrape.verify_exponentiations(n, t) + n
        assert ldei.deal_exponentiations(n, t) < schoenmakers.deal_exponentiations(n, t)
        assert schoenmakers.deal_exponentiations(n, t) < scrape.deal_exponentiations(n, t)
        assert ldei.recover_exponentiations(t) == 5 * t + 3


def test_the_dual_code_is_exactly_wide_enough():
    """Words of degree n - t kill every polynomial of degree t - 1, those of degree n - t + 1 do not."""
    order, n, t = 97, 6, 3
    weights = dual_weights(n, order)

    def product(p, f):
        return sum(w * evaluate(p, i, order) * evaluate(f, i, order) for i, w in enumerate(weights)) % order

    p, f = [5, 6, 7], [1, 2, 3, 4]
    assert len(p) == t
    assert len(f) == n - t + 1
    assert product(p, f) == 0
    assert product(p, [*f, 1]) != 0
    assert product([*p, 1], f) != 0


def test_parameters_are_checked(ring):
    for bad in ([], [0, 1], [1, 1]):
        with pytest.raises(ValueError):
            lagrange_at(0, bad, 97)
    ldei = SHARINGS["ldei"]
    for threshold in (0, 6):
        with pytest.raises(ValueError, match="threshold"):
            ldei.deal(ring.group, CONTEXT, ring.public_keys, threshold, SEED)
    with pytest.raises(CryptoError, match="identity"):
        ldei.deal(ring.group, CONTEXT, [ring.group.identity], 1, SEED)
    parsed = ldei.parse(ring.group, 5, 3, ldei.deal(ring.group, CONTEXT, ring.public_keys, 3, SEED).transcript)
    for receiver in (0, 6):
        with pytest.raises(IndexError):
            parsed.encrypted_share(receiver)


# ---- packed sharings


def test_a_packed_sharing_hides_many_secrets_and_gives_each_back(ring):
    """n = 5, t = 4: three secrets; each opens alone, and is recovered at its own place."""
    albatross, group = SHARINGS["albatross"], ring.group
    dealing = albatross.deal(group, CONTEXT, ring.public_keys, 4, SEED)
    parsed = albatross.parse(group, 5, 4, dealing.transcript)
    shares = recovered_shares(ring, albatross, dealing.transcript, 4)
    assert len(dealing.secrets) == albatross.packing(5, 4) == 3
    for coordinate, secret in enumerate(dealing.secrets):
        assert check_opening(group, group.decode(parsed.commitment(coordinate)), secret)
        for chosen in combinations(shares, 4):
            point = reconstruct(group, {i: shares[i] for i in chosen}, coordinate)
            assert group.equal(point, group.mul(secret, group.h))
    with pytest.raises(CryptoError, match="secret 3"):
        parsed.commitment(3)


def test_a_colluder_and_all_other_secrets_do_not_determine_the_last(ring):
    """n = 5, t = 4, t' = 1: for any third secret some polynomial of degree 3 fits what the colluder knows."""
    albatross, order = SHARINGS["albatross"], ring.group.order
    dealing = albatross.deal(ring.group, CONTEXT, ring.public_keys, 4, SEED)
    places, share = [0, -1, 1], 12345
    for guess in (0, 1, dealing.secrets[2] + 1):
        values = [dealing.secrets[0], dealing.secrets[1], share, guess % order]
        at_two = sum(w * v for w, v in zip(lagrange_at(2, [*places, -2], order), values)) % order
        back = lagrange_at(-2, [*places, 2], order)
        assert sum(w * v for w, v in zip(back, [*values[:3], at_two])) % order == guess % order


def test_extracted_outputs_are_a_reed_solomon_code(fast):
    """Any two of three dealers determine nothing of two outputs: all minors of the map are invertible."""
    secrets = [fast.mul(k, fast.h) for k in (3, 5, 11)]
    first, second = extract(fast, secrets, 2)
    assert fast.equal(first, fast.mul(19, fast.h))
    assert fast.equal(second, fast.mul(3 + 2 * 5 + 3 * 11, fast.h))
    with pytest.raises(ValueError, match="independent"):
        extract(fast, secrets, 4)
