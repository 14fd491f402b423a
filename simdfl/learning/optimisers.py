"""Optimisers on flat vectors, with a state that has canonical bytes.

Every peer applies the same update to the same aggregate, therefore the state of the optimiser belongs to
the state digest of a run and must serialise to the same bytes everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from simdfl.crypto.encoding import canonical_float32
from simdfl.errors import CryptoError, UserError, unknown_name
from simdfl.learning.schedules import Schedule, bind, make_schedule

OptState = Any  # a tree of arrays, as optax makes it
STATE_MAGIC = b"simdfl.opt.v1"


@dataclass(frozen=True)
class Optimiser:
    """Update rule over flat float32 vectors.

    Parameters
    ----------
    name : str
        ``sgd``, ``momentum`` or ``adam``.
    schedule : Schedule
        Learning rate as a function of the step.
    hyper : tuple of (str, float)
        The rule's own numbers, in a fixed order.
    """

    name: str
    schedule: Schedule
    hyper: tuple[tuple[str, float], ...] = ()

    def _transform(self) -> optax.GradientTransformation:
        if self.name == "adam":
            return optax.adam(self.schedule, **dict(self.hyper))
        return optax.sgd(self.schedule, **dict(self.hyper))

    def init(self, params: np.ndarray) -> OptState:
        """Return the state before the first step, for parameters (d,)."""
        return self._transform().init(jnp.asarray(params))

    def update(self, params: np.ndarray, state: OptState, gradient: np.ndarray) -> tuple[np.ndarray, OptState]:
        """Return parameters (d,) float32, read-only, and the state after one step along `gradient` (d,)."""
        new_params, new_state = _update(self, params, state, gradient)
        return np.asarray(new_params), new_state

    def change(self, gradient: jax.Array, state: OptState) -> tuple[jax.Array, OptState]:
        """Return what one step along `gradient` (d,) adds to the parameters, and the next state; traceable."""
        change, state = self._transform().update(gradient, state)
        return change, state

    def state_bytes(self, state: OptState) -> bytes:
        """Return the canonical bytes of a state: magic, then per array its type, length and content."""
        return STATE_MAGIC + b"".join(_encode(leaf) for leaf in jax.tree.leaves(state))

    def state_from_bytes(self, raw: bytes, n_parameters: int) -> OptState:
        """Return the state that :meth:`state_bytes` wrote.

        Raises
        ------
        CryptoError
            If the bytes are not the canonical bytes of a state of this optimiser and this size.
        """
        like = self.init(np.zeros(n_parameters, dtype=np.float32))
        leaves, tree = jax.tree.flatten(like)
        restored, at = [], len(STATE_MAGIC)
        for leaf in leaves:
            size = len(_encode(leaf))
            restored.append(_decode(raw[at : at + size], leaf))
            at += size
        state = jax.tree.unflatten(tree, restored)
        if self.state_bytes(state) != raw:
            raise CryptoError(f"optimiser state of {len(raw)} bytes is not a canonical {self.name!r} state")
        return state


@partial(jax.jit, static_argnames="optimiser")
def _update(
    optimiser: Optimiser, params: jax.Array, state: OptState, gradient: jax.Array
) -> tuple[Any, OptState]:
    updates, state = optimiser._transform().update(gradient, state, params)
    return optax.apply_updates(params, updates), state


def _encode(leaf: jax.Array) -> bytes:
    array = np.asarray(leaf)
    kind = array.dtype.newbyteorder("<")
    content = canonical_float32(array) if array.dtype == np.float32 else array.astype(kind).tobytes()
    return struct.pack("<cBQ", kind.kind.encode(), kind.itemsize, array.size) + content


def _decode(raw: bytes, like: jax.Array) -> jax.Array:
    header = struct.calcsize("<cBQ")
    if len(raw) != len(_encode(like)):
        raise CryptoError(f"optimiser state is too short: {len(raw)} bytes left")
    kind = np.asarray(like).dtype.newbyteorder("<")
    return jnp.asarray(np.frombuffer(raw, dtype=kind, offset=header).reshape(like.shape).astype(like.dtype))


def sgd(learning_rate: float | Mapping[str, Any] = 0.1) -> Optimiser:
    """Return plain stochastic gradient descent."""
    return Optimiser("sgd", make_schedule(learning_rate))


def momentum(learning_rate: float | Mapping[str, Any] = 0.1, *, beta: float = 0.9) -> Optimiser:
    """Return heavy-ball momentum: ``m = beta m + g; x = x - lr m``."""
    return Optimiser("momentum", make_schedule(learning_rate), (("momentum", _fraction("beta", beta)),))


def adam(
    learning_rate: float | Mapping[str, Any] = 0.001, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> Optimiser:
    """Return Adam with bias correction.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """
    hyper = (("b1", _fraction("b1", b1)), ("b2", _fraction("b2", b2)), ("eps", float(eps)))
    return Optimiser("adam", make_schedule(learning_rate), hyper)


def _fraction(name: str, value: float) -> float:
    if not 0.0 <= value < 1.0:
        raise UserError(f"optimiser.{name}: must be at least 0 and below 1, got {value}")
    return float(value)


OPTIMISERS: dict[str, Callable[..., Optimiser]] = {"sgd": sgd, "momentum": momentum, "adam": adam}


def make_optimiser(name: str, params: Mapping[str, Any]) -> Optimiser:
    """Return the optimiser `name` with its parameters.

    Raises
    ------
    UserError
        If the name or a parameter is unknown, or a value impossible.
    """
    if name not in OPTIMISERS:
        raise unknown_name("optimiser.name", name, OPTIMISERS)
    return bind("optimiser", OPTIMISERS[name], params)
