"""Merkle trees: one 32-byte root commits to a list; a logarithmic path proves one entry.

Leaves, inner vertices and the root are hashed with prefixes 0x00, 0x01 and 0x02, so none can pose as another.
The root also binds the number of leaves. A vertex without a sibling moves up unchanged, which gives the
unbalanced tree of RFC 6962.

References
----------
.. [1] Laurie, Langley and Kasper, *Certificate Transparency*, RFC 6962, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

_LEAF, _INNER, _ROOT = b"\x00", b"\x01", b"\x02"


def _next_level(level: list[bytes]) -> list[bytes]:
    """Hash pairs of vertices; an odd last one moves up as it is."""
    above = [sha256(_INNER + level[k] + level[k + 1]).digest() for k in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _hash_leaves(leaves: Sequence[bytes]) -> list[bytes]:
    if not leaves:
        raise ValueError("a Merkle tree needs at least one leaf")
    return [sha256(_LEAF + leaf).digest() for leaf in leaves]


def _tree_head(leaves: Sequence[bytes]) -> bytes:
    """Return RFC 6962's tree head, before the count is bound."""
    level = _hash_leaves(leaves)
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _bind_size(head: bytes, size: int) -> bytes:
    return sha256(_ROOT + size.to_bytes(8, "little") + head).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the 32-byte root of `leaves`.

    Raises
    ------
    ValueError
        There are no leaves.

    Examples
    --------
    >>> merkle_root([b"a"]) == merkle_root([b"a", b"a"])
    False
    """
    return _bind_size(_tree_head(leaves), len(leaves))


def merkle_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the siblings of leaf `index`, from the bottom up.

    Raises
    ------
    ValueError
        There are no leaves.
    IndexError
        `index` is outside ``0 .. len(leaves) - 1``.
    """
    level = _hash_leaves(leaves)
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf index {index} outside 0..{len(leaves) - 1}")
    path = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _next_level(level)
        index //= 2
    return tuple(path)


def merkle_root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to, or None where its length does not fit `index` and `size`."""
    if not 0 <= index < size:
        return None
    vertex, used, width = sha256(_LEAF + leaf).digest(), 0, size
    while width > 1:
        if index ^ 1 < width:
            if used == len(path):
                return None
            sibling = path[used]
            used += 1
            vertex = sha256(_INNER + (sibling + vertex if index & 1 else vertex + sibling)).digest()
        index, width = index >> 1, width + 1 >> 1
    return _bind_size(vertex, size) if used == len(path) else None


def verify_path(root: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
    """Return whether `leaf` is entry `index` of the `size` leaves under `root`.

    >>> leaves = [b"a", b"b", b"c"]
    >>> verify_path(merkle_root(leaves), b"c", 2, 3, merkle_path(leaves, 2))
    True
    """
    if not {len(root)}.issuperset(map(len, path)):
        return False
    return merkle_root_from_path(leaf, index, size, path) == root


@lru_cache(4096)
def climb(index: int, size: int, given: int) -> tuple[int, int, bool]:
    """Return how far so many siblings lead from leaf `index` of `size`: levels, siblings used, and if to the top.

    >>> climb(2, 3, 1), climb(4, 5, 1), climb(0, 8, 2)
    ((2, 1, True), (3, 1, True), (2, 2, False))
    """
    levels = used = 0
    while size > 1:
        if index ^ 1 < size:
            if used == given:
                return levels, used, False
            used += 1
        levels += 1
        index, size = index // 2, (size + 1) // 2
    return levels, used, True
