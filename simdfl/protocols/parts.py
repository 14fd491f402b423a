"""Gradients in parts: splitting, hashing, committing, aggregating and projecting (BTARD section 3).

A gradient is zero-padded and split into as many parts as there are active peers. Everything here is a pure
function of committed bytes, so it is computed once per distinct content and shared by all who need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts_model.court import entry_leaf
from contracts_model.merkle import merkle_path, merkle_root
from contracts_model.terms import FIXED_POINT_BITS
from simdfl.aggregation.clipping import centered_clip_parts
from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest, sha256, xof
from simdfl.learning.sizes import SizeModel
from simdfl.memo import Memo
from simdfl.store import NOTHING, Nothing

FIXED_ONE = float(1 << FIXED_POINT_BITS)
FIXED_LIMIT = float(1 << 62)
LARGEST = 1e9
"""Admissible magnitude of a gradient's entry: squares and their sums stay far from float32 overflow."""


@dataclass(frozen=True, eq=False)
class Commitment:
    """A gradient as committed: parts (p, d_part) float32, their hashes and the Merkle root of these."""

    parts: np.ndarray
    hashes: tuple[bytes, ...]
    root: bytes

    def part_bytes(self, sizes: SizeModel) -> int:
        """Return the size of one part on the wire."""
        return sizes.part_bytes(*self.parts.shape)


