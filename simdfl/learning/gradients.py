"""Lazy gradients: ask now, compute together, remember.

A peer asks for a gradient and gets a handle; nothing is computed. When any handle is read, everything
asked for so far runs in batches of exactly K lanes, short batches being filled up with record 0. A value is
a pure function of its key (state digest, batch seed, poison) and of the engine's configuration: not of
the lane, of the other lanes, of the filling or of the order of flushes. A validator's recomputation is
therefore bit-equal to the contributor's gradient, and the second request for a key costs nothing here (its
*simulated* time is charged elsewhere).

A poisoned request (``poison``) that changes labels alone is computed like any other. One with records of its
own is computed in a batch apart, by an executable of its own: it cannot move a bit of an honest gradient, and
runs without an attacker never compile it.

Where this process has several devices, all of them compute (``lanes``); that changes no bit.

Bits depend on ``model.lanes``, `own_states`, `batch_size`, the device and the number of threads: these
belong in the run's arithmetic class.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from struct import Struct
from weakref import WeakValueDictionary

import jax
import numpy as np

from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import sha256
from simdfl.errors import SimdflError, UserError
from simdfl.learning import kernels
from simdfl.learning.data import Dataset
from simdfl.learning.handles import EngineStats, Evaluation, GradientHandle, Slot
from simdfl.learning.lanes import Lanes
from simdfl.learning.model import Model
from simdfl.learning.poison import Poison, Records
from simdfl.learning.sampling import batch_indices
from simdfl.learning.self_test import Trial
from simdfl.learning.sizes import SizeModel
from simdfl.learning.states import OwnStates, SharedStates
from simdfl.store import NOTHING, Nothing

LOSS, SCORE = Struct("<d"), Struct("<dd")
SCORED_TOGETHER = 1024
"""Records that are evaluated in one call at most: it bounds the memory of a deep model's activations."""

Key = tuple[bytes, bytes, Poison | None]


class TrainingDivergedError(SimdflError):
    """The parameters are not finite any more; a state digest of them does not exist."""


