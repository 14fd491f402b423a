"""Poison: what an attacker does to the records and labels of its batch before the gradient is computed.

A poison is a frozen, hashable value. The gradient engine takes it as part of a request's key, so that a poisoned
gradient is as reproducible as an honest one: :meth:`Poison.apply` is a pure function of the batch, the training
data and the batch's public seed. A poison that wants the model to do something of its own (a backdoor) also
tells on which test records its success shows: :meth:`Poison.goal`.

Left out: records that are not in the training set to begin with; peers hold public data (``data``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from simdfl.errors import UserError
from simdfl.learning.data import Dataset
from simdfl.rng import Rng

Records = tuple[np.ndarray, np.ndarray]
"""Features (n, *shape) float32 and labels (n,) int32."""


class Poison(ABC):
    """A change of a batch; subclasses are frozen dataclasses of plain values."""

    @abstractmethod
    def apply(self, x: np.ndarray, y: np.ndarray, data: Dataset, seed: bytes) -> Records:
        """Return the poisoned batch.

        Parameters
        ----------
        x : (batch, *shape) float32
            Read-only; returned as it is where only labels change.
        y : (batch,) int32
            Read-only.
        data : Dataset
            Where substitutes come from.
        seed : bytes
            The batch's public seed, from which a poison draws.
        """

    def goal(self, data: Dataset) -> Records | None:
        """Return test records with the labels that the attacker wants for them, or None without such a wish."""
        return None


def touched(share: float, size: int) -> int:
    """Return how many of `size` records a share is, at least one.

    >>> touched(0.5, 7), touched(0.01, 7)
    (4, 1)
    """
    return max(1, round(share * size))


def draw(seed: bytes, what: str) -> np.random.Generator:
    """Return the generator of a batch's poison."""
    return Rng(int.from_bytes(seed, "little")).stream("poison", what)


@dataclass(frozen=True)
class Relabel(Poison):
    """Take label y for ``label_map[y]``; the goal is that the model does so on the test records it concerns."""

    label_map: tuple[int, ...]

    def apply(self, x: np.ndarray, y: np.ndarray, data: Dataset, seed: bytes) -> Records:
        """Map the labels."""
        return x, self._mapped(y, data)

    def goal(self, data: Dataset) -> Records | None:
        """Return the test records whose label the map changes."""
        wanted = self._mapped(data.y_test, data)
        concerned = wanted != data.y_test
        return data.x_test[concerned], wanted[concerned]

    def _mapped(self, y: np.ndarray, data: Dataset) -> np.ndarray:
        n = data.n_classes
        if len(self.label_map) != n or not all(0 <= label < n for label in self.label_map):
            raise UserError(f"label map: needs {n} labels 0 to {n - 1}, got {self.label_map}")
        return np.asarray(self.label_map, dtype=np.int32)[y]


@dataclass(frozen=True)
class RandomLabels(Poison):
    """Give a `share` of the batch labels drawn uniformly from all classes."""

    share: float = 1.0

    def apply(self, x: np.ndarray, y: np.ndarray, data: Dataset, seed: bytes) -> Records:
        """Draw the labels of the first records anew."""
        count, labels = touched(self.share, len(y)), y.copy()
        labels[:count] = draw(seed, "labels").integers(0, data.n_classes, count)
        return x, labels


@dataclass(frozen=True)
class Noise(Poison):
    """Add Gaussian noise of standard deviation `std` to the features of a `share` of the batch."""

    std: float
    share: float = 1.0

    def apply(self, x: np.ndarray, y: np.ndarray, data: Dataset, seed: bytes) -> Records:
        """Blur the first records."""
        count, noisy = touched(self.share, len(y)), x.copy()
        noisy[:count] += self.std * draw(seed, "noise").standard_normal(noisy[:count].shape, dtype=np.float32)
        return noisy, y


