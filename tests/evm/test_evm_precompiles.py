"""Prices of precompiles against what the execution specifications charge."""

from __future__ import annotations

import importlib

import eels
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.optimized_bls12_381 import G2, normalize

from contracts_model import precompiles
from contracts_model.precompiles import Fork
from simdfl.crypto.groups import get_group

SOME = settings(max_examples=25, deadline=None)
ECRECOVER, SHA256, _RIPEMD160, IDENTITY, MODEXP, BN_ADD, BN_MUL, BN_PAIRING = range(1, 9)
G1_ADD, G1_MSM, G2_ADD, G2_MSM, BLS_PAIRING, MAP_G1, MAP_G2 = range(0x0B, 0x12)
ZERO = bytes(128)


def paid(address: int, data: bytes) -> int:
    answer = eels.run_precompile(address, data)
    assert answer.success
    return answer.gas_used


def g1_point() -> bytes:
    xy = get_group("bls12_381").g.to_xy_bytes_be()
    return bytes(16) + xy[:48] + bytes(16) + xy[48:]


def g2_point() -> bytes:
    x, y = normalize(G2)
    return b"".join(int(part).to_bytes(64, "big") for part in (*x.coeffs, *y.coeffs))


@SOME
@given(st.binary(max_size=300))
def test_hashing_and_copying_pay_by_the_word(data):
    assert paid(SHA256, data) == precompiles.sha256_gas(len(data))
    assert paid(IDENTITY, data) == precompiles.identity_gas(len(data))
    assert paid(ECRECOVER, data) == precompiles.ecrecover_gas()


@st.composite
def powers(draw):
    sizes = [draw(st.integers(0, 70)) for _ in range(3)]
    return [draw(st.binary(min_size=size, max_size=size)) for size in sizes]


@SOME
@given(powers())
def test_modexp_pays_by_size_and_exponent(operands):
    base, exponent, modulus = operands
    data = b"".join(len(each).to_bytes(32, "big") for each in operands) + b"".join(operands)
    number = int.from_bytes(exponent, "big")
    assert paid(MODEXP, data) == precompiles.modexp_gas(len(base), number, len(exponent), len(modulus))


@pytest.mark.parametrize("fork", Fork, ids=lambda fork: fork.value)
@given(powers())
@SOME
def test_modexp_follows_its_fork(fork, operands):
    base, exponent, modulus = operands
    module = importlib.import_module(f"ethereum.forks.{fork.value}.vm.precompiled_contracts.modexp")
    head = eels.U256(int.from_bytes(exponent[:32], "big"))
    sizes = [eels.U256(len(each)) for each in (base, modulus, exponent)]
    number = int.from_bytes(exponent, "big")
    ours = precompiles.modexp_gas(len(base), number, len(exponent), len(modulus), fork)
    assert ours == int(module.gas_cost(*sizes, head))


def test_bn254_has_fixed_prices():
    point = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    assert paid(BN_ADD, point + point) == precompiles.bn254_add_gas()
    assert paid(BN_MUL, point + bytes(31) + b"\x05") == precompiles.bn254_mul_gas()
    for pairs in (0, 1, 2):
        assert paid(BN_PAIRING, bytes(192 * pairs)) == precompiles.bn254_pairing_gas(pairs)


@pytest.mark.parametrize("points", [1, 2, 3, 17, 127, 128, 129, 200])
def test_many_points_at_once_are_cheaper(points):
    scalar = bytes(31) + b"\x01"
    assert paid(G1_MSM, (ZERO + scalar) * points) == precompiles.bls_msm_gas(points)
    assert paid(G2_MSM, (ZERO + ZERO + scalar) * points) == precompiles.bls_msm_gas(points, "g2")


def test_bls12_381_has_fixed_prices_elsewhere():
    assert paid(G1_ADD, g1_point() + ZERO) == precompiles.bls_add_gas()
    assert paid(G2_ADD, g2_point() + ZERO + ZERO) == precompiles.bls_add_gas("g2")
    assert paid(MAP_G1, bytes(63) + b"\x05") == precompiles.bls_map_gas()
    assert paid(MAP_G2, bytes(127) + b"\x05") == precompiles.bls_map_gas("g2")
    for pairs in (1, 2):
        assert paid(BLS_PAIRING, bytes(384 * pairs)) == precompiles.bls_pairing_gas(pairs)


def test_no_points_have_no_price():
    assert not eels.run_precompile(G1_MSM, b"").success
    with pytest.raises(ValueError, match="no points"):
        precompiles.bls_msm_gas(0)
