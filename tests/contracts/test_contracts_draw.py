"""Drawing validators: distinct, uniform, and as likely to catch somebody as the hypergeometric law says."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from contracts_model.draw import draw_validators

ALPHA = 1e-6


def randomness(k):
    return k.to_bytes(32, "little")


@given(st.binary(min_size=32, max_size=32), st.sets(st.integers(0, 60), min_size=1, max_size=30), st.data())
def test_pairs_are_distinct_members_and_somebody_is_left_to_contribute(seed, active, data):
    checkable = data.draw(st.sets(st.sampled_from(sorted(active))))
    count = data.draw(st.integers(0, 20))
    pairs = draw_validators(seed, sorted(active), sorted(checkable), count)
    everybody = [member for pair in pairs for member in pair]
    assert len(set(everybody)) == 2 * len(pairs)
    assert {validator for validator, _ in pairs} <= active
    assert {target for _, target in pairs} <= checkable
    assert len(pairs) <= min(count, (len(active) - 1) // 2)
    if checkable == active:
        assert len(pairs) == min(count, (len(active) - 1) // 2)
    assert pairs == draw_validators(seed, sorted(active), sorted(checkable), count)


def test_every_ordered_pair_is_equally_likely():
    n, draws = 6, 12_000
    counts = Counter(draw_validators(randomness(k), range(n), range(n), 1)[0] for k in range(draws))
    cells = n * (n - 1)
    expected = draws / cells
    statistic = sum((counts[i, j] - expected) ** 2 / expected for i in range(n) for j in range(n) if i != j)
    assert statistic < chi2.isf(ALPHA, cells - 1)  # a bias of 25 % on one cell is missed with probability < 0.2


@pytest.mark.parametrize("m", [1, 3])
def test_the_rate_of_catching_is_hypergeometric(m):
    """n=16, b=7: a given pair is honest-checks-Byzantine with probability 9/16 · 7/15 (26 %)."""
    n, byzantine, draws = 16, set(range(7)), 8_000
    hits = sum(
        validator not in byzantine and target in byzantine
        for k in range(draws)
        for validator, target in draw_validators(randomness(k), range(n), range(n), m)
    )
    tolerance = sqrt(log(2 / ALPHA) / (2 * draws))  # Hoeffding over draws: hits per draw lie in [0, m]
    assert abs(hits / (m * draws) - 9 / 16 * 7 / 15) < tolerance
