"""Several devices: one array of parameters over all of them, and the bits of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from many_devices import LIARS, report

from simdfl.learning.data import make_synthetic
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.lanes import arithmetic_flags
from simdfl.learning.models import MODELS
from simdfl.learning.self_test import Trial
from simdfl.learning.states import OwnStates
from simdfl.rng import Rng

ROOT = Path(__file__).parents[2]
FLAG = "--xla_force_host_platform_device_count=8"


SLOW = pytest.mark.slow


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="forces eight devices of the host")
@pytest.mark.parametrize(
    "protocol, model, lanes, liars",
    [
        ("gossip_sgd", "logistic", 2, "[]"),
        pytest.param("gossip_sgd", "mlp", 1, LIARS, marks=SLOW),
        pytest.param("async_gossip", "mlp", 4, LIARS, marks=SLOW),
        pytest.param("verified", "mlp", 4, LIARS, marks=SLOW),
        pytest.param("all_reduce", "logistic", 2, LIARS, marks=SLOW),
    ],
)
def test_eight_devices_give_the_bits_of_one(protocol, model, lanes, liars):
    environment = os.environ | {"XLA_FLAGS": FLAG, "PYTHONPATH": str(ROOT)}
    script = [
        sys.executable,
        str(Path(__file__).with_name("many_devices.py")),
        protocol,
        model,
        str(lanes),
        liars,
    ]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    eight, one = json.loads(done.stdout), json.loads(json.dumps(report(protocol, model, lanes, liars)))
    assert eight.pop("table") == {"devices": 8, "shape": [16, 5], "heights": [2]}
    assert one.pop("table") == {"devices": 1, "shape": [11, 5], "heights": [11]}
    assert eight == one
    assert one["notices"] == []


def test_the_number_of_devices_is_no_part_of_the_arithmetic(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_a=1 {FLAG} --xla_b=2")
    assert arithmetic_flags() == "--xla_a=1 --xla_b=2"
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1  --xla_b=2")
    assert arithmetic_flags() == "--xla_a=1  --xla_b=2"
    monkeypatch.delenv("XLA_FLAGS")
    assert arithmetic_flags() == ""


def test_a_row_is_read_before_it_is_given_away():
    """Eleven peers ask in turn through two rows: each still gets the gradient at its own model."""
    data = make_synthetic(Rng(5).stream("data"), n_train=200, n_test=50, dim=16, n_classes=3)
    model = MODELS["mlp"]((16,), 3, hidden=[12], lanes=4)
    narrow, wide = (GradientEngine(model, data, 7, own_states=True, states=rows) for rows in (2, 50))
    params = [model.init(Rng(1).stream("init", peer)) for peer in range(11)]
    handles = [[engine.request(engine.put(flat), b"seed") for flat in params] for engine in (narrow, wide)]
    for few, many in zip(*handles):
        assert few.value().tobytes() == many.value().tobytes()
    assert wide.stats.flushes == 1 < narrow.stats.flushes


def test_rows_are_used_again_oldest_first():
    states = OwnStates(2, 3, 2, jax.local_devices()[:1])
    assert states.oldest is None
    for name in (b"a", b"b"):
        states.put(name, np.full(3, ord(name), np.float32))
    assert states.oldest == states.use(b"a")
    assert states.oldest == states.use(b"b")
    states.use(b"a")
    states.put(b"c", np.full(3, ord(b"c"), np.float32))
    assert b"b" not in states
    rows = [states.use(name) for name in (b"a", b"c")]
    np.testing.assert_array_equal(np.asarray(states.rows(0, rows))[:, 0], [ord("a"), ord("c")])


class Odd(Trial):
    """A machine on which lanes, or devices, differ."""

    def lanes_are_independent(self, device: jax.Device) -> bool:
        return False

    def devices_are_equal(self, devices: object) -> bool:
        return False


def test_an_engine_falls_back_where_bits_depend_on_lane_or_device(monkeypatch):
    monkeypatch.setattr("simdfl.learning.gradients.Trial", Odd)
    data = make_synthetic(Rng(5).stream("data"), n_train=200, n_test=50, dim=16, n_classes=3)
    engine = GradientEngine(MODELS["mlp"]((16,), 3, hidden=[12], lanes=4), data, 7)
    notice = engine.self_test(Rng(1).stream("self-test"))
    assert notice is not None
    assert "depend on their lane here: computed one at a time (was 4)" in notice
    assert "depend on the device here: computed on" in notice
    assert engine.model.lanes == 1
    state = engine.put(engine.model.init(Rng(1).stream("init")))
    assert np.isfinite(engine.request(state, b"x").value()).all()
