"""LASA: judge every layer on its own, by the length and the signs of what is left after sparsification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.aggregation.contract import ContextRule, Outcome, RuleContext
from simdfl.aggregation.rows import present_rows
from simdfl.aggregation.span import clip_factors, combine_rows, row_norms
from simdfl.errors import UserError

FLAT = 1e-6  # a spread below this part of the largest value is none


@dataclass(frozen=True)
class LayerAdaptive(ContextRule):
    """LASA: in each layer the mean of the rows whose norm and signs there are ordinary.

    Rows are shortened to the median norm. Copies without the `sparsity` part of least entries (by size, over
    the whole row; equal entries at the limit stay) are judged layer by layer: a row is ordinary if its norm and
    its share of positive among non-zero entries each lie less than `norm_reach` and `sign_reach` standard
    deviations from the median over the rows (mean of the two middle ones for an even number). The layer's
    result is the mean of the shortened, not sparsified, ordinary rows; of all if none is. Layers come with the
    context; without them the row is one layer. The result is no longer than the median norm times the square
    root of the number of layers. Breakdown: by experiment, f < n/2.

    Parameters
    ----------
    sparsity : float
        Part of the entries left out of the judgement.
    norm_reach, sign_reach : float

    References
    ----------
    Xu, Zhang, Hu, "Achieving Byzantine-resilient federated learning via layer-adaptive sparsified model
    aggregation", WACV 2025, section 4, algorithm 1.
    """

    breaks = frozenset({"shift"})

    sparsity: float = 0.3
    norm_reach: float = 2.0
    sign_reach: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1 or not self.norm_reach > 0 or not self.sign_reach > 0:
            raise UserError(
                "aggregation: lasa needs 0 <= sparsity < 1, norm_reach > 0 and sign_reach > 0, "
                f"got {self.sparsity}, {self.norm_reach}, {self.sign_reach}"
            )

    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32, whose columns are `context.layers` one after another."""
        rows = present_rows(x, weights)
        norms = row_norms(rows)
        factors = clip_factors(norms, float(np.median(norms)))
        least = self._least_kept(rows)
        value = np.empty(rows.shape[1], dtype=np.float32)
        for layer in layer_slices(context.layers, rows.shape[1]):
            part = rows[:, layer]
            chosen = self._ordinary(part, least, factors)
            value[layer] = combine_rows(chosen / chosen.sum() * factors, part)
        return Outcome(value)

    def _least_kept(self, rows: np.ndarray) -> np.ndarray:
        """Return the size of the least entry that sparsification keeps, for each row (m, 1)."""
        dropped = int(self.sparsity * rows.shape[1])
        if dropped == 0:
            return np.zeros((len(rows), 1), dtype=np.float32)
        return np.stack([np.partition(np.abs(row), dropped)[[dropped]] for row in rows])

    def _ordinary(self, part: np.ndarray, least: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Return which rows are ordinary in this layer, as (m,) bool; all if none is."""
        kept = np.abs(part) >= least
        norms = np.sqrt(np.einsum("nd,nd,nd->n", part, part, kept, dtype=np.float64)) * factors
        positive = np.count_nonzero(kept & (part > 0), axis=1)
        signed = positive + np.count_nonzero(kept & (part < 0), axis=1)
        shares = np.where(signed > 0, positive / np.maximum(signed, 1), 0.5)
        both = (_scores(norms) < self.norm_reach) & (_scores(shares) < self.sign_reach)
        return both if both.any() else np.ones_like(both)


def layer_slices(layers: tuple[int, ...], d: int) -> list[slice]:
    """Return the columns of each layer; one layer of all d columns if `layers` is empty or does not fit.

    >>> layer_slices((2, 3), 5)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    if sum(layers) != d:
        return [slice(0, d)]
    ends = np.cumsum(layers).tolist()
    return [slice(end - size, end) for end, size in zip(ends, layers)]


def _scores(values: np.ndarray) -> np.ndarray:
    """Return the distances of the values (m,) from their median in standard deviations; 0 if all are alike."""
    spread = float(values.std())
    if spread <= FLAT * float(np.abs(values).max()):
        return np.zeros_like(values)
    return np.abs(values - np.median(values)) / spread
