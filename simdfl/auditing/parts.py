"""The mathematics of parts, written a second time: splitting, hashing, random directions, projections, updates.

Peers have their own implementation; a test compares the two on random inputs. Shared with it is only what the
manifest names: CenteredClip itself, whose compiled bits are part of the arithmetic class.

References
----------
Gorbunov et al., "Secure distributed training at scale", ICML 2022, section 3 and algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts_model.merkle import merkle_root
from simdfl.aggregation.clipping import centered_clip_parts
from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest, sha256, xof

UNIT = 2.0**40
SATURATION = 2.0**62
LARGEST = 1e9
ENTRY_BYTES = 8


def size_of_part(n_parameters: int, n_parts: int) -> int:
    """Return how many entries a part has: the gradient's, divided and rounded up."""
    return (n_parameters + n_parts - 1) // n_parts


def as_parts(vector: np.ndarray, n_parts: int) -> np.ndarray:
    """Return a vector (d,) as (n_parts, size) float32, the end filled with zeros."""
    size = size_of_part(len(vector), n_parts)
    return np.pad(vector.astype(np.float32), (0, n_parts * size - len(vector))).reshape(n_parts, size)


def committed(gradient: np.ndarray) -> np.ndarray:
    """Return what can be committed of a computed gradient (d,): NaN is 0, magnitudes end at 10^9."""
    clean = np.where(np.isnan(gradient), np.float32(0), gradient)
    return np.minimum(np.maximum(clean, -LARGEST), LARGEST).astype(np.float32)


def part_hash(part: np.ndarray) -> bytes:
    """Return SHA-256 of a part's canonical bytes."""
    return sha256(canonical_float32(part))


def commitment_root(gradient: np.ndarray, n_parts: int) -> bytes:
    """Return the Merkle root over the hashes of a gradient's parts."""
    return merkle_root([part_hash(part) for part in as_parts(gradient, n_parts)])


def batch_seed(randomness: bytes, step: int, peer: int) -> bytes:
    """Return xi_i^t = H(r^(t-1), "seed", t, i)."""
    return digest("seed", randomness, step.to_bytes(8, "little"), peer.to_bytes(4, "little"))


def state_digest(params: np.ndarray, optimiser: bytes) -> bytes:
    """Return the digest of weights (d,) and the canonical bytes of the optimiser's state."""
    return digest("simdfl/state", canonical_float32(params), optimiser)


def direction(randomness: bytes, owner: int, number: int, size: int) -> np.ndarray:
    """Return the random direction (size,) of a part: odd multiples of 2^-16 in (-1, 1), two bytes an entry."""
    stream = xof("z", randomness, owner.to_bytes(4, "little"), number.to_bytes(4, "little"), size=2 * size)
    words = np.frombuffer(stream, dtype="<i2").astype(np.int64)
    return (2 * words + 1) / 65536


def fixed_point(value: float) -> int:
    """Return a number in units of 2^-40, rounded to even, saturated at 2^62."""
    return round(min(max(value * UNIT, -SATURATION), SATURATION))


@dataclass(frozen=True)
class ReportMaker:
    """Makes the report that a contributor owes.

    Parameters
    ----------
    radius : float
        Clipping radius tau.
    projections : int
        Directions K on every part.
    """

    radius: float
    projections: int

    def root(
        self,
        randomness: bytes,
        roster: list[int],
        void: set[int],
        gradient: np.ndarray,
        aggregate: np.ndarray,
    ) -> bytes:
        """Return the Merkle root over the entries of all parts, gradient and aggregate given as (d,)."""
        mine, whole = (as_parts(vector, len(roster)) for vector in (gradient, aggregate))
        leaves = []
        for position, owner in enumerate(roster):
            numbers = [0] * (self.projections + 1)
            if owner not in void:
                numbers = self._entry(randomness, owner, mine[position], whole[position])
            numbers = [owner, *numbers]
            leaves.append(b"".join(number.to_bytes(ENTRY_BYTES, "little", signed=True) for number in numbers))
        return merkle_root(leaves)

    def _entry(self, randomness: bytes, owner: int, part: np.ndarray, aggregate: np.ndarray) -> list[int]:
        """Return projections and norm of the clipped difference on one part, in units of 2^-40."""
        difference = part.astype(np.float64) - aggregate.astype(np.float64)
        norm = float(np.sqrt(np.einsum("j,j->", difference, difference)))
        weight = min(1.0, self.radius / max(norm, float(np.finfo(np.float64).tiny)))
        sums = [
            float(np.einsum("j,j->", difference, direction(randomness, owner, k, len(part)))) * weight
            for k in range(self.projections)
        ]
        return [*map(fixed_point, sums), fixed_point(norm)]


def padded_length(size: int) -> int:
    """Return the padded length of a part: a multiple of an eighth to a quarter of its power of two, 16 at least.

    >>> [padded_length(size) for size in (3, 16, 240, 300)]
    [16, 16, 256, 320]
    """
    grain = 16
    while grain * 8 <= size:
        grain *= 2
    return (size + grain - 1) // grain * grain


def aggregate_parts(
    gradients: list[np.ndarray], n_parts: int, capacity: int, protocol: dict[str, float]
) -> np.ndarray:
    """Return CenteredClip of gradients (d,) on each part, (n_parts, size) float32.

    Inputs are padded to `capacity` peers: compiled shapes, and with them bits, do not change with bans.
    """
    rows = [as_parts(gradient, n_parts) for gradient in gradients]
    size = rows[0].shape[1]
    padded = np.zeros((capacity, capacity, padded_length(size)), dtype=np.float32)
    for number, row in enumerate(rows):
        padded[:n_parts, number, :size] = row
    weights = np.array([1.0] * len(rows) + [0.0] * (capacity - len(rows)), dtype=np.float32)
    settings = (protocol["clip_radius"], protocol["clip_tolerance"], int(protocol["clip_iterations"]))
    values, _, _ = centered_clip_parts(padded, weights, *settings)
    return np.asarray(values)[:n_parts, :size]
