"""Changes on top of a scenario: ``--set key.path=value`` and the blocks of the baselines.

A mapping is merged key by key; any other value, and the empty mapping, replaces what was there. Who changes
a ``name`` starts with fresh ``params``, as those of the old name mean nothing to the new one; what the same
batch of changes sets among them stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from simdfl.errors import UserError
from simdfl.scenario.fields import Path
from simdfl.scenario.locate import Origin, Tree, dotted, read_value
from simdfl.scenario.sentences import default_at, describe

# Options are reported after the mistakes in the file.
AFTER_ALL_LINES = 2**31


@dataclass(frozen=True)
class Change:
    """Set `path` to `value`, as the user wrote at `origin`."""

    path: Path
    value: Any
    origin: Origin


def parse_override(text: str) -> list[Change]:
    """Return the changes that ``--set text`` asks for.

    Raises
    ------
    UserError
        If `text` is not of the form ``key.path=value`` or the value is not YAML.
    """
    key, equals, raw = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(part.strip() == part and part for part in parts):
        raise UserError(f"--set {text}: allowed is key.path=value, for instance protocol.steps=50")
    value = read_value(raw, Origin("--set", AFTER_ALL_LINES, prefix=tuple(parts))).value
    return list(flatten(tuple(parts), value, Origin("--set", AFTER_ALL_LINES)))


def option(name: str, key: str, value: Any) -> Change:
    """Return the change behind an option of its own, such as ``--seed``."""
    return Change(
        tuple(key.split(".")),
        str(value) if isinstance(value, PurePath) else value,
        Origin(f"--{name}", AFTER_ALL_LINES, bare=True),
    )


def flatten(path: Path, value: Any, origin: Origin) -> Iterator[Change]:
    """Split a value of one origin into changes; only mappings are merged."""
    if not isinstance(value, dict) or not value:
        yield Change(path, value, origin)
        return
    for key, item in value.items():
        yield from flatten((*path, *key.split(".")), item, origin)


def block_changes(tree: Tree, root: Path) -> list[Change]:
    """Return the changes that the mapping at `root` asks for, such as a baseline's, each with its own line."""
    block = tree.value
    for part in root:
        block = block[part]
    return list(_located(tree, root, (), block, root))


def _located(tree: Tree, written: Path, path: Path, value: Any, root: Path) -> Iterator[Change]:
    if not isinstance(value, dict) or not value:
        origin = tree.origin(written)
        yield Change(path, value, origin.inside(root))
        return
    for key, item in value.items():
        yield from _located(tree, (*written, key), (*path, *key.split(".")), item, root)


def apply(tree: Tree, changes: Iterable[Change]) -> None:
    """Apply one batch of changes to `tree`, in order.

    Raises
    ------
    UserError
        If a change leads through a value that has no parts, or to an index that does not exist.
    """
    fresh: set[Path] = set()
    for change in changes:
        if not change.path:
            continue  # an empty block changes nothing
        here, path = _walk(tree, change)
        if path[-1] == "name":
            _forget_params(tree, here, path, change.value, fresh)
        _put(tree, here, path, change)
        fresh.add(path)


def _walk(tree: Tree, change: Change) -> tuple[Any, Path]:
    """Return what holds the value to set, and the value's path with indices in place of digits."""
    here: Any = tree.value
    path: Path = ()
    for part, following in pairwise(change.path):
        key = _step(here, part, path, change)
        path = (*path, key)
        if isinstance(here, list) and key == len(here):
            here.append(None)
        if _get(here, key) is None:
            here[key] = [] if str(following).isdecimal() else {}
            tree.origins[path] = change.origin
        here = here[key]
    return here, (*path, _step(here, change.path[-1], path, change))


def _get(here: Any, key: Any) -> Any:
    return here.get(key) if isinstance(here, dict) else here[key]


def _step(here: Any, part: str | int, path: Path, change: Change) -> str | int:
    """Return `part` as a key of `here`; one place behind the end of a list is a new item."""
    if isinstance(here, dict):
        return str(part)
    where = change.origin.at(change.path)
    if not isinstance(here, list):
        raise UserError(f"{where}: {dotted(path)} is {describe(here)} and has no part {part!r}")
    if not str(part).isdecimal() or len(str(part)) > 9 or int(part) > len(here):
        raise UserError(
            f"{where}: {dotted(path)} is a list of {len(here)}, got {part!r}; use an index from 0 to {len(here)}"
        )
    return int(part)


def _put(tree: Tree, here: Any, path: Path, change: Change) -> None:
    if isinstance(here, list) and path[-1] == len(here):
        here.append(None)
    here[path[-1]] = deepcopy(change.value)
    tree.forget(path)
    tree.origins[path] = change.origin


def _forget_params(tree: Tree, here: Any, path: Path, name: Any, fresh: set[Path]) -> None:
    """Drop the params of the name that was there, but those that this batch has set."""
    params = here.get("params") if isinstance(here, dict) else None
    if not isinstance(params, dict) or here.get("name", default_at(path)) == name:
        return
    where = (*path[:-1], "params")
    if where in fresh:
        return
    for key in [key for key in params if not any(done[: len(path) + 1] == (*where, key) for done in fresh)]:
        del params[key]
        tree.forget((*where, key))
