"""Gas prices, from named constants, and the meter that one transaction runs under.

The constants are those of the Osaka fork (execution-specs, ``ethereum-execution`` 2.20.0; see
``data/README.md``). Storage follows EIP-2929 (cold and warm slots), EIP-2200 (net metering by the original
value) and EIP-3529 (refunds, capped at a fifth of the gas used); calldata follows EIP-2028 with the floor of
EIP-7623; BLS12-381 precompiles follow EIP-2537.

What is left, arithmetic and memory, depends on the compiled code. The meter counts what a call does (slots read
and written, events, calls from contract to contract, rounds of loops), and :mod:`contracts_model.computing`
prices that as the Vyper twins in ``vyper/`` do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

TX_BASE_GAS = 21_000
CALLDATA_ZERO_BYTE_GAS = 4
CALLDATA_NONZERO_BYTE_GAS = 16
CALLDATA_FLOOR_TOKEN_GAS = 10
CALLDATA_TOKENS_PER_NONZERO_BYTE = 4
TX_GAS_CAP = 1 << 24

COLD_SLOAD_GAS = 2_100
WARM_ACCESS_GAS = 100
SSTORE_SET_GAS = 20_000
SSTORE_RESET_GAS = 2_900
SSTORE_CLEAR_REFUND_GAS = 4_800
MAX_REFUND_QUOTIENT = 5
COLD_ACCOUNT_GAS = 2_600
CALL_VALUE_GAS = 9_000
CALL_STIPEND_GAS = 2_300
NEW_ACCOUNT_GAS = 25_000

LOG_GAS = 375
LOG_TOPIC_GAS = 375
LOG_DATA_BYTE_GAS = 8

KECCAK_BASE_GAS = 30
KECCAK_WORD_GAS = 6
SHA256_BASE_GAS = 60
SHA256_WORD_GAS = 12
ECRECOVER_GAS = 3_000
BLS_G1_ADD_GAS = 375
BLS_G1_MUL_GAS = 12_000
BLS_MAP_FP_TO_G1_GAS = 5_500

MAPPING_SLOT_GAS = KECCAK_BASE_GAS + 2 * KECCAK_WORD_GAS
"""keccak256 of a 64-byte key: one level of a mapping."""


def words(size_bytes: int) -> int:
    """Return the number of 32-byte words that hold `size_bytes`."""
    return (size_bytes + 31) // 32


def calldata_gas(calldata: bytes) -> int:
    """Return the standard price of calldata (EIP-2028).

    >>> calldata_gas(bytes([0, 0, 7]))
    24
    """
    return intrinsic_and_floor_gas(calldata)[0] - TX_BASE_GAS


def calldata_floor_gas(calldata: bytes) -> int:
    """Return the least a transaction with this calldata pays, intrinsic gas included (EIP-7623).

    >>> calldata_floor_gas(bytes([0, 0, 7])) - TX_BASE_GAS
    60
    """
    return intrinsic_and_floor_gas(calldata)[1]


def intrinsic_and_floor_gas(calldata: bytes) -> tuple[int, int]:
    """Return what a transaction with this calldata pays before it runs, and the least that it pays.

    Both count in tokens: a zero byte is one, any other four.

    >>> intrinsic_and_floor_gas(bytes([0, 0, 7]))
    (21024, 21060)
    """
    zeros = calldata.count(0)
    tokens = zeros + (len(calldata) - zeros) * CALLDATA_TOKENS_PER_NONZERO_BYTE
    return TX_BASE_GAS + tokens * CALLDATA_ZERO_BYTE_GAS, TX_BASE_GAS + tokens * CALLDATA_FLOOR_TOKEN_GAS


class State(Protocol):
    """What a transaction changes and a revert restores: storage, balances."""

    def restore(self, values: Mapping[Any, Any]) -> None:
        """Give entries back the values they had."""
        ...


@dataclass(eq=False, slots=True)
class Meter:
    """Gas, access lists, counts of work and the undo log of one transaction.

    The log names each state that was touched and the values that its entries had when they were touched first.
    Whether the limit was passed is asked once, at the end: a call that runs out of gas has no effects, wherever
    it happened.
    """

    limit: int
    used: int = 0
    refund: int = 0
    accounts: set[Hashable] = field(default_factory=set)
    counts: defaultdict[str, int] = field(default_factory=partial(defaultdict, int))
    undo: list[tuple[State, Mapping[Any, Any]]] = field(default_factory=list)

    def charge(self, gas: int) -> None:
        """Spend `gas`."""
        self.used += gas

    def count(self, what: str, times: int = 1) -> None:
        """Note that something with a price in compiled code was done so many times."""
        self.counts[what] += times

    def store(self, access_gas: int, original: Any, current: Any, new: Any) -> None:
        """Charge a write to a storage slot, with what finding it costs (EIP-2200 with EIP-2929 and EIP-3529)."""
        if new == current:
            self.used += access_gas + WARM_ACCESS_GAS
        elif original == current:
            self.used += access_gas + (SSTORE_RESET_GAS if original else SSTORE_SET_GAS)
            if original and not new:
                self.refund += SSTORE_CLEAR_REFUND_GAS
        else:
            self.used += access_gas + WARM_ACCESS_GAS
            self._refund_dirty(original, current, new)

    def _refund_dirty(self, original: object, current: object, new: object) -> None:
        if original:
            if not current:
                self.refund -= SSTORE_CLEAR_REFUND_GAS
            elif not new:
                self.refund += SSTORE_CLEAR_REFUND_GAS
        if original == new:
            spent = SSTORE_RESET_GAS if original else SSTORE_SET_GAS
            self.refund += spent - WARM_ACCESS_GAS

    def reach(self, account: Hashable) -> None:
        """Charge a message call to an account, cold or warm (EIP-2929)."""
        if account in self.accounts:
            self.used += WARM_ACCESS_GAS
        else:
            self.accounts.add(account)
            self.used += COLD_ACCOUNT_GAS

    def send_value(self, is_new: bool) -> None:
        """Charge for the value that a message call carries; what is left of the stipend comes back."""
        self.used += CALL_VALUE_GAS - CALL_STIPEND_GAS + (NEW_ACCOUNT_GAS if is_new else 0)

    def settle(self, floor_gas: int) -> int:
        """Return the gas to pay: used less capped refunds, not under the calldata floor."""
        paid = self.used
        if self.refund:
            paid -= min(self.refund, paid // MAX_REFUND_QUOTIENT)
        return paid if paid > floor_gas else floor_gas

    def rollback(self) -> None:
        """Undo every state change of this transaction, last first."""
        while self.undo:
            state, values = self.undo.pop()
            state.restore(values)
