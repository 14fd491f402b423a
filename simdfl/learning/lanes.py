"""Runs K gradients at a time, on each of this process's devices.

Every device runs the same executable of K lanes on lanes of its own. So bits depend on K and on the kind of
device, not on how many there are: a computation is never cut in another way because another device stands by.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from jax import Array

from simdfl.learning import kernels
from simdfl.learning.data import Dataset
from simdfl.learning.handles import Slot
from simdfl.learning.model import Model
from simdfl.learning.states import OwnStates, SharedStates, Vector

COUNT_FLAG = "--xla_force_host_platform_device_count"


def arithmetic_flags() -> str:
    """Return the environment's ``XLA_FLAGS`` but for the number of devices, which changes no bit."""
    flags = os.environ.get("XLA_FLAGS", "")
    if COUNT_FLAG not in flags:
        return flags
    return " ".join(flag for flag in flags.split() if not flag.startswith(COUNT_FLAG))


class Lanes:
    """The devices with their copies of the records.

    Parameters
    ----------
    dataset : Dataset
        Copied to a device when it is first used.
    batch_size : int
    states : SharedStates or OwnStates
        Where parameters lie.
    devices : sequence of jax.Device
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, states: SharedStates | OwnStates, devices: Sequence[jax.Device]
    ) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._states = states
        self._devices = devices
        self._data: dict[int, Array] = {}

    def deal(self, slots: Iterable[Slot], lanes: int) -> Iterator[tuple[int, list[Slot]]]:
        """Yield (device, up to `lanes` slots): in turn, or where their rows lie."""
        if isinstance(self._states, SharedStates):
            together = list(slots)
            for number, start in enumerate(range(0, len(together), lanes)):
                yield number % len(self._devices), together[start : start + lanes]
            return
        by_place: dict[int, list[Slot]] = {}
        for slot in slots:
            assert isinstance(slot.params, int)
            by_place.setdefault(self._states.place(slot.params), []).append(slot)
        chunks = {
            place: [mine[start : start + lanes] for start in range(0, len(mine), lanes)]
            for place, mine in by_place.items()
        }
        for turn in range(max(map(len, chunks.values()), default=0)):
            yield from ((place, mine[turn]) for place, mine in chunks.items() if turn < len(mine))

    def launch(self, model: Model, slots: Sequence[Slot], place: int) -> tuple[Array, Array]:
        """Begin to compute losses (K,) and gradients (K, d) of up to K slots on a device, by number.

        Free lanes repeat the first slot's parameters on record 0.
        """
        indices = np.zeros((model.lanes, self._batch_size), dtype=np.int32)
        labels = np.zeros_like(indices)
        for lane, slot in enumerate(slots):
            indices[lane], labels[lane] = slot.indices, slot.labels
        filled = [*slots, *[slots[0]] * (model.lanes - len(slots))]
        if slots[0].x is not None:
            params = tuple(self._vector(slot, place) for slot in filled)
            return kernels.given_gradients(model, params, self._fill(model, slots), labels)
        data = self._records(place)
        if isinstance(self._states, SharedStates):
            return kernels.shared_gradients(model, self._vector(slots[0], place), data, indices, labels)
        own = self._states.rows(place, [_row(slot) for slot in filled])
        return kernels.own_gradients(model, own, data, indices, labels)

    def _records(self, place: int) -> Array:
        if place not in self._data:
            self._data[place] = jax.device_put(self._dataset.x_train, self._devices[place])
        return self._data[place]

    def _vector(self, slot: Slot, place: int) -> Array:
        if isinstance(self._states, SharedStates):
            assert isinstance(slot.params, Vector)
            return self._states.on(slot.params, place)
        return self._states.rows(place, [_row(slot)])[0]

    def _fill(self, model: Model, slots: Sequence[Slot]) -> np.ndarray:
        """Return the slots' own records (K, batch, *shape), free lanes zero."""
        x = np.zeros((model.lanes, self._batch_size, *self._dataset.input_shape), dtype=np.float32)
        for lane, slot in enumerate(slots):
            x[lane] = slot.x
        return x


def _row(slot: Slot) -> int:
    assert isinstance(slot.params, int)
    return slot.params
