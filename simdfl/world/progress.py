"""Where a run's progress lies while it runs, and what it is bound to."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jax

from simdfl import __version__
from simdfl.crypto.hashing import digest
from simdfl.scenario import Output, Scenario, scenario_digest
from simdfl.store import Store

NUMERICS = ("jax", "jaxlib", "numpy", "scipy", "optax")
MOST_BYTES = 4 * 2**30
"""Bound on one run's store; beyond it a resumed run computes again."""


@dataclass(frozen=True)
class Progress:
    """How the runs of one scenario keep what they have computed.

    Parameters
    ----------
    folder : Path
        One store per run lies here.
    every : int
        Steps between two moments at which a store is brought to the disk.
    resume : bool
        Whether to go on from what lies there.
    """

    folder: Path
    every: int
    resume: bool

    def open(self, name: str, scenario: Scenario) -> Store:
        """Return the store of one run."""
        return Store(self.folder / f"{name}.store", run_context(scenario), MOST_BYTES, self.resume)

    def discard(self) -> None:
        """Remove all stores: the results are there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def progress_folder(target: Path) -> Path:
    """Return where the progress of a run lies, beside its folder."""
    target = target.resolve()
    return target.with_name(f".{target.name}.progress")


def run_context(scenario: Scenario) -> bytes:
    """Return 32 bytes that name what results depend on: the scenario but for its output, versions, arithmetic."""
    bare = scenario.model_copy(update={"output": Output()})
    device = jax.devices()[0]
    words = [scenario_digest(bare), __version__, platform.machine(), device.platform, device.device_kind]
    words += [f"{library} {version(library)}" for library in NUMERICS]
    return digest("simdfl/progress", *[word.encode() for word in words])
