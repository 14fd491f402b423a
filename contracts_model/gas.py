"""Gas prices, from named constants, and the meter that one transaction runs under.

The constants are those of the Osaka fork (execution-specs, ``ethereum-execution`` 2.20.0; see
``data/README.md``). Storage follows EIP-2929 (cold and warm slots), EIP-2200 (net metering by the original
value) and EIP-3529 (refunds, capped at a fifth of the gas used); calldata follows EIP-2028 with the floor of
EIP-7623; BLS12-381 precompiles follow EIP-2537.

What it leaves out: opcode-level costs of arithmetic, memory and stack. Each contract function pays one named
constant for them (:data:`FUNCTION_GAS`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

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

FUNCTION_GAS = 400
"""Dispatch, argument decoding and arithmetic of one external function."""

MAPPING_SLOT_GAS = KECCAK_BASE_GAS + 2 * KECCAK_WORD_GAS
"""keccak256 of a 64-byte key: the address of one mapping entry."""


class OutOfGas(Exception):
    """The call needs more gas than its limit; its effects are undone and the limit is spent."""


def words(size_bytes: int) -> int:
    """Return the number of 32-byte words that hold `size_bytes`."""
    return (size_bytes + 31) // 32


def calldata_gas(calldata: bytes) -> int:
    """Return the standard price of calldata (EIP-2028).

    >>> calldata_gas(bytes([0, 0, 7]))
    24
    """
    zeros = calldata.count(0)
    return zeros * CALLDATA_ZERO_BYTE_GAS + (len(calldata) - zeros) * CALLDATA_NONZERO_BYTE_GAS


def calldata_floor_gas(calldata: bytes) -> int:
    """Return the least a transaction with this calldata pays, intrinsic gas included (EIP-7623).

    >>> calldata_floor_gas(bytes([0, 0, 7])) - TX_BASE_GAS
    60
    """
    zeros = calldata.count(0)
    tokens = zeros + (len(calldata) - zeros) * CALLDATA_TOKENS_PER_NONZERO_BYTE
    return TX_BASE_GAS + tokens * CALLDATA_FLOOR_TOKEN_GAS


@dataclass
class Meter:
    """Gas, access lists, original values and the undo log of one transaction."""

    limit: int
    used: int = 0
    refund: int = 0
    warm: set[Hashable] = field(default_factory=set)
    original: dict[Hashable, object] = field(default_factory=dict)
    undo: list[Callable[[], None]] = field(default_factory=list)

    def charge(self, gas: int) -> None:
        """Spend `gas`.

        Raises
        ------
        OutOfGas
            If the limit is passed.
        """
        self.used += gas
        if self.used > self.limit:
            raise OutOfGas(self.used, self.limit)

    def touch(self, slot: Hashable) -> None:
        """Charge a read of a storage slot."""
        if slot in self.warm:
            self.charge(WARM_ACCESS_GAS)
        else:
            self.warm.add(slot)
            self.charge(COLD_SLOAD_GAS)

    def store(self, slot: Hashable, current: object, new: object) -> None:
        """Charge a write to a storage slot (EIP-2200 with EIP-2929 and EIP-3529)."""
        if slot not in self.warm:
            self.warm.add(slot)
            self.charge(COLD_SLOAD_GAS)
        original = self.original.setdefault(slot, current)
        if new == current:
            self.charge(WARM_ACCESS_GAS)
            return
        if original == current:
            self.charge(SSTORE_RESET_GAS if original else SSTORE_SET_GAS)
            if original and not new:
                self.refund += SSTORE_CLEAR_REFUND_GAS
            return
        self.charge(WARM_ACCESS_GAS)
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

    def enter(self, contract: str) -> None:
        """Charge a call into another contract of the deployment."""
        account = ("account", contract)
        if account in self.warm:
            self.charge(WARM_ACCESS_GAS)
        else:
            self.warm.add(account)
            self.charge(COLD_ACCOUNT_GAS)

    def settle(self, calldata: bytes) -> int:
        """Return the gas to pay: used less capped refunds, not under the calldata floor."""
        refund = min(self.refund, self.used // MAX_REFUND_QUOTIENT)
        return max(self.used - refund, calldata_floor_gas(calldata))

    def rollback(self) -> None:
        """Undo every state change of this transaction, last first."""
        while self.undo:
            self.undo.pop()()
