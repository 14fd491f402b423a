"""Public training data.

All peers hold the same records; a batch is named by a public seed (``sampling``), and the Merkle root of
the records stands in the job manifest, so that any outsider can recompute any gradient. Left out: private
shards; a peer that lies about its data does so through a poison (``poison``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts_model.merkle import merkle_root
from simdfl.crypto.encoding import canonical_float32
from simdfl.errors import UserError

DIGITS_PIXEL_MAX = 16.0


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test records, read-only.

    Parameters
    ----------
    name : str
        Name on the shelf.
    x_train : (n_train, *shape) float32
    y_train : (n_train,) int32
        Labels 0 … n_classes - 1.
    x_test : (n_test, *shape) float32
    y_test : (n_test,) int32
    n_classes : int
    is_text : bool
        Whether a record is a row of tokens and its label the token that follows (``texts``).
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    n_classes: int
    is_text: bool = False

    def __post_init__(self) -> None:
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            array.setflags(write=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one record."""
        return tuple(self.x_train.shape[1:])

    @property
    def n_train(self) -> int:
        """Return the number of training records: the population of ``batch_indices``."""
        return len(self.y_train)

    def merkle_root(self) -> bytes:
        """Return the 32-byte root over all records, training records first, so that leaf i is record i.

        A leaf is the record's split (``train`` or ``test``), its label in 4 bytes little-endian and its
        canonical float32 bytes.
        """
        return self._merkle_root

    @cached_property
    def _merkle_root(self) -> bytes:
        train = _leaves(b"train", self.x_train, self.y_train)
        return merkle_root(train + _leaves(b"test", self.x_test, self.y_test))


def _leaves(split: bytes, x: np.ndarray, y: np.ndarray) -> list[bytes]:
    return [record_leaf(split, record, label) for record, label in zip(x, y)]


def record_leaf(split: bytes, record: np.ndarray, label: int) -> bytes:
    """Return the Merkle leaf of one record: its split, its label in 4 bytes, its canonical float32 bytes."""
    return split + int(label).to_bytes(4, "little") + canonical_float32(record)


def choose(rng: np.random.Generator, n_records: int, count: int | None, where: str) -> np.ndarray:
    """Return the indices of `count` records drawn without replacement, ascending, or of all.

    Raises
    ------
    UserError
        If there are not so many; `where` is the key path that the sentence begins with.
    """
    if count is None:
        return np.arange(n_records)
    if not 1 <= count <= n_records:
        raise UserError(f"{where}: must be 1 to the {n_records} records that there are, got {count}")
    return np.sort(rng.permutation(n_records)[:count])


def load_digits(rng: np.random.Generator, *, test_fraction: float = 1 / 3) -> Dataset:
    """Return the 1,797 handwritten digits of the UCI repository as images (8, 8, 1) in [0, 1].

    Parameters
    ----------
    rng : np.random.Generator
        Shuffles before the split.
    test_fraction : float
        Part kept for testing, strictly between 0 and 1.

    Raises
    ------
    UserError
        If the fraction leaves no training or no test record.

    References
    ----------
    Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI repository, 1998.
    """
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    x = (images / DIGITS_PIXEL_MAX).astype(np.float32).reshape(-1, 8, 8, 1)
    y = labels.astype(np.int32)
    n_test = round(len(y) * test_fraction)
    if not 0 < n_test < len(y):
        raise UserError(
            f"data.test_fraction: {test_fraction} leaves an empty split; use a number between 0 and 1"
        )
    order = rng.permutation(len(y))
    test, train = order[:n_test], order[n_test:]
    return Dataset("digits", x[train], y[train], x[test], y[test], 10)


def make_synthetic(
    rng: np.random.Generator,
    *,
    n_train: int = 1000,
    n_test: int = 500,
    dim: int = 20,
    n_classes: int = 4,
    separation: float = 3.0,
) -> Dataset:
    """Return Gaussian clusters: unit-variance noise around one centre per class.

    Parameters
    ----------
    rng : np.random.Generator
    n_train, n_test : int
        Records in each split.
    dim : int
        Length of a record.
    n_classes : int
        Clusters, at least 2.
    separation : float
        Distance of the centres from the origin, in standard deviations of the noise.

    Raises
    ------
    UserError
        If a size is impossible.
    """
    if min(n_train, n_test, dim) < 1 or n_classes < 2:
        raise UserError(
            "data: synthetic clusters need n_train, n_test, dim >= 1 and n_classes >= 2, "
            f"got {n_train}, {n_test}, {dim}, {n_classes}"
        )
    centres = rng.standard_normal((n_classes, dim))
    centres *= separation / np.linalg.norm(centres, axis=1, keepdims=True)
    y = rng.integers(0, n_classes, n_train + n_test).astype(np.int32)
    x = (centres[y] + rng.standard_normal((len(y), dim))).astype(np.float32)
    return Dataset("synthetic", x[:n_train], y[:n_train], x[n_train:], y[n_train:], n_classes)
