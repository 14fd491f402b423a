"""Calldata: a function's selector and its arguments in Solidity's ABI encoding.

Only the types that our contracts use. Their Python annotations (:data:`Uint`, :data:`Bytes32`, …) name the
ABI type, so a function's signature in Python *is* its interface.
"""

from __future__ import annotations

import inspect
import operator
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

Uint = int
Int = int
Bool = bool
Bytes32 = bytes
Address = bytes
Bytes = bytes
Uints = Sequence[int]
Ints = Sequence[int]
Bytes32s = Sequence[bytes]
BytesList = Sequence[bytes]

ABI_TYPES = {
    "Uint": "uint256",
    "Int": "int256",
    "Bool": "bool",
    "Bytes32": "bytes32",
    "Address": "address",
    "Bytes": "bytes",
    "Uints": "uint256[]",
    "Ints": "int256[]",
    "Bytes32s": "bytes32[]",
    "BytesList": "bytes[]",
}
WORD = 32
PYTHON_TYPES = {
    "uint256": int,
    "int256": int,
    "bool": bool,
    "bytes32": bytes,
    "address": bytes,
    "bytes": bytes,
}
"""What values decode to; lists to tuples of these."""
STATIC = frozenset(("uint256", "int256", "bool", "bytes32", "address"))


class AbiError(ValueError):
    """Arguments that do not fit the signature, or calldata that cannot be decoded."""


def parameter_types(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the ABI types of an external function's parameters (after ``self, ctx``)."""
    parameters = [p for name, p in inspect.signature(function).parameters.items() if name not in ("self", "ctx")]
    return tuple(ABI_TYPES[str(p.annotation)] for p in parameters)


def _word(kind: str, value: Any) -> bytes:
    try:
        if kind == "bool" and value in (0, 1):
            return int(value).to_bytes(WORD, "big")
        if kind in ("uint256", "int256"):
            return operator.index(value).to_bytes(WORD, "big", signed=kind == "int256")
        if kind == "bytes32" and len(data := bytes(memoryview(value))) == WORD:
            return data
        if kind == "address" and len(data := bytes(memoryview(value))) == 20:
            return bytes(12) + data
    except (OverflowError, TypeError, ValueError) as error:
        raise AbiError(f"{value!r} is no {kind}") from error
    raise AbiError(f"{value!r} is no {kind}")


def _tail(kind: str, value: Any) -> bytes:
    try:
        pieces = bytes(memoryview(value)) if kind == "bytes" else list(value)
    except TypeError as error:
        raise AbiError(f"{value!r} is no {kind}") from error
    count = len(pieces).to_bytes(WORD, "big")
    if isinstance(pieces, bytes):
        return count + pieces + bytes(-len(pieces) % WORD)
    return count + encode([kind[:-2]] * len(pieces), pieces)


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Return the ABI encoding of `values`.

    >>> encode(["uint256", "bytes"], [5, b"ab"]).hex()[126:134]
    '40000000'

    Raises
    ------
    AbiError
        If a value does not fit its type or the counts differ.
    """
    if len(types) != len(values):
        raise AbiError(f"{len(values)} arguments for {len(types)} parameters")
    head, tail = [], []
    offset = WORD * len(types)
    for kind, value in zip(types, values):
        if kind not in STATIC:
            head.append(offset.to_bytes(WORD, "big"))
            tail.append(_tail(kind, value))
            offset += len(tail[-1])
        else:
            head.append(_word(kind, value))
    return b"".join(head + tail)


def _take(data: bytes, offset: int, size: int) -> bytes:
    piece = data[offset : offset + size]
    if len(piece) != size:
        raise AbiError("calldata ends too early")
    return piece


def _bool(word: bytes) -> bool:
    if (number := int.from_bytes(word, "big")) > 1:
        raise AbiError("a bool is 0 or 1")
    return bool(number)


WORD_READERS: dict[str, Callable[[bytes], Any]] = {
    "uint256": partial(int.from_bytes, byteorder="big"),
    "int256": partial(int.from_bytes, byteorder="big", signed=True),
    "bool": _bool,
    "bytes32": bytes,
    "address": lambda word: word[12:],
}
"""What a word holds, for the types of :data:`STATIC`."""


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return the values encoded in `data`; only the canonical encoding is accepted.

    Raises
    ------
    AbiError
        If `data` is not exactly what :func:`encode` gives for some values.
    """
    values = decode_known(types, data)
    if encode(types, values) != data:
        raise AbiError("non-canonical calldata")
    return values


def as_decoded(types: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return values that :func:`encode` takes as decoding gives them; None where only decoding can tell.

    >>> as_decoded(["uint256", "bytes32[]"], [5, [bytes(32)]]) == (5, (bytes(32),))
    True
    >>> as_decoded(["bool"], [1]) is None
    True
    """
    if len(types) != len(values):
        return None
    found = []
    for kind, value in zip(types, values):
        if type(value) is PYTHON_TYPES.get(kind):
            found.append(value)
        elif type(value) in (list, tuple) and set(map(type, value)) <= {PYTHON_TYPES.get(kind[:-2])}:
            found.append(tuple(value))
        else:
            return None
    return tuple(found)


def decode_known(types: Sequence[str], data: bytes, start: int = 0) -> tuple[Any, ...]:
    """Return the values in `data` from `start` on, which is known to be canonical.

    Raises
    ------
    AbiError
        If `data` ends too early or holds what is no value of its type.
    """
    if len(data) < start + WORD * len(types):
        raise AbiError("calldata ends too early")
    head, readers = _head(tuple(types))
    return tuple(
        [
            read(word) if read else _decode_tail(kind, data, start + int.from_bytes(word, "big"))
            for kind, read, word in zip(types, readers, head.unpack_from(data, start))
        ]
    )


def _decode_tail(kind: str, data: bytes, place: int) -> Any:
    """Return the bytes or the list that stand at a place."""
    count = int.from_bytes(_take(data, place, WORD), "big")
    if count > len(data):
        raise AbiError("calldata ends too early")
    if kind == "bytes":
        return _take(data, place + WORD, count)
    return decode_known([kind[:-2]] * count, data, place + WORD)


@lru_cache(1024)
def _head(types: tuple[str, ...]) -> tuple[struct.Struct, list[Callable[[bytes], Any] | None]]:
    """Return what splits the words of a head, and what reads each; None where it says where the value stands."""
    return struct.Struct(f"{WORD}s" * len(types)), [WORD_READERS.get(kind) for kind in types]
