"""What is known about networks against what the simulated one does: measured, published or exact, and simulated.

Each row is one run (or one for each trial where chance decides) of :mod:`simdfl.network` in the fidelity
``kernel``, set up as the source says. The published series stand in
``topologies/data/propagation_measurements.csv``.

References
----------
Queue: L. Kleinrock, Queueing Systems I, 1975, section 5.6. Push: B. Pittel, SIAM J. Appl. Math. 47(1), 1987.
gossipsub v1.0: D. Vyzovitis, gerbil-simsub (gist 25a53ec1). Bitcoin: A. Gervais et al., CCS 2016. Megabytes: Vac
research log of 2025-08-12, nim-libp2p in Shadow; its lines and latencies as in forum.vac.dev/t/283.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log, log2
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simdfl.figures.network_stage import Stage, dialled, equal_links
from simdfl.figures.simblock_links import arrivals
from simdfl.figures.style import SHADES
from simdfl.kernel import Environment
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.network.message import HEADER_BYTES
from simdfl.rng import Rng
from topologies.bandwidth import sample_bandwidth
from topologies.regions import assign_regions, load_latency, load_shares, read_table, spread_shares

TRIALS = 3
Row = dict[str, Any]
MEGABYTES_N, BITCOIN_N = 1500, 6000
BLOCK_BYTES = 534_000
SIMBLOCK_MEDIAN_S, SIMBLOCK_BLOCKS = 8.27, 20
CONTENTION = 0.5
"""Chosen among three values on the series of megabytes itself: its rows are a fit, not a prediction."""
STAGES_BPS = np.array([50e6, 75e6, 100e6, 125e6, 150e6])
STAGES_S = np.linspace(0.04, 0.16, 5)


def compute(trials: int, seed: int, cache: Path) -> pd.DataFrame:
    """Return one row per quantity: what is known, what is simulated, and their ratio.

    Parameters
    ----------
    trials : int
        Messages, or runs, that a row averages.
    seed : int
        Of all draws.
    cache : Path
        Not used.
    """
    rng = Rng(seed)
    rows = [
        *queue(rng),
        *push(trials, rng),
        *jitter(rng),
        *gossipsub(rng),
        *bitcoin(trials, rng),
        *megabytes(trials, rng),
    ]
    table = pd.DataFrame(rows)
    table["ratio"] = table["simulated"] / table["known"]
    return table


def _row(quantity: str, unit: str, kind: str, known: float, simulated: float) -> Row:
    return {"quantity": quantity, "unit": unit, "kind": kind, "known": known, "simulated": simulated}


def queue(rng: Rng) -> Iterator[Row]:
    """Yield the mean wait at a line that 50,000 messages of 1 ms want to use at random times."""
    for load in (0.5, 0.8, 0.95):
        known = load / (2 * (1 - load))
        yield _row(f"M/D/1 wait at load {load:g}", "services", "exact", known, 1e3 * _mean_wait_s(load, rng))


def _mean_wait_s(load: float, rng: Rng) -> float:
    """Return how long messages wait for a line of 8 Mbit/s that is busy for a share `load` of the time."""
    env = Environment()
    network = Network(env, nx.path_graph(2), equal_links(2, 0.01, 8e6), rng, 0.0, fidelity="kernel")
    message = Message("X", 0, 0, None, 1000 - HEADER_BYTES, Traffic.CONTROL)
    asked_s = np.cumsum(rng.stream("queue").exponential(1e-3 / load, 50_000))
    arrived_s: list[float] = []
    network.transport.on_delivery = lambda time_s, to, m: arrived_s.append(time_s)
    for time_s in asked_s.tolist():
        env.at(time_s, lambda: network.send(message, 1))
    env.run()
    return float(np.mean(np.array(arrived_s) - asked_s)) - 0.011


def push(trials: int, rng: Rng) -> Iterator[Row]:
    """Yield the rounds that push needs on the complete graph."""
    for n in (64, 512):
        rounds = []
        for trial in range(trials):
            links = equal_links(n, 1e-6)
            draw = Rng(int.from_bytes(rng.key("push", n, trial)[:7], "little"))
            stage = Stage(nx.complete_graph(n), links, draw, "push", {"period_s": 1.0, "fresh_s": 40.0})
            stage.publish(0.0, 0, 100)
            rounds.append(stage.play()[0][-1])
        known = log2(n) + log(n)
        yield _row(f"push to {n} peers", "rounds", "exact to O(1)", known, float(np.mean(rounds)))


def jitter(rng: Rng) -> Iterator[Row]:
    """Yield what the 90th percentile of a link's latency exceeds its median by."""
    table = load_latency("aws_2025")
    home, there = table.regions.index("us-east-1"), table.regions.index("ap-south-1")
    factor = 1.0 / np.log(10.0)
    free = np.full(2, np.inf)
    links = Conditions(np.array([home, there]), table.one_way_s, table.jitter * factor, np.zeros(2), free, free)
    stage = Stage(nx.path_graph(2), links, rng, "push", {})
    times: list[float] = []
    stage.network.transport.on_delivery = lambda time_s, to, m: times.append(time_s)
    message = Message("X", 0, 0, None, 100, Traffic.CONTROL)
    for k in range(20_000):
        stage.env.at(float(k), lambda: stage.network.send(message, 1))
    stage.env.run()
    delays = np.array(times) - np.floor(times)
    excess = float(np.quantile(delays, 0.9) / table.one_way_s[home, there] - 1.0)
    yield _row(
        "AWS us-east-1 to ap-south-1, p90 over p50", "", "measured", float(table.jitter[home, there]), excess
    )


