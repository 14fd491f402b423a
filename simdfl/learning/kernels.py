"""The numerical kernels behind the gradient engine: loss, K-lane gradients, evaluation.

A lane is one gradient. The executable always computes K of them, so that the bits of a lane depend on its
own parameters, records and labels alone; another width K may give other bits. Data are arguments, not
constants of the compiled function, which would be folded and copied at each compilation.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from simdfl.learning.model import Model


def cross_entropy(model: Model, pieces: tuple[Array, ...], x: Array, y: Array) -> Array:
    """Return the mean negative log-likelihood of what should follow, of labels y : (batch,) in most models."""
    return _mean_loss(model.apply_pieces(pieces, x), model.targets(x, y))


def _mean_loss(logits: Array, wanted: Array) -> Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), wanted[..., None], axis=-1))


@partial(jax.jit, static_argnames="model")
def shared_gradients(
    model: Model, params: Array, data: Array, indices: Array, labels: Array
) -> tuple[Array, Array]:
    """Compute K gradients at one common state.

    Parameters
    ----------
    model : Model
    params : (d,) float32
    data : (n_train, *shape) float32
    indices : (K, batch) int32
        Records of each lane.
    labels : (K, batch) int32

    Returns
    -------
    losses : (K,) float32
    gradients : (K, d) float32
    """
    return _lanes(model, model.unflatten(params), None, data[indices], labels)


@partial(jax.jit, static_argnames="model")
def own_gradients(model: Model, params: Array, data: Array, indices: Array, labels: Array) -> tuple[Array, Array]:
    """Compute K gradients, each at its own state, params : (K, d); the rest as above."""
    return _lanes(model, jax.vmap(model.unflatten)(params), 0, data[indices], labels)


@partial(jax.jit, static_argnames="model")
def given_gradients(model: Model, params: tuple[Array, ...], x: Array, labels: Array) -> tuple[Array, Array]:
    """Compute K gradients, each at its own state and on records of its own, x : (K, batch, *shape)."""
    pieces = [model.unflatten(flat) for flat in params]
    stacked = tuple(jnp.stack(same) for same in zip(*pieces))
    return _lanes(model, stacked, 0, x, labels)


def _lanes(model: Model, pieces: tuple[Array, ...], axis: int | None, x: Array, y: Array) -> tuple[Array, Array]:
    gradient: Any = jax.value_and_grad(partial(cross_entropy, model))
    if len(y) == 1:  # no vmap: it makes convolutions slow on a CPU
        only = pieces if axis is None else tuple(piece[0] for piece in pieces)
        loss, parts = gradient(only, x[0], y[0])
        losses, parts = loss[None], tuple(part[None] for part in parts)
    else:
        losses, parts = jax.vmap(gradient, in_axes=(axis, 0, 0))(pieces, x, y)
    return losses, jnp.concatenate([part.reshape(len(y), -1) for part in parts], axis=1)


@partial(jax.jit, static_argnames="model")
def score(model: Model, params: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Return accuracy and mean loss of params (d,) on records x : (n, *shape), y : (n,)."""
    logits, wanted = model.apply(params, x), model.targets(x, y)
    return jnp.mean(jnp.argmax(logits, axis=-1) == wanted), _mean_loss(logits, wanted)


@partial(jax.jit, static_argnames="model")
def agreement(model: Model, params: Array, x: Array, y: Array) -> Array:
    """Return the share of records x : (n, *shape) for which params (d,) name the label y : (n,)."""
    return jnp.mean(jnp.argmax(model.at_label(model.apply(params, x)), axis=-1) == y)
