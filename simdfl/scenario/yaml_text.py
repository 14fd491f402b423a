"""The dialect of YAML that scenarios are written in.

Plain words are read by the core schema of YAML 1.2, plus ``_`` between digits: ``1e-6`` is a number, and
``yes``, ``10:30`` and ``2024-01-01`` are texts, which PyYAML's own YAML 1.1 reads otherwise. Anchors, aliases
and own tags are refused, depth is bounded: a scenario is data of the size that it seems to have.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.events import NodeEvent

MAX_DEPTH = 32
MAX_INTEGER = 2**256

_PREFIX = "tag:yaml.org,2002:"
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class NotInDialectError(yaml.YAMLError):
    """YAML, but not of the kind that scenarios use.

    Parameters
    ----------
    sentence : str
        What is not allowed, and the cure.
    line : int
        Counted from 1.
    """

    def __init__(self, sentence: str, line: int) -> None:
        super().__init__(sentence, line)
        self.sentence = sentence
        self.line = line


class ScenarioLoader(yaml.SafeLoader):
    """Composes a document into nodes that know their lines."""

    yaml_implicit_resolvers = {}

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node, refusing anchors, aliases and excessive depth."""
        event = self.peek_event()
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, NodeEvent) and event.anchor is not None:
            cure = "anchors and aliases (& and *) are not allowed; write the value out, or quote the text"
            raise NotInDialectError(cure, line)
        if self._depth > MAX_DEPTH:
            cure = f"values nest deeper than {MAX_DEPTH} levels; make it flatter"
            raise NotInDialectError(cure, line)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class ScenarioDumper(yaml.SafeDumper):
    """Writes what :class:`ScenarioLoader` reads back unchanged."""

    yaml_implicit_resolvers = {}

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out each time."""
        return True


for _kind, _pattern, _first in _RESOLVERS:
    for _class in (ScenarioLoader, ScenarioDumper):
        _class.add_implicit_resolver(_PREFIX + _kind, re.compile(rf"^(?:{_pattern})$"), _first)


def compose(text: str) -> yaml.Node | None:
    """Return the root node of the only document in `text`, or None if there is none.

    Raises
    ------
    yaml.YAMLError
        If `text` is not in the dialect.
    """
    loader = ScenarioLoader(text)
    try:
        return loader.get_single_node()
    except (ValueError, OverflowError):  # PyYAML lets these escape, from "\UFFFFFFFF" for instance
        sentence = "a number or an escape here is too large; correct it"
        raise NotInDialectError(sentence, loader.line + 1) from None
    finally:
        loader.dispose()


def dump(value: Any) -> str:
    """Return `value` as YAML with the keys in their order."""
    text = _dump(value, allow_unicode=True)
    # PyYAML writes these line breaks of Unicode as they are, and folds them away when it reads.
    return text if not set(text) & set("\x85\u2028\u2029") else _dump(value, allow_unicode=False)


def _dump(value: Any, allow_unicode: bool) -> str:
    return str(yaml.dump(value, Dumper=ScenarioDumper, sort_keys=False, allow_unicode=allow_unicode, width=100))


def scalar_value(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """Return the value of a scalar node.

    Raises
    ------
    ValueError
        If it is no value of a scenario; the message continues a sentence that names the value.
    """
    kind, text = node.tag.removeprefix(_PREFIX), node.value
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return bool(text.lower() == "true")
    if kind == "int":
        return _integer(text)
    if kind == "float":
        return _number(text)
    if kind == "str":
        return _text(text)
    raise ValueError(f"the tag {node.tag!r} has no meaning here; remove it")


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    base = {"0x": 16, "0o": 8}.get(digits[:2], 10)
    value = int(digits, base) if len(digits) < 100 else MAX_INTEGER
    if abs(value) >= MAX_INTEGER:
        raise ValueError(f"{text[:20]}… is too large; allowed are whole numbers below 2^256")
    return value


def _number(text: str) -> float:
    lowered = text.replace("_", "").lower()
    value = float(lowered.replace(".inf", "inf").replace(".nan", "nan"))
    if value != value:
        raise ValueError("nan is no number to work with; allowed are numbers")
    return value


def _text(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half of a surrogate pair is no text; write the character itself")
    return str(text)
