"""Points of BLS12-381 outside the subgroup of prime order: the curve's one trap, and starved multiplications."""

from __future__ import annotations

import pytest
from pvss_stage import BLS_FIELD, CONTEXT, Stage, get_stage

from contracts_model.verification import BLS12_381


def stray_point() -> tuple[int, int]:
    """Return the point with the smallest positive x: its order is not prime."""
    for x in range(1, 99):
        y = pow(x**3 + 4, (BLS_FIELD + 1) // 4, BLS_FIELD)
        if y * y % BLS_FIELD == x**3 + 4:
            return x, min(y, BLS_FIELD - y)
    raise AssertionError("half of all coordinates have a point")


@pytest.fixture(scope="module")
def stage() -> Stage:
    return get_stage("bls12_381", 2, 1)


@pytest.fixture(scope="module")
def stray(stage) -> tuple[bytes, tuple[int, int]]:
    x, y = stray_point()
    return (x | 0b100 << 381).to_bytes(48, "big"), stage.curve.words(y)


def test_a_stray_point_invalidates_a_dealing(stage, stray):
    element, y = stray
    altered = stage.transcript[:48] + element + stage.transcript[96:]
    ys = [stage.curve.y(each) for each in stage.elements(stage.transcript)]
    assert not stage.is_valid(altered)
    assert not stage.verify_dealing(altered, [ys[0], y, ys[2]]).returned("bool")


def test_a_stray_point_is_shown_alone(stage, stray):
    shown = stage.call("outside_subgroup", "bytes,uint256[2]", *stray)
    assert shown.returned("bool")
    assert shown.gas_used == BLS12_381.outside_subgroup_gas
    honest = stage.elements(stage.transcript)[1]
    assert not stage.call("outside_subgroup", "bytes,uint256[2]", honest, stage.curve.y(honest)).returned("bool")


def test_a_stray_key_is_not_registered(stage, stray):
    proof = stage.prove_possession(CONTEXT, 1)
    refused = stage.call("possession", "bytes,bytes,uint256[2],bytes", CONTEXT, *stray, proof)
    assert not refused.returned("bool")


def test_too_little_gas_convicts_nobody(stage):
    """A precompile that runs out of gas fails like one that refuses a point; the caller chooses the gas."""
    honest = stage.elements(stage.transcript)[1]
    arguments = (honest, stage.curve.y(honest))
    needed = stage.call("outside_subgroup", "bytes,uint256[2]", *arguments).gas_used
    for gas in [*range(needed - 13_000, needed - 1_000, 2_000), *range(needed - 1_000, needed + 1_200, 110)]:
        receipt = stage.call("outside_subgroup", "bytes,uint256[2]", *arguments, gas=gas)
        assert not (receipt.success and receipt.returned("bool")), gas


def test_a_starved_verification_convicts_nobody(stage):
    ys = [stage.curve.y(each) for each in stage.elements(stage.transcript)]
    arguments = stage.dealing_arguments(stage.transcript, ys)
    needed = stage.verify_dealing(stage.transcript, ys).gas_used
    for gas in range(needed - 24_500, needed, 4_099):
        receipt = stage.call("dealing", stage.DEALING, *arguments, gas=gas)
        assert not receipt.success or receipt.returned("bool"), gas
