"""The job manifest, and the contracts deployed from it (PROTOCOL section 2)."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import jax
import jaxlib
import numpy as np

from contracts_model import Job, Terms, Withheld, threshold_for
from contracts_model.incentives import derive_deposit, detection_probability
from contracts_model.terms import tolerated_for
from simdfl import __version__
from simdfl.canonical import canonical_json
from simdfl.chain.host import ChainHost
from simdfl.chain.sources import Recorded, read_gaps_us
from simdfl.crypto.beacon import RandomBeacon
from simdfl.crypto.hashing import digest
from simdfl.crypto.signatures import Keypair
from simdfl.errors import UserError
from simdfl.learning.lanes import arithmetic_flags
from simdfl.protocols.contributions import Valuation
from simdfl.protocols.parts import ClipSettings
from simdfl.protocols.training import Training
from simdfl.scenario import Scenario
from simdfl.units import ETHER
from simdfl.world.assurance import assumed_liars

if TYPE_CHECKING:
    from simdfl.world.build import World

PEER_BALANCE_WEI = 1_000 * ETHER
OWNER_BALANCE_WEI = 1_000_000 * ETHER
OUTSIDE_MANIFEST = {
    *("name", "description", "baselines", "output", "network", "topology", "peers"),
    *("adversaries", "faults", "membership"),
}
"""What the job does not declare: who lies, fails or comes late, the network, and where results go."""


NOMINAL = ("nominal_parameters", "nominal_flops")
"""Nor what the model's sizes are taken for: the simulation's, as the network is."""


def clip_settings(scenario: Scenario) -> ClipSettings:
    """Return the numbers of CenteredClip and its checks."""
    p = scenario.protocol
    return ClipSettings(p.clip_radius, p.clip_tolerance, p.clip_iterations, p.projections, p.max_deviation)


WITHHELD = {
    "commit_reveal": Withheld.RESTART,
    "randao": Withheld.SKIP,
    "ideal": Withheld.TRUSTED,
}
"""What becomes of withheld secrets, by scheme; those that are not named recover them."""


def scheme_name(scenario: Scenario) -> str:
    """Return the beacon's scheme; BTARD tosses coins by commit-reveal, whatever the scenario says."""
    return "commit_reveal" if scenario.protocol.name == "btard" else scenario.beacon.scheme


def beacon_shape(scenario: Scenario, receivers: int) -> tuple[int, int]:
    """Return the threshold, and how many outputs one dealing serves, for so many receivers."""
    terms = beacon_terms(scenario)
    tolerated = terms["tolerated_percent"]
    if tolerated:
        hidden = tolerated_for(receivers, tolerated)
        return receivers - hidden, receivers - 2 * hidden
    return threshold_for(receivers, terms["threshold_percent"]), 1


def beacon_terms(scenario: Scenario) -> dict[str, Any]:
    """Return what the contracts must know of the beacon."""
    beacon, scheme = scenario.beacon, scheme_name(scenario)
    return {
        "withheld": WITHHELD.get(scheme, Withheld.RECOVER),
        "threshold_percent": beacon.threshold_percent,
        "tolerated_percent": beacon.tolerated_percent if scheme == "albatross" else 0,
        "proves_dealings": beacon.verification == "on_chain",
    }


