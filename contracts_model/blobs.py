"""Blobs (EIP-4844): what bytes cost beside a block, by fork.

A blob holds 4,096 field elements, of which 31 bytes each are free. Blob gas has a base fee of its own, which
rises exponentially with what was posted beyond the target. Left out: the execution gas of the transactions that
carry blobs, at most six each since Osaka.

References
----------
EIP-4844; EIP-7691 (Prague); EIP-7892 (forks of blob parameters); EIP-7918 (a floor set by the base fee). Numbers
are those of ``data/evm_gas_constants_eels.csv``.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOB_BYTES = 4096 * 31
"""Bytes that a blob of 128 KiB carries: an element holds 31 whole bytes."""
GAS_PER_BLOB = 1 << 17
MIN_BLOB_FEE_WEI = 1
BLOB_BASE_COST = 1 << 13


@dataclass(frozen=True)
class BlobRules:
    """Blobs a block: target and most; how slowly the fee moves; whether the base fee sets a floor."""

    target: int
    most: int
    update_fraction: int
    has_floor: bool


FORKS: dict[str, BlobRules] = {
    "cancun": BlobRules(3, 6, 3_338_477, False),
    "prague": BlobRules(6, 9, 5_007_716, False),
    "osaka": BlobRules(6, 9, 5_007_716, True),
    "bpo1": BlobRules(10, 15, 8_346_193, True),
    "bpo2": BlobRules(14, 21, 11_684_671, True),
}


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """Return ``factor · e^(numerator / denominator)`` by the EIP's integer series.

    >>> fake_exponential(1, 0, 5), fake_exponential(1, 10, 5), fake_exponential(10**9, 1, 1)
    (1, 7, 2718281823)
    """
    place, total, term = 1, 0, factor * denominator
    while term > 0:
        total += term
        term = term * numerator // (denominator * place)
        place += 1
    return total // denominator


def excess_for(fee_wei: int, rules: BlobRules) -> int:
    """Return the least excess blob gas at which a blob gas costs `fee_wei`.

    >>> fake_exponential(1, excess_for(10**9, FORKS["prague"]), FORKS["prague"].update_fraction) >= 10**9
    True
    """
    low, high = 0, rules.update_fraction * 64
    while low < high:
        middle = (low + high) // 2
        if fake_exponential(MIN_BLOB_FEE_WEI, middle, rules.update_fraction) >= fee_wei:
            high = middle
        else:
            low = middle + 1
    return low


@dataclass(frozen=True)
class Posted:
    """What it took to post blobs: how many, over how many blocks, for how much."""

    blobs: int
    blocks: int
    fee_wei: int


def post_blobs(blobs: int, first_fee_wei: int, base_fee_wei: int, rules: BlobRules) -> Posted:
    """Return the cost of so many blobs, posted as fast as blocks take them beside others who post the target.

    Parameters
    ----------
    blobs : int
        How many.
    first_fee_wei : int
        Price of blob gas before the first block, wei.
    base_fee_wei : int
        Base fee of execution, wei; with EIP-7918 a sixteenth of it is the least price.
    rules : BlobRules
        Of the fork.
    """
    floor_wei = BLOB_BASE_COST * base_fee_wei // GAS_PER_BLOB if rules.has_floor else 0
    excess, left, blocks, fee_wei = excess_for(first_fee_wei, rules), blobs, 0, 0
    while left:
        count = min(left, rules.most - rules.target)
        price_wei = max(fake_exponential(MIN_BLOB_FEE_WEI, excess, rules.update_fraction), floor_wei)
        fee_wei += count * GAS_PER_BLOB * price_wei
        excess += count * GAS_PER_BLOB
        left -= count
        blocks += 1
    return Posted(blobs, blocks, fee_wei)


def blobs_for(size_bytes: int) -> int:
    """Return how many blobs hold so many bytes.

    >>> blobs_for(0), blobs_for(1), blobs_for(126_976), blobs_for(126_977)
    (0, 1, 1, 2)
    """
    return -(-size_bytes // BLOB_BYTES)
