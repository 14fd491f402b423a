"""What a contract is: storage, external functions that may revert, and events.

A contract is a dataclass whose fields are :class:`~contracts_model.storage.Slots` (its storage) and whose
methods marked :func:`external` are its interface. A call either succeeds as a whole or reverts as a whole:
the meter's undo log restores every slot it touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from contracts_model.abi import parameter_types
from contracts_model.gas import (
    CALL_VALUE_GAS,
    LOG_DATA_BYTE_GAS,
    LOG_GAS,
    LOG_TOPIC_GAS,
    SHA256_BASE_GAS,
    SHA256_WORD_GAS,
    Meter,
    words,
)
from contracts_model.host import Host
from contracts_model.storage import Machine, Slots

F = TypeVar("F", bound=Callable[..., Any])


class Revert(Exception):
    """A call that fails; its reason is returned to the caller and all its effects are undone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """A log entry: what outsiders see of a call."""

    contract: str
    name: str
    fields: dict[str, Any] = field(default_factory=dict)

    def data_bytes(self) -> int:
        """Return the size of the ABI-encoded data (each field takes a word; bytes take their length too)."""
        return sum(
            64 + 32 * words(len(value)) if isinstance(value, bytes) and len(value) not in (20, 32) else 32
            for value in self.fields.values()
        )


@dataclass
class Context:
    """What a call can see and do: who calls, when, with what value; the precompiles and the log."""

    sender: bytes
    value_wei: int
    block_number: int
    timestamp_s: int
    host: Host
    meter: Meter
    events: list[Event] = field(default_factory=list)

    def require(self, condition: object, reason: str) -> None:
        """Revert with `reason` unless `condition` holds."""
        if not condition:
            raise Revert(reason)

    def sha256(self, data: bytes) -> bytes:
        """Hash through the precompile at address 2."""
        self.meter.charge(SHA256_BASE_GAS + SHA256_WORD_GAS * words(len(data)))
        return self.host.sha256(data)

    def emit(self, contract: str, name: str, **fields: Any) -> None:
        """Log an event with one topic (its name)."""
        event = Event(contract, name, fields)
        self.meter.charge(LOG_GAS + LOG_TOPIC_GAS + LOG_DATA_BYTE_GAS * event.data_bytes())
        self.events.append(event)


def external(function: F) -> F:
    """Mark a method as part of the contract's interface and record its ABI types."""
    function.abi_types = parameter_types(function)  # type: ignore[attr-defined]
    return function


def payable(function: F) -> F:
    """Mark an external method that accepts value; all others revert when value is sent."""
    function.is_payable = True  # type: ignore[attr-defined]
    return external(function)


@dataclass
class Contract:
    """Base of the contracts of one deployment; `name` addresses it in calls and events."""

    name: str
    machine: Machine

    def slots(self, label: str) -> Slots:
        """Return a fresh mapping in this contract's storage."""
        return Slots(self.machine, f"{self.name}.{label}")

    def enter(self) -> None:
        """Charge the message call by which another contract of the deployment reaches this one."""
        if self.machine.meter is not None:
            self.machine.meter.enter(self.name)


@dataclass
class Wallets:
    """The chain's own ledger of account balances (not contract storage: EVM accounts hold value natively)."""

    machine: Machine
    balances: dict[bytes, int] = field(default_factory=dict)

    def of(self, account: bytes) -> int:
        """Return an account's balance in wei."""
        return self.balances.get(account, 0)

    def move(self, source: bytes, target: bytes, amount_wei: int) -> None:
        """Transfer between accounts.

        Raises
        ------
        Revert
            If `source` has less than `amount_wei`.
        """
        if amount_wei < 0 or self.of(source) < amount_wei:
            raise Revert("insufficient balance")
        meter = self.machine.meter
        if meter is not None:
            if amount_wei:
                meter.charge(CALL_VALUE_GAS)
            meter.undo.append(lambda: self._shift(target, source, amount_wei))
        self._shift(source, target, amount_wei)

    def _shift(self, source: bytes, target: bytes, amount_wei: int) -> None:
        self.balances[source] = self.of(source) - amount_wei
        self.balances[target] = self.of(target) + amount_wei
