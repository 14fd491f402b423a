"""Groups of prime order behind one interface: a fast implementation, its readable twin, BN254, an ideal one."""

from __future__ import annotations

from functools import cache

from simdfl.crypto.groups.arkworks import Bls12381Fast
from simdfl.crypto.groups.base import Group, Point
from simdfl.crypto.groups.bn254 import Bn254
from simdfl.crypto.groups.ideal import Ideal
from simdfl.crypto.groups.reference import Bls12381Reference
from simdfl.errors import unknown_name

GROUPS: dict[str, type[Group]] = {
    "bls12_381": Bls12381Fast,
    "bls12_381_reference": Bls12381Reference,
    "bn254": Bn254,
    "ideal": Ideal,
}


@cache
def get_group(name: str) -> Group:
    """Return the group of this name; one instance each, since it holds precomputed tables.

    Raises
    ------
    UserError
        No group has this name.

    Examples
    --------
    >>> get_group("bls12_381").element_bytes
    48
    """
    if name not in GROUPS:
        raise unknown_name("group", name, GROUPS)
    return GROUPS[name]()


__all__ = ["GROUPS", "Bls12381Fast", "Bls12381Reference", "Bn254", "Group", "Ideal", "Point", "get_group"]