def arithmetic_class(training: Training, batch_size: int, name: str) -> dict[str, Any]:
    """Return what the bits of a gradient depend on (PROTOCOL section 10)."""
    return {
        "class": name.upper(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
        "threads": os.environ["NPROC"],
        "xla_flags": arithmetic_flags(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "lanes": training.engine.model.lanes,
        "batch_size": batch_size,
    }


def make_manifest(scenario: Scenario, training: Training) -> dict[str, Any]:
    """Return everything that the job declares before it starts; its digest names the run."""
    configuration = scenario.model_dump(mode="json", exclude=OUTSIDE_MANIFEST)
    for key in NOMINAL:
        configuration["learning"].pop(key, None)
    configuration["learning"]["dataset"].pop("folder", None)  # what lies there is named by its root
    for key in ("reorgs", "blobs"):
        configuration["chain"].pop(key, None)  # the world's, as the network is, and a price that nobody pays
    source = configuration["chain"].get("source")
    if source is not None and source["name"] == Recorded.name:
        gaps_us = read_gaps_us(source["params"]["file"])
        source["params"] = {"gaps": digest("simdfl/gaps", canonical_json(list(gaps_us))).hex()}
    return {
        "format": "simdfl.manifest.v1",
        "version": __version__,
        "configuration": configuration,
        "n_parameters": training.n_parameters,
        "dataset": training.engine.dataset.name,
        "dataset_root": training.engine.dataset.merkle_root().hex(),
        "shard_roots": [] if training.shards is None else [root.hex() for root in training.shards.roots],
        "genesis": training.genesis.digest.hex(),
        "arithmetic": arithmetic_class(training, training.engine.batch_size, scenario.protocol.arithmetic.name),
    }


def manifest_digest(manifest: dict[str, Any]) -> bytes:
    """Return the digest that names the job."""
    return digest("simdfl/manifest", canonical_json(manifest))


def deposit_of(scenario: Scenario) -> int:
    """Return the deposit: as given, or at least so high that cheating does not pay (PROTOCOL section 8).

    Raises
    ------
    UserError
        If a deposit is to be derived where nobody is ever checked.
    """
    c, n = scenario.contracts, scenario.peers.count
    if scenario.protocol.name == "btard":
        return 0
    if c.cheating_gain_wei is None:
        return c.deposit_wei
    probability = detection_probability(n, assumed_liars(scenario), scenario.protocol.validators)
    if not probability:
        raise UserError(
            "contracts.cheating_gain_wei: without validators nobody is caught and no deposit is enough; "
            "use protocol.validators of at least 1 or remove cheating_gain_wei"
        )
    return derive_deposit(c.cheating_gain_wei, probability, c.reporter_percent)


def contribution_terms(scenario: Scenario) -> dict[str, Any]:
    """Return what the contracts must know of rewards for contributions.

    Raises
    ------
    UserError
        If no round would end before the job does.
    """
    section = scenario.contracts.contribution
    if section is None:
        return {}
    if section.every > scenario.protocol.steps:
        raise UserError(
            f"contracts.contribution.every: {section.every} is more than the {scenario.protocol.steps} steps "
            f"of the job; use at most {scenario.protocol.steps}"
        )
    return {"contribution_percent": section.percent, "contribution_every": section.every}


def make_valuation(scenario: Scenario) -> Valuation | None:
    """Return how contributions are valued, or None where they are not rewarded."""
    section = scenario.contracts.contribution
    if section is None:
        return None
    return Valuation(section.permutations, section.records, section.truncation)


def deploy(
    scenario: Scenario,
    world: World,
    scheme: RandomBeacon,
    owner: Keypair,
    addresses: list[bytes],
    founders: int,
) -> Job:
    """Deploy the job's contracts with funded accounts."""
    c, p = scenario.contracts, scenario.protocol
    part_size = -(-2 * world.training.n_parameters // scenario.peers.count)
    terms = Terms(
        job_digest=manifest_digest(world.manifest),
        owner=owner.address,
        members=tuple(addresses),
        minimum_peers=c.minimum_peers,
        steps=p.steps,
        validators=p.validators,
        projections=p.projections,
        tolerance=clip_settings(scenario).sum_tolerance(part_size),
        epoch_outputs=scenario.beacon.epoch_outputs,
        dispute_window=c.dispute_window,
        deposit_wei=deposit_of(scenario),
        reward_wei=c.reward_wei,
        reporter_percent=c.reporter_percent,
        register_s=c.register_s,
        deal_s=c.deal_s,
        commit_s=c.commit_s,
        aggregate_s=c.aggregate_s,
        reveal_s=c.reveal_s,
        recover_s=c.recover_s,
        vote_s=c.vote_s,
        **beacon_terms(scenario),
        jury_size=c.jury_size,
        canary_permille=p.canary_permille,
        shows=p.arithmetic.name == "tolerant" or scenario.learning.privacy.data == "private",
        probation_steps=c.probation_steps,
        founders=founders,
        assumed_byzantine=c.assumed_byzantine,
        **contribution_terms(scenario),
    )
    balances = dict.fromkeys(addresses, PEER_BALANCE_WEI + terms.deposit_wei)
    balances[owner.address] = OWNER_BALANCE_WEI
    return Job(terms, ChainHost(scheme), balances)
