"""The driver of the execution specifications against whole signed transactions of the same specifications."""

from __future__ import annotations

from dataclasses import replace

import eels
import opcodes
import pytest
from coincurve import PrivateKey
from eth_abi import encode
from ethereum.forks.osaka import vm
from ethereum.forks.osaka.fork import process_transaction
from ethereum.forks.osaka.transactions import signing_hash_1559
from ethereum_types.numeric import U256, Uint

SOURCE = """
# pragma version 0.4.3

value: public(uint256)

event Stored:
    value: uint256

@deploy
def __init__(start: uint256):
    self.value = start

@external
def store(to: uint256):
    assert to < 100, "too large"
    self.value = to
    log Stored(value=to)
"""
KEY = PrivateKey(b"\x05" * 32)
SENDER = eels.keccak256(KEY.public_key.format(compressed=False)[1:])[12:]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> eels.Program:
    path = tmp_path_factory.mktemp("contract") / "store.vy"
    path.write_text(SOURCE)
    return eels.compile_vyper(path)


@pytest.fixture
def stage(program) -> tuple[eels.Chain, bytes]:
    chain = eels.Chain()
    made = chain.deploy(program.init_code + encode(["uint256"], [7]))
    assert made.success
    return chain, made.contract


def test_a_value_is_stored_and_read_back(stage):
    chain, store = stage
    assert chain.call(store, eels.calldata("value()")).returned("uint256") == 7
    stored = chain.transact(store, eels.calldata("store(uint256)", 8))
    assert stored.success
    assert [int.from_bytes(log.data, "big") for log in stored.logs] == [8]
    assert chain.storage(store, 0) == 8


def test_a_call_leaves_no_trace(stage):
    chain, store = stage
    first = chain.call(store, eels.calldata("store(uint256)", 8))
    assert first == chain.call(store, eels.calldata("store(uint256)", 8))
    assert chain.storage(store, 0) == 7


def test_a_revert_tells_why(stage):
    chain, store = stage
    refused = chain.transact(store, eels.calldata("store(uint256)", 100))
    assert (refused.success, refused.error) == (False, "too large")
    assert chain.storage(store, 0) == 7


def signed(chain: eels.Chain, to: bytes, data: bytes, gas: int):
    unsigned = chain._transaction(to, data, SENDER, 0, gas)
    raw = KEY.sign_recoverable(signing_hash_1559(unsigned), hasher=None)
    r, s = (U256(int.from_bytes(raw[at : at + 32], "big")) for at in (0, 32))
    return replace(unsigned, r=r, s=s, y_parity=U256(raw[64]))


@pytest.mark.parametrize("value", [7, 8, 0, 100], ids=["unchanged", "changed", "cleared", "reverted"])
def test_gas_is_that_of_a_signed_transaction(stage, value):
    chain, store = stage
    chain.fund(SENDER)
    data = eels.calldata("store(uint256)", value)
    transaction = signed(chain, store, data, 100_000)
    block, undo = vm.BlockOutput(), eels.TransientStorage()
    eels.begin_transaction(chain.state, undo)
    process_transaction(chain._block(), block, transaction, Uint(0))
    eels.rollback_transaction(chain.state, undo)
    assert chain.transact(store, data, sender=SENDER, gas=100_000).gas_used == int(block.block_gas_used)


def test_gas_by_opcode_sums_to_the_whole(stage):
    chain, store = stage
    with opcodes.opcode_gas() as spent:
        used = chain.call(store, eels.calldata("store(uint256)", 8)).gas_used
    assert sum(spent.values()) == used
    assert spent["SSTORE"] == 5_000


def test_precompiles_answer_directly():
    answer = eels.run_precompile(2, b"abc")
    assert answer.output.hex().startswith("ba7816bf")
    assert answer.gas_used == 72
