"""The named gas constants against the table of the execution specifications."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from contracts_model import gas
from simdfl.chain.profiles import PROFILES

DATA = Path(gas.__file__).parent / "data"
OSAKA = {
    "TX_BASE_GAS": "TX_BASE_COST",
    "CALLDATA_FLOOR_TOKEN_GAS": "FLOOR_CALLDATA_COST",
    "CALLDATA_ZERO_BYTE_GAS": "STANDARD_CALLDATA_TOKEN_COST",
    "TX_GAS_CAP": "TX_MAX_GAS_LIMIT",
    "COLD_SLOAD_GAS": "GAS_COLD_SLOAD",
    "COLD_ACCOUNT_GAS": "GAS_COLD_ACCOUNT_ACCESS",
    "WARM_ACCESS_GAS": "GAS_WARM_ACCESS",
    "SSTORE_CLEAR_REFUND_GAS": "GAS_STORAGE_CLEAR_REFUND",
    "LOG_GAS": "GAS_LOG",
    "LOG_TOPIC_GAS": "GAS_LOG_TOPIC",
    "LOG_DATA_BYTE_GAS": "GAS_LOG_DATA",
    "KECCAK_BASE_GAS": "GAS_KECCAK256",
    "KECCAK_WORD_GAS": "GAS_KECCAK256_WORD",
    "SHA256_BASE_GAS": "GAS_SHA256",
    "SHA256_WORD_GAS": "GAS_SHA256_WORD",
    "ECRECOVER_GAS": "GAS_ECRECOVER",
    "BLS_G1_ADD_GAS": "GAS_BLS_G1_ADD",
    "BLS_G1_MUL_GAS": "GAS_BLS_G1_MUL",
    "BLS_MAP_FP_TO_G1_GAS": "GAS_BLS_G1_MAP",
}


@pytest.mark.parametrize("ours", sorted(OSAKA))
def test_constant_equals_the_osaka_column(ours: str) -> None:
    rows = list(csv.DictReader((DATA / "evm_gas_constants_eels.csv").read_text().splitlines()))
    [value] = {row["osaka"] for row in rows if row["constant"] == OSAKA[ours] and row["osaka"]}
    assert getattr(gas, ours) == int(value)


def test_real_chains_have_their_published_slots_and_limits() -> None:
    rows = {
        (row["chain"], row["parameter"]): row["value"]
        for row in csv.DictReader((DATA / "chain_parameters.csv").read_text().splitlines())
    }
    ethereum = PROFILES["ethereum_l1"]
    assert ethereum.block_time_s == float(rows["ethereum_l1", "slot_seconds"])
    assert ethereum.gas_limit == int(rows["ethereum_l1", "gas_limit_2025_11_25"])
    assert ethereum.tx_gas_cap == int(rows["ethereum_l1", "tx_gas_cap_osaka"])
    assert PROFILES["optimism"].block_time_s == float(rows["optimism", "block_time_s"])
