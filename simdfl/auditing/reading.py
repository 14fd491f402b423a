"""Reading files that a stranger wrote: nothing is followed, nothing is unpickled, everything has a limit.

A published file is a regular file below the folder, reached through no symbolic link. Compressed lines are read
as a stream: memory does not depend on how many there are, and a line that expands beyond its limit ends the
audit.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from simdfl.auditing.findings import Unusable
from simdfl.canonical import canonical_json

MAX_JSON_BYTES = 1 << 26
MAX_LINE_BYTES = 1 << 26
MAX_FILE_BYTES = 1 << 40
MAX_DEPTH = 40
CHUNK_BYTES = 1 << 16
GZIP_HEADER = bytes.fromhex("1f8b08000000000002ff")
"""The one accepted header: no name, no time, best compression, unknown system."""
NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*(/[a-z0-9_]+(\.[a-z0-9_]+)*)?")
NEGATIVE_ZERO = 0x80000000
NPY_MAGIC = b"\x93NUMPY\x01\x00"


def open_file(folder: Path, name: str) -> BufferedReader:
    """Open a published file by its name in the index.

    Raises
    ------
    Unusable
        If the name leaves the folder, is not there, is a link or no regular file, or is larger than allowed.
    """
    if not NAME.fullmatch(name):
        raise Unusable(f"{name[:80]!r}: not a name that a published file can have")
    path = folder / name
    try:
        if path.parent != folder and path.parent.is_symlink():
            raise Unusable(f"{name}: lies behind a symbolic link; publish plain files")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unusable(f"{name}: cannot be read ({error.strerror}); publish it as a plain file") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        os.close(descriptor)
        raise Unusable(f"{name}: not a regular file of at most {MAX_FILE_BYTES} bytes")
    return os.fdopen(descriptor, "rb")


def sha256_of(folder: Path, name: str) -> tuple[str, int]:
    """Return the SHA-256 (hexadecimal) and the size of a published file."""
    with open_file(folder, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def read_bytes(folder: Path, name: str, limit: int) -> bytes:
    """Return a whole file of at most `limit` bytes."""
    with open_file(folder, name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Unusable(f"{name}: larger than the {limit} bytes that are allowed here")
    return data


def parse_json(name: str, data: bytes) -> Any:
    """Return the value of a JSON text without NaN, infinities, or deep nesting."""
    depth = deepest = 0
    for found in re.finditer(rb"[\[\]{}]", data):
        depth += 1 if found[0] in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise Unusable(f"{name}: nested deeper than {MAX_DEPTH}")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{name}: no JSON ({str(error)[:80]})") from error


def read_json(folder: Path, name: str, kind: str) -> dict[str, Any]:
    """Return a JSON object of the given format, written in the one accepted form."""
    data = read_bytes(folder, name, MAX_JSON_BYTES)
    value = parse_json(name, data)
    if not isinstance(value, dict) or value.get("format") != kind:
        raise Unusable(f"{name}: not of the format {kind}; use the version of simdfl that wrote it")
    if json.dumps(value, indent=2, sort_keys=True).encode() + b"\n" != data:
        raise Unusable(f"{name}: not in canonical form (sorted keys, two spaces, a final newline)")
    return value


def read_lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a compressed file of canonical JSON lines, one at a time."""
    number = 0
    for number, line in enumerate(_lines(folder, name), 1):
        place = f"{name}, line {number}"
        value = parse_json(place, line)
        if not isinstance(value, dict) or canonical_json(value) != line:
            raise Unusable(f"{place}: not a canonical JSON object")
        yield value


def _lines(folder: Path, name: str) -> Iterator[bytes]:
    rest = b""
    for piece in _inflate(folder, name):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            raise Unusable(f"{name}: a line is longer than {MAX_LINE_BYTES} bytes")
    if rest:
        raise Unusable(f"{name}: ends within a line; the file is truncated")


def _inflate(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the decompressed bytes in pieces of bounded size; exactly one gzip member is accepted."""
    with open_file(folder, name) as file:
        header = file.read(len(GZIP_HEADER))
        if header != GZIP_HEADER:
            raise Unusable(f"{name}: not compressed as published files are")
        engine, checksum, size, data = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0, b""
        while not engine.eof:
            data = engine.unconsumed_tail or file.read(CHUNK_BYTES)
            if not data:
                raise Unusable(f"{name}: the compressed stream is truncated")
            try:
                piece = engine.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise Unusable(f"{name}: the compressed stream is damaged ({error})") from error
            checksum, size = zlib.crc32(piece, checksum), size + len(piece)
            yield piece
        trailer = engine.unused_data + file.read(CHUNK_BYTES)
    if trailer != checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
        raise Unusable(f"{name}: checksum or length of the compressed stream is wrong")


def read_weights(folder: Path, name: str, n_parameters: int) -> np.ndarray:
    """Return the vector (d,) float32 in an ``.npy`` file; nothing but that exact header is accepted."""
    data = read_bytes(folder, name, 4 * n_parameters + 4096)
    shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_parameters},), }}".encode()
    if not data.startswith(NPY_MAGIC) or len(data) < 10:
        raise Unusable(f"{name}: not an .npy file of version 1.0")
    end = 10 + int.from_bytes(data[8:10], "little")
    if data[10:end].rstrip(b" \n") != shape or data[10:end] != shape.ljust(end - 11) + b"\n" or end % 64:
        raise Unusable(f"{name}: its header is not that of {n_parameters} little-endian float32 values")
    return as_vector(name, data[end:], n_parameters)


def as_vector(name: str, data: bytes, n_parameters: int) -> np.ndarray:
    """Return (d,) float32 from raw bytes of exactly that length; NaN, infinities and -0 are refused."""
    if len(data) != 4 * n_parameters:
        raise Unusable(f"{name}: {len(data)} bytes are not {n_parameters} float32 values")
    values = np.frombuffer(data, dtype="<f4")
    if not np.isfinite(values).all():
        raise Unusable(f"{name}: holds NaN or infinities")
    if (values.view("<u4") == NEGATIVE_ZERO).any():
        raise Unusable(f"{name}: holds -0, which has no canonical encoding")
    return values
