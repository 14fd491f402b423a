"""Layers with a fixed place in the flat parameter vector.

A layer owns a weight and a bias. Its part of the flat vector is the weight in C order, then the bias;
layers follow each other in the order in which data pass them. There is no running statistic and no
dropout: a forward pass is a pure function of parameters and input, which recomputation needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

KERNEL = 3
POOL = 2


def draw_he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Draw a weight of standard deviation sqrt(2 / fan_in).

    The draw uses NumPy, so that the initial state does not depend on the framework that trains it.

    References
    ----------
    He et al., "Delving deep into rectifiers", ICCV 2015, section 2.2.
    """
    return (rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)


@dataclass(frozen=True)
class Dense:
    """Affine map of flattened inputs: weight (n_inputs, n_outputs), bias (n_outputs,)."""

    n_inputs: int
    n_outputs: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of weight and bias."""
        return (self.n_inputs, self.n_outputs), (self.n_outputs,)

    @property
    def fan_in(self) -> int:
        """Return how many inputs reach one output."""
        return self.n_inputs

    @property
    def forward_flops(self) -> float:
        """Return the multiplications and additions of one sample's forward pass."""
        return 2.0 * self.n_inputs * self.n_outputs + self.n_outputs

    def apply(self, weight: Array, bias: Array, x: Array) -> Array:
        """Map x : (batch, ...) to (batch, n_outputs)."""
        return x.reshape(x.shape[0], -1) @ weight + bias


@dataclass(frozen=True)
class Conv:
    """3 × 3 convolution with zero padding: weight (3, 3, channels_in, channels_out), bias (channels_out,)."""

    height: int
    width: int
    channels_in: int
    channels_out: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of weight and bias."""
        return (KERNEL, KERNEL, self.channels_in, self.channels_out), (self.channels_out,)

    @property
    def fan_in(self) -> int:
        """Return how many inputs reach one output."""
        return KERNEL * KERNEL * self.channels_in

    @property
    def forward_flops(self) -> float:
        """Return the multiplications and additions of one sample's forward pass."""
        return self.height * self.width * self.channels_out * (2.0 * self.fan_in + 1.0)

    def apply(self, weight: Array, bias: Array, x: Array) -> Array:
        """Map x : (batch, height, width, channels_in) to (batch, height, width, channels_out)."""
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=dimensions) + bias


Layer = Dense | Conv


def pool(x: Array) -> Array:
    """Average 2 × 2 blocks of x : (batch, height, width, channels); an odd last row or column is dropped."""
    batch, height, width, channels = x.shape
    high, wide = height // POOL, width // POOL
    blocks = x[:, : high * POOL, : wide * POOL].reshape(batch, high, POOL, wide, POOL, channels)
    return jnp.mean(blocks, axis=(2, 4))
