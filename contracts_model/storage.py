"""Contract storage: state variables whose every access is metered and can be undone.

A :class:`Slots` is what Solidity and Vyper call a mapping, or, with ``depth=0``, a group of plain variables by
name: zero where nothing was written. Outside a transaction (tests, notebooks, read-only views) accesses are
free. One Python value stands for one 32-byte slot; :class:`BitSet` packs 256 members into a slot.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from contracts_model.gas import COLD_SLOAD_GAS, MAPPING_SLOT_GAS, WARM_ACCESS_GAS, Meter

WORD_BITS = 256


@dataclass(slots=True)
class Machine:
    """The place where a transaction's meter is found; shared by all storage of one deployment."""

    meter: Meter | None = None


@dataclass(eq=False, slots=True)
class Slots:
    """One mapping in a contract's storage, or its plain variables.

    A transaction's first access to an entry keeps the value that it had: what EIP-2200 prices a write by, what
    makes the entry warm, and what a revert restores.

    Parameters
    ----------
    machine : Machine
        Where the meter is.
    name : str
        ``contract.variable``.
    depth : int
        How many keys lead to an entry, each a hash; 0 for plain variables, whose key is a name.
    """

    machine: Machine
    name: str
    depth: int = 1
    data: dict[Hashable, Any] = field(default_factory=dict)
    _hashing_gas: int = field(init=False)
    _warm_gas: int = field(init=False)
    _cold_gas: int = field(init=False)
    _reading: str = field(init=False)
    _writing: str = field(init=False)
    _meter: Meter | None = field(init=False, default=None)
    _original: dict[Hashable, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._hashing_gas = MAPPING_SLOT_GAS * self.depth
        self._warm_gas = self._hashing_gas + WARM_ACCESS_GAS
        self._cold_gas = self._hashing_gas + COLD_SLOAD_GAS
        self._reading = intern(f"{self.name} read")
        self._writing = intern(f"{self.name} write")

    def touched(self, meter: Meter) -> Iterator[Hashable]:
        """Yield the keys that a transaction has read or written so far."""
        return iter(self._original if self._meter is meter else ())

    def __getitem__(self, key: Hashable) -> Any:
        value = self.data.get(key, 0)
        meter = self.machine.meter
        if meter is not None:
            if meter is not self._meter:
                self._meter, self._original = meter, {}
                meter.undo.append((self, self._original))
            meter.counts[self._reading] += 1
            if key in self._original:
                meter.used += self._warm_gas
            else:
                self._original[key] = value
                meter.used += self._cold_gas
        return value

    def __setitem__(self, key: Hashable, value: Any) -> None:
        meter = self.machine.meter
        if meter is not None:
            if meter is not self._meter:
                self._meter, self._original = meter, {}
                meter.undo.append((self, self._original))
            original, current = self._original, self.data.get(key, 0)
            meter.counts[self._writing] += 1
            if key in original:
                meter.store(self._hashing_gas, original[key], current, value)
            else:
                original[key] = current
                meter.store(self._cold_gas, current, current, value)
        if value:
            self.data[key] = value
        else:
            self.data.pop(key, None)

    def restore(self, values: Mapping[Hashable, Any]) -> None:
        """Give entries back the values they had."""
        for key, value in values.items():
            if value:
                self.data[key] = value
            else:
                self.data.pop(key, None)

    def items(self) -> list[tuple[Hashable, Any]]:
        """Return all non-zero entries, ordered by key; for views and audits, never for calls."""
        return sorted(self.data.items(), key=lambda item: str(item[0]))


@dataclass(eq=False, slots=True)
class BitSet:
    """A set of peer indices, 256 to a slot, in adjacent slots; `key` selects one of many sets kept alike."""

    slots: Slots
    words: int

    def has(self, key: Hashable, member: int) -> bool:
        """Return whether `member` is in the set."""
        word: int = self.slots[key, member // WORD_BITS]
        return word >> member % WORD_BITS & 1 == 1

    def add(self, key: Hashable, member: int) -> None:
        """Put `member` into the set."""
        slots, slot = self.slots, (key, member // WORD_BITS)
        slots[slot] = slots[slot] | 1 << member % WORD_BITS

    def discard(self, key: Hashable, member: int) -> None:
        """Take `member` out of the set."""
        slots, slot = self.slots, (key, member // WORD_BITS)
        slots[slot] = slots[slot] & ~(1 << member % WORD_BITS)

    def read(self, key: Hashable) -> int:
        """Return the whole set as one integer bit mask."""
        mask: int = self.slots[key, 0]
        if self.words > 1:
            for word in range(1, self.words):
                mask |= self.slots[key, word] << (word * WORD_BITS)
        return mask

    def write(self, key: Hashable, mask: int) -> None:
        """Replace the whole set."""
        if self.words == 1:
            self.slots[key, 0] = mask
            return
        for word in range(self.words):
            self.slots[(key, word)] = mask >> (word * WORD_BITS) & (1 << WORD_BITS) - 1


def members(mask: int) -> Iterator[int]:
    """Yield the indices in a bit mask, ascending.

    >>> list(members(0b1011))
    [0, 1, 3]
    """
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
