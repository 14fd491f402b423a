"""The chain of a scenario, and whether the job's deadlines leave time for what must be done before them.

Where blocks are irregular, the time of so many blocks is a high quantile of it
(:data:`simdfl.chain.sources.QUANTILE`); where they may be abandoned, they count again.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from contracts_model.verification import BLS12_381, LARGEST_N, LARGEST_THRESHOLD
from simdfl.chain.demand import DemandProfile
from simdfl.chain.prices import ProofPrices
from simdfl.chain.profiles import PROFILES, ChainProfile
from simdfl.chain.sources import SOURCES, BlockSource, Recorded, read_gaps_us
from simdfl.crypto.beacon import make_beacon
from simdfl.errors import UserError, unknown_name
from simdfl.learning.devices import DEVICES
from simdfl.learning.schedules import bind
from simdfl.protocols.beacon_duty import PROOF_GAS_LIMIT
from simdfl.protocols.exchange_duty import LOCK_PATIENCE
from simdfl.scenario import Scenario
from simdfl.scenario.sections import Chain, Demand
from simdfl.world.chains import main_profile
from simdfl.world.manifest import beacon_shape, scheme_name

if TYPE_CHECKING:
    from simdfl.world.build import World

BLOCKS_PER_STEP = 3
PROVEN_SCHEME = "pvss_ldei"
"""The scheme of the sharings that a contract verifies."""
JUDGEMENT_BLOCKS = 4
"""After the last dealing is posted: until it is seen, and until its dispute is included."""
INCLUSION_BLOCKS = 2
"""Until a transaction is included and seen; half of each deadline must cover this and the finality depth."""
DEADLINE_BLOCKS = 5
"""Blocks that must fit into every deadline: an honest peer may need two votes included before it can act."""


def chain_profile(scenario: Scenario) -> ChainProfile:
    """Return the chain profile with the scenario's own values in place.

    Raises
    ------
    UserError
        If the profile is unknown or a deadline is shorter than the chain can meet.
    """
    section = scenario.chain
    if section.profile not in PROFILES:
        raise unknown_name("chain.profile", section.profile, PROFILES)
    given = {
        key: value
        for key in ("block_time_s", "gas_limit", "finality_blocks", "base_fee_wei", "expiry_s")
        if (value := getattr(section, key)) is not None
    }
    profile = replace(PROFILES[section.profile], **given)
    source = make_source(section, profile)
    profile = replace(
        profile, source=source, block_time_s=source.block_time_s, reorgs=forced_reorgs(section, source)
    )
    if section.demand is not None:
        profile = replace(profile, demand=demand_profile(section.demand, profile))
    main = main_profile(scenario, profile)
    waits = main.finality_blocks + main.depth
    needed_s = max(main.span_s(waits + DEADLINE_BLOCKS), 2 * main.span_s(waits + INCLUSION_BLOCKS))
    for name in ("register_s", "deal_s", "commit_s", "aggregate_s", "reveal_s", "recover_s", "vote_s"):
        if getattr(scenario.contracts, name) < needed_s:
            raise UserError(
                f"contracts.{name}: {getattr(scenario.contracts, name)} s is shorter than inclusion and "
                f"finality take on this chain; use at least {needed_s:g}"
            )
    if profile.gas_limit < PROOF_GAS_LIMIT:
        raise UserError(
            f"chain.gas_limit: {profile.gas_limit} is too little for the proof of an invalid dealing; "
            f"use at least {PROOF_GAS_LIMIT}"
        )
    check_dealing_time(scenario, main)
    return profile


def make_source(section: Chain, profile: ChainProfile) -> BlockSource:
    """Return the source of blocks that a scenario asks for, or else the profile's.

    Raises
    ------
    UserError
        If the name is unknown or the source refuses its parameters.
    """
    if section.source is None:
        return replace(profile.timing, block_time_s=profile.block_time_s)
    name, params = section.source.name, section.source.params
    if name not in SOURCES:
        raise unknown_name("chain.source.name", name, SOURCES)
    if name == Recorded.name:
        if section.block_time_s is not None:
            raise UserError("chain.block_time_s: recorded blocks have times of their own; remove it")
        return Recorded.of(bind("chain.source.params", read_gaps_us, params))
    return bind("chain.source.params", SOURCES[name], params, {"block_time_s": profile.block_time_s})


def demand_profile(section: Demand, profile: ChainProfile) -> DemandProfile:
    """Return how much the others want; by default they pay twice the first base fee, and tip as the peers do."""
    cap_wei = 2 * profile.base_fee_wei if section.cap_wei is None else section.cap_wei
    tip_wei = profile.priority_fee_wei if section.tip_wei is None else section.tip_wei
    return DemandProfile(section.load, section.gas_each, cap_wei, tip_wei, section.spread)


def forced_reorgs(section: Chain, source: BlockSource) -> tuple[tuple[float, int], ...]:
    """Return the reorganisations that a scenario forces, by time.

    Raises
    ------
    UserError
        If the source's blocks are final.
    """
    if section.reorgs and source.is_final:
        raise UserError(f"chain.reorgs: blocks of {source.name!r} are final; remove reorgs or use another source")
    return tuple(sorted((forced.at_s, forced.depth) for forced in section.reorgs))


def check_dealing_time(scenario: Scenario, profile: ChainProfile) -> None:
    """Check that dealings can be judged before they are needed.

    Raises
    ------
    UserError
        If the first lock, or that of a later epoch, comes before the last dispute can be included.
    """
    if scenario.beacon.verification == "on_chain":
        check_proving_time(scenario, profile)
        return
    n, c = scenario.peers.count, scenario.contracts
    device, scheme = DEVICES[scenario.peers.device], make_beacon(scheme_name(scenario), "ideal")
    outputs = scenario.beacon.epoch_outputs
    threshold, packing = beacon_shape(scenario, n)
    dealings = -(-outputs // packing) * n
    checking_s = scheme.verify_exponentiations(n, threshold) * dealings * device.group_exp_s
    epoch_s = epoch_length_s(scenario, profile)
    judgement_s = profile.span_s(profile.finality_blocks + profile.depth + JUDGEMENT_BLOCKS)
    needed_s = max(c.deal_s / 2, checking_s) + judgement_s
    if c.deal_s < needed_s:
        raise UserError(
            f"contracts.deal_s: {c.deal_s} s is too short to check {n} dealings of {outputs} outputs and to "
            f"dispute one; use at least {2 * needed_s:.0f} or fewer beacon.epoch_outputs"
        )
    if epoch_s < needed_s:
        raise UserError(
            f"beacon.epoch_outputs: {outputs} outputs last {epoch_s:.0f} s, but dealings are judged only after "
            f"{needed_s:.0f} s; use more outputs or a shorter contracts.deal_s"
        )


def epoch_length_s(scenario: Scenario, profile: ChainProfile) -> float:
    """Return how long an epoch's outputs last at least, in simulated seconds."""
    block_s = (profile.finality_blocks + 1) * profile.block_time_s + profile.timing.lag_s
    return scenario.beacon.epoch_outputs * BLOCKS_PER_STEP * block_s


