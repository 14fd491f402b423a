"""Models and data for the accelerator's tests, and one process that tells what it computed."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace

import numpy as np

from simdfl.learning.data import Dataset
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.models import MODELS
from simdfl.rng import Rng

CASES = {
    "mlp": ("mlp", {"hidden": [320, 240], "lanes": 64}, (8, 8, 1)),
    "cnn": ("cnn", {"channels": [16, 32], "lanes": 16}, (28, 28, 1)),
    "resnet18": ("resnet18", {"lanes": 2}, (32, 32, 3)),
    "transformer": ("transformer", {"width": 128, "depth": 4, "heads": 4, "lanes": 8}, (64,)),
}
N_CLASSES = 10


def records(shape: tuple[int, ...], n: int = 256) -> Dataset:
    """Return noise in the shape of a data set."""
    rng = Rng(7).stream("records", *shape)
    is_text = len(shape) == 1
    x = rng.integers(0, N_CLASSES, (n, *shape)) if is_text else rng.random((n, *shape))
    x, y = x.astype(np.float32), rng.integers(0, N_CLASSES, n).astype(np.int32)
    return Dataset("noise", x[: n // 2].copy(), y[: n // 2], x[n // 2 :].copy(), y[n // 2 :], N_CLASSES, is_text)


def make_engine(
    case: str, precision: str = "float32", own_states: bool = False, batch: int = 16
) -> GradientEngine:
    """Return an engine for one of the cases."""
    name, params, shape = CASES[case]
    model = replace(MODELS[name](shape, N_CLASSES, **params), precision=precision)
    return GradientEngine(model, records(shape), batch, own_states=own_states, states=2 * model.lanes)


def gradient_digest(case: str, precision: str, own_states: bool) -> str:
    """Return the digest of a few gradients that share no lane with each other twice."""
    engine = make_engine(case, precision, own_states)
    states = [engine.put(engine.model.init(Rng(7).stream("init", i))) for i in range(3 if own_states else 1)]
    handles = [engine.request(states[i % len(states)], bytes([i])) for i in range(engine.model.lanes + 3)]
    return hashlib.sha256(b"".join(handle.value().tobytes() for handle in handles)).hexdigest()


if __name__ == "__main__":
    print(json.dumps(gradient_digest(sys.argv[1], sys.argv[2], sys.argv[3] == "own")))
