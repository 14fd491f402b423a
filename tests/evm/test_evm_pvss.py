"""The verifiers judge transcripts, shares and proofs as simdfl does, and convict nobody on a wrong hint."""

from __future__ import annotations

import eels
import pvss_stage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pvss_stage import CURVES, Curve, Stage, get_curve, get_stage

from contracts_model.verification import VERIFIERS
from simdfl.crypto.groups.bn254_hash import FIELD_MODULUS
from simdfl.crypto.sharing import SHARINGS, Setting, opening

FEW = settings(max_examples=3, deadline=None)
FIELD = {"bn254": FIELD_MODULUS, "bls12_381": pvss_stage.BLS_FIELD}
CURVE_B = {"bn254": 3, "bls12_381": 4}


@pytest.fixture(scope="module", params=CURVES)
def curve(request) -> Curve:
    return get_curve(request.param)


@pytest.fixture(scope="module")
def stage(curve) -> Stage:
    return get_stage(curve.name, 3, 2)


def verdict(receipt: eels.Receipt) -> bool:
    return receipt.returned("bool")


def replaced(stage: Stage, place: int, element: bytes) -> bytes:
    size = stage.group.element_bytes
    return stage.transcript[: place * size] + element + stage.transcript[(place + 1) * size :]


def flagged(curve: Curve, x: int, larger: bool = False) -> bytes:
    """Return the element that says: coordinate x, smaller or larger y."""
    size = curve.group.element_bytes
    flags = (0b10 | larger) << 6 if curve.name == "bn254" else (0b100 | larger) << 5
    return (x | flags << 8 * (size - 1)).to_bytes(size, "big")


