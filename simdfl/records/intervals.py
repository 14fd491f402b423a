"""Confidence intervals over seeds: Student's t for means, Wilson's score for proportions.

References
----------
Student, *The probable error of a mean*, Biometrika 6 (1908); E. B. Wilson, *Probable inference, the law of
succession, and statistical inference*, JASA 22 (1927), equation 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LEVEL = 0.95


class Interval(NamedTuple):
    """An estimate with its bounds; the bounds are NaN where one observation tells nothing of the spread."""

    estimate: float
    low: float
    high: float


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean of independent values and the interval that covers its expectation, by Student's t.

    Raises
    ------
    ValueError
        Without any value.

    Examples
    --------
    >>> [round(bound, 3) for bound in mean_interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    from scipy.stats import t

    n = len(values)
    if not n:
        raise ValueError("an interval needs at least one value")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + level) / 2, n - 1)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def proportion_interval(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Return the share of hits among `n` trials and its interval, by Wilson's score.

    Raises
    ------
    ValueError
        If there are no trials, or more hits than trials.

    Examples
    --------
    >>> [round(bound, 4) for bound in proportion_interval(0, 10)]
    [0.0, 0.0, 0.2775]
    """
    from scipy.stats import norm

    if not 0 <= hits <= n or not n:
        raise ValueError(f"{hits} hits among {n} trials are no proportion")
    z = float(norm.ppf((1 + level) / 2))
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
