"""Published delays between regions, and how peers spread over them.

All published matrices but ``ethshadow`` are round trips and are halved here; several simulators use the
same numbers as one-way delays. The two directions of a pair are averaged, as a round trip passes both.

Jitter is the relative excess of the 90th percentile over the median. It comes from p50 and p90 where these
are published (``aws_2025``), from ping's mdev times 1.2816 (the normal distribution's 90 % point) for
``wonderproxy_2020``, and is else taken as ``DEFAULT_JITTER``. The one-way jitter is taken to be that of the
round trip.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from topologies.errors import TopologyError, require, unknown

Row = dict[str, str]

MS = 1e-3
DEFAULT_JITTER = 0.02
NORMAL_P90 = 1.2816
# IBM publishes no figure within a region, and promises less than 2 ms between zones.
INTRA_METRO_RTT_MS = 1.0

# The six regions of the bandwidth and share tables, for the finer regions of the latency tables. The
# Middle East counts as Asia, Africa as Europe, with which it has its main cables.
_COARSE = {
    "NORTH_AMERICA": "us- ca- mx- na_west na_east Dallas Toronto Washington",
    "SOUTH_AMERICA": "sa- south_america Sao",
    "EUROPE": "eu- europe af- south_africa AFRICA Frankfurt London Madrid",
    "JAPAN": "ap-northeast-1 ap-northeast-3 Osaka Tokyo",
    "AUSTRALIA": "ap-southeast-2 ap-southeast-4 australia Sydney",
    "ASIA_PACIFIC": "ap- me- il- east_asia west_asia MIDDLE_EAST",
}


def coarse_region(region: str) -> str:
    """Return which of the six regions of the bandwidth and share tables a region lies in.

    >>> coarse_region("ap-northeast-1"), coarse_region("ap-south-1"), coarse_region("EUROPE")
    ('JAPAN', 'ASIA_PACIFIC', 'EUROPE')

    Raises
    ------
    TopologyError
        If no table knows the region.
    """
    if region in _COARSE:
        return region
    for coarse, prefixes in _COARSE.items():
        if any(region.startswith(prefix) for prefix in prefixes.split()):
            return coarse
    raise unknown("region", region, _COARSE)


@dataclass(frozen=True, eq=False)
class RegionLatency:
    """Delays between r regions, read-only.

    Parameters
    ----------
    name : str
    regions : tuple of str
    one_way_s : (r, r) float64
        Median one-way delay in seconds, symmetric.
    jitter : (r, r) float64
        Relative excess of the 90th percentile over the median, symmetric.
    """

    name: str
    regions: tuple[str, ...]
    one_way_s: np.ndarray
    jitter: np.ndarray

    def __post_init__(self) -> None:
        self.one_way_s.setflags(write=False)
        self.jitter.setflags(write=False)


def read_table(file: str) -> list[Row]:
    """Return the rows of a shipped CSV file."""
    text = (files("topologies") / "data" / file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _square(rows: list[Row], value: Callable[[Row], float]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the regions in order of appearance and the symmetrised matrix; entries without a row are NaN."""
    names = tuple(dict.fromkeys(row["from"] for row in rows))
    matrix = np.full((len(names), len(names)), np.nan)
    for row in rows:
        matrix[names.index(row["from"]), names.index(row["to"])] = value(row)
    return names, (matrix + matrix.T) / 2.0


def _from_rtt(
    name: str, rows: list[Row], rtt_ms: str, jitter: Callable[[Row], float] | None = None
) -> RegionLatency:
    names, matrix_ms = _square(rows, lambda row: float(row[rtt_ms]))
    spread = np.full(matrix_ms.shape, DEFAULT_JITTER) if jitter is None else _square(rows, jitter)[1]
    return RegionLatency(name, names, matrix_ms * MS / 2.0, spread)


def _load_six(name: str) -> RegionLatency:
    rows = [row for row in read_table("region6_latency.csv") if row["dataset"] == name]
    return _from_rtt(name, rows, "value_ms")


