"""Calldata: a function's selector and its arguments in Solidity's ABI encoding.

Only the types that our contracts use. Their Python annotations (:data:`Uint`, :data:`Bytes32`, …) name the
ABI type, so a function's signature in Python *is* its interface.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
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


def _decode_word(kind: str, word: bytes) -> Any:
    if kind == "bytes32":
        return word
    if kind == "address":
        return word[12:]
    number = int.from_bytes(word, "big", signed=kind == "int256")
    if kind == "bool":
        if number > 1:
            raise AbiError("a bool is 0 or 1")
        return bool(number)
    return number


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


def decode_known(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return the values in `data`, which is known to be canonical.

    Raises
    ------
    AbiError
        If `data` ends too early or holds what is no value of its type.
    """
    values: list[Any] = []
    for position, kind in enumerate(types):
        word = _take(data, position * WORD, WORD)
        if kind in STATIC:
            values.append(_decode_word(kind, word))
            continue
        offset = int.from_bytes(word, "big")
        count = int.from_bytes(_take(data, offset, WORD), "big")
        if count > len(data):
            raise AbiError("calldata ends too early")
        if kind == "bytes":
            values.append(_take(data, offset + WORD, count))
        else:
            values.append(decode_known([kind[:-2]] * count, data[offset + WORD :]))
    return tuple(values)
