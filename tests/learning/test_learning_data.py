from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simdfl.crypto.hashing import xof
from simdfl.errors import UserError
from simdfl.learning.data import load_digits, make_synthetic
from simdfl.learning.datasets import DATASETS
from simdfl.learning.sampling import batch_indices, multiply_shift
from simdfl.rng import Rng

GOLDEN = [594, 79, 788, 526, 200, 1125]


def rng(seed: int = 1) -> np.random.Generator:
    return Rng(seed).stream("data")


def test_digits():
    data = load_digits(rng())
    assert data.x_train.shape == (1198, 8, 8, 1)
    assert data.x_test.shape == (599, 8, 8, 1)
    assert data.x_train.dtype == np.float32
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    assert set(data.y_train) == set(range(10))
    with pytest.raises(ValueError, match="read-only"):
        data.x_train[0] = 0


def test_split_keeps_every_record_once():
    a, b = load_digits(rng()), load_digits(rng(2), test_fraction=0.1)
    rows = [sorted(map(bytes, np.concatenate([d.x_train, d.x_test]))) for d in (a, b)]
    assert rows[0] == rows[1]


def test_same_generator_same_data():
    for name in ("digits", "synthetic"):
        assert DATASETS[name](rng()).merkle_root() == DATASETS[name](rng()).merkle_root()
        assert DATASETS[name](rng()).merkle_root() != DATASETS[name](rng(2)).merkle_root()


def test_root_binds_records_labels_and_splits():
    data = make_synthetic(rng(), n_train=8, n_test=4, dim=3)
    root = data.merkle_root()
    assert len(root) == 32
    fields = (data.x_train, data.y_train, data.x_test, data.y_test)
    for changed in range(4):
        copies = [field.copy() for field in fields]
        copies[changed][0] += 1
        assert type(data)("synthetic", *copies, 4).merkle_root() != root
    moved = type(data)(
        "synthetic",
        np.concatenate([data.x_train, data.x_test[:1]]),
        np.concatenate([data.y_train, data.y_test[:1]]),
        data.x_test[1:].copy(),
        data.y_test[1:].copy(),
        4,
    )
    assert moved.merkle_root() != root


def test_synthetic_clusters_separate():
    data = make_synthetic(rng(), n_train=400, n_test=400, dim=5, n_classes=2, separation=6.0)
    centres = np.stack([data.x_train[data.y_train == c].mean(axis=0) for c in (0, 1)])
    distances = np.linalg.norm(data.x_test[:, None] - centres, axis=2)
    assert np.mean(distances.argmin(axis=1) == data.y_test) > 0.95


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: load_digits(rng(), test_fraction=1.0), "empty split"),
        (lambda: make_synthetic(rng(), n_classes=1), "n_classes >= 2"),
        (lambda: batch_indices(b"", 0, 1), "1 to 2\\^32"),
        (lambda: batch_indices(b"", 1, 0), "at least 1"),
    ],
)
def test_impossible_data_are_user_errors(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_indices_golden():
    """Frozen: a change here makes every published run unverifiable."""
    assert batch_indices(bytes(range(32)), 1198, 6).tolist() == GOLDEN


def test_indices_follow_their_specification():
    stream = xof("simdfl.batch", b"seed", size=8 * 50)
    expected = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") * 1198 >> 64 for i in range(50)]
    assert batch_indices(b"seed", 1198, 50).tolist() == expected
    assert batch_indices(b"seed", 1198, 3).tolist() == expected[:3]


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**32))
def test_multiply_shift_is_exact(u, population):
    assert multiply_shift(np.array([u], dtype=np.uint64), population)[0] == (u * population) >> 64


def test_indices_are_uniform():
    """Chi-square over 20 bins; false alarm rate 1e-6 (and the input is fixed)."""
    draws = batch_indices(hashlib.sha256(b"uniform").digest(), 20, 20_000)
    assert stats.chisquare(np.bincount(draws, minlength=20)).pvalue > 1e-6