def check_proving_time(scenario: Scenario, profile: ChainProfile) -> None:
    """Check that all dealings can be proven on chain before they are needed.

    Blocks that are full for long are half full on average, since the base fee rises (EIP-1559); once steps run, a
    dealer proves one sharing at a time.

    Raises
    ------
    UserError
        If the scheme has no contract that verifies it, one proof is too large, or all take too long.
    """
    n, name, outputs = scenario.peers.count, scheme_name(scenario), scenario.beacon.epoch_outputs
    if name != PROVEN_SCHEME:
        raise UserError(
            f"beacon.verification: no contract verifies dealings of {name}; use beacon.scheme {PROVEN_SCHEME} "
            "with a protocol that deals sharings, or verification: disputes"
        )
    threshold, _ = beacon_shape(scenario, n)
    if n > LARGEST_N or threshold > LARGEST_THRESHOLD:
        raise UserError(
            f"beacon.verification: contracts verify sharings among {LARGEST_N} peers with thresholds of "
            f"{LARGEST_THRESHOLD} at most, these are {n} and {threshold}; use verification: disputes"
        )
    size_bytes = BLS12_381.transcript_bytes(n, threshold)
    each_gas = ProofPrices(make_beacon(name, "ideal")).proof_gas_limit(n, threshold, size_bytes)
    if each_gas > min(profile.tx_gas_cap, profile.gas_limit // 2):
        raise UserError(
            f"chain.gas_limit: {profile.gas_limit} is too little to verify sharings among {n} peers; "
            f"use at least {2 * each_gas}"
        )
    blocks = math.ceil(outputs * n * each_gas / (profile.gas_limit // 2))
    turns = profile.finality_blocks + profile.depth + INCLUSION_BLOCKS
    first_s = profile.span_s(blocks + turns)
    if scenario.contracts.deal_s < first_s:
        raise UserError(
            f"contracts.deal_s: {scenario.contracts.deal_s} s is too short to verify {outputs * n} sharings on "
            f"chain, {blocks} blocks of gas; use at least {first_s:.0f} or fewer beacon.epoch_outputs"
        )
    later_s = max(first_s, outputs * profile.span_s(turns))
    epoch_s = epoch_length_s(scenario, profile)
    if epoch_s < later_s:
        raise UserError(
            f"beacon.verification: an epoch of {outputs} outputs lasts {epoch_s:.0f} s, but verifying the next "
            f"one's sharings on chain takes {later_s:.0f} s; raise chain.gas_limit or use verification: disputes"
        )


def check_exchange_time(scenario: Scenario, profile: ChainProfile, world: World) -> None:
    """Check that the slowest peer can exchange its parts in time: it would be eliminated without any fault.

    Raises
    ------
    UserError
        If ``contracts.aggregate_s`` or ``reveal_s`` is too short for model and bandwidths: parts go to their
        aggregators within half of the first, aggregates to everybody within the patience of the second.
    """
    n, conditions = scenario.peers.count, world.network.conditions
    up_bps, down_bps = float(conditions.up_bps[:n].min()), float(conditions.down_bps[:n].min())
    size_bytes = world.training.sizes.vector_bytes()
    exchange_s = 8.0 * size_bytes * max(1.0 / up_bps, 1.0 / down_bps)
    sentence = (
        f"is too short to exchange gradients of {size_bytes / 1e6:.1f} MB over the slowest link "
        f"({min(up_bps, down_bps) / 1e6:.1f} Mbit/s); use at least"
    )
    needed_s = 2.0 * (exchange_s + profile.span_s(profile.finality_blocks + profile.depth + INCLUSION_BLOCKS))
    if scenario.contracts.aggregate_s < needed_s:
        raise UserError(
            f"contracts.aggregate_s: {scenario.contracts.aggregate_s} s {sentence} {math.ceil(needed_s)}"
        )
    needed_s = LOCK_PATIENCE * exchange_s
    if scenario.contracts.reveal_s < needed_s:
        raise UserError(f"contracts.reveal_s: {scenario.contracts.reveal_s} s {sentence} {math.ceil(needed_s)}")
