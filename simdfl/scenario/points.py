"""From a sweep file to the scenarios of all its runs, checked, in one order."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from simdfl import __version__
from simdfl.errors import UserError, nearest
from simdfl.rng import Rng
from simdfl.scenario.load import Loaded, finish, read_text
from simdfl.scenario.locate import Tree, read_tree
from simdfl.scenario.overrides import Change, apply, block_changes
from simdfl.scenario.schema import Scenario, scenario_digest
from simdfl.scenario.sweep import MAX_RUNS, Draw, Sweep, load_sweep

MAIN = "main"
DIGITS = 6
"""Significant digits of drawn numbers: enough, and readable in a table."""

Values = dict[str, Any]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Parameters
    ----------
    point : int
        Which combination of values, from 0.
    varied : dict
        These values by key path.
    seed : int
        Root seed.
    run : str
        ``main`` or the name of a twin.
    scenario : Scenario
        What is run.
    digest : str
        Of `scenario`, see :func:`~simdfl.scenario.schema.scenario_digest`.
    """

    point: int
    varied: Values
    seed: int
    run: str
    scenario: Scenario
    digest: str

    @property
    def key(self) -> str:
        """Return the name under which its result is kept."""
        return f"{self.digest}-{self.run}"


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep in the order of its tables."""

    sweep: Sweep
    runs: tuple[PlannedRun, ...]

    @property
    def n_points(self) -> int:
        """Return how many combinations of values there are."""
        return 1 + self.runs[-1].point

    @property
    def digest(self) -> str:
        """Return the SHA-256, in hex, of what is run, in which order, by which version."""
        content = [[run.point, run.seed, run.key, run.varied] for run in self.runs]
        canonical = json.dumps([__version__, content], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def load_plan(path: str | Path) -> Plan:
    """Read a sweep file and plan all its runs.

    Raises
    ------
    UserError
        For every mistake in the file, in its scenario, or in any combination of values.
    """
    sweep, tree = load_sweep(path)
    return make_plan(sweep, tree, Path(path))


def make_plan(sweep: Sweep, tree: Tree, path: Path) -> Plan:
    """Return the plan of a sweep whose values have the lines in `tree`."""
    base = _base(sweep, tree, path)
    apply(base, block_changes(tree, ("set",)) if sweep.set else [])
    _check_twins(sweep, tree, base)
    _check_count(sweep, tree)
    runs: list[PlannedRun] = []
    for point, changes in enumerate(_points(sweep, tree)):
        runs += _runs(sweep, tree, base, point, changes)
    return Plan(sweep, tuple(runs))


def _base(sweep: Sweep, tree: Tree, path: Path) -> Tree:
    """Return the scenario that varies as data; messages name the file in which it was written."""
    if not isinstance(sweep.base, str):
        origins = {
            key[1:]: origin.inside(("base",)) for key, origin in tree.origins.items() if key[:1] == ("base",)
        }
        return Tree(_copy(tree.value["base"]), origins)
    where = path.parent / sweep.base
    try:
        text = read_text(where)
    except UserError as error:
        raise UserError(f"{tree.origin(('base',)).at(('base',))}: {error}") from None
    return read_tree(text, str(where))


def _check_twins(sweep: Sweep, tree: Tree, base: Tree) -> None:
    known = list(base.value.get("baselines") or {})
    for index, twin in enumerate(sweep.twins):
        if twin not in known:
            where = tree.origin(("twins", index)).at(("twins", index))
            listed = ", ".join(known) or "none"
            raise UserError(
                f"{where}: the scenario has no baseline {twin!r}{nearest(twin, known)}; known baselines: {listed}"
            )


def _check_count(sweep: Sweep, tree: Tree) -> None:
    points = math.prod(len(values) for values in sweep.grid.values()) * (sweep.samples or 1)
    points *= math.prod(len(next(iter(block.values()))) for block in sweep.zip if block)
    runs = points * max(1, len(sweep.seeds)) * (1 + len(sweep.twins))
    if runs > MAX_RUNS:
        raise UserError(
            f"{tree.origin(()).at(())}: {runs:_} runs are more than {MAX_RUNS:_}; use fewer values or seeds"
        )


def _points(sweep: Sweep, tree: Tree) -> Iterator[list[Change]]:
    """Yield the changes of every combination: grid, then zip, then draws, the last varying fastest."""
    axes: list[list[list[Change]]] = [
        [[_change(tree, ("grid", key), index, value)] for index, value in enumerate(values)]
        for key, values in sweep.grid.items()
    ]
    for number, block in enumerate(sweep.zip):
        rows = zip(*block.values(), strict=True)
        axes.append(
            [
                [_change(tree, ("zip", number, key), index, value) for key, value in zip(block, row)]
                for index, row in enumerate(rows)
            ]
        )
    if sweep.random:
        axes.append([_sample(sweep, tree, sample) for sample in range(sweep.samples or 0)])
    for combination in product(*axes):
        yield [change for changes in combination for change in changes]


def _change(tree: Tree, where: tuple[str | int, ...], index: int, value: Any) -> Change:
    """Return the change to one of a key's values; messages show where the value was written."""
    origin = tree.origin((*where, index)).inside(where[:-1])
    return Change(tuple(str(where[-1]).split(".")), _plain(value), origin)


