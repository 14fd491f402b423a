"""On an accelerator: a recomputation has the bits of the original, in this process and in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from accelerated import CASES, gradient_digest, make_engine

from simdfl.rng import Rng

ROOT = Path(__file__).parents[2]
PRECISIONS = ("float32", "bfloat16")


@pytest.mark.parametrize("own_states", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES)
def test_lanes_and_devices_do_not_change_bits(case, precision, own_states):
    engine = make_engine(case, precision, own_states)
    assert engine.self_test(Rng(7).stream("self-test")) is None


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_validator_finds_the_same_bits(case, precision):
    contributor, validator = make_engine(case, precision), make_engine(case, precision)
    params = contributor.model.init(Rng(7).stream("init"))
    state = contributor.put(params)
    assert validator.put(params) == state
    asked = [contributor.request(state, bytes([i])) for i in range(contributor.model.lanes + 1)]
    for i in (0, len(asked) - 1):
        again = validator.request(state, bytes([i])).value()
        assert again.tobytes() == asked[i].value().tobytes()
        assert np.isfinite(again).all()


@pytest.mark.parametrize("own", ["shared", "own"])
@pytest.mark.parametrize("case", CASES)
def test_another_process_finds_the_same_bits(case, own):
    script = [sys.executable, str(Path(__file__).with_name("accelerated.py")), case, "float32", own]
    # Both processes use the device at once: neither may take all of its memory.
    shared = os.environ | {"PYTHONPATH": str(ROOT), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(script, env=shared, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == gradient_digest(case, "float32", own == "own")


def test_a_run_has_the_same_digest_twice():
    from simdfl.scenario import load
    from simdfl.world import build

    scenario = load(ROOT / "scenarios" / "quick.yaml").scenario
    first, second = build(scenario), build(scenario)
    assert first.manifest["arithmetic"]["backend"] == jax.default_backend()
    assert first.run().trace_digest == second.run().trace_digest
