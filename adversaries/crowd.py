"""What attacks have in common that are computed from many gradients: whose they know, and their statistics.

An *omniscient* coalition sees the gradients of all contributors outside it. One that knows only the *coalition*
(the oblivious variant) estimates the same statistics from the gradients that its own members owe; from a single
one it takes the spread to be as large as its entries. Statistics are in float64, column block by column block, so
that nothing the size of the rows is copied. All accomplices send one vector, computed once a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adversaries.checks import require
from simdfl.peers.behaviour import Byzantine, Coalition, Turn

KNOWLEDGE = ("omniscient", "coalition")
BLOCK = 8192
"""Columns converted to float64 at a time."""
TINY = float(np.finfo(np.float64).tiny)


def shared(coalition: Coalition, key: tuple[Any, ...], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the coalition's vector (d,) float32 under `key`, read-only."""

    def freeze() -> np.ndarray:
        with np.errstate(over="ignore"):
            vector = compute().astype(np.float32)
        vector.flags.writeable = False
        return vector

    vector: np.ndarray = coalition.once(key, freeze)
    return vector


def settings(attack: Byzantine) -> tuple[Any, ...]:
    """Return what tells this attack's results from another's in the coalition's memory: class and parameters."""
    own = {name: value for name, value in vars(attack).items() if name not in SCHEDULE}
    return (type(attack).__qualname__, repr(sorted(own.items())))


SCHEDULE = frozenset({"coalition", "start_step", "stop_step", "period"})


class CrowdAttack(Byzantine, ABC):
    """Base of the attacks that send one vector, made of the gradients they know.

    Parameters
    ----------
    knowledge : str
        ``omniscient``: the gradients of all contributors outside the coalition; ``coalition``: only those that
        its own members owe.
    """

    def __init__(self, *, knowledge: str = "omniscient", **base: Any) -> None:
        super().__init__(**base)
        require(knowledge in KNOWLEDGE, "knowledge", knowledge, " or ".join(KNOWLEDGE))
        self.knowledge = knowledge

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the coalition's vector (d,) of this step."""
        key = (*settings(self), turn.step)
        return shared(self.coalition, key, lambda: self.vector(self.known(turn), turn))

    @abstractmethod
    def vector(self, rows: np.ndarray, turn: Turn) -> np.ndarray:
        """Return what all accomplices send (d,), given the known gradients (h, d) float32."""

    def known(self, turn: Turn) -> np.ndarray:
        """Return the gradients (h, d) float32 that the attack is computed from."""
        if self.knowledge == "omniscient":
            return turn.honest_gradients(self.coalition)
        return np.stack([turn.gradient_of(peer) for peer in members(self.coalition, turn)])


def members(coalition: Coalition, turn: Turn) -> list[int]:
    """Return the accomplices that owe a gradient in this step, at least the one who asks."""
    return [peer for peer in turn.contributors if peer in coalition.members] or [turn.peer]


def blocks(rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of columns with the rows' entries there in float64."""
    for at in range(0, rows.shape[1], BLOCK):
        columns = slice(at, at + BLOCK)
        yield columns, rows[:, columns].astype(np.float64)


def mean_of(rows: np.ndarray) -> np.ndarray:
    """Return the mean (d,) float64 of rows (h, d)."""
    mean = np.empty(rows.shape[1])
    for columns, block in blocks(rows):
        mean[columns] = block.mean(axis=0)
    return mean


def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and spread (d,) float64 of rows (h, d).

    The spread is the population's standard deviation, without Bessel's correction; of one row, its magnitude.
    """
    if len(rows) == 1:
        return rows[0].astype(np.float64), np.abs(rows[0].astype(np.float64))
    mean, std = np.empty(rows.shape[1]), np.empty(rows.shape[1])
    for columns, block in blocks(rows):
        mean[columns] = block.mean(axis=0)
        block -= mean[columns]
        std[columns] = np.sqrt(np.einsum("hd,hd->d", block, block) / len(rows))
    return mean, std


def gram_of(rows: np.ndarray) -> np.ndarray:
    """Return all inner products (h, h) float64 of rows (h, d)."""
    gram = np.zeros((len(rows), len(rows)))
    for _, block in blocks(rows):
        gram += block @ block.T
    return gram


def norms_of(rows: np.ndarray) -> np.ndarray:
    """Return the norms (h,) float64 of rows (h, d)."""
    squares = np.zeros(len(rows))
    for _, block in blocks(rows):
        squares += np.einsum("hd,hd->h", block, block)
    return np.sqrt(squares)


def products(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the inner products (h,) float64 of rows (h, d) with a vector (d,)."""
    found = np.zeros(len(rows))
    for columns, block in blocks(rows):
        found += block @ vector[columns]
    return found


def squared_distances(gram: np.ndarray) -> np.ndarray:
    """Return the squared distances (h, h) of rows, given their inner products (h, h)."""
    lengths = np.diagonal(gram)
    return np.maximum(lengths[:, None] + lengths[None, :] - 2.0 * gram, 0.0)


def unit(vector: np.ndarray) -> np.ndarray:
    """Return a vector at length 1; zero stays zero."""
    return vector / max(float(np.linalg.norm(vector)), TINY)
