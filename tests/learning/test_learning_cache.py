"""The compilation cache: used by the second process, switchable, and without effect on bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import simdfl, jax
from simdfl.learning.data import make_synthetic
from simdfl.learning.gradients import GradientEngine
from simdfl.learning.models import MODELS
from simdfl.rng import Rng
hits = []
jax.monitoring.register_event_listener(lambda name, **more: hits.append(name.endswith("cache_hits")))
data = make_synthetic(Rng(1).stream("data"))
engine = GradientEngine(MODELS["mlp"]((20,), 4, lanes=2), data, 8)
state = engine.put(engine.model.init(Rng(1).stream("init")))
print(engine.request(state, b"x").value().tobytes().hex()[:4000], sum(hits) > 0)
"""


def run(folder: Path, **more: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIMDFL_", "JAX_"))}
    own = {
        "SIMDFL_CACHE": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
    }
    script = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(script, env=kept | own | more, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.split()


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*-cache"))


def test_the_second_process_finds_what_the_first_compiled(tmp_path):
    bits, found = run(tmp_path)
    kept = entries(tmp_path)
    assert found == "False"
    assert any(name.startswith("jit_shared_gradients") for name in kept)
    assert run(tmp_path) == [bits, "True"]
    assert entries(tmp_path) == kept
    assert run(tmp_path / "none", SIMDFL_COMPILATION_CACHE="off") == [bits, "False"]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("blocked", ["file", "own"])
def test_where_there_is_no_folder_there_is_no_cache(monkeypatch, tmp_path, blocked):
    from simdfl.folders import use_compilation_cache

    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SIMDFL_CACHE", str(tmp_path / "file"))
    monkeypatch.delenv("SIMDFL_COMPILATION_CACHE", raising=False)
    if blocked == "own":
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    else:
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    use_compilation_cache()
    assert os.environ.get("JAX_COMPILATION_CACHE_DIR") == ("mine" if blocked == "own" else None)