def part_size(n_parameters: int, n_parts: int) -> int:
    """Return how many entries each part has.

    >>> part_size(10, 4)
    3
    """
    return -(-n_parameters // n_parts)


def split_parts(gradient: np.ndarray, n_parts: int) -> np.ndarray:
    """Return a gradient (d,) zero-padded and split, (n_parts, part_size) float32.

    >>> split_parts(np.arange(3.0), 2).tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    padded = np.zeros((n_parts, part_size(len(gradient), n_parts)), dtype=np.float32)
    padded.reshape(-1)[: len(gradient)] = gradient
    return padded


def commit_gradient(gradient: np.ndarray, n_parts: int) -> Commitment:
    """Split a gradient (d,) into `n_parts`, hash the parts, and commit to the hashes.

    Raises
    ------
    CryptoError
        If an entry is NaN or infinite: it has no canonical bytes.
    """
    padded = split_parts(gradient, n_parts)
    size = padded.shape[1]
    raw = canonical_float32(padded)
    hashes = tuple(sha256(raw[at : at + 4 * size]) for at in range(0, len(raw), 4 * size))
    padded.flags.writeable = False
    return Commitment(padded, hashes, merkle_root(hashes))


def own_first(roster: Sequence[int], index: int) -> list[int]:
    """Return the roster in the order in which a peer sends to it: from itself on, around.

    If all began with the same receiver, its downlink would be full while the others' were idle.

    >>> own_first([0, 2, 5, 7], 5)
    [5, 7, 0, 2]
    """
    start = roster.index(index)
    return [*roster[start:], *roster[:start]]


def admissible(gradient: np.ndarray) -> np.ndarray:
    """Return a gradient whose bytes are canonical: NaN becomes 0, magnitudes are cut at :data:`LARGEST`.

    Nothing else can be committed to; an attacker who computed such values sends these.
    """
    return np.clip(np.nan_to_num(gradient, nan=0.0), -LARGEST, LARGEST).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """An aggregated part as published: values (d_part,) float32 and their hash."""

    values: np.ndarray
    hash: bytes


def make_aggregate(values: np.ndarray) -> Aggregate:
    """Return the published form of an aggregated part (d_part,)."""
    values = np.asarray(values, dtype=np.float32)
    return Aggregate(values, sha256(canonical_float32(values)))


@dataclass(frozen=True, eq=False)
class Report:
    """What a contributor says of all parts: projections (p, K) and norms (p,), int64 in units of 2^-40."""

    owners: tuple[int, ...]
    projections: np.ndarray
    norms: np.ndarray

    def is_well_formed(self, owners: tuple[int, ...], n_projections: int) -> bool:
        """Return whether this says one thing of each part; any other report counts as none."""
        return (
            (self.owners is owners or self.owners == owners)
            and self.projections.shape == (len(owners), n_projections)
            and self.norms.shape == (len(owners),)
        )

    def is_right(self, position: int, projections: np.ndarray, norm: int) -> bool:
        """Return whether the entry of one part is the given one; `projections` (K,)."""
        same = np.array_equal(self.projections[position], projections)
        return bool(same and self.norms[position] == norm)

    @cached_property
    def leaves(self) -> tuple[bytes, ...]:
        """The entries, one per part, as they are hashed and sent."""
        rows = zip(self.owners, self.projections.tolist(), self.norms.tolist())
        return tuple(entry_leaf(owner, list(row), norm) for owner, row, norm in rows)

    @cached_property
    def root(self) -> bytes:
        """Merkle root of the entries: what is signed."""
        return merkle_root(self.leaves)

    def path(self, position: int) -> bytes:
        """Return the joined hashes that open the entry of one part."""
        return b"".join(merkle_path(self.leaves, position))

    @property
    def size_bytes(self) -> int:
        """Size on the wire."""
        return sum(len(leaf) for leaf in self.leaves)


def are_wrong(reports: Sequence[Report], position: int, projections: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Return which reports' entries of one part are not the given ones: :meth:`Report.is_right` for many.

    Parameters
    ----------
    reports : sequence of Report
        r of them, well formed.
    position : int
        Of the part.
    projections, norms : ndarray
        The right entries, (r, K) and (r,) int64.

    Returns
    -------
    ndarray
        (r,) bool.
    """
    if not reports:
        return np.zeros(0, dtype=bool)
    told = np.stack([report.projections[position] for report in reports])
    norms_told = np.array([report.norms[position] for report in reports])
    return np.asarray((told != projections).any(axis=1) | (norms_told != norms))


def _off_balance(reports: Sequence[Report], bound: int) -> list[int]:
    """Sum exactly: halves of 32 bits do not overflow, and only their sums become long integers."""
    high = sum(report.projections >> 32 for report in reports)
    low = sum(report.projections & 0xFFFFFFFF for report in reports)
    totals = np.asarray(high).astype(object) * (1 << 32) + np.asarray(low).astype(object)
    return [position for position, total in enumerate(np.abs(totals)) if (total > bound).any()]


def bucket(size: int) -> int:
    """Return the padded length of a part: few different shapes, at most a fifth more than needed.

    >>> [bucket(size) for size in (3, 16, 240, 300)]
    [16, 16, 256, 320]
    """
    step = max(16, 1 << max(0, size.bit_length() - 3))
    return -(-size // step) * step


def random_vector(randomness: bytes, owner: int, projection: int, size: int) -> np.ndarray:
    """Return z[j] (size,) float64, entries uniform on the odd multiples of 2^-16 in (-1, 1).

    Drawn from XOF(r^t, "z", j, k), two bytes an entry; no entry is zero, so no coordinate is blind.
    """
    raw = xof("z", randomness, owner.to_bytes(4, "little"), projection.to_bytes(4, "little"), size=2 * size)
    return (2.0 * np.frombuffer(raw, dtype="<i2").astype(np.float64) + 1.0) / 65536.0


def to_fixed(values: np.ndarray) -> np.ndarray:
    """Return values as int64 in units of 2^-40, saturating."""
    return np.rint(np.clip(values * FIXED_ONE, -FIXED_LIMIT, FIXED_LIMIT)).astype(np.int64)


@dataclass(frozen=True)
class ClipSettings:
    """Parameters of CenteredClip and its checks, from the manifest (PROTOCOL sections 4 and 6)."""

    radius: float
    tolerance: float
    iterations: int
    projections: int
    max_deviation: float

    def sum_tolerance(self, size: int) -> int:
        """Return V2's bound per contributor, in units of 2^-40: eps ||z|| plus float32 rounding.

        ||z|| is at most sqrt(size) for parts of `size` entries. Rounding the fixed point to float32 moves each
        clipped difference by at most 2^-24 of the aggregate's size, taken as that of an honest aggregate, at most
        Delta_max.
        """
        scale = min(self.radius, self.max_deviation)
        bound = (2.0 * self.tolerance + 2.0**-22 * (1.0 + scale)) * float(np.sqrt(size))
        return int(bound * FIXED_ONE)


class PartMath:
    """Aggregation and projections of one run, remembered by content.

    Parameters
    ----------
    settings : ClipSettings
        The rule and its checks.
    capacity : int
        Most peers that there can be: arrays are padded to it, so that bans do not change compiled shapes.
    """

    def __init__(self, settings: ClipSettings, capacity: int) -> None:
        self.settings = settings
        self._capacity = capacity
        self._buffer = np.zeros((0, 0, 0), dtype=np.float32)
        self.store: Nothing = NOTHING
        self._aggregates = Memo(8)
        self._reports = Memo(16)
        self._vectors = Memo(512)
        self._commitments = Memo(512)
        self._balances = Memo(4)
        self._owners = Memo(64)

    def commitment(self, key: tuple[bytes, bytes], gradient: np.ndarray, n_parts: int) -> Commitment:
        """Return the commitment to an honest gradient, which (state, seed) determines."""
        return self._commitments.get((*key, n_parts), lambda: commit_gradient(admissible(gradient), n_parts))

    def aggregate(self, commitments: Sequence[Commitment]) -> list[Aggregate]:
        """Return all p parts, each aggregated over the contributors by CenteredClip to its fixed point."""
        key = tuple(commitment.root for commitment in commitments)
        return self._aggregates.get(key, lambda: self._aggregate(commitments))

    def _aggregate(self, commitments: Sequence[Commitment]) -> list[Aggregate]:
        shape = commitments[0].parts.shape
        roots = [commitment.root for commitment in commitments]
        raw = self.store.get("aggregates", roots, lambda: self._clip(commitments).tobytes())
        return [make_aggregate(row) for row in np.frombuffer(raw, dtype=np.float32).reshape(shape)]

    def _clip(self, commitments: Sequence[Commitment]) -> np.ndarray:
        """Return all aggregated parts (p, d_part)."""
        n_parts, size = commitments[0].parts.shape
        padded = self._clean_buffer(n_parts, len(commitments), size)
        for row, commitment in enumerate(commitments):
            padded[:n_parts, row, :size] = commitment.parts
        weights = np.zeros(self._capacity, dtype=np.float32)
        weights[: len(commitments)] = 1.0
        settings = self.settings
        values, _, _ = centered_clip_parts(
            padded, weights, settings.radius, settings.tolerance, settings.iterations
        )
        return np.ascontiguousarray(np.asarray(values)[:n_parts, :size], dtype=np.float32)

    def _clean_buffer(self, n_parts: int, n_rows: int, size: int) -> np.ndarray:
        """Return the padded input (capacity, capacity, bucket), zero outside what is about to be filled.

        One buffer serves all steps: touching fresh memory would cost more than the aggregation.
        """
        shape = (self._capacity, self._capacity, bucket(size))
        if self._buffer.shape != shape:
            self._buffer = np.zeros(shape, dtype=np.float32)
        self._buffer[n_parts:] = 0.0
        self._buffer[:n_parts, n_rows:] = 0.0
        self._buffer[:n_parts, :, size:] = 0.0
        return self._buffer

    def owners(self, roster: Sequence[int]) -> tuple[int, ...]:
        """Return the owners of the parts as one tuple for all peers: comparing it with itself costs nothing."""
        owners = tuple(roster)
        return self._owners.get(owners, lambda: owners)

    def parts_off_balance(self, reports: tuple[Report, ...], bound: int) -> list[int]:
        """Return the positions of the parts whose projections sum to more than `bound` in size (V2).

        Peers that hold the same reports share the sums.
        """
        return self._balances.get((reports, bound), lambda: _off_balance(reports, bound))

    def true_reports(
        self,
        randomness: bytes,
        owners: Sequence[int],
        commitments: Sequence[Commitment],
        aggregates: Sequence[Aggregate | None],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what every contributor should report.

        Parameters
        ----------
        randomness : bytes
            The beacon output r^t.
        owners : sequence of int, length p
            Aggregator of each part.
        commitments : sequence of Commitment, length c
            Of the contributors.
        aggregates : sequence of Aggregate or None, length p
            As published; None for a void part, of which zeros are reported.

        Returns
        -------
        projections : (c, p, K) int64 array
            s_i^j = <z[j], Delta_i^j>.
        norms : (c, p) int64 array
            ||g_i[j] - ghat[j]||.
        """
        hashes = tuple(a.hash if a is not None else b"" for a in aggregates)
        key = (randomness, tuple(owners), tuple(c.root for c in commitments), hashes)
        return self._reports.get(key, lambda: self._true_reports(randomness, owners, commitments, aggregates))

    def _true_reports(
        self,
        randomness: bytes,
        owners: Sequence[int],
        commitments: Sequence[Commitment],
        aggregates: Sequence[Aggregate | None],
    ) -> tuple[np.ndarray, np.ndarray]:
        count = self.settings.projections
        projections = np.zeros((len(commitments), len(owners), count), dtype=np.int64)
        norms = np.zeros((len(commitments), len(owners)), dtype=np.int64)
        for position, (owner, aggregate) in enumerate(zip(owners, aggregates)):
            if aggregate is None:
                continue
            parts = np.stack([commitment.parts[position] for commitment in commitments])
            z = np.stack([self._vector(randomness, owner, k, parts.shape[1]) for k in range(count)])
            s, norm = project(parts, aggregate.values, z, self.settings.radius)
            projections[:, position] = to_fixed(s)
            norms[:, position] = to_fixed(norm)
        return projections, norms

    def _vector(self, randomness: bytes, owner: int, projection: int, size: int) -> np.ndarray:
        key = (randomness, owner, projection, size)
        return self._vectors.get(key, lambda: random_vector(randomness, owner, projection, size))


def project(
    parts: np.ndarray, aggregate: np.ndarray, z: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return projections and norms of the clipped differences on one part.

    Parameters
    ----------
    parts : (c, d_part) float32 array
    aggregate : (d_part,) float32 array
    z : (K, d_part) float64 array
    radius : float
        Clipping radius tau, possibly infinite.

    Returns
    -------
    s : (c, K) float64 array
        <z, Delta_i> with Delta_i = (x_i - v) min(1, tau / ||x_i - v||).
    norms : (c,) float64 array

    Notes
    -----
    Each row is reduced on its own along contiguous memory (an optimised ``einsum`` or a BLAS call would not
    promise that): the bits of one contributor's numbers do not depend on how many others are computed with it,
    so contributor, aggregator and validator agree exactly.
    """
    difference = np.subtract(parts, aggregate, dtype=np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    weights = np.minimum(1.0, radius / np.maximum(norms, min(radius, 1.0)))
    s = np.stack([np.einsum("ij,j->i", difference, row) for row in z], axis=1)
    return s * weights[:, None], norms


def transcript_digest(reports: Sequence[bytes]) -> bytes:
    """Return the digest under which a peer anchors the reports it has seen."""
    return digest("simdfl/reports", *reports)
