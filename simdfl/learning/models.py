"""The shelf of models, and those that are a chain of dense and convolutional layers.

Order of their flat vector: layer by layer in the order of the forward pass, in each layer the weight in
C order, then the bias. The larger ones have modules of their own: ``resnet`` and ``transformer``.
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
from simdfl.learning.model import Model, require_positive
from simdfl.learning.resnet import resnet18
from simdfl.learning.transformer import transformer

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
}


@dataclass(frozen=True)
class Chain(Model):
    """Layers one after another.

    Parameters
    ----------
    layers : tuple of Layer
        Layers in the order of the forward pass.
    activation : str
        Name in ``ACTIVATIONS``, applied after every layer but the last.
    """

    layers: tuple[Layer, ...]
    activation: str

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of all weights and biases in the order of the flat vector."""
        return tuple(shape for layer in self.layers for shape in layer.shapes)

    @property
    def forward_flops(self) -> float:
        """Return the multiplications and additions of one sample's forward pass."""
        return sum(layer.forward_flops for layer in self.layers)

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Draw initial parameters (d,) float32: He weights, zero biases."""
        pieces = []
        for layer in self.layers:
            weight, bias = layer.shapes
            pieces += [draw_he(rng, weight, layer.fan_in).ravel(), np.zeros(bias, dtype=np.float32)]
        return np.concatenate(pieces)

    def forward(self, pieces: tuple[Array, ...], x: Array) -> Array:
        """Map x : (batch, *input_shape) to logits (batch, n_classes)."""
        activate = ACTIVATIONS[self.activation]
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer.apply(pieces[2 * i], pieces[2 * i + 1], x)
            if i < last:
                x = activate(x)
            if isinstance(layer, Conv):
                x = pool(x)
        return x


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
    require_positive("model.hidden", hidden)
    require_positive("model.lanes", [lanes])
    widths = [math.prod(input_shape), *hidden, n_classes]
    layers = tuple(Dense(a, b) for a, b in pairwise(widths))
    return Chain(name, tuple(input_shape), n_classes, lanes, "float32", layers, activation)


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
    require_positive("model.channels", channels)
    require_positive("model.lanes", [lanes])
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
    return Chain("cnn", tuple(input_shape), n_classes, lanes, "float32", tuple(layers), activation)


MODELS: dict[str, Callable[..., Model]] = {
    "logistic": logistic,
    "mlp": mlp,
    "cnn": cnn,
    "resnet18": resnet18,
    "transformer": transformer,
}
