"""Contracts on a real EVM in memory: Ethereum's execution specifications, Osaka, without signatures or fees.

:class:`Chain` holds state and a clock. ``deploy`` and ``transact`` run whole transactions (intrinsic gas,
refunds, the calldata floor), ``call`` runs one message from another contract's point of view: execution gas
alone, state undone. Gas is free, so balances change by transferred value only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

try:
    import vyper
    from eth_abi import decode, encode
    from ethereum.crypto.hash import keccak256
    from ethereum.forks.osaka import vm
    from ethereum.forks.osaka.fork_types import Address
    from ethereum.forks.osaka.state import (
        State,
        TransientStorage,
        begin_transaction,
        commit_transaction,
        get_account,
        get_storage,
        increment_nonce,
        rollback_transaction,
        set_account_balance,
        set_storage,
    )
    from ethereum.forks.osaka.transactions import FeeMarketTransaction, calculate_intrinsic_cost
    from ethereum.forks.osaka.utils.message import prepare_message
    from ethereum.forks.osaka.vm import interpreter
    from ethereum.forks.osaka.vm.interpreter import MessageCallOutput, process_message_call
    from ethereum.forks.osaka.vm.precompiled_contracts.mapping import PRE_COMPILED_CONTRACTS
    from ethereum_types.bytes import Bytes, Bytes0, Bytes32
    from ethereum_types.numeric import U64, U256, Uint
except ImportError:
    pytest.skip("needs the evm extra: pip install -e '.[evm]'", allow_module_level=True)

interpreter.get_valid_jump_destinations = cache(interpreter.get_valid_jump_destinations)
"""The specifications look for jump destinations anew in every call, most of their time; code does not change."""

GAS_CAP = 1 << 24
BLOCK_GAS_LIMIT = 60_000_000
CHAIN_ID = 1
OWNER = b"\x01" * 20
COINBASE = b"\xc0" * 20
ETHER = 10**18
ERROR_SELECTOR = keccak256(b"Error(string)")[:4]

# A pure function of the code, asked for at every message: without a memo a quarter of all time.
interpreter.get_valid_jump_destinations = cache(interpreter.get_valid_jump_destinations)


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction or a message; `spent` is its gas before refunds and the calldata floor."""

    success: bool
    output: bytes
    logs: tuple[Any, ...]
    gas_used: int
    spent: int
    refund: int
    error: str
    contract: bytes

    def returned(self, *types: str) -> Any:
        """Return the decoded output: one value, or a tuple of several."""
        assert self.success, self.error
        values = decode(types, self.output)
        return values[0] if len(types) == 1 else values


@dataclass(frozen=True)
class Program:
    """A compiled contract."""

    init_code: bytes
    runtime_code: bytes
    abi: list[dict[str, Any]]
    storage: dict[str, Any]


@cache
def compile_vyper(path: Path, optimise: str = "gas") -> Program:
    """Compile a Vyper contract for the Osaka fork (``gas``, ``codesize`` or ``none``)."""
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings

    options = Settings(evm_version="prague", optimize=OptimizationLevel.from_string(optimise))
    made = vyper.compile_code(
        path.read_text(encoding="utf-8"),
        contract_path=path,
        input_bundle=FilesystemInputBundle([path.parent]),
        output_formats=["bytecode", "bytecode_runtime", "abi", "layout"],
        settings=options,
    )
    code, runtime = (bytes.fromhex(made[name][2:]) for name in ("bytecode", "bytecode_runtime"))
    return Program(code, runtime, made["abi"], made["layout"].get("storage_layout", {}))


def calldata(signature: str, *arguments: Any) -> bytes:
    """Return the calldata of a call, such as ``calldata("f(uint256,bytes)", 5, b"ab")``."""
    return bytes(keccak256(signature.encode())[:4]) + encode(_types(signature), arguments)


def _types(signature: str) -> list[str]:
    """Return the types between the outer parentheses, tuples kept whole."""
    inside, depth, found = signature[signature.index("(") + 1 : -1], 0, [""]
    for letter in inside:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [kind for kind in found if kind]


