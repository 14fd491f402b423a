"""Writing a run folder, all or nothing.

Everything is written into a sibling folder first and moved into place when complete: an interrupted run leaves no
half-written result. An earlier run folder of the same name is replaced, anything else is not touched.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from simdfl import __version__
from simdfl.errors import UserError
from simdfl.records.columns import RUN_COLUMNS, TABLES
from simdfl.records.perfetto import write_timeline
from simdfl.records.publication import write_publication
from simdfl.scenario import Loaded, show
from simdfl.world.result import RunResult

MARKER = "provenance.json"
LIBRARIES = (
    "jax",
    "jaxlib",
    "numpy",
    "simpy",
    "networkx",
    "optax",
    "py-ecc",
    "py-arkworks-bls12381",
    "coincurve",
)


def check_target(folder: Path) -> None:
    """Check before a run that its folder can be written.

    Raises
    ------
    UserError
        If something that is no run folder is in the way, or the place is not writable.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; choose another folder with --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UserError(f"{folder}: is not empty and holds no run; choose another folder with --out")
    if Path.cwd().is_relative_to(folder):
        raise UserError(f"{folder}: is where you are and would be replaced; choose another folder with --out")
    parent = folder.parent
    while not parent.exists():
        parent = parent.parent
    try:
        Path(tempfile.mkdtemp(prefix="simdfl-", dir=parent)).rmdir()
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written, {parent} is not writable ({error.strerror}); "
            f"choose another folder with --out"
        ) from error


def write_run(folder: Path, loaded: Loaded, results: dict[str, RunResult], text: str, wall_s: float) -> None:
    """Write all results of a scenario.

    Parameters
    ----------
    folder : Path
        Where to; replaced if it holds an earlier run.
    loaded : Loaded
        The scenario as run.
    results : dict of str to RunResult
        By run name; ``main`` is the scenario itself.
    text : str
        The summary shown to the user.
    wall_s : float
        Real time taken, for the provenance.
    """
    folder = folder.resolve()
    partial, earlier = (folder.with_name(f".{folder.name}.{word}") for word in ("partial", "earlier"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _write_all(partial, loaded, results, text, wall_s)
        if folder.exists():
            folder.rename(earlier)
        partial.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from error
    finally:
        if earlier.exists() and not folder.exists():
            earlier.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)


def _write_all(folder: Path, loaded: Loaded, results: dict[str, RunResult], text: str, wall_s: float) -> None:
    (folder / "scenario.yaml").write_text(show(loaded.scenario), encoding="utf-8")
    (folder / "summary.txt").write_text(text, encoding="utf-8")
    for name in TABLES:
        _write_table(folder, name, loaded, results)
    main = results["main"]
    write_publication(folder, main)
    for name, result in results.items():
        if result.timeline is not None:
            write_timeline(folder / f"perfetto-{name}.json.gz", result.timeline)
    if main.trace_lines:
        (folder / "trace.txt").write_text("\n".join(main.trace_lines) + "\n")
    (folder / MARKER).write_text(
        json.dumps(provenance(loaded, results, wall_s), indent=2, allow_nan=False) + "\n"
    )


def _write_table(folder: Path, name: str, loaded: Loaded, results: dict[str, RunResult]) -> None:
    rows = [
        {"run": run, "protocol": result.protocol, "seed": loaded.scenario.seed, **row}
        for run, result in results.items()
        for row in getattr(result, name)
    ]
    columns = [*RUN_COLUMNS, *TABLES[name]]
    frame = pd.DataFrame(rows, columns=columns)
    for column in {"attack_success", "accuracy_worst", "consensus_distance"} & set(columns):
        frame[column] = frame[column].astype("float64")
    frame.attrs = {"scenario_digest": loaded.digest, "simdfl": __version__, "columns": TABLES[name]}
    frame.to_parquet(folder / f"{name}.parquet", index=False)


def provenance(loaded: Loaded, results: dict[str, RunResult], wall_s: float) -> dict[str, Any]:
    """Return what ties the folder to code, scenario and machine."""
    return {
        "format": "simdfl.run.v1",
        "simdfl": __version__,
        "scenario": loaded.scenario.name,
        "scenario_digest": loaded.digest,
        "seed": loaded.scenario.seed,
        "runs": {
            name: {
                "protocol": result.protocol,
                "outcome": result.outcome,
                "trace_digest": result.trace_digest,
                "trace_events": result.trace_events,
                "simulated_s": result.simulated_s,
                "accuracy": _figure(result.accuracy),
                "attack_success": _figure(result.attack_success),
                "summary": {key: _figure(value) for key, value in result.summary.items()},
            }
            for name, result in results.items()
        },
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {library: version(library) for library in LIBRARIES},
        "wall_s": round(wall_s, 2),
    }


def _figure(value: Any) -> Any:
    """Return a value for JSON, which knows no NaN: a run without any step has no time per step."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
