"""Every attack against every protocol that it concerns: one run a cell, kept when it is done.

A cell's file is written when its run is over, under another name first: a killed study goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adversaries import FAULTS
from simdfl.scenario import load
from simdfl.study.cells import PROTOCOLS, concerns, setting_of
from simdfl.world import RunResult, build

START_STEP = 4
COUNT = 3
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One attack in one protocol; the attack ``none`` is the calm twin with the same setting."""

    attack: str
    protocol: str
    overrides: tuple[str, ...]

    def key(self, path: Path, seed: int) -> str:
        """Return the name of the cell's file: it changes with everything that the result depends on."""
        parts = [path.read_text(encoding="utf-8"), str(seed), self.attack, self.protocol, *self.overrides]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def make_cell(attack: str, protocol: str) -> Cell:
    """Return the cell of an attack or fault, with its setting."""
    setting = setting_of(attack, protocol)
    overrides = [f"protocol.name={protocol}", *setting.overrides]
    member = f"{{name: {attack}, count: {COUNT}, start_step: {START_STEP}, params: {{{setting.params}}}}}"
    if attack in FAULTS:
        overrides.append(f"faults=[{member}]")
    elif setting.beside:
        others = f"{{name: {setting.beside}, count: 1, start_step: {START_STEP}}}"
        overrides.append(f"adversaries=[{member}, {others}]")
    else:
        overrides.append(f"adversaries=[{member}]")
    return Cell(attack, protocol, tuple(overrides))


def calm(cell: Cell) -> Cell:
    """Return the twin of a cell without attack and fault."""
    kept = [o for o in cell.overrides if not o.startswith(("adversaries=", "faults="))]
    return Cell("none", cell.protocol, tuple(kept))


def all_cells(attacks: Iterable[str], protocols: Sequence[str] = PROTOCOLS) -> list[Cell]:
    """Return the cells of these attacks in the protocols that they concern, and their calm twins."""
    cells = [make_cell(a, p) for a in attacks for p in concerns(a) if p in protocols]
    return [*dict.fromkeys(calm(cell) for cell in cells), *cells]


def run_cell(cell: Cell, path: Path, seed: int) -> Row:
    """Run one cell and return what came of it."""
    scenario = load(path, cell.overrides, seed=seed).scenario
    return describe(cell, build(scenario).run())


def describe(cell: Cell, result: RunResult) -> Row:
    """Return the row of a finished cell."""
    liars = {row["peer"] for row in result.peers if row["byzantine"]}
    first = {row["peer"]: row["step"] for row in reversed(result.removals)}
    reasons = Counter(row["reason"] for row in result.removals if row["byzantine"])
    honest = [row for row in result.removals if not row["byzantine"]]
    gone = liars & first.keys()
    return {
        "attack": cell.attack,
        "protocol": cell.protocol,
        "outcome": result.outcome,
        "liars": len(liars),
        "removed": len(gone),
        "caught_by": "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items())),
        "last_removed_after": max((first[peer] - START_STEP for peer in gone), default=None),
        "honest_banned": sum(row["kind"] == "banned" for row in honest),
        "honest_ejected": len({row["peer"] for row in honest if row["kind"] == "ejected"}),
        "accuracy": result.accuracy,
        "attack_success": next(
            (r["attack_success"] for r in reversed(result.steps) if r.get("attack_success")), None
        ),
        "step_s": result.summary["step_s"],
        "setting": " ".join(calm(cell).overrides[1:]),
    }


def run_matrix(
    cells: Sequence[Cell], path: Path, seed: int, folder: Path, workers: int, report: Callable[[int], None]
) -> list[Row]:
    """Run all cells that are not done yet; return the rows of all, in their order.

    Parameters
    ----------
    cells : sequence of Cell
    path : Path
        The base scenario.
    seed : int
    folder : Path
        Where finished cells are kept.
    workers : int
        Processes.
    report : callable
        Called with the number of finished cells.
    """
    kept = folder / "cells"
    kept.mkdir(parents=True, exist_ok=True)
    files = {cell: kept / f"{cell.key(path, seed)}.json" for cell in cells}
    waiting = [cell for cell in cells if not files[cell].exists()]
    report(len(cells) - len(waiting))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(run_cell, cell, path, seed): cell for cell in waiting}
        for done, future in enumerate(as_completed(futures), start=1):
            target = files[futures[future]]
            partial = target.with_suffix(f".{os.getpid()}.partial")
            partial.write_text(json.dumps(future.result()), encoding="utf-8")
            partial.replace(target)
            report(len(cells) - len(waiting) + done)
    return compare([json.loads(files[cell].read_text(encoding="utf-8")) for cell in cells])


def compare(rows: list[Row]) -> list[Row]:
    """Add what each cell loses against its calm twin; the twins themselves stay in front."""
    twins = {(row["protocol"], row["setting"]): row for row in rows if row["attack"] == "none"}
    for row in rows:
        twin = twins[row["protocol"], row["setting"]]
        row["accuracy_loss"] = twin["accuracy"] - row["accuracy"]
        row["extra_step_s"] = row["step_s"] - twin["step_s"]
    return rows
