"""Private data: who holds which records, and how a batch is opened to those who check it.

Each peer commits to the Merkle root of its shard before training. Its batches are drawn from the shard by the
public seed, so a validator that is shown the records of a batch, with their paths, can recompute the gradient;
everybody else learns nothing but the gradient. What a root cannot say is whether the records are true: labels
that were flipped before the commitment stay flipped.

References
----------
Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for federated visual classification",
arXiv:1909.06335, section 3 (Dirichlet partition).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts_model.merkle import merkle_path, merkle_root, verify_path
from simdfl.errors import UserError
from simdfl.learning.data import Dataset, record_leaf

DRAWS = 100
HASH_BYTES = 32


def partition_iid(labels: np.ndarray, n_peers: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the records of each peer: a random permutation, dealt out evenly.

    Raises
    ------
    UserError
        If there are fewer records than peers.
    """
    if len(labels) < n_peers:
        raise UserError(
            f"learning.privacy: {len(labels)} records are too few for {n_peers} peers; use fewer peers"
        )
    return [np.sort(shard) for shard in np.array_split(rng.permutation(len(labels)), n_peers)]


def partition_dirichlet(
    labels: np.ndarray, n_peers: int, alpha: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the records of each peer: every class is dealt out in proportions drawn from Dir(alpha, …, alpha).

    Parameters
    ----------
    labels : (n_train,) int array
    n_peers : int
    alpha : float
        Concentration: 100 is nearly IID, 0.1 leaves most peers with one or two classes.
    rng : np.random.Generator

    Raises
    ------
    UserError
        If in 100 draws some peer always got nothing.
    """
    for _ in range(DRAWS):
        dealt: list[list[np.ndarray]] = [[] for _ in range(n_peers)]
        for label in np.unique(labels):
            records = rng.permutation(np.flatnonzero(labels == label))
            shares = np.cumsum(rng.dirichlet(np.full(n_peers, alpha)))[:-1]
            for peer, piece in enumerate(np.split(records, (shares * len(records)).astype(int))):
                dealt[peer].append(piece)
        shards = [np.sort(np.concatenate(pieces)) for pieces in dealt]
        if all(len(shard) for shard in shards):
            return shards
    raise UserError(
        f"learning.privacy.alpha: with {alpha:g} some of {n_peers} peers got no record in {DRAWS} draws; "
        "use a larger alpha or fewer peers"
    )


@dataclass(frozen=True)
class BatchOpening:
    """The records of a batch as shown: leaves and their Merkle paths, one for each place of the batch."""

    leaves: tuple[bytes, ...]
    paths: tuple[tuple[bytes, ...], ...]

    @property
    def size_bytes(self) -> int:
        """Size on the wire."""
        return sum(map(len, self.leaves)) + HASH_BYTES * sum(map(len, self.paths))


class Shards:
    """The private records of all peers.

    Parameters
    ----------
    dataset : Dataset
    indices : list of (k_i,) int arrays
        Records of each peer, an index into the training records.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[np.ndarray]) -> None:
        self.indices = [np.asarray(shard, dtype=np.int32) for shard in indices]
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def _leaves(self) -> list[list[bytes]]:
        x, y = self._dataset.x_train, self._dataset.y_train
        return [[record_leaf(b"train", x[i], y[i]) for i in shard] for shard in self.indices]

    @cached_property
    def roots(self) -> list[bytes]:
        """The 32-byte commitments, which also bind the sizes."""
        return [merkle_root(leaves) for leaves in self._leaves]

    def open(self, peer: int, places: np.ndarray) -> BatchOpening:
        """Return the opening of the records at these places of a peer's shard."""
        leaves = self._leaves[peer]
        paths = {int(place): merkle_path(leaves, int(place)) for place in np.unique(places)}
        return BatchOpening(
            tuple(leaves[int(place)] for place in places), tuple(paths[int(place)] for place in places)
        )

    def is_right(self, peer: int, root: bytes, places: np.ndarray, opening: BatchOpening) -> bool:
        """Return whether an opening shows the records at these places of the shard under `root`."""
        if not len(opening.leaves) == len(opening.paths) == len(places):
            return False
        size = len(self.indices[peer])
        return all(
            verify_path(root, leaf, int(place), size, path)
            for leaf, path, place in zip(opening.leaves, opening.paths, places)
        )
