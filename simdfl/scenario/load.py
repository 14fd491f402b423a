"""From a file and the options of the command line to a checked scenario and its baselines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simdfl.errors import UserError, nearest
from simdfl.scenario.locate import Tree, read_tree
from simdfl.scenario.overrides import apply, block_changes, option, parse_override
from simdfl.scenario.schema import Scenario, scenario_digest
from simdfl.scenario.sentences import to_user_error
from simdfl.scenario.yaml_text import dump

MAX_BYTES = 1_000_000
SCHEMA_LINE = "# yaml-language-server: $schema=scenario.schema.json\n"


@dataclass(frozen=True)
class Loaded:
    """A scenario that is ready to run.

    Parameters
    ----------
    scenario : Scenario
        With all overrides and defaults.
    baselines : dict of str to Scenario
        The runs to compare with; each has no baselines itself.
    path : Path
        The file it came from.
    digest : str
        SHA-256 in hex, see :func:`scenario_digest`.
    """

    scenario: Scenario
    baselines: dict[str, Scenario]
    path: Path
    digest: str


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    out: str | Path | None = None,
    protocol: str | None = None,
) -> Loaded:
    """Read a scenario file.

    Parameters
    ----------
    path : str or Path
    overrides : sequence of str
        Changes ``key.path=value`` on top of the file; the baselines inherit them.
    seed, out, protocol
        Short forms that set ``seed``, ``output.folder`` and ``protocol.name``, after `overrides`.

    Returns
    -------
    loaded : Loaded

    Raises
    ------
    UserError
        For every mistake in the file or the overrides: one sentence with the line and the cure.
    """
    return loads(read_text(Path(path)), path, overrides, seed=seed, out=out, protocol=protocol)


def loads(
    text: str,
    path: str | Path = "scenario",
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    out: str | Path | None = None,
    protocol: str | None = None,
) -> Loaded:
    r"""Read a scenario from `text`, as :func:`load` does from a file; `path` names it in messages.

    >>> loads("name: tiny\npeers: {count: 6}").scenario.peers.count
    6
    >>> loads("name: tiny\npeers: {count: six}", "x.yaml")
    Traceback (most recent call last):
    ...
    simdfl.errors.UserError: x.yaml:2 peers.count: got 'six'; allowed is a whole number of at least 4 and at
    most 100_000
    """
    tree = read_tree(text, str(path))
    apply(tree, [change for override in overrides for change in parse_override(override)])
    direct = {("seed", "seed"): seed, ("out", "output.folder"): out, ("protocol", "protocol.name"): protocol}
    apply(tree, [option(name, key, value) for (name, key), value in direct.items() if value is not None])
    return finish(tree, path)


def finish(tree: Tree, path: str | Path, baselines: Collection[str] | None = None) -> Loaded:
    """Check the data of a scenario and of its baselines, of all or of the named ones.

    Raises
    ------
    UserError
        For the first mistake, or a baseline that the scenario does not have.
    """
    scenario = _validate(tree)
    names = scenario.baselines if baselines is None else baselines
    return Loaded(
        scenario, {name: _baseline(tree, name) for name in names}, Path(path), scenario_digest(scenario)
    )


def show(scenario: Scenario) -> str:
    """Return the scenario as YAML with every default written out; it loads again to the same digest."""
    return SCHEMA_LINE + dump(scenario.model_dump())


def _validate(tree: Tree) -> Scenario:
    try:
        return Scenario.model_validate(tree.value)
    except ValidationError as error:
        raise to_user_error(error, tree) from None


def _baseline(tree: Tree, name: str) -> Scenario:
    """Return this scenario without its baselines, changed as the block of `name` says."""
    value: dict[str, Any] = {key: deepcopy(item) for key, item in tree.value.items() if key != "baselines"}
    root = tree.origin(("baselines", name))
    here = Tree(value, {(): root.inside(("baselines", name))})
    changes = block_changes(tree, ("baselines", name))
    for change in changes:
        if change.path[:1] == ("baselines",):
            raise UserError(f"{change.origin.at(change.path)}: a baseline has no baselines of its own; remove it")
    apply(here, changes)
    return _validate(here)


def read_text(path: Path) -> str:
    """Return the text of a scenario file.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file{_sibling(path)}; give the path of a scenario") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder{_sibling(path / '*')}; give a scenario file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: the file cannot be read ({reason}); give a readable scenario file") from None
    if len(raw) > MAX_BYTES:
        raise UserError(f"{path}: the file is larger than {MAX_BYTES:_} bytes; a scenario is a short text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: the file is not UTF-8 text; save it as UTF-8") from None


def _sibling(path: Path) -> str:
    """Return a hint at the scenario beside `path` with the nearest name."""
    try:
        return nearest(path.name, sorted(file.name for file in path.parent.glob("*.yaml")))
    except (OSError, ValueError):
        return ""
