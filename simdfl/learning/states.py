"""Parameter vectors that gradients are asked at, by digest, and where they lie on the devices.

All peers of one model ask at few vectors: each is copied to a device when it is first needed there
(:class:`SharedStates`). Where every peer has a model of its own, their vectors are the rows of *one* array,
sharded by rows over the devices (:class:`OwnStates`); a gradient is computed where its row lies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

SPARE = 4
"""For so many peers one row is kept beside their own: others may ask at a model that its peer has just left."""


def own_rows(n_peers: int) -> int:
    """Return how many rows so many peers with models of their own need.

    >>> own_rows(8), own_rows(1000)
    (16, 1250)
    """
    return n_peers + max(8, n_peers // SPARE)


class Vector:
    """A vector (d,) with its copies on devices; who holds it can use it whatever the caches drop."""

    def __init__(self, content: np.ndarray) -> None:
        self.content = content
        self._copies: dict[int, Array] = {}

    def on(self, place: int, devices: Sequence[jax.Device]) -> Array:
        """Return the copy on a device, by number."""
        if place not in self._copies:
            self._copies[place] = jax.device_put(self.content, devices[place])
        return self._copies[place]


class SharedStates:
    """At most `capacity` vectors, the least recently used dropped first.

    Parameters
    ----------
    capacity : int
    devices : sequence of jax.Device
    """

    def __init__(self, capacity: int, devices: Sequence[jax.Device]) -> None:
        self._capacity = capacity
        self._devices = devices
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def __contains__(self, state: bytes) -> bool:
        return state in self._vectors

    def put(self, state: bytes, content: np.ndarray) -> None:
        """Keep a vector (d,) float32 under its digest."""
        self._vectors[state] = Vector(content)
        if len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)

    def use(self, state: bytes) -> Vector:
        """Return a vector and mark it as the most recently used.

        Raises
        ------
        KeyError
            If it was never put, or is dropped.
        """
        self._vectors.move_to_end(state)
        return self._vectors[state]

    def on(self, vector: Vector, place: int) -> Array:
        """Return a vector's copy on a device, by number."""
        return vector.on(place, self._devices)


class OwnStates:
    """At most `capacity` vectors as the rows of one array, sharded by rows over the devices.

    A row is written when gradients at it are computed, and used again for another vector afterwards.

    Parameters
    ----------
    capacity : int
        Rows, rounded up to a multiple of the devices.
    n_parameters : int
        Length d of a row.
    lanes : int
        Rows that are written together.
    devices : sequence of jax.Device
    """

    def __init__(self, capacity: int, n_parameters: int, lanes: int, devices: Sequence[jax.Device]) -> None:
        self._lanes = lanes
        self._height = -(-capacity // len(devices))
        self._shape = (self._height * len(devices), n_parameters)
        self._sharding = NamedSharding(Mesh(np.array(devices), ("peers",)), PartitionSpec("peers", None))
        self._shards = [jnp.zeros((self._height, n_parameters), jnp.float32, device=device) for device in devices]
        # Neighbouring rows lie on different devices, so that a few peers keep all of them busy.
        rows = np.arange(self._shape[0]).reshape(len(devices), self._height).T.ravel()
        self._free = [int(row) for row in rows[::-1]]
        self._rows: OrderedDict[bytes, int] = OrderedDict()
        self._staged: dict[int, np.ndarray] = {}

    @property
    def array(self) -> Array:
        """Return all rows as one array (rows, d), as written so far; valid until the next are written."""
        return jax.make_array_from_single_device_arrays(self._shape, self._sharding, self._shards)

    def __contains__(self, state: bytes) -> bool:
        return state in self._rows

    @property
    def oldest(self) -> int | None:
        """Return the row that the next vector takes from another one, or None while there are free rows."""
        return None if self._free else next(iter(self._rows.values()))

    def put(self, state: bytes, content: np.ndarray) -> None:
        """Keep a vector (d,) float32 under its digest, in the row of the least recently used if all are taken."""
        row = self._free.pop() if self._free else self._rows.popitem(last=False)[1]
        self._rows[state] = row
        self._staged[row] = content

    def use(self, state: bytes) -> int:
        """Return a vector's row and mark it as the most recently used.

        Raises
        ------
        KeyError
            If it was never put, or is dropped.
        """
        self._rows.move_to_end(state)
        return self._rows[state]

    def place(self, row: int) -> int:
        """Return on which device a row lies, by number."""
        return row // self._height

    def rows(self, place: int, rows: Sequence[int]) -> Array:
        """Return rows (k, d) that lie on a device, by number."""
        within = np.array(rows, dtype=np.int32) - place * self._height
        return _read(self._write_staged(place), within)

    def _write_staged(self, place: int) -> Array:
        waiting = [row for row in self._staged if self.place(row) == place]
        for start in range(0, len(waiting), self._lanes):
            rows = waiting[start : start + self._lanes]
            filled = rows + rows[:1] * (self._lanes - len(rows))
            block: Any = np.stack([self._staged[row] for row in filled])
            within = np.array(filled, dtype=np.int32) - place * self._height
            self._shards[place] = _write(self._shards[place], within, block)
            for row in rows:
                del self._staged[row]
        return self._shards[place]


@jax.jit
def _read(shard: Array, rows: Array) -> Array:
    return shard[rows]


@partial(jax.jit, donate_argnums=0)
def _write(shard: Array, rows: Array, block: Array) -> Array:
    return shard.at[rows].set(block)
