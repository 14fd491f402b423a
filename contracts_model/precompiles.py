"""Gas of the precompiled contracts that verify signatures, hashes and sharings, as functions of the input.

What a precompile itself charges: without the call to it, which costs :data:`~contracts_model.gas.WARM_ACCESS_GAS`
(precompiles are always warm). Prices are those of Cancun, Prague and Osaka; they differ in modexp alone, and
BLS12-381 exists since Prague.

References
----------
.. [1] EIP-196, EIP-197 and EIP-1108: BN254.
.. [2] EIP-2537: BLS12-381. A product of k points costs less than k products, by a table of discounts.
.. [3] EIP-2565 and, since Osaka, EIP-7883: modular exponentiation.
"""

from __future__ import annotations

import csv
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Literal

from contracts_model.gas import (
    BLS_G1_ADD_GAS,
    BLS_G1_MUL_GAS,
    BLS_MAP_FP_TO_G1_GAS,
    ECRECOVER_GAS,
    SHA256_BASE_GAS,
    SHA256_WORD_GAS,
    words,
)

IDENTITY_BASE_GAS = 15
IDENTITY_WORD_GAS = 3

BN254_ADD_GAS = 150
BN254_MUL_GAS = 6_000
BN254_PAIRING_BASE_GAS = 45_000
BN254_PAIRING_PAIR_GAS = 34_000

BLS_G2_ADD_GAS = 600
BLS_G2_MUL_GAS = 22_500
BLS_MAP_FP2_TO_G2_GAS = 23_800
BLS_PAIRING_BASE_GAS = 37_700
BLS_PAIRING_PAIR_GAS = 32_600
BLS_DISCOUNT_UNIT = 1_000

MODEXP_HEAD_BYTES = 32
MODEXP_LIMB_BYTES = 8


class Fork(Enum):
    """Hard forks whose prices are known here."""

    CANCUN = "cancun"
    PRAGUE = "prague"
    OSAKA = "osaka"


def ecrecover_gas() -> int:
    """Return the gas of recovering a signer."""
    return ECRECOVER_GAS


def sha256_gas(size_bytes: int) -> int:
    """Return the gas of hashing `size_bytes`.

    >>> sha256_gas(0), sha256_gas(33)
    (60, 84)
    """
    return SHA256_BASE_GAS + SHA256_WORD_GAS * words(size_bytes)


def identity_gas(size_bytes: int) -> int:
    """Return the gas of copying `size_bytes`."""
    return IDENTITY_BASE_GAS + IDENTITY_WORD_GAS * words(size_bytes)


def modexp_gas(
    base_bytes: int, exponent: int, exponent_bytes: int, modulus_bytes: int, fork: Fork = Fork.OSAKA
) -> int:
    """Return the gas of a power.

    Parameters
    ----------
    base_bytes, exponent_bytes, modulus_bytes : int
        Sizes of the operands as written in the input.
    exponent : int
        The exponent, whose value counts up to its first 32 bytes.
    fork : Fork
        Osaka raised the price (EIP-7883).

    Returns
    -------
    int

    Examples
    --------
    >>> modexp_gas(32, 2**254, 32, 32), modexp_gas(32, 2**254, 32, 32, Fork.PRAGUE)
    (4064, 1354)
    """
    head_bits = (exponent >> 8 * max(0, exponent_bytes - MODEXP_HEAD_BYTES)).bit_length()
    tail_bytes = max(0, exponent_bytes - MODEXP_HEAD_BYTES)
    largest = max(base_bytes, modulus_bytes)
    squared = (-(-largest // MODEXP_LIMB_BYTES)) ** 2
    if fork is Fork.OSAKA:
        steps = max(1, 16 * tail_bytes + max(0, head_bits - 1))
        return max(500, steps * (2 * squared if largest > MODEXP_HEAD_BYTES else 16))
    steps = max(1, 8 * tail_bytes + max(0, head_bits - 1))
    return max(200, steps * squared // 3)


def bn254_add_gas() -> int:
    """Return the gas of adding two points (EIP-1108)."""
    return BN254_ADD_GAS


def bn254_mul_gas() -> int:
    """Return the gas of multiplying a point, whatever the scalar (EIP-1108)."""
    return BN254_MUL_GAS


def bn254_pairing_gas(pairs: int) -> int:
    """Return the gas of a product of pairings (EIP-1108)."""
    return BN254_PAIRING_BASE_GAS + BN254_PAIRING_PAIR_GAS * pairs


def bls_add_gas(subgroup: Literal["g1", "g2"] = "g1") -> int:
    """Return the gas of adding two points, without a check of the subgroup (EIP-2537)."""
    return BLS_G1_ADD_GAS if subgroup == "g1" else BLS_G2_ADD_GAS


def bls_msm_gas(points: int, subgroup: Literal["g1", "g2"] = "g1") -> int:
    """Return the gas of a sum of `points` multiples, the check of the subgroup included (EIP-2537).

    Raises
    ------
    ValueError
        There are no points: the precompile fails then.

    Examples
    --------
    >>> bls_msm_gas(1), bls_msm_gas(2), bls_msm_gas(128)
    (12000, 22776, 797184)
    """
    if points < 1:
        raise ValueError("a multiplication of no points fails; give at least one")
    table = _discounts()[subgroup]
    product = BLS_G1_MUL_GAS if subgroup == "g1" else BLS_G2_MUL_GAS
    return points * product * table[min(points, len(table)) - 1] // BLS_DISCOUNT_UNIT


def bls_pairing_gas(pairs: int) -> int:
    """Return the gas of a product of pairings (EIP-2537)."""
    return BLS_PAIRING_BASE_GAS + BLS_PAIRING_PAIR_GAS * pairs


def bls_map_gas(subgroup: Literal["g1", "g2"] = "g1") -> int:
    """Return the gas of mapping a field element to a point (EIP-2537)."""
    return BLS_MAP_FP_TO_G1_GAS if subgroup == "g1" else BLS_MAP_FP2_TO_G2_GAS


@cache
def _discounts() -> dict[str, tuple[int, ...]]:
    """Return the discounts for 1, 2, … points, per mille of the price of single multiplications."""
    path = Path(__file__).parent / "data" / "evm_bls12381_msm_discount.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: tuple(int(row[f"{name}_discount_permille"]) for row in rows) for name in ("g1", "g2")}