@dataclass(frozen=True)
class Stamp(Poison):
    """Stamp a trigger on a `share` of the batch and label it `target`: a backdoor.

    The trigger is a square of `side` pixels in the upper left corner of an image, of a flat record the first
    side² entries; of several accomplices each may stamp only its `piece` of `pieces` (row by row, every
    pieces-th cell). The goal is always the whole trigger on every test record of another class.

    Parameters
    ----------
    target : int
        Class wanted.
    side : int
    value : float
        What is written into the cells.
    share : float
        Part of the batch.
    piece, pieces : int

    References
    ----------
    Gu, Dolan-Gavitt, Garg, "BadNets", arXiv:1708.06733, section 4.1 (single and pattern backdoor).
    """

    target: int
    side: int = 2
    value: float = 1.0
    share: float = 0.5
    piece: int = 0
    pieces: int = 1

    def apply(self, x: np.ndarray, y: np.ndarray, data: Dataset, seed: bytes) -> Records:
        """Stamp the first records and relabel them."""
        require_class("trigger: target", self.target, data)
        count, stamped, labels = touched(self.share, len(y)), x.copy(), y.copy()
        cells = self._cells(x.shape[1:])[self.piece :: self.pieces]
        stamped.reshape(len(x), -1)[:count, cells] = self.value
        labels[:count] = self.target
        return stamped, labels

    def goal(self, data: Dataset) -> Records | None:
        """Return all test records of other classes with the whole trigger, wanted as `target`."""
        others = data.y_test != self.target
        whole = Stamp(self.target, self.side, self.value, share=1.0)
        return whole.apply(data.x_test[others], data.y_test[others], data, b"")

    def _cells(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the positions of the trigger in a flattened record."""
        size = int(np.prod(shape))
        fits = self.side <= min(shape[:2]) if len(shape) > 1 else self.side**2 <= size
        if not fits or self.side**2 < self.pieces:
            raise UserError(
                f"trigger: side {self.side} must fit records of shape {shape} "
                f"and give each of {self.pieces} accomplices a cell; use another side"
            )
        if len(shape) == 1:
            return np.arange(self.side**2)
        return np.arange(size).reshape(shape)[: self.side, : self.side].ravel()


@dataclass(frozen=True)
class EdgeCase(Poison):
    """Replace a `share` of the batch by rare records of class `source` labelled `target`.

    Rare are the `tail` of the source's records that lie farthest from its mean: a backdoor without a trigger,
    on inputs that honest batches seldom speak of. The goal are the test records of the same tail.

    References
    ----------
    Wang et al., "Attack of the tails: yes, you really can backdoor federated learning", NeurIPS 2020, section 3.
    """

    source: int
    target: int
    tail: float = 0.1
    share: float = 0.5

    def apply(self, x: np.ndarray, y: np.ndarray, data: Dataset, seed: bytes) -> Records:
        """Put rare records, drawn with replacement, in the place of the first ones."""
        require_class("edge case: target", self.target, data)
        rare = rarest(data.x_train, data.y_train, self._source(data), self.tail)
        count, mixed, labels = touched(self.share, len(y)), x.copy(), y.copy()
        mixed[:count] = data.x_train[rare[draw(seed, "edge case").integers(0, len(rare), count)]]
        labels[:count] = self.target
        return mixed, labels

    def goal(self, data: Dataset) -> Records | None:
        """Return the rare test records of the source, wanted as `target`."""
        rare = rarest(data.x_test, data.y_test, self._source(data), self.tail)
        return data.x_test[rare], np.full(len(rare), self.target, dtype=np.int32)

    def _source(self, data: Dataset) -> int:
        require_class("edge case: source", self.source, data)
        return self.source


def rarest(x: np.ndarray, y: np.ndarray, label: int, tail: float) -> np.ndarray:
    """Return the indices of the `tail` of class `label` farthest from the class's mean, farthest first.

    >>> rarest(np.array([[0.0], [1.0], [9.0], [5.0]]), np.array([0, 0, 0, 1]), label=0, tail=0.3).tolist()
    [2]
    """
    members = np.flatnonzero(y == label)
    flat = x[members].reshape(len(members), -1).astype(np.float64)
    distances = np.linalg.norm(flat - flat.mean(axis=0), axis=1)
    return members[np.argsort(-distances, kind="stable")[: touched(tail, len(members))]]


def require_class(what: str, label: int, data: Dataset) -> None:
    """Raise a :class:`UserError` unless the data have this class."""
    if not 0 <= label < data.n_classes:
        raise UserError(f"{what} must be a class 0 to {data.n_classes - 1} of {data.name!r}, got {label}")
