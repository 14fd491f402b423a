"""The learning that all protocols of a run share: states by digest, gradients by seed, updates computed once.

Peers hold digests. Two peers with the same digest hold the same parameters, so one copy serves all, and an update
from one state by one aggregate is computed once however many peers make it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest
from simdfl.learning.gradients import Evaluation, GradientEngine, GradientHandle
from simdfl.learning.optimisers import Optimiser
from simdfl.learning.partition import BatchOpening, Shards
from simdfl.learning.poison import Poison, Records
from simdfl.learning.sampling import batch_indices
from simdfl.learning.sizes import SizeModel
from simdfl.memo import Memo


@dataclass(frozen=True)
class ModelState:
    """Parameters (d,) float32 and optimiser state, with the digest of both and the engine's handle."""

    digest: bytes
    params: np.ndarray
    opt_state: Any
    handle: bytes


class Training:
    """One model being trained.

    Parameters
    ----------
    engine : GradientEngine
        Computes gradients lazily in batches.
    optimiser : Optimiser
        Applies aggregates.
    params : (d,) float32 array
        The initial parameters x^0.
    shards : Shards, optional
        Who holds which records; all hold all, if not given.
    """

    def __init__(
        self, engine: GradientEngine, optimiser: Optimiser, params: np.ndarray, shards: Shards | None = None
    ) -> None:
        self.engine = engine
        self.shards = shards
        self._peer_of_seed: dict[bytes, int] = {}
        self.optimiser = optimiser
        self.n_parameters = len(params)
        self._announced: tuple[bytes, bytes, int] | None = None
        self._handles: list[GradientHandle] = []
        self._updates = Memo(64)
        self._evaluations = Memo(64)
        self.genesis = self._state(params, optimiser.init(params))

    def _state(self, params: np.ndarray, opt_state: Any) -> ModelState:
        handle = self.engine.put(params)
        state_digest = digest("simdfl/state", canonical_float32(params), self.optimiser.state_bytes(opt_state))
        return ModelState(state_digest, params, opt_state, handle)

    def state_bytes(self, state: ModelState) -> int:
        """Return the size of a state on the wire: parameters and the optimiser's arrays."""
        sizes = self.sizes
        return sizes.vector_bytes() + sizes.scaled(len(self.optimiser.state_bytes(state.opt_state)))

    @property
    def sizes(self) -> SizeModel:
        """Return what the model counts as on the wire and in simulated time."""
        return self.engine.sizes

    @property
    def layers(self) -> tuple[int, ...]:
        """Return the lengths of the model's weights and biases in the order of the flat vector."""
        return tuple(math.prod(shape) for shape in self.engine.model.shapes)

    def batch_seed(self, randomness: bytes, step: int, peer: int) -> bytes:
        """Return xi_i^t = H(r^{t-1}, "seed", t, i): the public seed of a peer's batch.

        With private data it draws from the peer's shard; seeds of peers that do not exist draw from all records.
        """
        seed = digest("seed", randomness, step.to_bytes(8, "little"), peer.to_bytes(4, "little"))
        if self.shards is not None and peer < len(self.shards):
            self._peer_of_seed[seed] = peer
        return seed

    def request(self, handle: bytes, seed: bytes, poison: Poison | None = None) -> GradientHandle:
        """Ask for the gradient of a batch, drawn from its peer's shard, at the state with this engine handle."""
        peer = self._peer_of_seed.get(seed)
        population = None if peer is None or self.shards is None else self.shards.indices[peer]
        return self.engine.request(handle, seed, poison, population)

    def open_batch(self, peer: int, seed: bytes) -> BatchOpening | None:
        """Return the opening of a private batch, or None where data are public."""
        if self.shards is None:
            return None
        return self.shards.open(peer, self._places(peer, seed))

    def is_batch_open(self, peer: int, seed: bytes, root: bytes, opening: BatchOpening | None) -> bool:
        """Return whether an opening shows the batch that a seed draws from the shard under `root`."""
        if self.shards is None or opening is None:
            return self.shards is None
        return self.shards.is_right(peer, root, self._places(peer, seed), opening)

    def _places(self, peer: int, seed: bytes) -> np.ndarray:
        assert self.shards is not None
        return batch_indices(seed, len(self.shards.indices[peer]), self.engine.batch_size)

    def announce(self, state: ModelState, randomness: bytes, step: int, peers: Sequence[int]) -> None:
        """Ask for the gradients of all `peers` of a step, so that they are computed together.

        Batches are public and all peers hold the same state, so the first of them to start knows what the
        others will ask for. Nothing is computed before somebody reads.
        """
        key = (state.digest, randomness, step)
        if self._announced != key:
            self._announced = key
            self._handles = [
                self.request(state.handle, self.batch_seed(randomness, step, peer)) for peer in peers
            ]

    def ask(self, state: ModelState, seed: bytes, poison: Poison) -> None:
        """Ask for a poisoned gradient that will be read soon, so that it is computed together with others."""
        self.request(state.handle, seed, poison)

    def gradient(self, state: ModelState, seed: bytes, poison: Poison | None = None) -> np.ndarray:
        """Return the gradient (d,) of a batch, poisoned first if asked."""
        return self.request(state.handle, seed, poison).value()

    def update(self, state: ModelState, aggregate: np.ndarray, aggregate_digest: bytes) -> ModelState:
        """Return the state after one optimiser step along `aggregate` (d,)."""
        return self._updates.get((state.digest, aggregate_digest), lambda: self._apply(state, aggregate))

    def _apply(self, state: ModelState, aggregate: np.ndarray) -> ModelState:
        return self._state(*self.optimiser.update(state.params, state.opt_state, aggregate))

    def evaluate(self, state: ModelState) -> Evaluation:
        """Return accuracy and loss on the test records."""
        return self._evaluations.get(state.digest, lambda: self.engine.evaluate(state.params))

    def success(self, state: ModelState, goal: Records) -> float:
        """Return the share of an attacker's records that the model labels as it wishes."""
        return self.engine.success(state.params, goal)
