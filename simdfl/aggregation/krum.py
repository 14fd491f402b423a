"""Krum and Multi-Krum: choose rows with close neighbours.

Published codes call several rules Krum. The paper's is the default here; the parameters `neighbours`,
`counts_self` and `squared` give the others, so that their results can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.aggregation.contract import RowRule
from simdfl.aggregation.coordinatewise import check_liars
from simdfl.aggregation.span import mean_of_rows, squared_distances
from simdfl.errors import UserError, unknown_name

NEIGHBOURS = {"n-f-2": 2, "n-f-1": 1, "n-f": 0}
"""How many neighbours a row's score counts: n - f less this number."""


@dataclass(frozen=True)
class KrumScore:
    """How a row is scored: the sum of the distances to its nearest rows.

    Parameters
    ----------
    f : int
        Liars to withstand.
    neighbours : str
        ``"n-f-2"`` (the paper), ``"n-f-1"`` or ``"n-f"``; n counts the present rows. At least one neighbour is
        counted, however few rows are present, and at most all.
    counts_self : bool
        Whether the row itself, at distance zero, takes one of these places; the paper counts others only.
    squared : bool
        Whether distances are squared, as in the paper.
    """

    f: int
    neighbours: str = "n-f-2"
    counts_self: bool = False
    squared: bool = True

    def __post_init__(self) -> None:
        check_liars(self.f)
        if self.neighbours not in NEIGHBOURS:
            raise unknown_name("aggregation.neighbours", self.neighbours, NEIGHBOURS)
        if not isinstance(self.counts_self, bool) or not isinstance(self.squared, bool):
            raise UserError(
                "aggregation: counts_self and squared must be true or false, "
                f"got {self.counts_self!r} and {self.squared!r}"
            )

    def places(self, m: int) -> int:
        """Return how many of the m present rows are counted as neighbours, the row itself not among them."""
        count = m - self.f - NEIGHBOURS[self.neighbours] - self.counts_self
        return min(max(1, count), m - 1)

    def __call__(self, squares: np.ndarray) -> np.ndarray:
        """Return the scores (m,) of rows with squared distances (m, m)."""
        distances = squares.copy() if self.squared else np.sqrt(squares)
        np.fill_diagonal(distances, np.inf)
        places = self.places(len(squares))
        if places < len(squares) - 1:
            distances.partition(places - 1, axis=1)
        # Sorted, so that the sum does not depend on how the partition left its elements.
        return np.sort(distances[:, :places], axis=1).sum(axis=1)


@dataclass(frozen=True)
class Krum(RowRule):
    """Return the row with the least score.

    The score of row i is the sum of squared distances to its n - f - 2 closest *other* rows (definition of
    Blanchard et al.). Ties go to the lowest index. Breakdown: n > 2 f + 2. Here n counts the present rows; if
    absent ones leave fewer than 2 f + 3, at least one neighbour is still counted. Weights count peers: 0 or one
    common value.

    Parameters
    ----------
    f : int
        Liars to withstand.
    neighbours, counts_self, squared
        What other codes do, see :class:`KrumScore`; the defaults are the paper's.

    References
    ----------
    Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine learning with adversaries", NIPS 2017, section 4.
    """

    f: int
    neighbours: str = "n-f-2"
    counts_self: bool = False
    squared: bool = True

    def __post_init__(self) -> None:
        self.score()

    def score(self) -> KrumScore:
        """Return how this rule scores rows."""
        return KrumScore(self.f, self.neighbours, self.counts_self, self.squared)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,): a copy of one of them."""
        return rows[np.argmin(self.score()(squared_distances(rows)))]


@dataclass(frozen=True)
class MultiKrum(RowRule):
    """Return the mean of the `m` rows with the least Krum scores.

    ``m = 1`` is Krum; resilience is proved for m up to n - f - 2. All are scored once; choosing them one by one
    with new scores is Bulyan's first stage. If fewer rows are present, all of them are averaged. Weights count
    peers: 0 or one common value.

    Parameters
    ----------
    f : int
        Liars to withstand.
    m : int
        Rows averaged; other codes average n - f.
    neighbours, counts_self, squared
        What other codes do, see :class:`KrumScore`; the defaults are the paper's.

    References
    ----------
    Blanchard et al., NIPS 2017, section 4; Damaskinos et al., "AggregaThor", MLSys 2019, section 2.
    """

    f: int
    m: int
    neighbours: str = "n-f-2"
    counts_self: bool = False
    squared: bool = True

    def __post_init__(self) -> None:
        self.score()
        if not isinstance(self.m, int) or self.m < 1:
            raise UserError(f"aggregation: multi_krum needs m >= 1, got {self.m}")

    def score(self) -> KrumScore:
        """Return how this rule scores rows."""
        return KrumScore(self.f, self.neighbours, self.counts_self, self.squared)

    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) to (d,)."""
        scores = self.score()(squared_distances(rows))
        return mean_of_rows(rows, np.argsort(scores, kind="stable")[: self.m])
