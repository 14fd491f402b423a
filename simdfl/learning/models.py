"""Models as pure functions of one flat float32 vector.

Peers exchange, hash and aggregate flat vectors, so that a model here *is* a map from a flat vector to
logits. Order of the vector: layer by layer in the order of the forward pass, in each layer the weight in
C order, then the bias. Left out on purpose: batch normalisation (running state is no function of the
batch seed) and dropout (a second source of randomness).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from simdfl.errors import UserError, unknown_name
from simdfl.learning.layers import POOL, Conv, Dense, Layer, draw_he, pool

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
}

# A backward pass costs about two forward passes: one for the inputs, one for the weights.
FORWARD_BACKWARD = 3.0


@dataclass(frozen=True)
class Model:
    """A classifier over flat parameters.

    Parameters
    ----------
    name : str
        Name on the shelf.
    input_shape : tuple of int
        Shape of one sample.
    n_classes : int
        Number of classes.
    layers : tuple of Layer
        Layers in the order of the forward pass.
    activation : str
        Name in ``ACTIVATIONS``, applied after every layer but the last.
    lanes : int
        How many gradients one call computes together. It changes bits, so it is part of the model's
        configuration and of a run's manifest.
    """

    name: str
    input_shape: tuple[int, ...]
    n_classes: int
    layers: tuple[Layer, ...]
    activation: str
    lanes: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of all weights and biases in the order of the flat vector."""
        return tuple(shape for layer in self.layers for shape in layer.shapes)

    @property
    def n_parameters(self) -> int:
        """Return the length d of the flat vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def flops_per_sample(self) -> float:
        """Return the operations of one sample's gradient: three times those of its forward pass."""
        return FORWARD_BACKWARD * sum(layer.forward_flops for layer in self.layers)

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Draw initial parameters (d,) float32: He weights, zero biases."""
        pieces = []
        for layer in self.layers:
            weight, bias = layer.shapes
            pieces += [draw_he(rng, weight, layer.fan_in).ravel(), np.zeros(bias, dtype=np.float32)]
        return np.concatenate(pieces)

    def unflatten(self, flat: Array) -> tuple[Array, ...]:
        """Split flat : (d,) into weights and biases in canonical order."""
        pieces, at = [], 0
        for shape in self.shapes:
            size = math.prod(shape)
            pieces.append(flat[at : at + size].reshape(shape))
            at += size
        return tuple(pieces)

    def apply_pieces(self, pieces: tuple[Array, ...], x: Array) -> Array:
        """Map x : (batch, *input_shape) to logits (batch, n_classes), parameters given as pieces."""
        activate = ACTIVATIONS[self.activation]
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer.apply(pieces[2 * i], pieces[2 * i + 1], x)
            if i < last:
                x = activate(x)
            if isinstance(layer, Conv):
                x = pool(x)
        return x

    def apply(self, flat_params: Array, x: Array) -> Array:
        """Map x : (batch, *input_shape) to logits (batch, n_classes)."""
        return self.apply_pieces(self.unflatten(jnp.asarray(flat_params)), jnp.asarray(x))


def logistic(input_shape: Sequence[int], n_classes: int, *, lanes: int = 64) -> Model:
    """Return multinomial logistic regression: convex, the smallest useful model.

    >>> logistic((8, 8, 1), 10).n_parameters
    650
    """
    return mlp(input_shape, n_classes, hidden=(), lanes=lanes, name="logistic")


def mlp(
    input_shape: Sequence[int],
    n_classes: int,
    *,
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    lanes: int = 16,
    name: str = "mlp",
) -> Model:
    """Return a multi-layer perceptron on flattened inputs.

    Raises
    ------
    UserError
        If a width is not positive or the activation is unknown.

    Examples
    --------
    >>> mlp((8, 8, 1), 10, hidden=(64,)).n_parameters
    4810
    """
    if activation not in ACTIVATIONS:
        raise unknown_name("model.activation", activation, ACTIVATIONS)
    _require_positive("model.hidden", hidden)
    _require_positive("model.lanes", [lanes])
    widths = [math.prod(input_shape), *hidden, n_classes]
    layers = tuple(Dense(a, b) for a, b in pairwise(widths))
    return Model(name, tuple(input_shape), n_classes, layers, activation, lanes)


def cnn(
    input_shape: Sequence[int],
    n_classes: int,
    *,
    channels: Sequence[int] = (16, 32),
    activation: str = "relu",
    lanes: int = 1,
) -> Model:
    """Return a convolutional network: per entry of `channels` a convolution and 2 × 2 average pooling.

    One lane is the fast choice on a CPU, where convolutions with per-lane weights are slow; on a GPU give
    more.

    Raises
    ------
    UserError
        If samples are not (height, width, channels) or too small for that many poolings.

    Examples
    --------
    >>> cnn((8, 8, 1), 10).n_parameters
    6090
    """
    if activation not in ACTIVATIONS:
        raise unknown_name("model.activation", activation, ACTIVATIONS)
    _require_positive("model.channels", channels)
    _require_positive("model.lanes", [lanes])
    if len(input_shape) != 3:
        raise UserError(
            f"model.name: 'cnn' needs images (height, width, channels), got shape {tuple(input_shape)}; use 'mlp'"
        )
    height, width, depth = input_shape
    if min(height, width) < POOL ** len(channels):
        raise UserError(
            f"model.channels: {len(channels)} poolings need images of at least "
            f"{POOL ** len(channels)} pixels a side, got {height} × {width}; use fewer entries"
        )
    layers: list[Layer] = []
    for out in channels:
        layers.append(Conv(height, width, depth, out))
        height, width, depth = height // POOL, width // POOL, out
    layers.append(Dense(height * width * depth, n_classes))
    return Model("cnn", tuple(input_shape), n_classes, tuple(layers), activation, lanes)


def _require_positive(where: str, values: Sequence[int]) -> None:
    if any(value < 1 for value in values):
        raise UserError(f"{where}: every number must be at least 1, got {list(values)}")


MODELS: dict[str, Callable[..., Model]] = {"logistic": logistic, "mlp": mlp, "cnn": cnn}
