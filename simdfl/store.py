"""Results on disk that survive ``kill -9``: an append-only file of pure results by content.

A run cannot be frozen, since its peers are generators in the middle of their lives. But it is deterministic: run
again it makes the same steps, and what took long (gradients, proofs, aggregates) can be read back, not computed.
So a checkpoint is this file, and resuming is a quick replay up to where the run was, then going on.

Each record carries a checksum. What follows a damaged record (the torn tail of a killed process) is dropped and
computed again. The header binds the file to one scenario, version and arithmetic. A key holds *everything* that a
result depends on, as in :mod:`simdfl.memo`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from simdfl.errors import UserError

MAGIC = b"simdfl.store.v1\n"
KEY_BYTES = CONTEXT_BYTES = 32
CHECK_BYTES = 8
LENGTH = struct.Struct("<I")
HEAD_BYTES = LENGTH.size + KEY_BYTES
HEADER_BYTES = len(MAGIC) + CONTEXT_BYTES


class Nothing:
    """A store that remembers nothing: every result is computed."""

    def find(self, kind: str, parts: Sequence[bytes]) -> bytes | None:
        """Return None."""
        return None

    def keep(self, kind: str, parts: Sequence[bytes], value: bytes) -> None:
        """Forget it."""

    def get(self, kind: str, parts: Sequence[bytes], compute: Callable[[], bytes]) -> bytes:
        """Return the result of `compute`.

        >>> Nothing().get("square", [b"2"], lambda: b"4")
        b'4'
        """
        value = self.find(kind, parts)
        if value is None:
            value = compute()
            self.keep(kind, parts, value)
        return value

    def flush(self) -> None:
        """Do nothing."""


NOTHING = Nothing()


class Store(Nothing):
    """A store in one file.

    Parameters
    ----------
    path : Path
        The file; made if it does not exist.
    context : bytes
        32 bytes that name scenario, version and arithmetic.
    most_bytes : int
        Size from which on nothing is added; what is missing is computed again.
    resume : bool
        False: what an earlier run left is dropped.

    Raises
    ------
    UserError
        If the file belongs to something else, or another process uses it.
    """

    def __init__(self, path: Path, context: bytes, most_bytes: int, resume: bool) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._places: dict[bytes, tuple[int, int]] = {}
        self.found = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        self._lock()
        size = self._read(context) if resume else 0
        self._file.truncate(size)
        self._file.seek(size)
        if not size:
            self._file.write(MAGIC + context)
            size = HEADER_BYTES
        self._end = self._written = size
        self.flush()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UserError(f"{self._path}: another run uses it; wait for it, or choose another --out") from error

    def _read(self, context: bytes) -> int:
        """Index all whole records; return where they end, 0 for a file without a whole header."""
        header = self._file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return 0
        if header != MAGIC + context:
            self._file.close()
            raise UserError(
                f"{self._path}: holds the progress of another scenario, version or machine; "
                f"run without --resume to start again"
            )
        end = HEADER_BYTES
        while (record := self._read_record()) is not None:
            key, length = record
            self._places[key] = (end + HEAD_BYTES, length)
            end += HEAD_BYTES + length + CHECK_BYTES
        return end

    def _read_record(self) -> tuple[bytes, int] | None:
        head = self._file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return None
        [length] = LENGTH.unpack_from(head)
        if length > self._most_bytes:
            return None
        rest = self._file.read(length + CHECK_BYTES)
        if len(rest) < length + CHECK_BYTES or _check(head, rest[:length]) != rest[length:]:
            return None
        return head[LENGTH.size :], length

    def find(self, kind: str, parts: Sequence[bytes]) -> bytes | None:
        """Return the value kept under `kind` and `parts`, or None."""
        place = self._places.get(_key(kind, parts))
        if place is None:
            return None
        offset, length = place
        if offset + length > self._written:
            self._file.flush()
            self._written = self._end
        self.found += 1
        return os.pread(self._file.fileno(), length, offset)

    def keep(self, kind: str, parts: Sequence[bytes], value: bytes) -> None:
        """Append a value, unless the file is full."""
        size = HEAD_BYTES + len(value) + CHECK_BYTES
        if self._end + size > self._most_bytes:
            return
        key = _key(kind, parts)
        head = LENGTH.pack(len(value)) + key
        self._file.write(head + value + _check(head, value))
        self._places[key] = (self._end + HEAD_BYTES, len(value))
        self._end += size

    def flush(self) -> None:
        """Bring everything so far to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._written = self._end

    def close(self) -> None:
        """Flush, and let others use the file."""
        self.flush()
        self._file.close()


def _key(kind: str, parts: Sequence[bytes]) -> bytes:
    """Return a hash of an injective encoding: every part with its length."""
    pieces = [kind.encode(), *parts]
    return hashlib.sha256(b"".join(len(piece).to_bytes(8, "little") + piece for piece in pieces)).digest()


def _check(head: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(head + value, digest_size=CHECK_BYTES).digest()
