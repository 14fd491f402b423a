"""Rules that average the most compact n - f rows: exact searches over subsets.

All three minimise a measure of spread over all sets of n - f rows and average the best set. The measures need the
Gram matrix only. The minimum is exact; a search that would take too long is refused with a cure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from simdfl.aggregation.contract import RowRule
from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.cover import smallest_diameter
from simdfl.aggregation.span import centred_gram, mean_of_rows, squared_distances
from simdfl.errors import UserError

MOST_SUBSETS = 200_000
CHUNK = 2_000  # subsets judged together
CURE = "use fewer peers, a smaller f, or multi_krum or nnm with mean, which approximate it"


@dataclass(frozen=True)
class MinimumDiameterAveraging(RowRule):
    """MDA: mean of the n - f rows whose greatest pairwise distance is least.

    Found by branching (see ``cover``), refused where that takes too long. Among sets of equal diameter the one
    with the least sum of squared distances is taken. Breakdown: f < n/2; the result is within twice the honest
    diameter of an honest row.

    Parameters
    ----------
    f : int
        Rows left out.

    References
    ----------
    El Mhamdi, Guerraoui, Rouault, "Distributed momentum for Byzantine-resilient learning", ICLR 2021, section
    2.2; after Rousseeuw, "Multivariate estimation with high breakdown point", 1985.
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        return mean_of_rows(rows, smallest_diameter(squared_distances(rows), min(self.f, len(rows) - 1)))


@dataclass(frozen=True)
class MinimumVarianceAveraging(RowRule):
    """MVA: mean of the n - f rows with the least total variance, that is sum of squared pairwise distances.

    Of equal sets the first in the order of the rows is taken. Breakdown: f < n/2. All sets are tried, at most
    200,000.

    Parameters
    ----------
    f : int
        Rows left out.

    References
    ----------
    Farhadkhani, Guerraoui, Gupta, Pinot, Stephan, "Byzantine machine learning made easy by resilient averaging of
    momentums", ICML 2022, section 4 (minimum variance averaging).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        squares = squared_distances(rows)

        def spread(subsets: np.ndarray) -> np.ndarray:
            members = np.zeros((len(subsets), len(rows)))
            np.put_along_axis(members, subsets, 1.0, axis=1)
            return np.einsum("sn,sn->s", members @ squares, members)

        return mean_of_rows(rows, _least("mva", len(rows), self.f, spread))


@dataclass(frozen=True)
class SmallestEigenvalueAveraging(RowRule):
    """SMEA: mean of the n - f rows whose empirical covariance has the smallest greatest eigenvalue.

    The covariance is taken about the set's own mean; its non-zero eigenvalues are those of the set's centred Gram
    matrix, divided by n - f. Of equal sets the first in the order of the rows is taken. Breakdown: f < n/2. All
    sets are tried, at most 200,000.

    Parameters
    ----------
    f : int
        Rows left out.

    References
    ----------
    Allouah, Guerraoui, Gupta, Pinot, Stephan, "On the privacy-robustness-utility trilemma in distributed
    learning", ICML 2023, section 4 (smallest maximum eigenvalue averaging).
    """

    f: int

    def __post_init__(self) -> None:
        check_liars(self.f)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        gram = centred_gram(rows)

        def spread(subsets: np.ndarray) -> np.ndarray:
            part = gram[subsets[:, :, None], subsets[:, None, :]]
            part -= part.mean(axis=1, keepdims=True)
            part -= part.mean(axis=2, keepdims=True)
            return np.linalg.eigvalsh(part)[:, -1]

        return mean_of_rows(rows, _least("smea", len(rows), self.f, spread))


def _least(name: str, m: int, f: int, spread: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the indices of the subset of m - f rows with the least spread, the first of equals."""
    size = max(1, m - f)
    total = math.comb(m, size)
    if total > MOST_SUBSETS:
        raise UserError(
            f"aggregation: {name} would try {total:,} sets of {size} among {m} rows, allowed are "
            f"{MOST_SUBSETS:,}; {CURE}"
        )
    best, least = np.arange(size), np.inf
    for subsets in _chunks(m, size):
        values = spread(subsets)
        at = int(values.argmin())
        if values[at] < least:
            best, least = subsets[at], float(values[at])
    return best


def _chunks(m: int, size: int) -> Iterator[np.ndarray]:
    every = combinations(range(m), size)
    while chunk := list(islice(every, CHUNK)):
        yield np.array(chunk)
