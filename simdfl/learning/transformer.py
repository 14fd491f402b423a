"""A small language model: a decoder-only transformer with norms before the sublayers.

Order of the flat vector: embedding (tokens, width), positions (context, width); per layer scale and bias of the
first norm, weight and bias of query, key and value together, of the projection, scale and bias of the second
norm, weight and bias of the two dense layers; at last scale and bias of the final norm and the output weight
(width, tokens), not tied to the embedding. Tokens are looked up by a product with one-hot rows: the gradient of a
gather is a sum in no fixed order on some accelerators.

References
----------
Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.3 (norms first, initial
weights). Vaswani et al., "Attention is all you need", NIPS 2017, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from simdfl.errors import UserError
from simdfl.learning.model import Model, require_positive
from simdfl.learning.norms import layer_norm

EXPANSION = 4
SPREAD = 0.02
"""Standard deviation of the initial weights."""


@dataclass(frozen=True)
class Transformer(Model):
    """Predicts each token of a record from those before it, the record's label being the last.

    Parameters
    ----------
    width : int
        Entries of a token's vector.
    depth : int
        Layers.
    heads : int
        Heads of attention; they share the width.
    """

    width: int
    depth: int
    heads: int

    reads_text: ClassVar[bool] = True

    @property
    def context(self) -> int:
        """Return the tokens of a record."""
        return self.input_shape[0]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of all pieces in the order of the flat vector."""
        w, wide = self.width, EXPANSION * self.width
        layer = ((w,), (w,), (w, 3 * w), (3 * w,), (w, w), (w,), (w,), (w,), (w, wide), (wide,), (wide, w), (w,))
        return ((self.n_classes, w), (self.context, w), *(layer * self.depth), (w,), (w,), (w, self.n_classes))

    @property
    def forward_flops(self) -> float:
        """Return the multiplications and additions of one sample's forward pass; attention counts all pairs."""
        dense = sum(math.prod(shape) for shape in self.shapes if len(shape) == 2) - self.context * self.width
        return 2.0 * self.context * dense + 4.0 * self.depth * self.context**2 * self.width

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Draw initial parameters (d,) float32: normal weights, smaller where sublayers end, scales one."""
        pieces, inner = [], 12
        for at, shape in enumerate(self.shapes):
            place = (at - 2) % inner if 2 <= at < 2 + inner * self.depth else None
            if len(shape) == 2:
                spread = SPREAD / math.sqrt(2 * self.depth) if place in {4, 10} else SPREAD
                pieces.append((rng.standard_normal(shape) * spread).astype(np.float32).ravel())
            else:
                is_scale = place in {0, 6} or (place is None and at == len(self.shapes) - 3)
                pieces.append(np.full(shape, float(is_scale), dtype=np.float32))
        return np.concatenate(pieces)

    def forward(self, pieces: tuple[Array, ...], x: Array) -> Array:
        """Map x : (batch, context), rounded to tokens, to logits (batch, context, n_classes)."""
        left = iter(pieces)
        embedding, positions = next(left), next(left)
        tokens = jnp.clip(jnp.round(x), 0, self.n_classes - 1).astype(jnp.int32)
        h = jax.nn.one_hot(tokens, self.n_classes, dtype=embedding.dtype) @ embedding + positions
        for _ in range(self.depth):
            h = h + self._attend(left, layer_norm(h, next(left), next(left)))
            h = h + _expand(left, layer_norm(h, next(left), next(left)))
        return layer_norm(h, next(left), next(left)) @ next(left)

    def _attend(self, left: Iterator[Array], h: Array) -> Array:
        """Return causal attention with the next four pieces."""
        batch, length, width = h.shape
        mixed = (h @ next(left) + next(left)).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = (mixed[:, :, i] for i in range(3))
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key).astype(jnp.float32) / math.sqrt(width // self.heads)
        seen = jnp.tril(jnp.ones((length, length), dtype=bool))
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)).astype(h.dtype)
        out = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(batch, length, width)
        return out @ next(left) + next(left)

    def targets(self, x: Array, y: Array) -> Array:
        """Return the token after each of x : (batch, context): the next of the record, at last the label."""
        return jnp.concatenate([x[:, 1:].astype(jnp.int32), y[:, None].astype(jnp.int32)], axis=1)

    def at_label(self, logits: Array) -> Array:
        """Return the logits (batch, n_classes) after the last token."""
        return logits[:, -1]


def _expand(left: Iterator[Array], h: Array) -> Array:
    """Return the two dense layers with the next four pieces."""
    h = jax.nn.gelu(h @ next(left) + next(left))
    return h @ next(left) + next(left)


def transformer(
    input_shape: Sequence[int],
    n_classes: int,
    *,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
    lanes: int = 1,
) -> Model:
    """Return a transformer language model over records of `input_shape` = (context,) tokens of `n_classes` kinds.

    Raises
    ------
    UserError
        If records are not rows of tokens, or the heads do not divide the width.

    Examples
    --------
    >>> transformer((64,), 65).n_parameters
    112512
    """
    require_positive("model.width, depth, heads, lanes", [width, depth, heads, lanes])
    if len(input_shape) != 1:
        raise UserError(
            f"model.name: 'transformer' needs records (context,) of tokens, got shape {tuple(input_shape)}; "
            "use a text such as learning.dataset.name: text"
        )
    if width % heads:
        raise UserError(f"model.heads: {heads} heads do not divide the width {width}; use a divisor of it")
    return Transformer("transformer", tuple(input_shape), n_classes, lanes, "float32", width, depth, heads)
