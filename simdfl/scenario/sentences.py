"""Sentences for mistakes: where, what was got, what is allowed, and the cure.

What is allowed is read from the JSON Schema, so that a sentence and the schema cannot disagree.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from simdfl.errors import UserError, nearest
from simdfl.scenario.fields import MISTAKE, Path
from simdfl.scenario.locate import Tree
from simdfl.scenario.schema import json_schema
from simdfl.scenario.yaml_text import dump

LONGEST_REPR = 60
# What a schema says beside a reference or a choice, not inside it.
OUTER = ("default", "description", "exclusiveMaximum")
# Above this, a bound is only the size of a machine word; say it to those alone who ran into it.
TELLING_BOUND = 10**12
KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


Schema = dict[str, Any]


@cache
def _schema() -> Schema:
    return json_schema()


def schema_at(path: Path, root: Schema | None = None) -> dict[str, Any]:
    """Return the JSON Schema of the value at `path`; an empty one where anything may stand.

    >>> schema_at(("adversaries", 0, "period"))["minimum"]
    1
    """
    root = _schema() if root is None else root
    here = root
    for part in path:
        here = _resolve(here, root)
        known = here.get("properties", {})
        patterns = here.get("patternProperties", {}).values()
        values = next(iter(patterns), here.get("additionalProperties"))
        inside = here.get("items") if isinstance(part, int) else values
        here = known.get(part) or (inside if isinstance(inside, dict) else {})
    return {**_resolve(here, root), **{key: here[key] for key in OUTER if key in here}}


def _resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference, or the only choice beside null."""
    if "$ref" in schema:
        target: Schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
        return target
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    return (
        _resolve(choices[0], root)
        if len(choices) == 1 and ("$ref" in choices[0] or "type" in choices[0])
        else schema
    )


def default_at(path: Path) -> Any:
    """Return the default of the value at `path`, or None.

    >>> default_at(("topology", "name"))
    'random_regular'
    """
    return schema_at(path).get("default")


def describe(value: Any) -> str:
    """Name a value that the user gave.

    >>> describe("3"), describe([1]), describe(None)
    ("'3'", 'a list', 'nothing')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= LONGEST_REPR else text[: LONGEST_REPR - 1] + "…"


def allowed(path: Path, all_bounds: bool = False, root: Schema | None = None) -> str:
    """Say what may stand at `path`.

    >>> allowed(("protocol", "steps")), allowed(("network", "loss"))
    ('a whole number of at least 1', 'a number of at least 0 and below 1')
    >>> allowed(("output", "trace"))
    "'digest' or 'full'"
    """
    return _allowed(schema_at(path, root), all_bounds)


def _allowed(schema: dict[str, Any], all_bounds: bool) -> str:
    if "const" in schema or "enum" in schema:
        return " or ".join(repr(choice) for choice in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(_allowed(choice, all_bounds) for choice in schema["anyOf"])
    words = KINDS.get(schema.get("type", ""), "a value")
    if "pattern" in schema:
        return f"{words} of up to {schema['maxLength']} letters, digits, '.', '_' and '-', the first no sign"
    if schema.get("minLength"):
        return f"{words} that is not empty"
    bounds = [
        f"{word} {_figure(schema[key])}"
        for key, word in BOUNDS.items()
        if key in schema and (all_bounds or schema[key] < TELLING_BOUND)
    ]
    return (
        " ".join([words, "of" * bool(bounds and bounds[0][:2] == "at"), " and ".join(bounds)])
        .strip()
        .replace("  ", " ")
    )


def _figure(value: float) -> str:
    for bits in (63, 256):
        if value == 2**bits - 1:
            return f"2^{bits} - 1"
    return f"{value:,}".removesuffix(".0").replace(",", "_")


def to_user_error(error: ValidationError, tree: Tree, root: Schema | None = None) -> UserError:
    """Return the first mistake by line as a sentence, with the number of the others."""
    found = sorted(
        (_explain(detail, tree, root) for detail in error.errors(include_url=False)), key=lambda pair: pair[0]
    )
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return UserError(found[0][1] + more)


def _explain(detail: ErrorDetails, tree: Tree, root: Schema | None) -> tuple[int, str]:
    """Return the line, to sort by, and the sentence of one mistake."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == MISTAKE:
        context = detail["ctx"]
        candidates = [(*path, *relative) for relative in context["paths"]]
        written = [candidate for candidate in candidates if candidate in tree.origins]
        return _sentence(tree, (written or candidates)[0], context["sentence"])
    if detail["type"] == "missing":
        return _sentence(tree, path, f"is missing; add it ({schema_at(path, root).get('description', '')})")
    if detail["type"] == "extra_forbidden":
        return _sentence(tree, path, _unknown_key(path, root))
    return _sentence(tree, path, _wrong_value(detail, path, root))


def _sentence(tree: Tree, path: Path, words: str) -> tuple[int, str]:
    origin = tree.origin(path)
    return origin.line, f"{origin.at(path)}: {words}"


def _unknown_key(path: Path, root: Schema | None) -> str:
    known = list(schema_at(path[:-1], root).get("properties", {}))
    return f"unknown key{nearest(str(path[-1]), known)}; known keys: {', '.join(known)}"


def _wrong_value(detail: ErrorDetails, path: Path, root: Schema | None) -> str:
    got = detail["input"]
    if detail["loc"][-1:] == ("[key]",):
        return f"got {describe(path[-1])} as a name; allowed is {allowed(('name',))}"
    sentence = f"got {describe(got)}; allowed is {allowed(path, 'less_than' in detail['type'], root)}"
    choices = [choice for choice in schema_at(path, root).get("enum", []) if isinstance(got, str)]
    return sentence + nearest(str(got), choices) + _cure(detail, got)


def _cure(detail: ErrorDetails, got: Any) -> str:
    """Return what else helps: a quoted number, a number where a text belongs, an empty section."""
    kind = detail["type"]
    if got is None and kind in ("model_type", "dict_type", "tuple_type"):
        return " (remove the key to get the defaults)"
    if isinstance(got, str) and kind in ("int_type", "float_type", "bool_type") and "'" in dump(got):
        return "; write it without quotes"
    if kind == "finite_number":
        return ", and finite"
    if kind == "string_type" and isinstance(got, (bool, int, float)):
        return "; write it in quotes"
    return ""
