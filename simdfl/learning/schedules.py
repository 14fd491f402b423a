"""Learning rate as a function of the step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax.numpy as jnp

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


def bind(where: str, factory: Callable[..., T], params: Mapping[str, Any]) -> T:
    """Call `factory` with `params`, turning an unknown or missing parameter into a :class:`UserError`."""
    signature = inspect.signature(factory)
    for key in params:
        if key not in signature.parameters:
            known = ", ".join(signature.parameters)
            raise UserError(
                f"{where}: unknown parameter {key!r}{nearest(key, signature.parameters)}; "
                f"known parameters: {known}"
            )
    for key, parameter in signature.parameters.items():
        if parameter.default is parameter.empty and key not in params:
            raise UserError(f"{where}: parameter {key!r} is missing")
    return factory(**params)


def _require(holds: bool, name: str, value: float, allowed: str) -> None:
    if not holds:
        raise UserError(f"optimiser.learning_rate.{name}: must be {allowed}, got {value}")
