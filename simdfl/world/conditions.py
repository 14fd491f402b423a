"""From a scenario's topology and network sections to an overlay and link conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import networkx as nx
import numpy as np

import topologies
from simdfl.errors import UserError
from simdfl.network import Conditions
from simdfl.peers.behaviour import Behaviour
from simdfl.rng import Rng
from simdfl.scenario import Network as NetworkSection
from simdfl.scenario import Scenario
from topologies.bandwidth import sample_bandwidth
from topologies.measures import is_honest_connected
from topologies.regions import assign_regions, coarse_region, load_latency, load_shares, spread_shares

EXPONENTIAL_P90 = float(np.log(10.0))
"""The tables give the excess of the 90th percentile; an exponential draw of mean one has its own there."""
OVERLAY_DRAWS = 50


def draw_overlay(scenario: Scenario, byzantine: frozenset[int], rng: Rng) -> nx.Graph:
    """Return an overlay on which the honest peers are connected without the Byzantine ones.

    Raises
    ------
    UserError
        If the shelf refuses the parameters, or no draw connects the honest peers.
    """
    n, section = scenario.peers.count, scenario.topology
    for attempt in range(OVERLAY_DRAWS):
        try:
            overlay = topologies.build(section.name, n, rng.stream("overlay", attempt), **section.params)
        except topologies.TopologyError as error:
            raise UserError(f"topology: {error}") from error
        if is_honest_connected(overlay, set(byzantine)):
            return overlay
    raise UserError(
        f"topology: in {OVERLAY_DRAWS} draws of {section.name!r} the honest peers were never connected without "
        f"the Byzantine ones; use a higher degree"
    )


def draw_conditions(section: NetworkSection, n: int, rng: Rng) -> Conditions:
    """Return link conditions of `n` peers placed into regions.

    Raises
    ------
    UserError
        If a table is unknown.
    """
    try:
        latency = load_latency(section.latency)
        shares = spread_shares(latency.regions, load_shares(section.shares))
        regions = assign_regions(n, shares, rng.stream("regions"))
        names = [coarse_region(latency.regions[region]) for region in regions]
        up_bps, down_bps = sample_bandwidth(section.bandwidth, names, rng.stream("bandwidth"))
    except topologies.TopologyError as error:
        raise UserError(f"network: {error}") from error
    one_way_s, jitter = np.array(latency.one_way_s), np.array(latency.jitter)
    if section.latency_ms is not None:
        one_way_s = np.full_like(one_way_s, section.latency_ms * 1e-3)
    return Conditions(
        regions=regions,
        region_latency_s=one_way_s,
        region_jitter=jitter * section.jitter / EXPONENTIAL_P90,
        access_latency_s=np.full(n, section.access_latency_ms * 1e-3),
        up_bps=_fixed(up_bps, section.uplink_mbps),
        down_bps=_fixed(down_bps, section.downlink_mbps),
        loss=section.loss,
    )


def narrow_links(conditions: Conditions, behaviours: Sequence[Behaviour]) -> Conditions:
    """Return the conditions with the bandwidths that the peers' faults leave them."""
    factors = np.array([behaviour.link_factor() for behaviour in behaviours])
    return replace(conditions, up_bps=conditions.up_bps * factors, down_bps=conditions.down_bps * factors)


def _fixed(drawn_bps: np.ndarray, mbps: float | None) -> np.ndarray:
    return drawn_bps if mbps is None else np.full(len(drawn_bps), mbps * 1e6)