def root_of_minus(curve: Curve, x: int) -> int:
    """Return a root of -(x^3 + b), if there is one."""
    p = FIELD[curve.name]
    return pow(-(x**3 + CURVE_B[curve.name]) % p, (p + 1) // 4, p)


def off_curve(curve: Curve) -> int:
    """Return a coordinate that no point has."""
    p = FIELD[curve.name]
    return next(x for x in range(1, 99) if (root_of_minus(curve, x) ** 2 + x**3 + CURVE_B[curve.name]) % p == 0)


# ---- dealings


@pytest.mark.parametrize("n, threshold", [(1, 1), (4, 3)])
def test_an_honest_dealing_is_accepted(curve, n, threshold):
    stage = get_stage(curve.name, n, threshold)
    assert stage.is_valid(stage.transcript)
    assert verdict(stage.verify_dealing(stage.transcript))


@FEW
@given(bit=st.integers(0, 8 * (16 + 2 * 32) - 1))
def test_a_flipped_bit_of_the_proof_is_refused(stage, bit):
    start = stage.group.element_bytes * (stage.n + 1)
    altered = bytearray(stage.transcript)
    altered[start + bit // 8] ^= 1 << bit % 8
    assert not stage.is_valid(bytes(altered))
    assert not verdict(stage.verify_dealing(bytes(altered)))


@pytest.mark.parametrize("place", [0, 3])
def test_another_point_is_refused(stage, place):
    altered = replaced(stage, place, stage.elements(stage.transcript)[place - 1])
    assert not stage.is_valid(altered)
    assert not verdict(stage.verify_dealing(altered))


def test_a_polynomial_of_too_high_degree_is_refused(stage):
    setting = Setting(stage.group, stage.context, tuple(stage.public_keys), stage.threshold)
    cheat = SHARINGS["ldei"].deal_polynomial(setting, [3, 4, 5], pvss_stage.SEED).transcript[:-32]
    assert not stage.is_valid(cheat)
    assert not verdict(stage.verify_dealing(cheat))


def test_a_dealing_is_valid_in_its_setting_only(curve, stage):
    elsewhere = get_stage(curve.name, 3, 2, b"another job".ljust(48))
    assert not verdict(elsewhere.verify_dealing(stage.transcript))
    under_three = get_stage(curve.name, 3, 3)
    assert not verdict(under_three.verify_dealing(stage.transcript + bytes(32)))


def test_a_scalar_beyond_the_order_is_refused(stage):
    last = stage.response(stage.transcript)[-1] + stage.group.order
    if last < 1 << 256:
        assert not verdict(stage.verify_dealing(stage.transcript[:-32] + last.to_bytes(32, "big")))
    assert not verdict(stage.verify_dealing(stage.transcript[:-32] + stage.group.order.to_bytes(32, "big")))


def test_a_transcript_of_another_length_is_refused(stage):
    for other in (stage.transcript[:-1], stage.transcript + b"\x00"):
        ys = [stage.curve.y(element) for element in stage.elements(stage.transcript)]
        values = [0] * (stage.n + 1)
        receipt = stage.call("dealing", stage.DEALING, *stage.dealing_arguments(other, ys, values))
        assert not verdict(receipt)


def test_a_wrong_hint_convicts_nobody(stage):
    """An accuser shows an honest transcript with a y that is negated, off the curve, zero or out of range."""
    p, place = FIELD[stage.curve.name], 2
    honest = [stage.curve.y(element) for element in stage.elements(stage.transcript)]
    number = honest[place] if stage.curve.name == "bn254" else honest[place][0] << 256 | honest[place][1]
    for wrong in (p - number, number - 1, 0, number + p):
        ys = [*honest]
        ys[place] = stage.curve.words(wrong)
        assert not stage.verify_dealing(stage.transcript, ys).success
    assert verdict(stage.verify_dealing(stage.transcript, honest))


def test_wrong_values_of_the_response_convict_nobody(stage):
    response, order = stage.response(stage.transcript), stage.group.order
    right = [sum(z * i**k for k, z in enumerate(response)) % order for i in range(stage.n + 1)]
    for place in (0, stage.n):
        wrong = [*right]
        wrong[place] = (wrong[place] + 1) % order
        refused = stage.verify_dealing(stage.transcript, values=wrong)
        assert refused.error == "values of another polynomial"


# ---- a fault at one index


def test_an_element_without_a_point_is_shown_alone(stage):
    x, signature, words = off_curve(stage.curve), "E,Y", stage.curve.words
    absent = flagged(stage.curve, x)
    assert not stage.is_valid(replaced(stage, 1, absent))
    shown = stage.call("undecodable", signature, absent, words(root_of_minus(stage.curve, x)))
    assert verdict(shown)
    assert shown.gas_used == VERIFIERS[stage.curve.name].undecodable_gas
    assert not verdict(stage.call("undecodable", signature, absent, words(5)))


@pytest.mark.parametrize("fault", ["no flag", "identity", "coordinate p"])
def test_an_element_with_bad_bytes_is_shown_alone(stage, fault):
    size = stage.group.element_bytes
    bad = {
        "no flag": (5).to_bytes(size, "big"),
        "identity": stage.group.encode(stage.group.identity),
        "coordinate p": flagged(stage.curve, FIELD[stage.curve.name]),
    }[fault]
    assert not stage.is_valid(replaced(stage, 1, bad))
    assert verdict(stage.call("undecodable", "E,Y", bad, stage.curve.words(0)))
    ys = [stage.curve.y(element) for element in stage.elements(stage.transcript)]
    assert not verdict(stage.verify_dealing(replaced(stage, 1, bad), ys))


@FEW
@given(root=st.integers(0, 2**380))
def test_a_good_element_is_never_shown_bad(stage, root):
    p, words = FIELD[stage.curve.name], stage.curve.words
    for element in stage.elements(stage.transcript)[::2]:
        x = int.from_bytes(element, "big") % (1 << (254 if stage.curve.name == "bn254" else 381))
        for claimed in (root % p, root_of_minus(stage.curve, x)):
            assert not verdict(stage.call("undecodable", "E,Y", element, words(claimed)))


# ---- keys, openings, shares


def test_possession_is_accepted_for_its_key_and_context(stage):
    proof = stage.prove_possession(b"here", 1)
    assert verdict(stage.verify_possession(b"here", 1, proof))
    assert not verdict(stage.verify_possession(b"there", 1, proof))
    assert not verdict(stage.verify_possession(b"here", 2, proof))
    assert not verdict(stage.verify_possession(b"here", 1, proof[32:] + proof[:32]))


def test_only_the_secret_opens(stage):
    commitment, secret = stage.elements(stage.transcript)[0], stage.dealing.secret
    assert verdict(stage.verify_opening(commitment, secret))
    for wrong in (secret + 1, 0, (1 << 256) - 1):
        assert not verdict(stage.verify_opening(commitment, wrong))
    if secret + stage.group.order < 1 << 256:
        assert not verdict(stage.verify_opening(commitment, secret + stage.group.order))


def test_a_share_is_accepted_from_its_receiver(stage):
    size = stage.group.element_bytes
    share = stage.share(2)
    assert verdict(stage.verify_share(2, share))
    assert not verdict(stage.verify_share(2, share, numbered=3))
    assert not verdict(stage.verify_share(1, share))
    assert not verdict(stage.verify_share(2, stage.share(1)[:size] + share[size:]))
    assert not verdict(stage.verify_share(2, share[:-32] + stage.group.order.to_bytes(32, "big")))


@pytest.mark.parametrize("receivers", [[1, 2], [3, 1]])
def test_any_t_shares_recover_the_secret(stage, receivers):
    shares = [stage.share(i) for i in receivers]
    found = stage.recover(receivers, shares).returned("bool", stage.curve.element_type)
    secret = stage.group.mul(stage.dealing.secret, stage.group.h)
    assert found == (True, stage.group.encode(secret))


def test_a_wrong_share_recovers_nothing(stage):
    size = stage.group.element_bytes
    forged = stage.share(1)[:size] + stage.share(2)[size:]
    assert not stage.recover([1, 3], [forged, stage.share(3)]).returned("bool", stage.curve.element_type)[0]


def test_the_same_receiver_does_not_count_twice(stage):
    assert stage.recover([2, 2], [stage.share(2)] * 2).error == "receivers must differ"


@FEW
@given(st.integers(0, 2**64), st.integers(0, 2**20), st.integers(0, 3))
def test_outputs_are_those_of_simdfl(stage, secret_sum, index, recovered):
    points = stage.public_keys[:recovered]
    total = opening.combine_secrets(stage.group, [secret_sum], points)
    said = stage.output(b"r" * 32, index, secret_sum, stage.keys[:recovered]).returned("bytes32")
    assert said == opening.beacon_output(stage.group, b"r" * 32, index, total)
