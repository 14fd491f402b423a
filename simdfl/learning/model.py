"""What a model is: a pure function of one flat float32 vector.

Peers exchange, hash and aggregate flat vectors, so that a model here *is* a map from a flat vector to logits.
Left out on purpose: batch normalisation (running state is no function of the batch seed) and dropout (a second
source of randomness).

With ``precision`` bfloat16 the weights are rounded on their way into the forward pass, which with the backward
pass then runs in bfloat16; the flat vector, statistics of norms, the loss and the gradient stay float32.

References
----------
Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.1 (a float32 master copy). Kalamkar et al.,
"A study of BFLOAT16 for deep learning training", arXiv:1905.12322 (no loss scaling).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from simdfl.errors import UserError

FORWARD_BACKWARD = 3.0
"""A backward pass costs about two forward passes: one for the inputs, one for the weights."""

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Model(ABC):
    """A classifier over flat parameters.

    Parameters
    ----------
    name : str
        Name on the shelf.
    input_shape : tuple of int
        Shape of one sample.
    n_classes : int
        Number of classes.
    lanes : int
        How many gradients one call computes together. It changes bits, so it is part of the model's
        configuration and of a run's manifest.
    precision : str
        What the forward and backward pass compute in: ``float32`` or ``bfloat16``.
    """

    name: str
    input_shape: tuple[int, ...]
    n_classes: int
    lanes: int
    precision: str

    reads_text: ClassVar[bool] = False

    @property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of all pieces in the order of the flat vector; a piece lies there in C order."""

    @property
    @abstractmethod
    def forward_flops(self) -> float:
        """Return the multiplications and additions of one sample's forward pass."""

    @abstractmethod
    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Draw initial parameters (d,) float32."""

    @abstractmethod
    def forward(self, pieces: tuple[Array, ...], x: Array) -> Array:
        """Map x : (batch, *input_shape) to logits (batch, …, n_classes), in the type of the pieces."""

    @property
    def n_parameters(self) -> int:
        """Return the length d of the flat vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def flops_per_sample(self) -> float:
        """Return the operations of one sample's gradient: three times those of its forward pass."""
        return FORWARD_BACKWARD * self.forward_flops

    def unflatten(self, flat: Array) -> tuple[Array, ...]:
        """Split flat : (d,) into pieces in canonical order."""
        pieces, at = [], 0
        for shape in self.shapes:
            size = math.prod(shape)
            pieces.append(flat[at : at + size].reshape(shape))
            at += size
        return tuple(pieces)

    def apply_pieces(self, pieces: tuple[Array, ...], x: Array) -> Array:
        """Map x : (batch, *input_shape) to logits float32, the parameters given as pieces."""
        if self.precision == "float32":
            return self.forward(pieces, x)
        low = jnp.dtype(self.precision)
        rounded = tuple(piece.astype(low) for piece in pieces)
        return self.forward(rounded, x if self.reads_text else x.astype(low)).astype(jnp.float32)

    def apply(self, flat_params: Array, x: Array) -> Array:
        """Map x : (batch, *input_shape) to logits (batch, …, n_classes)."""
        return self.apply_pieces(self.unflatten(jnp.asarray(flat_params)), jnp.asarray(x))

    def targets(self, x: Array, y: Array) -> Array:
        """Return what the logits of records x with labels y : (batch,) should point at, (batch, …)."""
        return y

    def at_label(self, logits: Array) -> Array:
        """Return those logits (batch, n_classes) that speak of the labels."""
        return logits


def require_positive(where: str, values: Sequence[int]) -> None:
    """Raise a :class:`UserError` unless all numbers are at least 1."""
    if any(value < 1 for value in values):
        raise UserError(f"{where}: every number must be at least 1, got {list(values)}")
