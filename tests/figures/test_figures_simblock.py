"""SimBlock's links, as the table of known quantities uses them: with the faults that ours must not have."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from simdfl.figures.simblock_links import EXTRA_S, PROCESSING_S, arrivals
from simdfl.rng import Rng

ROUND_TRIP_MS = np.array([[100.0]])
SIZE = 1_000_000
MIBPS = 8e6
"""One megabyte takes a second."""


def star(leaves: int, trials: int) -> np.ndarray:
    """Return sorted arrival times at the leaves of a star, a row per trial."""
    n, draw = leaves + 1, Rng(3).stream("star")
    speeds = np.full(n, MIBPS)
    regions = np.zeros(n, dtype=int)
    times = [
        arrivals(nx.star_graph(leaves), regions, ROUND_TRIP_MS, (speeds, speeds), SIZE, 0, draw)
        for _ in range(trials)
    ]
    return np.sort(np.array(times)[:, 1:])


def test_a_round_trip_is_taken_for_one_way_three_times() -> None:
    """Announcement, request and block wait the tables' value each, whose Pareto mean is 95 x 20/19 ms."""
    times = star(1, 400)[:, 0]
    fixed_s = 2 * EXTRA_S + PROCESSING_S + 1.0
    assert times.mean() - fixed_s == pytest.approx(3 * 0.1, rel=0.02)
    assert times.min() >= fixed_s + 3 * 0.095


def test_an_uplink_is_taken_until_arrival() -> None:
    gaps = np.diff(star(4, 50), axis=1)
    assert gaps.min() >= 1.0 + PROCESSING_S + 0.095


def test_everybody_gets_the_block() -> None:
    n, draw = 60, Rng(4).stream("random")
    graph = nx.random_regular_graph(4, n, seed=1)
    speeds = np.full(n, MIBPS)
    times = arrivals(graph, np.zeros(n, dtype=int), ROUND_TRIP_MS, (speeds, speeds), SIZE, 7, draw)
    assert np.isfinite(times).all()
    assert (times == 0.0).sum() == 1
    assert times[7] == 0.0
