"""Typed trace: frozen dataclasses handed to a tracer with the simulated time; digest, memory or nothing.

A trace is the run's fingerprint. Its digest hashes every event's canonical line, so events carry integers,
strings, bytes, booleans and simulated times only; floats computed on an accelerator enter through declared
canonical bytes (a digest), never as themselves.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

Tracer = Callable[[float, Any], None]


def no_trace(now_s: float, event: Any) -> None:
    """Drop the event: the default tracer."""


def _canonical(value: Any) -> str:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return "(" + ",".join(_canonical(item) for item in value) + ")"
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    raise TypeError(f"a trace event may not carry a {type(value).__name__}")


def trace_line(now_s: float, event: Any) -> str:
    """Return the canonical line of one event.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Ban:
    ...     peer: int
    >>> trace_line(1.5, Ban(3))
    '0x1.8000000000000p+0 Ban peer=3'
    """
    fields = " ".join(
        f"{field.name}={_canonical(getattr(event, field.name))}" for field in dataclasses.fields(event)
    )
    return f"{float(now_s).hex()} {type(event).__name__} {fields}"


class TraceRecorder:
    """Hashes every event and keeps those that somebody wants to read later.

    Parameters
    ----------
    keep : bool
        Whether to keep all events in memory as ``(now_s, event)`` pairs.
    """

    def __init__(self, keep: bool = True) -> None:
        self._hash = hashlib.sha256()
        self._keep = keep
        self.events: list[tuple[float, Any]] = []
        self.count = 0

    def __call__(self, now_s: float, event: Any) -> None:
        """Record one event."""
        self._hash.update(trace_line(now_s, event).encode() + b"\n")
        self.count += 1
        if self._keep:
            self.events.append((now_s, event))

    def digest(self) -> str:
        """Return the hexadecimal SHA-256 of all lines so far."""
        return self._hash.hexdigest()

    def of_type(self, kind: type) -> list[tuple[float, Any]]:
        """Return the kept events of one type with their times."""
        return [(now_s, event) for now_s, event in self.events if isinstance(event, kind)]
