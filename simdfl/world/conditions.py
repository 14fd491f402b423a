"""From a scenario's topology and network sections to an overlay and link conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import networkx as nx
import numpy as np

import topologies
from simdfl.errors import UserError, unknown_name
from simdfl.kernel import Environment
from simdfl.network import Conditions, Network
from simdfl.network.churn import Churn, start_churn
from simdfl.network.conditions import Bursts
from simdfl.network.nat import dial_publicly, draw_nat
from simdfl.network.schedule import Schedule, Spell
from simdfl.peers.behaviour import Behaviour
from simdfl.rng import Rng
from simdfl.scenario import Network as NetworkSection
from simdfl.scenario import Scenario
from simdfl.scenario.sections import SpellConfig
from topologies.bandwidth import sample_bandwidth
from topologies.measures import is_honest_connected
from topologies.regions import assign_regions, coarse_region, load_latency, load_shares, spread_shares

EXPONENTIAL_P90 = float(np.log(10.0))
"""The tables give the excess of the 90th percentile; an exponential draw of mean one has its own there."""
OVERLAY_DRAWS = 50
UNLIMITED = "unlimited"
HOST_BPS = 10e9
READING_CLOCKS = ("verified", "btard")


def draw_overlay(scenario: Scenario, byzantine: frozenset[int], rng: Rng) -> nx.Graph:
    """Return an overlay on which the honest peers are connected without the Byzantine ones.

    Raises
    ------
    UserError
        If the shelf refuses the parameters, or no draw connects the honest peers.
    """
    n, section = scenario.peers.count, scenario.topology
    hidden = draw_hidden(scenario, rng)
    for attempt in range(OVERLAY_DRAWS):
        try:
            overlay = topologies.build(section.name, n, rng.stream("overlay", attempt), **section.params)
        except topologies.TopologyError as error:
            raise UserError(f"topology: {error}") from error
        if hidden:
            overlay = dial_publicly(overlay, hidden, rng.stream("dialled", attempt))
        if is_honest_connected(overlay, set(byzantine)):
            return overlay
    raise UserError(
        f"topology: in {OVERLAY_DRAWS} draws of {section.name!r} the honest peers were never connected without "
        f"the Byzantine ones; use a higher degree{' or a smaller network.nat.share' if hidden else ''}"
    )


def draw_hidden(scenario: Scenario, rng: Rng) -> frozenset[int]:
    """Return the peers that nobody can dial."""
    section = scenario.network.nat
    return frozenset() if section is None else draw_nat(scenario.peers.count, section.share, rng.stream("nat"))


def draw_clock_offsets(scenario: Scenario, rng: Rng) -> np.ndarray:
    """Return by how much each peer's clock is late, (n,) seconds.

    Raises
    ------
    UserError
        If the protocol has no deadlines that a clock is read for.
    """
    skew_s, name = scenario.network.clock_skew_ms * 1e-3, scenario.protocol.name
    if skew_s and name not in READING_CLOCKS:
        raise UserError(
            f"network.clock_skew_ms: {name!r} has no deadlines of contracts, by which clocks are read; "
            f"use 0 or one of {', '.join(READING_CLOCKS)}"
        )
    return rng.stream("clocks").normal(0.0, skew_s, scenario.peers.count)


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
        up_bps, down_bps = _draw_bandwidth(section.bandwidth, names, rng)
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
        jitter_tail=section.jitter_tail,
        slow_start=section.slow_start,
        initial_window=section.initial_window,
        shares_lines=section.flows == "shared",
        contention=section.contention,
        bursts=_bursts(section),
    )


def _bursts(section: NetworkSection) -> Bursts | None:
    bursts = section.bursts
    return None if bursts is None else Bursts(bursts.every_s, bursts.for_s, bursts.loss)


def narrow_links(conditions: Conditions, behaviours: Sequence[Behaviour]) -> Conditions:
    """Return the conditions with the bandwidths that the peers' faults leave them."""
    factors = np.array([behaviour.link_factor() for behaviour in behaviours])
    return replace(conditions, up_bps=conditions.up_bps * factors, down_bps=conditions.down_bps * factors)


def _draw_bandwidth(table: str, regions: list[str], rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    if table == UNLIMITED:
        return np.full(len(regions), np.inf), np.full(len(regions), np.inf)
    return sample_bandwidth(table, regions, rng.stream("bandwidth"))


def _fixed(drawn_bps: np.ndarray, mbps: float | None) -> np.ndarray:
    return drawn_bps if mbps is None else np.full(len(drawn_bps), mbps * 1e6)


def change_conditions(scenario: Scenario, env: Environment, network: Network) -> None:
    """Let the conditions change as the schedule says.

    Raises
    ------
    UserError
        If a region or peer is unknown, stands in two groups, or two splits overlap.
    """
    section = scenario.network
    if section.schedule:
        places = _places(section, network)
        Schedule(env, network, [_spell(spell, places, index) for index, spell in enumerate(section.schedule)])


def _places(section: NetworkSection, network: Network) -> dict[str, list[int]]:
    """Return the peers of each region of the latency table and of each coarse region."""
    names = load_latency(section.latency).regions
    places: dict[str, list[int]] = {}
    for peer in range(network.n_peers):
        name = names[network.conditions.regions[peer]]
        for region in {name, coarse_region(name)}:
            places.setdefault(region, []).append(peer)
    for name in names:
        places.setdefault(name, [])
    return places


def _spell(config: SpellConfig, places: dict[str, list[int]], index: int) -> Spell:
    where = f"network.schedule.{index}.split"
    groups = tuple(tuple(_members(group, places, where)) for group in config.split)
    members = [peer for group in groups for peer in group]
    if len(members) != len(set(members)):
        raise UserError(f"{where}: a peer stands in two groups; let each be in one")
    return Spell(
        config.at_s,
        float("inf") if config.for_s is None else config.for_s,
        groups,
        config.scale_latency,
        config.scale_bandwidth,
        config.loss,
    )


def _members(group: list[str | int], places: dict[str, list[int]], where: str) -> list[int]:
    n = sum(1 for _ in {peer for peers in places.values() for peer in peers})
    peers: list[int] = []
    for entry in group:
        if isinstance(entry, str):
            if entry not in places:
                raise unknown_name(where, entry, places)
            peers += places[entry]
        elif not 0 <= entry < n:
            raise UserError(f"{where}: there is no peer {entry}; peers are numbered 0 to {n - 1}")
        else:
            peers.append(entry)
    return peers


def let_peers_come_and_go(
    scenario: Scenario,
    env: Environment,
    network: Network,
    honest: frozenset[int],
    rng: Rng,
    on_return: Callable[[int], object],
) -> None:
    """Start the churn that the scenario asks for, of a drawn share of the honest peers."""
    section = scenario.network.churn
    if section is None or not section.share:
        return
    chosen = rng.stream("churn").permutation(sorted(honest))[: round(section.share * len(honest))].tolist()
    churn = Churn(section.session_s, section.absence_s, section.lengths, section.after_s)
    start_churn(env, network, churn, sorted(chosen), lambda peer: rng.stream("churn", peer), on_return)
