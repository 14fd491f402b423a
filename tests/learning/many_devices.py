"""Runs, and rows of a table, whose digests must not depend on how many devices there are; printed as JSON."""

from __future__ import annotations

import json
import sys

import jax
import numpy as np

from simdfl.learning.states import OwnStates
from simdfl.scenario import loads
from simdfl.world import build

RUN = """
name: small
protocol: {{name: {protocol}, steps: 3}}
peers: {{count: 10}}
topology: {{name: complete}}
adversaries: {liars}
beacon: {{group: ideal}}
learning:
  dataset: {{name: synthetic, params: {{n_train: 100, n_test: 30}}}}
  model: {{name: {model}}}
  lanes: {lanes}
  batch_size: 8
"""


def table() -> dict[str, object]:
    """Write rows and tell where they lie."""
    devices = jax.local_devices()
    states, rows = OwnStates(11, 5, 2, devices), []
    vectors = np.arange(55, dtype=np.float32).reshape(11, 5)
    for i, vector in enumerate(vectors):
        states.put(bytes([i]), vector)
        rows.append(states.use(bytes([i])))
    for place in range(len(devices)):
        mine = [row for row in rows if states.place(row) == place]
        read = np.asarray(states.rows(place, mine))
        np.testing.assert_array_equal(read, vectors[[rows.index(row) for row in mine]])
    whole = states.array
    np.testing.assert_array_equal(np.asarray(whole)[rows], vectors)
    heights = sorted({shard.data.shape[0] for shard in whole.addressable_shards})
    return {"devices": len(whole.sharding.device_set), "shape": whole.shape, "heights": heights}


LIARS = "[{name: noisy_data, count: 2}]"


def report(protocol: str, model: str, lanes: int, liars: str) -> dict[str, object]:
    """Return the table and the run's digest."""
    world = build(loads(RUN.format(protocol=protocol, model=model, lanes=lanes, liars=liars), "small").scenario)
    return {"table": table(), "digest": world.run().trace_digest, "notices": world.notices}


if __name__ == "__main__":
    print(json.dumps(report(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