class GradientEngine:
    """Computes gradients of one model on one data set.

    Parameters
    ----------
    model : Model
        ``model.lanes`` is the fixed batch width K.
    dataset : Dataset
    batch_size : int
        Records per gradient.
    memo : int
        Gradients remembered at most, beside those that a handle keeps alive.
    memo_bytes : int
        Bound on the bytes of remembered gradients, which binds first for large models; touching new memory
        costs as much as a gradient, so a larger memo starts slower.
    states : int
        Parameter vectors kept; more than there are peers, if every peer has its own.
    own_states : bool
        False: one executable for K batches at one common state, pending requests grouped by state (all
        peers train one model). True: one executable for K batches at K states (gossip learning), about 30 %
        slower for dense models but with full lanes when no two peers share a state. The two need not agree
        in their last bits, therefore the choice is fixed for a run.
    sizes : SizeModel, optional
        What gradients count as on the wire and in simulated time; the model's own sizes, if not given.

    Raises
    ------
    UserError
        If model and data do not fit, or a number is impossible.
    """

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        batch_size: int,
        memo: int = 4096,
        *,
        memo_bytes: int = 2**27,
        states: int = 256,
        own_states: bool = False,
        sizes: SizeModel | None = None,
    ) -> None:
        _check(model, dataset, batch_size, memo, states)
        self.model = model
        self.dataset = dataset
        self.batch_size = batch_size
        self.own_states = own_states
        self.sizes = sizes or own_sizes(model, batch_size)
        self.stats = EngineStats()
        self.store: Nothing = NOTHING
        self._n_states = states
        self._use_devices(jax.local_devices())
        self._capacity = max(1, min(memo, memo_bytes // (4 * model.n_parameters)))
        self._memo: OrderedDict[Key, Slot] = OrderedDict()
        self._alive: WeakValueDictionary[Key, Slot] = WeakValueDictionary()
        self._pending: list[Slot] = []
        self._test = jax.device_put(in_pieces(dataset.x_test, dataset.y_test))

    def put(self, params: np.ndarray) -> bytes:
        """Register parameters (d,) and return their digest, SHA-256 of their canonical float32 bytes.

        Raises
        ------
        TrainingDivergedError
            If a parameter is NaN or infinite.
        """
        if not np.isfinite(params).all():
            raise TrainingDivergedError(
                "the parameters are not finite any more (training diverged); "
                "use a smaller learning rate or a robust rule"
            )
        raw = canonical_float32(params)
        state = sha256(raw)
        if state not in self._states:
            if isinstance(self._states, OwnStates) and self._states.oldest in self._awaited:
                self.flush()  # the row is read before it is given away
            self._states.put(state, np.frombuffer(raw, dtype="<f4").astype(np.float32))
        self._states.use(state)
        return state

    def _use_devices(self, devices: Sequence[jax.Device]) -> None:
        self._devices = devices
        self._awaited: set[int] = set()
        if self.own_states:
            self._states: SharedStates | OwnStates = OwnStates(
                self._n_states, self.model.n_parameters, self.model.lanes, devices
            )
        else:
            self._states = SharedStates(self._n_states, devices)
        self._lanes = Lanes(self.dataset, self.batch_size, self._states, devices)

    def request(
        self, state: bytes, seed: bytes, poison: Poison | None = None, population: np.ndarray | None = None
    ) -> GradientHandle:
        """Ask for the gradient of the batch named by `seed` at a registered state.

        Parameters
        ----------
        state : bytes
            Digest from :meth:`put`.
        seed : bytes
            Public batch seed.
        poison : Poison, optional
            What to do to the batch first (a peer that lies about its data).
        population : (k,) int array, optional
            Training records from which this seed's batches are drawn; all, if not given. It must be the same
            whenever the seed is.

        Raises
        ------
        KeyError
            If the state was never put, or is dropped from the cache and the gradient not remembered.
        """
        self.stats.requested += 1
        key = (state, seed, poison)
        slot = self._alive.get(key)
        if slot is not None:
            self.stats.served_from_memo += 1
        else:
            slot = self._alive[key] = self._new_slot(state, seed, poison, population)
            self._pending.append(slot)
        self._memo[key] = slot
        _touch(self._memo, key, self._capacity)
        return GradientHandle(self.flush, slot)

    def flush(self) -> None:
        """Compute everything asked for so far."""
        if not self._pending:
            return
        self.stats.flushes += 1
        pending, self._pending = self._pending, []
        missing = [slot for slot in pending if not self._is_restored(slot)]
        chunks = (chunk for group in self._groups(missing) for chunk in self._lanes.deal(group, self.model.lanes))
        while begun := [
            (slots, self._lanes.launch(self.model, slots, place))
            for place, slots in islice(chunks, len(self._devices))
        ]:
            for slots, (losses, gradients) in begun:
                self._finish(slots, np.asarray(losses), np.asarray(gradients))
        self._awaited.clear()

    def evaluate(self, params: np.ndarray) -> Evaluation:
        """Return accuracy and loss of parameters (d,) on the test records."""

        def score() -> bytes:
            shares = [len(y) / len(self.dataset.y_test) for _, y in self._test]
            scores = [kernels.score(self.model, params, x, y) for x, y in self._test]
            return SCORE.pack(
                sum(share * float(accuracy) for share, (accuracy, _) in zip(shares, scores)),
                sum(share * float(loss) for share, (_, loss) in zip(shares, scores)),
            )

        return Evaluation(*SCORE.unpack(self.store.get("evaluation", [params.tobytes()], score)))

    def loss(self, params: np.ndarray, seed: bytes) -> float:
        """Return the mean loss of parameters (d,), registered or not, on the batch named by `seed`."""
        indices = batch_indices(seed, self.dataset.n_train, self.batch_size)
        x, y = self.dataset.x_train[indices], self.dataset.y_train[indices]
        return float(kernels.score(self.model, params, x, y)[1])

    def test_loss(self, params: np.ndarray, seed: bytes, records: int) -> float:
        """Return the mean loss of parameters (d,) on so many test records, drawn by `seed`."""
        indices = batch_indices(seed, len(self.dataset.y_test), records)
        x, y = self.dataset.x_test[indices], self.dataset.y_test[indices]
        return float(kernels.score(self.model, params, x, y)[1])

    def success(self, params: np.ndarray, goal: Records) -> float:
        """Return the share of an attacker's records that parameters (d,) label as it wishes; NaN of none."""
        if not len(goal[1]):
            return float("nan")
        pieces = in_pieces(*goal)
        return sum(len(y) * float(kernels.agreement(self.model, params, x, y)) for x, y in pieces) / len(goal[1])

    def self_test(self, rng: np.random.Generator) -> str | None:
        """Check on this machine that bits depend neither on the lane nor on the device.

        Call it before the first request.

        Returns
        -------
        notice : str or None
            The sentence to show if the engine fell back to one lane, which changes bits and speed, or to one
            device.
        """
        given = (self.dataset, self.batch_size, self.own_states, rng)
        lanes, name, devices, notices = self.model.lanes, self.model.name, self._devices, []
        trial = Trial(self.model, *given)
        if not trial.lanes_are_independent(devices[0]):
            notices.append(
                f"gradients of model {name!r} depend on their lane here: computed one at a time (was {lanes})"
            )
            self.model = replace(self.model, lanes=1)
            trial = Trial(self.model, *given)
        if not trial.devices_are_equal(devices):
            notices.append(
                f"gradients of model {name!r} depend on the device here: computed on {devices[0]} alone"
            )
            devices = devices[:1]
        self._use_devices(devices)
        return "; ".join(notices) or None

    def _new_slot(self, state: bytes, seed: bytes, poison: Poison | None, population: np.ndarray | None) -> Slot:
        if state not in self._states:
            raise KeyError(
                f"state {state.hex()[:16]} is not registered or was dropped; put() it before the request"
            )
        size = self.dataset.n_train if population is None else len(population)
        indices = batch_indices(seed, size, self.batch_size).astype(np.int32)
        indices = indices if population is None else population[indices]
        labels, x = self.dataset.y_train[indices], None
        if poison is not None:
            right = self.dataset.x_train[indices]
            poisoned, labels = poison.apply(right, labels, self.dataset, seed)
            x = None if poisoned is right else poisoned
        params = self._states.use(state)
        if isinstance(params, int):
            self._awaited.add(params)
        return Slot(params, state, indices, labels, x)

    def _is_restored(self, slot: Slot) -> bool:
        """Fill a slot from the store, if a run before this one had computed it."""
        raw = self.store.find("gradient", slot.content()) if self.store is not NOTHING else None
        if raw is None:
            return False
        [slot.loss] = LOSS.unpack_from(raw)
        slot.gradient = np.frombuffer(raw, dtype=np.float32, offset=LOSS.size)
        slot.params = slot.x = None
        self.stats.computed += 1
        return True

    def _groups(self, pending: list[Slot]) -> Sequence[list[Slot]]:
        """Return what is computed together; slots with records of their own stay among themselves."""
        groups: dict[bytes | None, list[Slot]] = {}
        for slot in pending:
            if slot.x is None:
                groups.setdefault(None if self.own_states else slot.state, []).append(slot)
        given = [slot for slot in pending if slot.x is not None]
        return [*groups.values(), given] if given else list(groups.values())

    def _finish(self, slots: list[Slot], losses: np.ndarray, gradients: np.ndarray) -> None:
        full = len(slots) == self.model.lanes
        for lane, slot in enumerate(slots):
            # A view of a short batch would keep all K rows alive.
            slot.gradient = gradients[lane] if full else gradients[lane].copy()
            slot.gradient.setflags(write=False)
            slot.loss = float(losses[lane])
            self.store.keep("gradient", slot.content(), LOSS.pack(slot.loss) + slot.gradient.tobytes())
            slot.params = slot.x = None
        self.stats.computed += len(slots)


def own_sizes(model: Model, batch_size: int) -> SizeModel:
    """Return the sizes of a model as it is."""
    d = model.n_parameters
    return SizeModel(d, d, model.flops_per_sample * batch_size)


def nominal_sizes(
    model: Model, batch_size: int, parameters: int, flops_per_sample: float | None = None
) -> SizeModel:
    """Return the sizes of a model with so many parameters, for which `model` stands in.

    Where its operations are not given they grow with the parameters, as in a dense model.
    """
    d = model.n_parameters
    flops = model.flops_per_sample * (parameters / d) if flops_per_sample is None else flops_per_sample
    return SizeModel(d, parameters, flops * batch_size)


def in_pieces(x: np.ndarray, y: np.ndarray) -> list[Records]:
    """Split records x : (n, *shape), y : (n,) into pieces that are evaluated in one call."""
    return [
        (x[at : at + SCORED_TOGETHER], y[at : at + SCORED_TOGETHER]) for at in range(0, len(y), SCORED_TOGETHER)
    ]


def _touch(cache: OrderedDict, key: object, capacity: int) -> None:
    """Mark `key` as the most recently used and drop the oldest beyond `capacity`."""
    cache.move_to_end(key)
    while len(cache) > capacity:
        cache.popitem(last=False)


def _check(model: Model, dataset: Dataset, batch_size: int, memo: int, states: int) -> None:
    if model.n_classes < dataset.n_classes:
        raise UserError(
            f"model: {model.n_classes} classes are too few for the {dataset.n_classes} of {dataset.name!r}"
        )
    if model.input_shape != dataset.input_shape:
        raise UserError(
            f"model: input shape {model.input_shape} is not that of {dataset.name!r}, {dataset.input_shape}"
        )
    if model.reads_text != dataset.is_text:
        kind, cure = ("text", "'transformer'") if dataset.is_text else ("no text", "'mlp' or 'cnn'")
        raise UserError(
            f"model: {model.name!r} cannot read {dataset.name!r}, which is {kind}; use a model such as {cure}"
        )
    if min(batch_size, memo, states) < 1:
        raise UserError(
            f"learning: batch_size, memo and states must be at least 1, got {batch_size}, {memo}, {states}"
        )
