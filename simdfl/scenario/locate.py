"""A scenario as plain data in which every value knows where the user wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from yaml.reader import ReaderError

from simdfl.errors import UserError
from simdfl.scenario.fields import Path
from simdfl.scenario.yaml_text import NotInDialectError, compose, scalar_value

FIRST_LINE = 1


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as on the command line.

    >>> dotted(("adversaries", 0, "fraction"))
    'adversaries.0.fraction'
    """
    return ".".join(str(part) for part in path)


@dataclass(frozen=True)
class Origin:
    """Where a value was written.

    Parameters
    ----------
    source : str
        File and line (``x.yaml:14``) or an option of the command line.
    line : int
        Sort key: the line, or a large number for the command line.
    prefix : tuple
        What stands before the paths of this tree; a baseline's tree lies inside its block.
    bare : bool
        Whether `source` alone says which key it is.
    """

    source: str
    line: int = FIRST_LINE
    prefix: Path = ()
    bare: bool = False

    def at(self, path: Path) -> str:
        """Return the place to begin an error message with."""
        full = dotted((*self.prefix, *path))
        return self.source if self.bare or not full else f"{self.source} {full}"

    def inside(self, prefix: Path) -> Origin:
        """Return this origin for a tree whose paths begin behind `prefix`."""
        return replace(self, prefix=prefix)


@dataclass
class Tree:
    """Plain data and the origins of its values; the root's origin is always known."""

    value: Any
    origins: dict[Path, Origin] = field(default_factory=dict)

    def origin(self, path: Path) -> Origin:
        """Return the origin of `path`, or of the nearest part around it that was written."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path]

    def forget(self, path: Path) -> None:
        """Drop the origins of `path` and of everything below it."""
        self.origins = {key: value for key, value in self.origins.items() if key[: len(path)] != path}


def read_tree(text: str, where: str) -> Tree:
    """Parse a scenario's YAML.

    Parameters
    ----------
    text : str
    where : str
        Name of the file, for messages.

    Raises
    ------
    UserError
        If `text` is not YAML, or not in the dialect of ``yaml_text``, or has a key twice.
    """
    try:
        node = compose(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where}{_yaml_mistake(error, text)}") from None
    if node is None:
        raise UserError(f"{where}: the file is empty; write at least a line 'name: …'")
    tree = Tree(None, {(): Origin(f"{where}:{_line(node)}", _line(node))})
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{where}:{_line(node)}: the file is no mapping; write lines such as 'name: …'")
    tree.value = _build(node, (), tree, where)
    return tree


def read_value(text: str, origin: Origin) -> Tree:
    """Parse the YAML of a single value, all of which has one `origin`."""
    try:
        node = compose(text)
    except yaml.YAMLError as error:
        reason = _yaml_mistake(error, text).partition(": ")[2]
        raise UserError(f"{origin.at(())}: {reason}") from None
    tree = Tree(None, {(): origin})
    tree.value = None if node is None else _build(node, (), tree, None)
    return tree


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _build(node: yaml.Node, path: Path, tree: Tree, where: str | None) -> Any:
    """Turn a node into plain data; `where` is None where all lines are the root's."""
    if where is not None:
        tree.origins.setdefault(path, Origin(f"{where}:{_line(node)}", _line(node)))
    known = f"tag:yaml.org,2002:{'map' if isinstance(node, yaml.MappingNode) else 'seq'}"
    if isinstance(node, yaml.ScalarNode):
        try:
            return scalar_value(node)
        except ValueError as error:
            raise UserError(f"{tree.origin(path).at(path)}: {error}") from None
    if node.tag != known:
        raise UserError(f"{tree.origin(path).at(path)}: the tag {node.tag!r} has no meaning here; remove it")
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, tree, where)
    return [_build(item, (*path, index), tree, where) for index, item in enumerate(node.value)]


def _build_mapping(node: yaml.MappingNode, path: Path, tree: Tree, where: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        key = _key(key_node, path, tree, where)
        place = (*path, key)
        if key in result:
            here = _place(tree, where, key_node, place)
            raise UserError(f"{here}: the key stands twice, first in line {lines[key]}; keep one")
        lines[key] = _line(key_node)
        if where is not None:
            tree.origins[place] = Origin(f"{where}:{lines[key]}", lines[key])
        result[key] = _build(value_node, place, tree, where)
    return result


def _key(node: yaml.Node, path: Path, tree: Tree, where: str | None) -> str:
    try:
        key = scalar_value(node) if isinstance(node, yaml.ScalarNode) else None
    except ValueError:
        key = None
    if isinstance(key, str) and key.strip() and key.isprintable():
        return key
    got = repr(node.value)[:40] if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
    raise UserError(f"{_place(tree, where, node, path)}: got {got} as a key; allowed are words")


def _place(tree: Tree, where: str | None, node: yaml.Node, path: Path) -> str:
    origin = tree.origin(path) if where is None else Origin(f"{where}:{_line(node)}")
    return origin.at(path)


def _yaml_mistake(error: yaml.YAMLError, text: str) -> str:
    """Return the line, a colon and the sentence of an error of the YAML parser."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f":{line}: the character U+{_code(error.character):04X} is not allowed; remove it"
    if isinstance(error, NotInDialectError):
        return f":{error.line}: {error.sentence}"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f": this is not YAML ({error}); correct it"
    line = mark.line + 1
    start = (text.split("\n")[mark.line : line] or [""])[0]
    if "\t" in start[: len(start) - len(start.lstrip())]:
        return f":{line}: a tab indents this line; use spaces"
    problem = str(getattr(error, "problem", None) or error)
    if "another document" in problem:
        return f":{line}: a second document begins; keep one scenario per file"
    return f":{line}: this is not YAML ({problem}); check the indentation, colons and quotes"


def _code(character: object) -> int:
    """Return the code point that PyYAML complains about; it hands over a number, a byte or a text."""
    return character if isinstance(character, int) else ord(str(character)[:1] or "\0")