@dataclass
class Chain:
    """State, clock and block number of an Ethereum in memory."""

    time_s: int = 1_700_000_000
    number: int = 1
    state: State = field(default_factory=State)

    def fund(self, account: bytes, wei: int = 1_000 * ETHER) -> None:
        """Set an account's balance."""
        set_account_balance(self.state, Address(account), U256(wei))

    def balance(self, account: bytes) -> int:
        """Return an account's balance in wei."""
        return int(get_account(self.state, Address(account)).balance)

    def code(self, account: bytes) -> bytes:
        """Return an account's code."""
        return bytes(get_account(self.state, Address(account)).code)

    def storage(self, account: bytes, slot: int) -> int:
        """Return the value of a storage slot."""
        return int(get_storage(self.state, Address(account), Bytes32(slot.to_bytes(32, "big"))))

    def put(self, account: bytes, slot: int, value: int) -> None:
        """Set the value of a storage slot."""
        set_storage(self.state, Address(account), Bytes32(slot.to_bytes(32, "big")), U256(value))

    def advance(self, seconds: int = 12, blocks: int = 1) -> None:
        """Move to a later block."""
        self.time_s += seconds
        self.number += blocks

    def deploy(self, init_code: bytes, *, sender: bytes = OWNER, value: int = 0, gas: int = GAS_CAP) -> Receipt:
        """Create a contract; constructor arguments stand behind the init code."""
        return self._transact(b"", init_code, sender, value, gas)

    def transact(
        self, to: bytes, data: bytes = b"", *, sender: bytes = OWNER, value: int = 0, gas: int = GAS_CAP
    ) -> Receipt:
        """Run a transaction; `gas_used` is what its sender pays for."""
        return self._transact(to, data, sender, value, gas)

    def call(
        self, to: bytes, data: bytes = b"", *, sender: bytes = OWNER, value: int = 0, gas: int = 1 << 40
    ) -> Receipt:
        """Run a message as a contract's call would, and undo it; `gas_used` is the gas of execution alone."""
        undo = TransientStorage()
        begin_transaction(self.state, undo)
        transaction = self._transaction(to, data, sender, value, gas)
        output = process_message_call(self._message(transaction, sender, gas))
        rollback_transaction(self.state, undo)
        return _receipt(output, gas - int(output.gas_left), gas - int(output.gas_left), b"")

    def _transact(self, to: bytes, data: bytes, sender: bytes, value: int, gas: int) -> Receipt:
        transaction = self._transaction(to, data, sender, value, gas)
        intrinsic, floor = (int(cost) for cost in calculate_intrinsic_cost(transaction))
        if max(intrinsic, floor) > gas:
            raise ValueError(f"a transaction with this calldata needs {max(intrinsic, floor)} gas, got {gas}")
        increment_nonce(self.state, Address(sender))
        message = self._message(transaction, sender, gas - intrinsic)
        begin_transaction(self.state, message.tx_env.transient_storage)
        output = process_message_call(message)
        commit_transaction(self.state, message.tx_env.transient_storage)
        spent = gas - int(output.gas_left)
        refund = min(int(output.refund_counter), spent // 5)
        contract = b"" if to else bytes(message.current_target)
        return _receipt(output, max(spent - refund, floor), spent, contract)

    def _transaction(self, to: bytes, data: bytes, sender: bytes, value: int, gas: int) -> FeeMarketTransaction:
        return FeeMarketTransaction(
            chain_id=U64(CHAIN_ID),
            nonce=U256(get_account(self.state, Address(sender)).nonce),
            max_priority_fee_per_gas=Uint(0),
            max_fee_per_gas=Uint(0),
            gas=Uint(gas),
            to=Address(to) if to else Bytes0(),
            value=U256(value),
            data=Bytes(data),
            access_list=(),
            y_parity=U256(0),
            r=U256(0),
            s=U256(0),
        )

    def _message(self, transaction: FeeMarketTransaction, sender: bytes, gas: int) -> vm.Message:
        environment = vm.TransactionEnvironment(
            origin=Address(sender),
            gas_price=Uint(0),
            gas=Uint(gas),
            access_list_addresses={Address(COINBASE)},
            access_list_storage_keys=set(),
            transient_storage=TransientStorage(),
            blob_versioned_hashes=(),
            authorizations=(),
            index_in_block=Uint(0),
            tx_hash=Bytes32(bytes(32)),
        )
        return prepare_message(self._block(), environment, transaction)

    def _block(self) -> vm.BlockEnvironment:
        return vm.BlockEnvironment(
            chain_id=U64(CHAIN_ID),
            state=self.state,
            block_gas_limit=Uint(BLOCK_GAS_LIMIT),
            block_hashes=[Bytes32(number.to_bytes(32, "big")) for number in range(min(self.number, 256))],
            coinbase=Address(COINBASE),
            number=Uint(self.number),
            base_fee_per_gas=Uint(0),
            time=U256(self.time_s),
            prev_randao=Bytes32(bytes(32)),
            excess_blob_gas=U64(0),
            parent_beacon_block_root=Bytes32(bytes(32)),
        )


def _receipt(output: MessageCallOutput, gas_used: int, spent: int, contract: bytes) -> Receipt:
    return Receipt(
        success=output.error is None,
        output=bytes(output.return_data),
        logs=output.logs,
        gas_used=gas_used,
        spent=spent,
        refund=int(output.refund_counter),
        error=_reason(output),
        contract=contract,
    )


def _reason(output: MessageCallOutput) -> str:
    """Return the revert's text, or the name of what stopped the execution."""
    data = bytes(output.return_data)
    if data[:4] == ERROR_SELECTOR:
        return str(decode(["string"], data[4:])[0])
    return type(output.error).__name__ if output.error else ""


def run_precompile(address: int, data: bytes) -> Receipt:
    """Run one precompile on `data`; `gas_used` is its price, without the call."""
    assert Address(address.to_bytes(20, "big")) in PRE_COMPILED_CONTRACTS
    return Chain().call(address.to_bytes(20, "big"), data)