def _load_aws(name: str) -> RegionLatency:
    def excess(row: Row) -> float:
        return float(row["rtt_p90_ms"]) / float(row["rtt_p50_ms"]) - 1.0

    return _from_rtt(name, read_table("aws_region_rtt.csv"), "rtt_p50_ms", excess)


def _load_ibm(name: str) -> RegionLatency:
    rows = read_table("ibmcloud2024_rtt.csv")
    cities = dict.fromkeys(row["from"] for row in rows)
    rows += [{"from": city, "to": city, "avg_ms": str(INTRA_METRO_RTT_MS)} for city in cities]
    return _from_rtt(name, rows, "avg_ms")


def _load_wonderproxy(name: str) -> RegionLatency:
    def excess(row: Row) -> float:
        return NORMAL_P90 * float(row["mdev_median"]) / float(row["rtt_q50"])

    return _from_rtt(name, read_table("wonderproxy2020_region8_rtt.csv"), "rtt_q50", excess)


def _load_ethshadow(name: str) -> RegionLatency:
    rows = read_table("ethshadow_latency.csv")
    names, matrix_ms = _square(rows, lambda row: float(row["one_way_ms_as_configured"]))
    return RegionLatency(name, names, matrix_ms * MS, np.full(matrix_ms.shape, DEFAULT_JITTER))


LATENCIES: dict[str, Callable[[str], RegionLatency]] = {
    "gervais2016": _load_six,
    "simblock_2015": _load_six,
    "simblock_2019": _load_six,
    "unipisa_2021": _load_six,
    "aws_2025": _load_aws,
    "ibmcloud_2024": _load_ibm,
    "wonderproxy_2020": _load_wonderproxy,
    "ethshadow": _load_ethshadow,
}

SHARES = (
    "bitcoin_2015",
    "bitcoin_2019",
    "bitcoin_2021_unipisa",
    "litecoin_2016",
    "dogecoin_2016",
    "ethereum_2020_jabs",
)


def load_latency(name: str) -> RegionLatency:
    """Return the delays of a table in ``LATENCIES``.

    >>> load_latency("simblock_2019").one_way_s[0, 1].item()  # published: 124 ms round trip
    0.062

    Raises
    ------
    TopologyError
        If the name is unknown.
    """
    if name not in LATENCIES:
        raise unknown("latency table", name, LATENCIES)
    return LATENCIES[name](name)


def load_shares(name: str) -> dict[str, float]:
    """Return the share of each of the six regions in a network of ``SHARES``; they sum to 1.

    Raises
    ------
    TopologyError
        If the name is unknown.
    """
    if name not in SHARES:
        raise unknown("share table", name, SHARES)
    rows = read_table("region6_node_share.csv")
    shares = {row["region"]: float(row["share"]) for row in rows if row["dataset"] == name}
    total = sum(shares.values())
    return {region: share / total for region, share in shares.items()}


def spread_shares(regions: tuple[str, ...], shares: Mapping[str, float] | None = None) -> np.ndarray:
    """Return the share (r,) of each region of a latency table; they sum to 1.

    The share of one of the six regions is divided equally among the finer regions in it. Shares of regions
    that the table lacks are left out. Without `shares` all regions are equal.

    Raises
    ------
    TopologyError
        If no region has a share.
    """
    if shares is None:
        return np.full(len(regions), 1.0 / len(regions))
    coarse = [coarse_region(region) for region in regions]
    spread = np.array([shares.get(region, 0.0) / coarse.count(region) for region in coarse])
    if not spread.sum() > 0:
        raise TopologyError(f"no share is given for any of the regions {', '.join(regions)}")
    return spread / spread.sum()


def assign_regions(n: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the region of each of n peers, independently with probabilities `shares` (r,); (n,) int64."""
    shares = np.asarray(shares, dtype=np.float64)
    require(bool((shares >= 0).all()) and shares.sum() > 0, f"shares must be >= 0 and not all zero, got {shares}")
    return rng.choice(len(shares), size=n, p=shares / shares.sum()).astype(np.int64)
