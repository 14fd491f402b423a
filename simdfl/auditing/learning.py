"""The learning as the manifest declares it, set up again from the seed: data, model, optimiser, first weights."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from typing import Any

import jax
import jaxlib
import numpy as np

from simdfl.auditing.findings import Findings, Unusable
from simdfl.auditing.parts import state_digest
from simdfl.auditing.published import Published
from simdfl.auditing.weights import checkpoint_names, read_state
from simdfl.errors import CryptoError, UserError
from simdfl.learning.data import Dataset
from simdfl.learning.datasets import load_dataset
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.lanes import arithmetic_flags
from simdfl.learning.model import PRECISIONS, Model
from simdfl.learning.models import MODELS
from simdfl.learning.optimisers import Optimiser, make_optimiser
from simdfl.rng import Rng

ENVIRONMENT = ("backend", "device", "machine", "threads", "xla_flags", "jax", "jaxlib", "numpy")
"""Fields of the manifest's arithmetic on which the bits of a recomputation depend, beside the declared ones."""


def environment() -> dict[str, str]:
    """Return this machine's values of :data:`ENVIRONMENT`."""
    return {
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
        "threads": os.environ.get("NPROC", ""),
        "xla_flags": arithmetic_flags(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
    }


def foreign_environment(published: Published) -> list[str]:
    """Return in words what differs between this machine and the arithmetic that the manifest declares."""
    declared, here = published.manifest["arithmetic"], environment()
    return [
        f"{key} {here[key]} (declared {declared.get(key)})"
        for key in ENVIRONMENT
        if declared.get(key) != here[key]
    ]


@dataclass(frozen=True)
class Learning:
    """What recomputation needs: engine, optimiser, and the first weights (d,)."""

    engine: GradientEngine
    optimiser: Optimiser
    initial: np.ndarray


def rebuild(published: Published, findings: Findings) -> Learning:
    """Set up the learning again and check data and first state against the manifest.

    Raises
    ------
    Unusable
        If the manifest names data, a model or numbers that this version does not know.
    """
    configuration = published.configuration
    try:
        rng = Rng(int(configuration["seed"]))
        section = configuration["learning"]
        dataset = load_dataset(section["dataset"]["name"], section["dataset"]["params"], rng.stream("dataset"))
        model = _model(section, dataset, int(published.manifest["arithmetic"]["lanes"]))
        optimiser = _optimiser(section["optimiser"], int(configuration["protocol"]["steps"]))
        engine = GradientEngine(model, dataset, int(section["batch_size"]))
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise Unusable(f"manifest.json: the learning cannot be set up again ({str(error)[:240]})") from error
    if model.n_parameters != published.n_parameters:
        raise Unusable(
            f"manifest.json: the declared data and model give a model of {model.n_parameters} parameters here, "
            f"declared are {published.n_parameters}; are these the data that the peers had?"
        )
    initial = model.init(rng.stream("initial-weights"))
    root = dataset.merkle_root().hex()
    same = root == published.manifest["dataset_root"]
    findings.require("dataset", same, None, "manifest.json", "the training data have another Merkle root")
    genesis = state_digest(initial, optimiser.state_bytes(optimiser.init(initial)))
    right = genesis.hex() == published.manifest["genesis"]
    findings.require("updates", right, 0, "manifest.json", "the seed gives other first weights")
    return Learning(engine, optimiser, initial)


def _model(section: dict[str, Any], dataset: Dataset, lanes: int) -> Model:
    params = {key: value for key, value in section["model"]["params"].items() if key != "lanes"}
    model = MODELS[section["model"]["name"]](dataset.input_shape, dataset.n_classes, **params)
    if not 1 <= lanes <= 4096:
        raise ValueError(f"{lanes} lanes")
    precision = section.get("precision", "float32")
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}")
    return replace(model, lanes=lanes, precision=precision)


def _optimiser(section: dict[str, Any], steps: int) -> Optimiser:
    schedule = section["schedule"]
    rate = {"name": schedule["name"], "initial": section["learning_rate"]}
    if schedule["name"] == "cosine":
        rate["steps"] = steps
    rate |= schedule["params"]
    return make_optimiser(section["name"], {"learning_rate": rate, **section["params"]})


class Replay:
    """Walks through the states: from the nearest checkpoint, or onwards from where it stands.

    Parameters
    ----------
    published : Published
        The run folder.
    learning : Learning
        Optimiser and first weights.
    from_checkpoints : bool
        False: every update is made, from the first on.
    """

    def __init__(self, published: Published, learning: Learning, from_checkpoints: bool) -> None:
        self._published = published
        self._learning = learning
        self._names = checkpoint_names(published) if from_checkpoints else {}
        self._restart()

    def _restart(self) -> None:
        self.step = 0
        self.params = self._learning.initial
        self._state = self._learning.optimiser.init(self.params)

    def seek(self, step: int) -> None:
        """Go to the last known state at or before `step`, unless the walk is nearer already."""
        if self.step > step:
            self._restart()
        nearest = max((at for at in self._names if at <= step), default=0)
        if nearest > self.step:
            params, raw = read_state(self._published, *self._names[nearest])
            try:
                self._state = self._learning.optimiser.state_from_bytes(raw, len(params))
            except CryptoError as error:
                raise Unusable(f"{self._names[nearest][1]}: {error}") from error
            self.step, self.params = nearest, params

    def advance(self, aggregate: np.ndarray) -> None:
        """Make one update along an aggregate (d,)."""
        self.params, self._state = self._learning.optimiser.update(self.params, self._state, aggregate)
        self.step += 1

    def digest(self) -> bytes:
        """Return the digest of the state."""
        return state_digest(self.params, self._learning.optimiser.state_bytes(self._state))
