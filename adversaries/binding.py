"""From a name and parameters, as a scenario gives them, to an adversary; nothing is guessed or ignored.

An attack's parameters are the named arguments of its constructor, without those of
:class:`~simdfl.peers.behaviour.Byzantine`, which say who attacks and when. A constructor that takes ``**base``
and hands it on thereby also accepts the parameters of the class above it.
"""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from simdfl.errors import UserError, nearest, unknown_name
from simdfl.peers.behaviour import Behaviour, Byzantine

BASE = frozenset(inspect.signature(Byzantine).parameters)
KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
}

Hints = dict[str, Any]
B = TypeVar("B", bound=Behaviour)


def load_class(reference: str, base: type[B]) -> type[B]:
    """Return the user's own class from ``"module:Class"``.

    Raises
    ------
    UserError
        If the module cannot be imported, or has no such subclass of `base`.
    """
    module_name, _, class_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module does while it is imported
        raise UserError(
            f"adversary {reference}: module {module_name!r} cannot be imported "
            f"({type(error).__name__}: {error}); put its folder on PYTHONPATH"
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        known = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise unknown_name(f"adversary {reference}", class_name, known)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"adversary {reference}: must be a subclass of {base.__module__}.{base.__name__}")
    return found


def bind(
    name: str, adversary: type[B], params: Mapping[str, Any], base: Mapping[str, Any], what: str = "adversary"
) -> B:
    """Return the adversary, or what else it is, built with its own `params` and the `base` arguments of all.

    Raises
    ------
    UserError
        If a parameter is unknown, missing, of another type than annotated, or refused by the class.
    """
    known, hints = own_parameters(adversary)
    for key, value in params.items():
        if key not in known:
            listed = f"known parameters: {', '.join(known)}" if known else "it takes none"
            raise UserError(f"{what} {name}: unknown parameter {key!r}{nearest(key, known)}; {listed}")
        _check_type(f"{what} {name}.{key}", value, hints.get(key))
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in params:
            raise UserError(f"{what} {name}: parameter {key!r} is missing")
    try:
        return adversary(**params, **base)
    except ValueError as error:
        raise UserError(f"{what} {name}: {error}") from error


def own_parameters(adversary: type[Behaviour]) -> tuple[dict[str, inspect.Parameter], Hints]:
    """Return the parameters that are the attack's own, and their type hints as far as they can be read."""
    known: dict[str, inspect.Parameter] = {}
    hints: Hints = {}
    for owner in adversary.__mro__:
        if "__init__" not in vars(owner) or owner is object:
            continue
        constructor: Any = vars(owner)["__init__"]
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        fresh = {p.name: p for p in named if p.name not in BASE and p.name not in known}
        known.update(fresh)
        read = _type_hints(constructor)
        hints.update({key: read[key] for key in fresh if key in read})
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return known, hints


def _type_hints(constructor: Any) -> Hints:
    try:
        return typing.get_type_hints(constructor)
    except (NameError, TypeError, AttributeError):  # names that exist for a type checker only
        return {}


def _check_type(where: str, value: Any, hint: Any) -> None:
    """Check plain types and unions of them; what is annotated otherwise is the class's own business."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if is_union else (hint,)
    if all(kind in KINDS for kind in kinds) and not any(_fits(value, kind) for kind in kinds):
        allowed = " or ".join(KINDS[kind] for kind in kinds)
        raise UserError(f"{where}: must be {allowed}, got {value!r}")


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
