"""Canonical bytes: one value, one encoding, so that equal hashes mean equal values.

Arrays become little-endian float32 in C order with -0 written as +0; NaN and Inf have no encoding. Records
are written field by field with :class:`Writer` and read back with the strict :class:`Reader`. Shapes are
not encoded: the reader knows them from the job manifest.
"""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from simdfl.errors import CryptoError

_NEGATIVE_ZERO = np.uint32(0x80000000)
_REAL_KINDS = "fiubV"  # "V": the extension floats (bfloat16) of ml_dtypes


def canonical_float32(array: ArrayLike) -> bytes:
    """Return the canonical bytes of a real array.

    Parameters
    ----------
    array : array_like of float
        Any shape; wider floats are rounded to float32.

    Returns
    -------
    bytes
        Four bytes an entry.

    Raises
    ------
    CryptoError
        An entry is NaN or infinite (also after rounding to float32), or the array is not real.

    Examples
    --------
    >>> canonical_float32([1.0, -0.0]).hex()
    '0000803f00000000'
    """
    given = np.asarray(array)
    if given.dtype.kind not in _REAL_KINDS or given.dtype.names:
        raise CryptoError(f"canonical_float32: {given.dtype} has no canonical encoding; use a real float array")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(given, dtype="<f4")
    if not np.isfinite(values).all():
        raise CryptoError("canonical_float32: NaN and Inf have no canonical encoding; send finite values only")
    words = values.view("<u4")
    negative_zeros = words == _NEGATIVE_ZERO
    if negative_zeros.any():  # by bits: adding +0 would flush subnormals where the processor is told to
        words = np.where(negative_zeros, np.uint32(0), words)
    return words.tobytes()


def from_canonical_float32(data: bytes) -> np.ndarray:
    """Return the vector that `data` encodes, as a read-only view of the bytes.

    Parameters
    ----------
    data : bytes
        As written by :func:`canonical_float32`.

    Returns
    -------
    (len(data) / 4,) float32

    Raises
    ------
    CryptoError
        The bytes are not canonical: a length that is no multiple of four, NaN, Inf or -0.
    """
    if len(data) % 4:
        raise CryptoError(f"from_canonical_float32: {len(data)} bytes are no whole number of float32 values")
    words = np.frombuffer(bytes(data), dtype="<u4")
    values = words.view("<f4")
    if not np.isfinite(values).all() or (words == _NEGATIVE_ZERO).any():
        raise CryptoError("from_canonical_float32: NaN, Inf and -0 are not canonical; reject the message")
    return values


class Writer:
    """Build a record of fixed-width little-endian integers and byte strings; every verb returns the writer.

    Examples
    --------
    >>> Writer().u8(1).u32(2).var(b"abc").done().hex()
    '010200000003000000616263'
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def _pack(self, layout: str, value: int) -> Self:
        try:
            self._pieces.append(struct.pack(layout, value))
        except struct.error as error:
            raise CryptoError(f"Writer: {value!r} does not fit its field ({error})") from error
        return self

    def u8(self, value: int) -> Self:
        """Append one unsigned byte."""
        return self._pack("<B", value)

    def u32(self, value: int) -> Self:
        """Append an unsigned 32-bit integer."""
        return self._pack("<I", value)

    def u64(self, value: int) -> Self:
        """Append an unsigned 64-bit integer."""
        return self._pack("<Q", value)

    def i64(self, value: int) -> Self:
        """Append a signed 64-bit integer."""
        return self._pack("<q", value)

    def raw(self, data: bytes) -> Self:
        """Append bytes whose length the reader knows."""
        self._pieces.append(bytes(data))
        return self

    def var(self, data: bytes) -> Self:
        """Append a 32-bit length and the bytes."""
        return self.u32(len(data)).raw(data)

    def done(self) -> bytes:
        """Return the record."""
        return b"".join(self._pieces)


class Reader:
    """Read a record back, strictly.

    Raises
    ------
    CryptoError
        From every verb, where the record is truncated; from :meth:`end`, where bytes are left over.

    Examples
    --------
    >>> reader = Reader(Writer().u32(2).var(b"abc").done())
    >>> reader.u32(), reader.var()
    (2, b'abc')
    >>> reader.end()
    """

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._at = 0

    def raw(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise CryptoError(
                f"Reader: {size} bytes wanted at offset {self._at} of {len(self._data)}; truncated record"
            )
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def _unpack(self, layout: str) -> int:
        return int(struct.unpack(layout, self.raw(struct.calcsize(layout)))[0])

    def u8(self) -> int:
        """Return the next unsigned byte."""
        return self._unpack("<B")

    def u32(self) -> int:
        """Return the next unsigned 32-bit integer."""
        return self._unpack("<I")

    def u64(self) -> int:
        """Return the next unsigned 64-bit integer."""
        return self._unpack("<Q")

    def i64(self) -> int:
        """Return the next signed 64-bit integer."""
        return self._unpack("<q")

    def var(self) -> bytes:
        """Return the next length-prefixed byte string."""
        return self.raw(self.u32())

    def end(self) -> None:
        """Check that nothing is left."""
        left = len(self._data) - self._at
        if left:
            raise CryptoError(f"Reader: {left} trailing bytes after offset {self._at}; reject the record")
