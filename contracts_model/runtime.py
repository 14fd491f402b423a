"""What a contract is: storage, external functions that may revert, and events.

A contract is a dataclass whose fields are :class:`~contracts_model.storage.Slots` (its storage) and whose
methods marked :func:`external` are its interface. A call either succeeds as a whole or reverts as a whole:
the meter's undo log restores every slot it touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any, ClassVar, NamedTuple, TypeVar

from contracts_model import precompiles
from contracts_model.abi import parameter_types
from contracts_model.gas import (
    ECRECOVER_GAS,
    LOG_DATA_BYTE_GAS,
    LOG_GAS,
    LOG_TOPIC_GAS,
    WARM_ACCESS_GAS,
    Meter,
    words,
)
from contracts_model.host import Host
from contracts_model.merkle import climb
from contracts_model.storage import WORD_BITS, BitSet, Machine, Slots

F = TypeVar("F", bound=Callable[..., Any])

BURN = bytes(20)
"""Where slashed money goes: the one account that can be empty when money is sent to it."""


INNER_INPUT_BYTES, ROOT_INPUT_BYTES = 1 + 32 + 32, 1 + 8 + 32


@functools.lru_cache(4096)
def sha256_gas(size_bytes: int) -> int:
    """Return the price of one call to the precompile at address 2, the message call included."""
    return WARM_ACCESS_GAS + precompiles.sha256_gas(size_bytes)


SIGNATURE_BYTES = 65
WORD_BYTES = 32
HALF_CURVE_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def malformation(signature: bytes) -> str:
    """Return what keeps this from being r ‖ s ‖ v, v in 0..1, s in the lower half of the order; "" if nothing."""
    if len(signature) != SIGNATURE_BYTES:
        return "signature of another length"
    if signature[64] > 1:
        return "signature with another v"
    high = int.from_bytes(signature[32:64], "big") > HALF_CURVE_ORDER
    return "signature with a high s" if high else ""


class Revert(Exception):
    """A call that fails; its reason is returned to the caller and all its effects are undone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Logged(bytes):
    """Bytes of an event whose ABI encoding is not one word."""

    def abi_bytes(self) -> int:
        """Return the size of the encoding: offset, length and padded content of ``bytes``."""
        return 64 + 32 * words(len(self))


class Mask(Logged):
    """A set of peers as a little-endian bit mask: one word up to 256 peers, beyond that ``uint256[]``."""

    def abi_bytes(self) -> int:
        """Return the size of the encoding."""
        return 32 if len(self) <= 32 else super().abi_bytes()


class Pairs(Logged):
    """Pairs of peers, 4 + 4 bytes each, little-endian: ``uint256[]`` on chain, a word a pair."""

    def abi_bytes(self) -> int:
        """Return the size of the encoding."""
        return 64 + 4 * len(self)


class Event(NamedTuple):
    """A log entry: what outsiders see of a call."""

    contract: str
    name: str
    fields: dict[str, Any]

    def data_bytes(self) -> int:
        """Return the size of the ABI-encoded data: a word a field, more for what says so (:class:`Logged`)."""
        size_bytes = WORD_BYTES * len(self.fields)
        for value in self.fields.values():
            if isinstance(value, Logged):
                size_bytes += value.abi_bytes() - WORD_BYTES
        return size_bytes


