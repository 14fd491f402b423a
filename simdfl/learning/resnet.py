"""ResNet-18 with group normalisation, in the form for images of 32 pixels.

Order of the flat vector: the stem, then block by block the first convolution, the second and, where the shape
changes, the 1 × 1 convolution of the shortcut; of each its weight (height, width, in, out), then its norm's scale
and bias; at last weight and bias of the dense layer. Convolutions have no bias.

References
----------
He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2 and table 1.
Wu and He, "Group normalization", ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from simdfl.errors import UserError
from simdfl.learning.layers import KERNEL, draw_he
from simdfl.learning.model import Model, require_positive
from simdfl.learning.norms import group_norm

BLOCKS = (2, 2, 2, 2)


@dataclass(frozen=True)
class Unit:
    """A convolution without bias and its norm; `height` and `width` are those of what comes out."""

    kernel: int
    channels_in: int
    channels_out: int
    stride: int
    height: int
    width: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of weight, scale and bias."""
        weight = (self.kernel, self.kernel, self.channels_in, self.channels_out)
        return weight, (self.channels_out,), (self.channels_out,)

    @property
    def fan_in(self) -> int:
        """Return how many inputs reach one output."""
        return self.kernel**2 * self.channels_in

    @property
    def forward_flops(self) -> float:
        """Return the operations for one sample; a norm takes about eight an entry."""
        return self.height * self.width * self.channels_out * (2.0 * self.fan_in + 8.0)

    def apply(self, pieces: Iterator[Array], x: Array, groups: int) -> Array:
        """Convolve and normalise x : (batch, height, width, channels_in), with the next three pieces."""
        strides, dimensions = (self.stride, self.stride), ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, next(pieces), strides, "SAME", dimension_numbers=dimensions)
        return group_norm(x, next(pieces), next(pieces), groups)


@dataclass(frozen=True)
class Block:
    """Two units and the shortcut around them."""

    first: Unit
    second: Unit
    shortcut: Unit | None

    @property
    def units(self) -> tuple[Unit, ...]:
        """Return the units in the order of the flat vector."""
        return (self.first, self.second) if self.shortcut is None else (self.first, self.second, self.shortcut)

    def apply(self, pieces: Iterator[Array], x: Array, groups: int) -> Array:
        """Map x to the block's output, of the same shape but where the block says otherwise."""
        inner = jax.nn.relu(self.first.apply(pieces, x, groups))
        inner = self.second.apply(pieces, inner, groups)
        around = x if self.shortcut is None else self.shortcut.apply(pieces, x, groups)
        return jax.nn.relu(inner + around)


@dataclass(frozen=True)
class ResNet(Model):
    """A stem, stages of basic blocks, the mean over all places, a dense layer.

    Parameters
    ----------
    stem : Unit
    blocks : tuple of Block
    groups : int
        Groups of channels that are normalised together.
    """

    stem: Unit
    blocks: tuple[Block, ...]
    groups: int

    @property
    def units(self) -> tuple[Unit, ...]:
        """Return all units in the order of the flat vector."""
        return (self.stem, *(unit for block in self.blocks for unit in block.units))

    @property
    def features(self) -> int:
        """Return the width of what the dense layer reads."""
        return self.blocks[-1].second.channels_out

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of all pieces in the order of the flat vector."""
        inner = tuple(shape for unit in self.units for shape in unit.shapes)
        return (*inner, (self.features, self.n_classes), (self.n_classes,))

    @property
    def forward_flops(self) -> float:
        """Return the multiplications and additions of one sample's forward pass."""
        dense = 2.0 * self.features * self.n_classes + self.n_classes
        return sum(unit.forward_flops for unit in self.units) + dense

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Draw initial parameters (d,) float32: He weights, scales one, biases zero."""
        pieces = []
        for unit in self.units:
            weight, scale, bias = unit.shapes
            pieces += [
                draw_he(rng, weight, unit.fan_in).ravel(),
                np.ones(scale, np.float32),
                np.zeros(bias, np.float32),
            ]
        pieces.append(draw_he(rng, (self.features, self.n_classes), self.features).ravel())
        return np.concatenate([*pieces, np.zeros(self.n_classes, np.float32)])

    def forward(self, pieces: tuple[Array, ...], x: Array) -> Array:
        """Map x : (batch, height, width, channels) to logits (batch, n_classes)."""
        left = iter(pieces)
        x = jax.nn.relu(self.stem.apply(left, x, self.groups))
        for block in self.blocks:
            x = block.apply(left, x, self.groups)
        return jnp.mean(x, axis=(1, 2)) @ next(left) + next(left)


def resnet18(
    input_shape: Sequence[int], n_classes: int, *, width: int = 64, groups: int = 32, lanes: int = 1
) -> Model:
    """Return ResNet-18 with group norm: a 3 × 3 stem, four stages of two blocks, three of them halving images.

    Parameters
    ----------
    width : int
        Channels of the first stage; each stage has twice those of the one before.
    groups : int
        Groups of a norm; must divide the width.

    Raises
    ------
    UserError
        If samples are no images (height, width, channels), or the groups do not divide the width.

    Examples
    --------
    >>> resnet18((32, 32, 3), 10).n_parameters
    11173962
    """
    require_positive("model.width, groups, lanes", [width, groups, lanes])
    if len(input_shape) != 3:
        raise UserError(
            f"model.name: 'resnet18' needs images (height, width, channels), got shape {tuple(input_shape)}; "
            "use 'mlp'"
        )
    if width % groups:
        raise UserError(f"model.groups: {groups} groups do not divide the width {width}; use a divisor of it")
    high, wide, depth = input_shape
    stem, blocks, before = Unit(KERNEL, depth, width, 1, high, wide), [], width
    for stage, count in enumerate(BLOCKS):
        for place in range(count):
            stride, out = (2 if stage and not place else 1), width * 2**stage
            high, wide = -(-high // stride), -(-wide // stride)
            shortcut = Unit(1, before, out, stride, high, wide) if (stride, before) != (1, out) else None
            first, second = (Unit(KERNEL, a, out, s, high, wide) for a, s in ((before, stride), (out, 1)))
            blocks.append(Block(first, second, shortcut))
            before = out
    return ResNet("resnet18", tuple(input_shape), n_classes, lanes, "float32", stem, tuple(blocks), groups)