def _sample(sweep: Sweep, tree: Tree, sample: int) -> list[Change]:
    """Return one draw of all distributions; a new key or sample disturbs no other."""
    rng = Rng(sweep.draw_seed)
    changes = []
    for key, draw in sweep.random.items():
        stream = rng.stream("sweep", key, sample)
        changes.append(_change(tree, ("random", key), 0, draw_value(draw, float(stream.random()))))
    return changes


def draw_value(draw: Draw, share: float) -> Any:
    """Return the value of a distribution below which `share` of it lies; `share` is in [0, 1).

    >>> draw_value(Draw(log_uniform=(1.0, 10_000.0)), 0.5), draw_value(Draw(int_uniform=(1, 6)), 0.99)
    (100.0, 6)
    """
    if draw.choice is not None:
        return draw.choice[int(share * len(draw.choice))]
    if draw.int_uniform is not None:
        low, high = draw.int_uniform
        return low + int(share * (high - low + 1))
    if draw.uniform is not None:
        low_, high_ = draw.uniform
        value = low_ + share * (high_ - low_)
    else:
        assert draw.log_uniform is not None
        low_, high_ = draw.log_uniform
        value = low_ * (high_ / low_) ** share
    return float(f"{value:.{DIGITS}g}")


def _runs(sweep: Sweep, tree: Tree, base: Tree, point: int, changes: list[Change]) -> list[PlannedRun]:
    """Return the runs of one combination, by seed, the twins after their scenario."""
    here = Tree(_copy(base.value), dict(base.origins))
    apply(here, changes)
    varied = {".".join(map(str, change.path)): change.value for change in changes}
    runs = []
    for index, seed in enumerate(sweep.seeds or (None,)):
        if seed is not None:
            apply(here, [Change(("seed",), seed, tree.origin(("seeds", index)).inside(("seeds",)))])
        loaded = _finish(here, sweep, tree, varied)
        for run, scenario in {MAIN: loaded.scenario, **loaded.baselines}.items():
            digest = scenario_digest(scenario)
            runs.append(PlannedRun(point, varied, loaded.scenario.seed, run, scenario, digest))
    return runs


def _finish(here: Tree, sweep: Sweep, tree: Tree, varied: Values) -> Loaded:
    """Check one combination; a mistake outside the sweep file names the combination as well."""
    try:
        return finish(here, "sweep", sweep.twins)
    except UserError as error:
        own = tree.origin(()).source.rpartition(":")[0]
        if not varied or str(error).startswith(f"{own}:"):
            raise
        values = ", ".join(f"{key}={value}" for key, value in varied.items())
        raise UserError(f"{error} (where {own} sets {values})") from None


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    return json.loads(json.dumps(value)) if isinstance(value, (dict, list, tuple)) else value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
