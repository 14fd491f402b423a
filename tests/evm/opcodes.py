"""Where gas goes, opcode by opcode, in anything that runs on :mod:`eels`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import eels  # noqa: F401  (skips where the evm extra is missing)
from ethereum import trace

Tracer = Callable[[Any, Any], None]


@contextmanager
def traced(tracer: Tracer) -> Iterator[None]:
    """Let `tracer` see every event of the EVM (``ethereum.trace``), with the live EVM as first argument."""
    before = trace.set_evm_trace(tracer)
    try:
        yield
    finally:
        trace.set_evm_trace(before)


@contextmanager
def opcode_gas() -> Iterator[Counter[str]]:
    """Sum the gas by opcode name (calls without what the callee spends), precompiles by address."""
    spent: Counter[str] = Counter()
    open_at: list[tuple[Any, str, int, int]] = []

    def see(evm: Any, event: Any) -> None:
        left = int(evm.gas_left)
        if isinstance(event, (trace.OpStart, trace.PrecompileStart)):
            name = (
                event.op.name
                if isinstance(event, trace.OpStart)
                else f"precompile {int.from_bytes(event.address)}"
            )
            open_at.append((evm, name, left, sum(spent.values())))
        elif isinstance(event, (trace.OpEnd, trace.PrecompileEnd)):
            owner, name, before, total = open_at.pop()
            assert owner is evm
            spent[name] += before - left - (sum(spent.values()) - total)

    with traced(see):
        yield spent


def _name(event: Any) -> str:
    if isinstance(event, trace.OpStart):
        return str(event.op.name)
    return f"precompile {int.from_bytes(event.address, 'big')}"


@contextmanager
def highest_word() -> Iterator[list[int]]:
    """Keep the size of the outermost call's memory, in words, in a list of one."""
    highest = [0]

    def see(evm: Any, event: Any) -> None:
        if int(evm.message.depth) == 0:
            highest[0] = max(highest[0], len(evm.memory) // 32)

    with traced(see):
        yield highest
