"""Intervals against published values, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simdfl.records.intervals import mean_interval, proportion_interval
from simdfl.rng import Rng


def test_student_s_sleep_data() -> None:
    """Student 1908, differences in hours of sleep; R's t.test gives 0.7001142 to 2.4598858."""
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert mean_interval(hours) == pytest.approx((1.58, 0.7001142, 2.4598858), abs=1e-6)


def test_wilson_s_interval_of_a_known_case() -> None:
    """Newcombe 1998, table I: 81 of 263 and 0 of 20, method 3 (score, no continuity correction)."""
    assert proportion_interval(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportion_interval(0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_one_observation_has_no_bounds_and_none_no_interval() -> None:
    estimate, low, high = mean_interval([4.0])
    assert (estimate, math.isnan(low), math.isnan(high)) == (4.0, True, True)
    with pytest.raises(ValueError):
        mean_interval([])
    with pytest.raises(ValueError):
        proportion_interval(3, 2)


def test_the_mean_is_covered_as_often_as_stated() -> None:
    """2,000 samples of 5 normal values; by Hoeffding a true 95 % fails this once in a million."""
    samples = Rng(1).stream("coverage").standard_normal((2000, 5))
    hits = sum(low <= 0.0 <= high for _, low, high in map(mean_interval, samples.tolist()))
    assert abs(hits / len(samples) - 0.95) < np.sqrt(np.log(2e6) / (2 * len(samples)))
