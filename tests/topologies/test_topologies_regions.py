from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import topologies
from simdfl.rng import Rng
from topologies import (
    BANDWIDTHS,
    LATENCIES,
    SHARES,
    TopologyError,
    assign_regions,
    load_bandwidth,
    load_latency,
    load_shares,
    sample_bandwidth,
    spread_shares,
)
from topologies.regions import coarse_region

DATA = Path(topologies.__file__).parent / "data"
SIX = {"NORTH_AMERICA", "EUROPE", "SOUTH_AMERICA", "ASIA_PACIFIC", "JAPAN", "AUSTRALIA"}


def rng(seed: int = 1) -> np.random.Generator:
    return Rng(seed).stream("regions")


def published(file: str, column: str) -> dict[tuple[str, str], float]:
    with (DATA / file).open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("dataset", "simblock_2019") == "simblock_2019"]
    return {(row["from"], row["to"]): float(row[column]) for row in rows}


@pytest.mark.parametrize("name", sorted(LATENCIES))
def test_tables_are_complete_symmetric_and_plausible(name):
    table = load_latency(name)
    r = len(table.regions)
    assert table.one_way_s.shape == table.jitter.shape == (r, r)
    assert np.array_equal(table.one_way_s, table.one_way_s.T)
    assert np.array_equal(table.jitter, table.jitter.T)
    assert table.one_way_s.min() > 0.0004
    assert table.one_way_s.max() < 0.35
    assert table.jitter.min() >= 0.0
    assert np.median(table.jitter) < 0.1
    with pytest.raises(ValueError, match="read-only"):
        table.one_way_s[0, 0] = 1.0


@pytest.mark.parametrize(
    "name, file, column, factor",
    [
        ("simblock_2019", "region6_latency.csv", "value_ms", 0.5),
        ("aws_2025", "aws_region_rtt.csv", "rtt_p50_ms", 0.5),
        ("ibmcloud_2024", "ibmcloud2024_rtt.csv", "avg_ms", 0.5),
        ("wonderproxy_2020", "wonderproxy2020_region8_rtt.csv", "rtt_q50", 0.5),
        ("ethshadow", "ethshadow_latency.csv", "one_way_ms_as_configured", 1.0),
    ],
)
def test_round_trips_are_halved(name, file, column, factor):
    table, values = load_latency(name), published(file, column)
    for (a, b), value_ms in values.items():
        both = (value_ms + values[b, a]) / 2
        i, j = table.regions.index(a), table.regions.index(b)
        assert table.one_way_s[i, j] == pytest.approx(both * 1e-3 * factor)


def test_jitter_from_quantiles():
    table = load_latency("aws_2025")
    i = table.regions.index("af-south-1")
    assert table.jitter[i, i] == pytest.approx(11.911 / 4.456 - 1)
    assert (load_latency("gervais2016").jitter == 0.02).all()


def test_regions_mean_the_same_in_all_tables():
    for name in LATENCIES:
        assert {coarse_region(region) for region in load_latency(name).regions} <= SIX
    for name in SHARES:
        assert set(load_shares(name)) == SIX
    for name in BANDWIDTHS:
        assert {region for region, _ in load_bandwidth(name).lines} == SIX
    assert [coarse_region(r) for r in ("me-south-1", "af-south-1", "ap-southeast-2", "na_west", "Tokyo")] == [
        "ASIA_PACIFIC",
        "EUROPE",
        "AUSTRALIA",
        "NORTH_AMERICA",
        "JAPAN",
    ]
    with pytest.raises(TopologyError, match="did you mean 'EUROPE'"):
        coarse_region("EUROP")


def test_shares_spread_over_finer_regions():
    shares = load_shares("bitcoin_2019")
    assert sum(shares.values()) == pytest.approx(1.0)
    table = load_latency("ibmcloud_2024")
    spread = spread_shares(table.regions, shares)
    assert spread.sum() == pytest.approx(1.0)
    assert spread[table.regions.index("London")] == spread[table.regions.index("Madrid")]
    assert spread[table.regions.index("London")] > spread[table.regions.index("Sydney")]
    assert np.array_equal(spread_shares(table.regions), np.full(10, 0.1))
    six = load_latency("simblock_2019").regions
    np.testing.assert_allclose(spread_shares(six, shares), [shares[region] for region in six])
    with pytest.raises(TopologyError, match="no share"):
        spread_shares(six, {"MARS": 1.0})


def test_assignment_follows_the_shares():
    """Each share within 0.02 of its frequency among 20,000: false alarm below 1e-6 by Hoeffding."""
    shares = np.array([0.5, 0.3, 0.2])
    found = assign_regions(20_000, shares, rng())
    assert found.dtype == np.int64
    assert np.abs(np.bincount(found) / 20_000 - shares).max() < 0.02
    assert np.array_equal(found, assign_regions(20_000, shares, rng()))
    with pytest.raises(TopologyError, match="not all zero"):
        assign_regions(3, np.zeros(2), rng())


def test_single_figures():
    up, down = sample_bandwidth("simblock_2019", ["EUROPE", "JAPAN", "eu-west-1"], rng())
    assert up.tolist() == [20.7e6, 10.2e6, 20.7e6]
    assert down.tolist() == [40e6, 22.8e6, 40e6]


@pytest.mark.parametrize(
    "name, median_up, median_down", [("gervais2016", 2.379e6, 12.3e6), ("jabs", 3.2e6, 15.6e6)]
)
def test_distributions_have_their_median_and_width(name, median_up, median_down):
    up, down = sample_bandwidth(name, ["NORTH_AMERICA"] * 4001, rng())
    assert np.median(up) == pytest.approx(median_up, rel=0.1)
    assert np.median(down) == pytest.approx(median_down, rel=0.1)
    assert np.quantile(down, 0.95) / np.quantile(down, 0.05) > 50
    assert load_bandwidth(name).median_bps("NORTH_AMERICA") == pytest.approx((median_up, median_down))


def test_bins_come_with_their_probability():
    """Share of the first bin within 0.02 among 20,000 draws: false alarm below 1e-6 by Hoeffding."""
    up, _ = sample_bandwidth("jabs", ["NORTH_AMERICA"] * 20_000, rng())
    assert abs(np.mean(up == 200_000) - 0.0975) < 0.02
    assert len(np.unique(up)) == 10


def test_quantiles_come_back():
    line = load_bandwidth("gervais2016").lines["EUROPE", "down"]
    np.testing.assert_allclose(
        line.at(np.array([0.0, 0.05, 0.5, 0.99, 0.999])) / 1e6, [0.473, 0.473, 10.933, 154.6, 154.6]
    )
    assert (np.diff(line.at(np.linspace(0, 1, 50))) >= 0).all()


def test_fast_lines_are_fast_both_ways():
    up, down = sample_bandwidth("gervais2016", ["EUROPE"] * 200, rng())
    assert np.array_equal(np.argsort(up), np.argsort(down)) or np.corrcoef(np.log(up), np.log(down))[0, 1] > 0.95


@pytest.mark.parametrize("load", [load_latency, load_bandwidth, load_shares])
def test_unknown_tables(load):
    with pytest.raises(TopologyError, match=r"unknown .* table 'simblok_2019'"):
        load("simblok_2019")
