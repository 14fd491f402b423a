"""Trees of every size, and every way to lie about a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts_model.merkle import _tree_head, merkle_path, merkle_root, merkle_root_from_path, verify_path

leaf_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=20)
RFC_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
RFC_HEADS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", sorted(RFC_HEADS))
def test_certificate_transparency_vectors(size):
    assert _tree_head(RFC_LEAVES[:size]).hex() == RFC_HEADS[size]


@given(leaf_lists, st.data())
def test_paths_verify(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path = merkle_root(leaves), merkle_path(leaves, index)
    assert verify_path(root, leaves[index], index, len(leaves), path)
    assert merkle_root_from_path(leaves[index], index, len(leaves), path) == root


@given(leaf_lists, st.data())
def test_lies_do_not_verify(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path, size = merkle_root(leaves), merkle_path(leaves, index), len(leaves)
    other = data.draw(st.integers(0, size + 1).filter(lambda k: k != index))
    leaf = leaves[index]
    assert not verify_path(root, leaf + b"x", index, size, path)
    assert not verify_path(root, leaf, index, size + 1, path)
    assert not verify_path(root, leaf, index, size, (*path, root))
    assert not verify_path(root, leaf, -1, size, path)
    if other >= size or leaves[other] != leaf:
        assert not verify_path(root, leaf, other, size, path)
    if path:
        assert not verify_path(root, leaf, index, size, path[:-1])
        assert not verify_path(root, leaf, index, size, (path[0][::-1] + b"x", *path[1:]))


@given(leaf_lists, leaf_lists)
def test_roots_differ_where_lists_differ(a, b):
    assert (merkle_root(a) == merkle_root(b)) == (a == b)


def test_an_inner_vertex_is_no_leaf():
    four = [b"a", b"b", b"c", b"d"]
    inner = [_tree_head(four[:2]), _tree_head(four[2:])]
    assert _tree_head(inner) != _tree_head(four)


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least one"):
        merkle_root([])
    with pytest.raises(IndexError):
        merkle_path([b"a"], 1)
