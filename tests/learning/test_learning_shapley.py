"""Shapley values: the sampled ones against the exact ones, and the axioms on small games."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdfl.learning.shapley import Coalition, Utility, draw_orders, exact_values, sampled_values

WORTH = st.lists(st.integers(-100, 100), min_size=16, max_size=16)


def table_game(worth: list[int]) -> Utility:
    """Return a game of four players with any worth for each of the 16 subsets, 0 for nobody."""
    return lambda came: float(worth[sum(1 << player for player in came)]) if came else 0.0


def additive(weights: list[float]) -> Utility:
    return lambda came: sum(weights[player] for player in came)


def glove(came: Coalition) -> float:
    """Players 0 and 1 have a left glove, player 2 a right one; a pair is worth 1."""
    return float(2 in came and bool({0, 1} & came))


@given(worth=WORTH)
def test_over_all_orders_the_sampled_value_is_the_exact_one(worth: list[int]) -> None:
    game = table_game(worth)
    everyone = [list(order) for order in permutations(range(4))]
    assert sampled_values(everyone, game) == pytest.approx(exact_values(4, game), abs=1e-9)


@given(worth=WORTH, seed=st.binary(min_size=32, max_size=32), count=st.integers(1, 9))
def test_efficiency_holds_for_any_sample(worth: list[int], seed: bytes, count: int) -> None:
    game = table_game(worth)
    everybody = game(frozenset(range(4)))
    assert sum(sampled_values(draw_orders(seed, 4, count), game)) == pytest.approx(everybody, abs=1e-9)
    assert sum(exact_values(4, game)) == pytest.approx(everybody, abs=1e-9)


def test_the_glove_game_has_the_known_values() -> None:
    """Symmetric players get the same, and the rare glove more."""
    assert exact_values(3, glove) == pytest.approx([1 / 6, 1 / 6, 4 / 6])


def test_a_dummy_gets_its_own_worth_and_nothing_from_others() -> None:
    def game(came: Coalition) -> float:
        return glove(came - {3}) + 0.25 * (3 in came)

    orders = draw_orders(b"seed", 4, 64)
    assert sampled_values(orders, game)[3] == pytest.approx(0.25)
    assert exact_values(4, game)[3] == pytest.approx(0.25)


def test_the_sample_converges() -> None:
    """The mean of 2,000 marginals in [0, 1]: Hoeffding's false alarm is below 1e-6 for each player."""
    error = np.abs(np.array(sampled_values(draw_orders(b"x", 3, 2000), glove)) - exact_values(3, glove))
    assert error.max() < np.sqrt(np.log(2e6) / (2 * 1000))


def test_antithetic_pairs_are_exact_where_a_player_s_place_counts_linearly() -> None:
    """An order and its reverse cancel: one pair gives what thousands of single orders only approach."""

    def crowded(came: Coalition) -> float:
        return sum(2.0**player for player in came) - 0.5 * len(came) * (len(came) - 1)

    pair = sampled_values(draw_orders(b"any", 5, 2), crowded)
    assert pair == pytest.approx(exact_values(5, crowded))
    assert sampled_values(draw_orders(b"any", 5, 1), crowded) != pytest.approx(exact_values(5, crowded))


def test_orders_come_in_pairs_from_the_seed_and_are_uniform() -> None:
    orders = draw_orders(b"seed", 6, 7)
    assert orders == draw_orders(b"seed", 6, 8)[:7]
    assert orders != draw_orders(b"other", 6, 7)
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert orders[1] == orders[0][::-1]
    firsts = np.bincount([order[0] for order in draw_orders(b"many", 4, 8000)[::2]], minlength=4) / 4000
    assert np.abs(firsts - 0.25).max() < np.sqrt(np.log(2e6) / 8000)


def test_truncation_saves_games_and_errs_within_its_bound() -> None:
    asked: list[Coalition] = []

    def saturating(came: Coalition) -> float:
        asked.append(came)
        return 1.0 - 0.1 ** len(came)

    orders = draw_orders(b"seed", 8, 32)
    full = sampled_values(orders, saturating)
    games, asked[:] = len(asked), []
    short = sampled_values(orders, saturating, truncation=0.02)
    assert len(asked) < games / 2
    assert sum(full) - sum(short) <= 0.02
    assert sampled_values([], additive([])) == []