def gossipsub(rng: Rng) -> Iterator[Row]:
    """Yield the counts of 60 messages of 5 sources among 1,000 peers."""
    n, draw = 1000, rng.stream("gossipsub")
    latency_s = np.triu(draw.uniform(0.01, 0.15, (n, n)))
    free = np.full(n, np.inf)
    links = Conditions(np.arange(n), latency_s + latency_s.T, np.full((n, n), 0.02), np.zeros(n), free, free)
    stage = Stage(dialled(n, np.full(n, 20), draw), links, rng, "gossipsub")
    for k in range(60):
        stage.publish(10.0 + k, k % 5, 1000)
    delays = np.concatenate(stage.play())
    known = {"message": 377_370, "IHAVE": 372_006, "IWANT": 2_143, "GRAFT": 3_695}
    for kind, count in known.items():
        name = f"gossipsub v1.0, n = 1,000: {kind}"
        yield _row(name, "frames", "published", count, stage.sent[kind])
    mean_ms = (1334 * 50 + 20_818 * 150 + 36_508 * 250 + 1280 * 350) / 59_940
    bins = np.histogram(delays, np.arange(0.0, 0.7, 0.1))[0]
    simulated_ms = float(bins @ (np.arange(len(bins)) * 100.0 + 50.0)) / bins.sum()
    yield _row("gossipsub v1.0, n = 1,000: mean delay", "ms", "published", mean_ms, simulated_ms)


def bitcoin(trials: int, rng: Rng) -> Iterator[Row]:
    """Yield the median time of a 534 kB block in 2015, by announcements, by two tables of home lines."""
    n, draw = BITCOIN_N, rng.stream("bitcoin")
    steps = [row for row in read_table("outbound_degree_cdf.csv") if row["dataset"] == "bitcoin_2015_miller"]
    levels = np.array([float(row["cdf"]) for row in steps])
    overlay = dialled(n, 1 + np.searchsorted(levels, draw.random(n)), draw)
    table = load_latency("simblock_2015")
    regions = assign_regions(n, spread_shares(table.regions, load_shares("bitcoin_2015")), draw)
    names = [table.regions[region] for region in regions]
    for bandwidth in ("simblock_2015", "gervais2016"):
        up_bps, down_bps = sample_bandwidth(bandwidth, names, rng.stream("lines"))
        links = Conditions(regions, table.one_way_s, table.jitter / np.log(10.0), np.zeros(n), up_bps, down_bps)
        stage = Stage(overlay, links, rng, "announce_pull", {"timeout_s": 600.0}, validate_s=0.002)
        for k in range(trials):
            stage.publish(3600.0 * k, int(draw.integers(n)), BLOCK_BYTES)
        median_s = float(np.mean([np.median(delays) for delays in stage.play()]))
        yield _row(f"Bitcoin 2015, median of a block, lines of {bandwidth}", "s", "measured", 8.7, median_s)
    lines = sample_bandwidth("simblock_2015", names, rng.stream("lines"))
    round_trip_ms, draw = 2e3 * table.one_way_s, rng.stream("simblock")
    blocks = [
        arrivals(overlay, regions, round_trip_ms, lines, BLOCK_BYTES, int(draw.integers(n)), draw)
        for _ in range(SIMBLOCK_BLOCKS)
    ]
    median_s = float(np.mean([np.median(block) for block in blocks]))
    what = "Bitcoin 2015, median of a block, SimBlock's links in place of ours"
    yield _row(what, "s", "reproduced", SIMBLOCK_MEDIAN_S, median_s)


def megabytes(trials: int, rng: Rng) -> Iterator[Row]:
    """Yield the time until all of 1,500 peers have a large message, by gossipsub v1.2."""
    published = {row["id"]: row["value"] for row in read_table("propagation_measurements.csv")}
    n, draw = MEGABYTES_N, rng.stream("megabytes")
    overlay, bps = dialled(n, np.full(n, 15), draw), draw.choice(STAGES_BPS, n)
    latency_s = (STAGES_S[:, None] + STAGES_S[None, :]) / 2.0
    stage_of = draw.integers(0, len(STAGES_S), n)
    mesh = {"d": 8, "d_lo": 6, "d_hi": 12, "idontwant_bytes": 1000}
    links = Conditions(
        stage_of, latency_s, np.zeros((5, 5)), np.zeros(n), bps, bps, shares_lines=True, contention=CONTENTION
    )
    for kilobytes in (200, 600, 1000, 1400, 1800):
        stage = Stage(overlay, links, rng, "gossipsub", mesh)
        for k in range(trials):
            stage.publish(5.0 + 60.0 * k, int(draw.integers(n)), 1000 * kilobytes)
        last_s = float(np.mean([delays[-1] for delays in stage.play()]))
        known = float(published[f"vac_s2_{kilobytes}"])
        yield _row(f"{kilobytes} kB to 1,500 peers, gossipsub v1.2", "s", "published", known, last_s)


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure: simulated over known, a dot a row."""
    figure = Figure(figsize=(5.6, 0.24 * len(table) + 0.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))[::-1]
    axes.axvline(1.0, color=SHADES[1], lw=0.8)
    axes.plot(table["ratio"], places, "o", color=SHADES[0], ms=4)
    axes.set(xscale="log", xlim=(0.2, 5.0), xlabel="simulated / known")
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
    axes.set_yticks(places, table["quantity"])
    axes.minorticks_off()
    return figure
