"""What updates are worth: the game whose players are the contributors of a step.

The utility of a set of updates is the decrease of loss on the public evaluation batch when the job's optimiser
applies their mean, against an update of zero: momentum is nobody's merit. A contributor is worth its sampled
Shapley value. Updates longer than the median one count as if they were that long: else one huge update would
make everybody who dilutes it look useful. A beacon output that was not open when gradients were committed draws
the orders and the batch, so nobody can fit its update to them. Values become whole numbers before anything is
compared or paid: all honest peers get the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest, sha256
from simdfl.learning.shapley import Coalition, draw_orders, sampled_values
from simdfl.memo import Memo
from simdfl.protocols.parts import Commitment, commit_gradient
from simdfl.protocols.training import ModelState, Training

FIXED_ONE = float(1 << 40)
WORST = -1e6
"""Utility of updates after which the loss is no number."""


@dataclass(frozen=True)
class Valuation:
    """How updates are valued: orders drawn a round, records of the evaluation batch, when a walk stops."""

    permutations: int
    records: int
    truncation: float


class ContributionGame:
    """The game of one round, the same for all peers that saw the same updates.

    Parameters
    ----------
    training : Training
        Applies means of updates and measures the loss.
    valuation : Valuation
        How values are estimated.
    """

    def __init__(self, training: Training, valuation: Valuation) -> None:
        self._training = training
        self._valuation = valuation
        self._rounds = Memo(8)
        self._openings = Memo(256)

    def is_opened(self, commitment: Commitment, root: bytes) -> bool:
        """Return whether shown parts are those behind a posted root."""

        def recommit() -> bool:
            return commit_gradient(commitment.parts.reshape(-1), len(commitment.parts)).root == root

        return bool(self._openings.get((id(commitment), root), lambda: (recommit(), commitment))[0])

    def weights(self, state: ModelState, randomness: bytes, updates: Mapping[int, np.ndarray]) -> dict[int, int]:
        """Return each contributor's value in units of 2^-40 nats, 0 for who adds nothing.

        Parameters
        ----------
        state : ModelState
            Before the step.
        randomness : bytes
            Beacon output that draws orders and evaluation batch.
        updates : mapping of int to (d,) array
            Opened gradients by peer.
        """
        peers = sorted(updates)
        names = b"".join(peer.to_bytes(4, "little") + sha256(canonical_float32(updates[peer])) for peer in peers)
        key = (state.digest, randomness, names)
        return dict(self._rounds.get(key, lambda: self._play(state, randomness, peers, updates)))

    def _play(
        self, state: ModelState, randomness: bytes, peers: list[int], updates: Mapping[int, np.ndarray]
    ) -> dict[int, int]:
        training, seed = self._training, digest("simdfl/contribution-batch", randomness)
        bounded = _shorten([updates[peer] for peer in peers])
        known: dict[Coalition, float] = {frozenset(): 0.0}

        def loss_after(update: np.ndarray) -> float:
            params, _ = training.optimiser.update(state.params, state.opt_state, update)
            if not np.isfinite(params).all():
                return np.inf
            return training.engine.test_loss(params, seed, self._valuation.records)

        nothing = loss_after(np.zeros(training.n_parameters, dtype=np.float32))

        def utility(came: Coalition) -> float:
            if came not in known:
                after = loss_after(_mean([bounded[player] for player in sorted(came)]))
                known[came] = nothing - after if np.isfinite(after) else WORST
            return known[came]

        orders = draw_orders(randomness, len(peers), self._valuation.permutations)
        values = sampled_values(orders, utility, self._valuation.truncation)
        return {peer: max(0, round(value * FIXED_ONE)) for peer, value in zip(peers, values)}


def _shorten(updates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return updates (d,), none of them longer than the median one."""
    norms = [float(np.linalg.norm(update.astype(np.float64))) for update in updates]
    longest = float(np.median(norms))
    return [
        update if norm <= longest else (update.astype(np.float64) * (longest / norm)).astype(np.float32)
        for update, norm in zip(updates, norms)
    ]


def _mean(updates: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean (d,) float32 of updates, summed in double precision in the order given."""
    total = np.zeros(len(updates[0]))
    for update in updates:
        total += update
    return (total / len(updates)).astype(np.float32)


def split_budget(budget_wei: int, weights: Mapping[int, int], n_peers: int) -> list[int]:
    """Return each member's amount: the budget in proportion to the weights, rounded down; nothing if all are 0.

    >>> split_budget(100, {0: 1, 2: 2}, 4)
    [33, 0, 66, 0]
    """
    total = sum(weights.values())
    return [budget_wei * weights.get(peer, 0) // total if total else 0 for peer in range(n_peers)]
