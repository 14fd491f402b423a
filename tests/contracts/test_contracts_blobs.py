"""Blobs: the EIP's own numbers, and what a burst of them costs."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from contracts_model.blobs import (
    BLOB_BASE_COST,
    FORKS,
    GAS_PER_BLOB,
    BlobRules,
    excess_for,
    fake_exponential,
    post_blobs,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("factor", "numerator", "denominator", "expected"),
    [
        *((1, 0, 1, 1), (38493, 0, 1000, 38493), (0, 1234, 2345, 0), (1, 2, 1, 6), (1, 4, 2, 6), (1, 3, 1, 16)),
        *((1, 6, 2, 18), (1, 4, 1, 49), (1, 8, 2, 50), (10, 8, 2, 542), (1, 5, 2, 11), (2, 5, 2, 23)),
    ],
)
def test_the_integer_exponential_is_that_of_the_execution_clients(factor, numerator, denominator, expected):
    assert fake_exponential(factor, numerator, denominator) == expected


@pytest.mark.parametrize("fork", FORKS)
def test_a_full_block_raises_the_price_as_the_fork_says(fork):
    rules = FORKS[fork]
    excess = excess_for(10**12, rules)
    more = fake_exponential(1, excess + (rules.most - rules.target) * GAS_PER_BLOB, rules.update_fraction)
    expected = math.exp((rules.most - rules.target) * GAS_PER_BLOB / rules.update_fraction)
    assert more / 10**12 == pytest.approx(expected, rel=1e-4)


def test_constants_are_those_of_the_execution_specs():
    with (ROOT / "contracts_model" / "data" / "evm_gas_constants_eels.csv").open(encoding="utf-8") as file:
        rows = {row["constant"]: row for row in csv.DictReader(file) if row["module"] == "vm.gas"}
    for fork, rules in FORKS.items():
        assert rules.update_fraction == int(rows["BLOB_BASE_FEE_UPDATE_FRACTION"][fork])
        assert rules.target * GAS_PER_BLOB == int(rows["TARGET_BLOB_GAS_PER_BLOCK"][fork])
        if fork in ("osaka", "bpo1", "bpo2"):
            assert rules.most == int(rows["BLOB_SCHEDULE_MAX"][fork])
            assert int(rows["BLOB_BASE_COST"][fork]) == BLOB_BASE_COST
        assert int(rows["GAS_PER_BLOB"][fork]) == GAS_PER_BLOB


def test_a_burst_pays_more_block_by_block():
    rules = BlobRules(3, 6, 3_338_477, False)
    posted = post_blobs(7, 10**9, 0, rules)
    ratio = math.exp(3 * GAS_PER_BLOB / rules.update_fraction)
    assert (posted.blobs, posted.blocks) == (7, 3)
    assert posted.fee_wei / GAS_PER_BLOB / 10**9 == pytest.approx(3 + 3 * ratio + ratio**2, rel=1e-6)
    assert post_blobs(0, 1, 0, rules) == type(posted)(0, 0, 0)


def test_since_osaka_the_base_fee_sets_a_floor():
    assert post_blobs(1, 1, 16 * 10**9, FORKS["osaka"]).fee_wei == GAS_PER_BLOB * 10**9
    assert post_blobs(1, 1, 16 * 10**9, FORKS["prague"]).fee_wei == GAS_PER_BLOB
