"""Bandwidth of home lines by region.

Three kinds of tables: one figure a region (``simblock_2015``, ``simblock_2019``, ``unipisa_2021``), ten bins
(``jabs``) and quantiles (``gervais2016``). Inside one region lines differ by one or two orders of magnitude,
and the slowest decides a synchronous round: prefer the last two where that matters.

A table is kept as points of an inverse distribution function. Upload and download of a peer use the same
draw: a fast line is fast both ways, and the sources say nothing about their dependence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topologies.errors import unknown
from topologies.regions import coarse_region, read_table

MBPS = 1e6
UP, DOWN = "up", "down"
QUANTILES = {
    "q05_mbps": 0.05,
    "q10": 0.1,
    "q25": 0.25,
    "q50": 0.5,
    "q75": 0.75,
    "q90": 0.9,
    "q95": 0.95,
    "q99": 0.99,
}
BANDWIDTHS = ("simblock_2015", "simblock_2019", "unipisa_2021", "jabs", "gervais2016")


@dataclass(frozen=True, eq=False)
class Line:
    """Distribution of one region and direction.

    Parameters
    ----------
    levels : (k,) float64
        Rising probabilities.
    bps : (k,) float64
        Bits per second at these levels.
    is_stepwise : bool
        True: `bps` are the only values, and ``levels[i]`` is the probability of at most ``bps[i]``. False:
        interpolate the logarithm between levels, and stay at the end values outside.
    """

    levels: np.ndarray
    bps: np.ndarray
    is_stepwise: bool

    def at(self, u: np.ndarray) -> np.ndarray:
        """Return the bandwidth (m,) at probabilities u : (m,) in [0, 1)."""
        if self.is_stepwise:
            index = np.searchsorted(self.levels, u, side="right")
            return self.bps[np.minimum(index, len(self.bps) - 1)]
        return np.exp(np.interp(u, self.levels, np.log(self.bps)))


@dataclass(frozen=True, eq=False)
class BandwidthTable:
    """Lines of the six regions: ``lines[region, direction]``, direction ``up`` or ``down``."""

    name: str
    lines: dict[tuple[str, str], Line]

    def median_bps(self, region: str) -> tuple[float, float]:
        """Return the median upload and download of a region, bits per second."""
        half = np.array([0.5])
        coarse = coarse_region(region)
        return float(self.lines[coarse, UP].at(half)[0]), float(self.lines[coarse, DOWN].at(half)[0])

    def sample(self, regions: Sequence[str], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw (up_bps, down_bps), each (m,) float64, of a peer in each of `regions` of any latency table."""
        u = rng.random(len(regions))
        up, down = np.empty(len(regions)), np.empty(len(regions))
        coarse = np.array([coarse_region(region) for region in regions], dtype=object)
        for region in set(coarse.tolist()):
            chosen = coarse == region
            up[chosen] = self.lines[region, UP].at(u[chosen])
            down[chosen] = self.lines[region, DOWN].at(u[chosen])
        return up, down


def load_bandwidth(name: str) -> BandwidthTable:
    """Return a table of ``BANDWIDTHS``.

    >>> load_bandwidth("simblock_2019").median_bps("EUROPE")
    (20700000.0, 40000000.0)

    Raises
    ------
    TopologyError
        If the name is unknown.
    """
    if name not in BANDWIDTHS:
        raise unknown("bandwidth table", name, BANDWIDTHS)
    if name == "jabs":
        return BandwidthTable(name, _load_bins())
    if name == "gervais2016":
        return BandwidthTable(name, _load_quantiles())
    return BandwidthTable(name, _load_figures(name))


def sample_bandwidth(
    name: str, regions: Sequence[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw (up_bps, down_bps), each (m,) float64, of a peer in each of `regions` from the table `name`."""
    return load_bandwidth(name).sample(regions, rng)


def _load_figures(name: str) -> dict[tuple[str, str], Line]:
    lines = {}
    for row in read_table("region6_bandwidth.csv"):
        if row["dataset"] == name:
            for direction, column in ((UP, "upload_bps"), (DOWN, "download_bps")):
                lines[row["region"], direction] = Line(np.array([1.0]), np.array([float(row[column])]), True)
    return lines


def _load_bins() -> dict[tuple[str, str], Line]:
    """Take the bins as point masses, as JABS does."""
    bins: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_table("region6_bandwidth_bins_jabs.csv"):
        key = (row["region"], row["direction"])
        bins.setdefault(key, []).append((float(row["bin_bps"]), float(row["probability"])))
    lines = {}
    for key, pairs in bins.items():
        values, mass = (np.array(column) for column in zip(*sorted(pairs)))
        lines[key] = Line(np.cumsum(mass) / mass.sum(), values, True)
    return lines


def _load_quantiles() -> dict[tuple[str, str], Line]:
    levels = np.array(list(QUANTILES.values()))
    lines = {}
    for row in read_table("region6_bandwidth_quantiles_gervais2016.csv"):
        bps = np.array([float(row[column]) for column in QUANTILES]) * MBPS
        lines[row["region"], {"upload": UP, "download": DOWN}[row["direction"]]] = Line(levels, bps, False)
    return lines