@dataclass(eq=False, slots=True)
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
        size_bytes, counts = len(data), self.meter.counts
        self.meter.used += sha256_gas(size_bytes)
        counts["sha256"] += 1
        counts["sha256 words"] += words(size_bytes)
        return self.host.sha256(data)

    def consult(self, question: str, gas: int) -> None:
        """Charge a call to the contract that verifies proofs, which spends so much gas itself."""
        self.meter.reach("verifier")
        self.meter.used += gas
        self.meter.counts[f"verifier.{question}"] += 1

    def open_path(self, root: bytes | int, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
        """Check a Merkle opening of leaf `index` among `size`, hash by hash (RFC 6962 with the size bound in)."""
        counts = self.meter.counts
        if index >= size:
            counts["path out of range"] += 1
            return False
        levels, hashed, arrives = climb(index, size, len(path))
        self.meter.used += sha256_gas(1 + len(leaf)) + hashed * sha256_gas(INNER_INPUT_BYTES)
        counts["path checked"] += 1
        counts["path hashes"] += hashed
        counts["path climbed"] += size > 1
        counts["path levels"] += levels
        if not arrives or hashed < len(path):
            counts["path too long" if arrives else "path too short"] += 1
            return False
        self.meter.used += sha256_gas(ROOT_INPUT_BYTES)
        return bool(root) and self.host.verify_path(bytes(root), leaf, index, size, path)

    def recover_signer(self, digest: bytes, signature: bytes) -> bytes | None:
        """Recover a signer through the precompile at address 1; None where nobody signed."""
        if fault := malformation(signature):
            self.meter.counts[fault] += 1
            return None
        self.meter.used += WARM_ACCESS_GAS + ECRECOVER_GAS
        self.meter.counts["ecrecover"] += 1
        return self.host.recover_signer(digest, signature)

    def emit(self, contract: str, name: str, **fields: Any) -> None:
        """Log an event with one topic (its name)."""
        event, meter = Event(contract, name, fields), self.meter
        meter.used += LOG_GAS + LOG_TOPIC_GAS + LOG_DATA_BYTE_GAS * event.data_bytes()
        meter.counts[logged_name(contract, name)] += 1
        self.events.append(event)


def external(function: F) -> F:
    """Mark a method as part of the contract's interface and record its ABI types."""
    function.abi_types = parameter_types(function)  # type: ignore[attr-defined]
    return function


def payable(function: F) -> F:
    """Mark an external method that accepts value; all others revert when value is sent."""
    function.is_payable = True  # type: ignore[attr-defined]
    return external(function)


@functools.cache
def copied(contract: str, to: str, count: int) -> list[tuple[str, str, str]]:
    """Return the names under which words, items and non-empty lists of so many copied values are counted."""
    names = [f"{contract} {to} {place}" for place in range(count)]
    return [(intern(f"{name} words"), intern(f"{name} items"), intern(f"{name} any")) for name in names]


@functools.cache
def called_name(source: str, function: str) -> str:
    """Return the name under which calls of a function by other contracts are counted."""
    return intern(f"{source}.{function}")


@functools.cache
def logged_name(contract: str, event: str) -> str:
    """Return the name under which events are counted."""
    return intern(f"{contract} logs {event}")


def linked(function: F) -> F:
    """Mark a method that other contracts of the deployment call: a message call in its own right.

    Within its contract nobody calls it: what both need is a private method, which is a jump.
    """
    name = function.__name__

    @functools.wraps(function)
    def called(self: Contract, *args: Any) -> Any:
        meter = self.machine.meter
        if meter is not None:
            meter.reach(self.name)
            meter.counts[called_name(self.source or self.name, name)] += 1
        return function(self, *args)

    return called  # type: ignore[return-value]


@dataclass
class Contract:
    """Base of the contracts of one deployment; `name` addresses it in calls and events."""

    name: str
    machine: Machine
    source: ClassVar[str] = ""
    """Name of the compiled code by which its prices are found, where that is not the contract's name."""

    def slots(self, label: str, depth: int = 1) -> Slots:
        """Return a fresh mapping with so many keys in this contract's storage; variables for ``depth=0``."""
        return Slots(self.machine, f"{self.name}.{label}", depth)

    def bits(self, label: str, n_members: int, depth: int = 1) -> BitSet:
        """Return sets of so many members, each found by so many keys."""
        return BitSet(self.slots(label, depth), -(-n_members // WORD_BITS))

    def hand_on(self, to: str, *values: bytes | Sequence[Any]) -> None:
        """Note that bytes or lists are copied, into another function or a message: by words and items."""
        meter = self.machine.meter
        if meter is None:
            return
        counts = meter.counts
        for (in_words, in_items, in_any), value in zip(copied(self.name, to, len(values)), values):
            if isinstance(value, bytes):
                counts[in_words] += words(len(value))
                continue
            counts[in_items] += len(value)
            counts[in_any] += len(value) > 0
            first = value[0] if value else None
            if isinstance(first, bytes) and len(first) != WORD_BYTES:
                counts[in_words] += sum(map(words, map(len, value)))

    def rounds(self, what: str, times: int) -> None:
        """Note the rounds of a loop, and whether there were any."""
        self.work(what, times)
        self.work(f"any {what}", times > 0)

    def work(self, what: str, times: int = 1) -> None:
        """Note arithmetic whose amount no access to storage shows: rounds of a loop, a branch taken."""
        meter = self.machine.meter
        if meter is not None and times:
            meter.counts[f"{self.name} {what}"] += times


@dataclass
class Wallets:
    """The chain's own ledger of account balances (not contract storage: EVM accounts hold value natively)."""

    machine: Machine
    balances: dict[bytes, int] = field(default_factory=dict)

    def of(self, account: bytes) -> int:
        """Return an account's balance in wei."""
        return self.balances.get(account, 0)

    def send(self, source: bytes, target: bytes, amount_wei: int) -> None:
        """Transfer from a contract to an account, by a message call.

        Raises
        ------
        Revert
            If `source` has less than `amount_wei`.
        """
        meter = self.machine.meter
        if meter is not None:
            meter.reach(target)
            if amount_wei:
                meter.send_value(is_new=target == BURN and not self.of(target))
        self.move(source, target, amount_wei)

    def move(self, source: bytes, target: bytes, amount_wei: int) -> None:
        """Transfer between accounts with a call that is charged elsewhere.

        Raises
        ------
        Revert
            If `source` has less than `amount_wei`.
        """
        if amount_wei < 0 or self.of(source) < amount_wei:
            raise Revert("insufficient balance")
        meter = self.machine.meter
        if meter is not None:
            meter.undo.append((self, {account: self.of(account) for account in (source, target)}))
        self.balances[source] = self.of(source) - amount_wei
        self.balances[target] = self.of(target) + amount_wei

    def restore(self, values: Mapping[bytes, int]) -> None:
        """Give accounts back the balances they had."""
        self.balances.update(values)
