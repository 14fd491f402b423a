"""The two groups and a ring of receivers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from simdfl.crypto.groups import Group, Point, get_group
from simdfl.crypto.keys import derive_secret_key, public_key


@dataclass(frozen=True)
class Ring:
    """n receivers of one group."""

    group: Group
    secret_keys: tuple[int, ...]
    public_keys: tuple[Point, ...]


def make_ring(group: Group, n: int) -> Ring:
    secret_keys = tuple(derive_secret_key(group, i.to_bytes(32, "big")) for i in range(n))
    return Ring(group, secret_keys, tuple(public_key(group, sk) for sk in secret_keys))


@pytest.fixture(scope="session")
def fast() -> Group:
    return get_group("bls12_381")


@pytest.fixture(scope="session")
def reference() -> Group:
    return get_group("bls12_381_reference")


@pytest.fixture(scope="session")
def ring(fast) -> Ring:
    return make_ring(fast, 5)


@pytest.fixture(scope="session")
def ring_maker():
    return make_ring
