"""Do the bits of a gradient depend on its lane or on the device? Tried on this machine before a run begins.

That compiled code is independent of both is an observation, not a promise of the compiler.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from simdfl.learning.data import Dataset
from simdfl.learning.handles import Slot
from simdfl.learning.lanes import Lanes
from simdfl.learning.model import Model
from simdfl.learning.states import OwnStates, SharedStates, Vector


class Trial:
    """K gradients at random parameters on random records.

    Parameters
    ----------
    model, dataset, batch_size, own_states
        As of the engine.
    rng : np.random.Generator
    """

    def __init__(
        self, model: Model, dataset: Dataset, batch_size: int, own_states: bool, rng: np.random.Generator
    ) -> None:
        self._model, self._dataset, self._batch_size = model, dataset, batch_size
        self._params = [model.init(rng) for _ in range(model.lanes if own_states else 1)]
        self._own_states = own_states
        self._indices = rng.integers(0, dataset.n_train, (model.lanes, batch_size)).astype(np.int32)

    def run(self, device: jax.Device, first: int = 0, count: int | None = None) -> np.ndarray:
        """Return the gradients (K, d) of `count` lanes (all, if not given), turned: `first` comes first."""
        lanes = self._model.lanes
        states: OwnStates | SharedStates = SharedStates(1, [device])
        params: list[Vector | int] = [Vector(self._params[0])] * lanes
        if self._own_states:
            states = OwnStates(lanes, self._model.n_parameters, lanes, [device])
            for at, content in enumerate(self._params):
                states.put(bytes([at % 256, at // 256]), content)
                params[at] = states.use(bytes([at % 256, at // 256]))
        order = np.roll(np.arange(lanes), -first)[:count]
        slots = [Slot(params[i], b"", self._indices[i], self._labels(i)) for i in order]
        executor = Lanes(self._dataset, self._batch_size, states, [device])
        return np.asarray(executor.launch(self._model, slots, 0)[1])

    def _labels(self, lane: int) -> np.ndarray:
        return self._dataset.y_train[self._indices[lane]]

    def lanes_are_independent(self, device: jax.Device) -> bool:
        """Return whether a gradient's bits are the same in another lane, and without company."""
        together, turned = self.run(device), self.run(device, 1)
        alone = self.run(device, self._model.lanes - 1, 1)
        return np.array_equal(np.roll(together, -1, axis=0), turned) and np.array_equal(alone[0], together[-1])

    def devices_are_equal(self, devices: Sequence[jax.Device]) -> bool:
        """Return whether all devices give the same bits."""
        first = self.run(devices[0])
        return all(np.array_equal(self.run(device), first) for device in devices[1:])
