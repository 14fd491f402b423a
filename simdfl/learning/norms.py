"""Norms without running statistics; mean and variance are float32 whatever the precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

EPSILON = 1e-5


def group_norm(x: Array, scale: Array, bias: Array, groups: int) -> Array:
    """Normalise each group of channels of each image x : (batch, height, width, channels).

    References
    ----------
    Wu and He, "Group normalization", ECCV 2018, section 3.
    """
    batch, height, width, channels = x.shape
    grouped = x.astype(jnp.float32).reshape(batch, height * width, groups, channels // groups)
    mean = jnp.mean(grouped, axis=(1, 3), keepdims=True)
    centred = grouped - mean
    variance = jnp.mean(centred * centred, axis=(1, 3), keepdims=True)
    normal = (centred * jax.lax.rsqrt(variance + EPSILON)).reshape(x.shape)
    return normal.astype(x.dtype) * scale + bias


def layer_norm(x: Array, scale: Array, bias: Array) -> Array:
    """Normalise the last axis of x : (…, width).

    References
    ----------
    Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450, section 3.
    """
    wide = x.astype(jnp.float32)
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
    return (centred * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype) * scale + bias
