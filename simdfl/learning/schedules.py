"""Learning rate as a function of the step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import jax.numpy as jnp
from pydantic import TypeAdapter, ValidationError

from simdfl.errors import UserError, nearest, unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Constant:
    """The same rate for ever."""

    initial: float

    def __post_init__(self) -> None:
        _require(self.initial > 0, "initial", self.initial, "positive")

    def __call__(self, step: Any) -> Any:
        """Return the rate of `step` = 0, 1, …."""
        return jnp.full_like(step, self.initial, dtype=jnp.float32)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `initial` to `final` over `steps`, then `final`.

    References
    ----------
    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5.
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _require(self.initial > 0, "initial", self.initial, "positive")
        _require(self.steps >= 1, "steps", self.steps, "at least 1")
        _require(0 <= self.final <= self.initial, "final", self.final, "between 0 and the initial rate")

    def __call__(self, step: Any) -> Any:
        """Return the rate of `step` = 0, 1, …."""
        progress = jnp.minimum(step / self.steps, 1.0)
        return self.final + (self.initial - self.final) * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))


@dataclass(frozen=True)
class Step:
    """Multiply by `factor` after every `every` steps."""

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _require(self.initial > 0, "initial", self.initial, "positive")
        _require(self.every >= 1, "every", self.every, "at least 1")
        _require(0 < self.factor <= 1, "factor", self.factor, "above 0 and at most 1")

    def __call__(self, step: Any) -> Any:
        """Return the rate of `step` = 0, 1, …."""
        return self.initial * self.factor ** jnp.asarray(step // self.every, dtype=jnp.float32)


Schedule = Constant | Cosine | Step
SCHEDULES: dict[str, Callable[..., Schedule]] = {"constant": Constant, "cosine": Cosine, "step": Step}


def make_schedule(rate: float | Mapping[str, Any]) -> Schedule:
    """Return a schedule from a number, or from a mapping with ``name`` and the schedule's parameters.

    >>> make_schedule({"name": "step", "initial": 0.1, "every": 10})
    Step(initial=0.1, every=10, factor=0.1)

    Raises
    ------
    UserError
        If the name or a parameter is unknown, or a value impossible.
    """
    if not isinstance(rate, Mapping):
        return Constant(float(rate))
    name = str(rate.get("name", ""))
    if name not in SCHEDULES:
        raise unknown_name("optimiser.learning_rate.name", name, SCHEDULES)
    params = {key: value for key, value in rate.items() if key != "name"}
    return bind("optimiser.learning_rate", SCHEDULES[name], params)


def bind(
    where: str, factory: Callable[..., T], params: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> T:
    """Call `factory` with a user's `params`, strictly.

    Parameters
    ----------
    where : str
        Key path for messages.
    factory : callable
        What is on the shelf; its annotations are the allowed types.
    params : mapping
        From the user.
    given : mapping, optional
        Arguments that are not the user's business and are not offered to them.

    Raises
    ------
    UserError
        If a parameter is unknown, missing or of the wrong type.
    """
    given = given or {}
    offered = {key: p for key, p in inspect.signature(factory).parameters.items() if key not in given}
    hints = get_type_hints(factory)
    for key, value in params.items():
        if key not in offered:
            known = ", ".join(offered) or "none"
            raise UserError(
                f"{where}: unknown parameter {key!r}{nearest(key, offered)}; known parameters: {known}"
            )
        _check_type(f"{where}.{key}", value, hints.get(key, Any), offered[key])
    for key, parameter in offered.items():
        if parameter.default is parameter.empty and key not in params:
            raise UserError(f"{where}: parameter {key!r} is missing")
    return factory(**given, **params)


def _check_type(where: str, value: Any, hint: Any, parameter: inspect.Parameter) -> None:
    """Raise :class:`UserError` unless `value` has the annotated type; an int will do for a float."""
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        allowed = str(parameter.annotation).replace("Sequence[int]", "a list of whole numbers")
        raise UserError(f"{where}: got {value!r}; allowed is {allowed}") from error


def _require(holds: bool, name: str, value: float, allowed: str) -> None:
    if not holds:
        raise UserError(f"optimiser.learning_rate.{name}: must be {allowed}, got {value}")
