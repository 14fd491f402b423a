"""A whole scenario: its sections, and the checks that need more than one of them."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from pydantic import Field, model_validator
from pydantic.json_schema import GenerateJsonSchema

from simdfl.scenario.adversary import AdversaryGroup, FaultGroup, PeerGroup
from simdfl.scenario.fields import Label, Path, Section, Whole, first_repeated, mistake
from simdfl.scenario.membership import MembershipGroup
from simdfl.scenario.sections import (
    Beacon,
    Chain,
    Contracts,
    Learning,
    Network,
    Output,
    Peers,
    Protocol,
    Topology,
)

# They do not change a run: the words about it, where it goes, and what runs beside it.
NOT_DIGESTED = {"description", "baselines", "output"}
RESERVED_BASELINE = "main"


class Scenario(Section):
    """One simulated training run and the baselines to compare it with."""

    name: Label = Field(description="Short name of the scenario: letters, digits, '.', '_' and '-'.")
    description: str = Field(default="", description="What the scenario shows, for a reader.")
    seed: Whole = Field(default=1, description="Root of all randomness of the run.")
    protocol: Protocol = Field(default_factory=Protocol, description="What the peers run.")
    peers: Peers = Field(default_factory=Peers, description="Who takes part.")
    adversaries: tuple[AdversaryGroup, ...] = Field(
        default=(), strict=False, description="Groups of Byzantine peers; less than half of all peers."
    )
    membership: tuple[MembershipGroup, ...] = Field(
        default=(), strict=False, description="Honest peers that join late or leave (verified protocol, btard)."
    )
    faults: tuple[FaultGroup, ...] = Field(
        default=(), strict=False, description="Groups of honest peers that are slow, late or crash."
    )
    topology: Topology = Field(default_factory=Topology, description="The overlay that carries gossip.")
    network: Network = Field(default_factory=Network, description="The links between peers.")
    learning: Learning = Field(default_factory=Learning, description="Data, model and optimiser.")
    beacon: Beacon = Field(default_factory=Beacon, description="Shared randomness.")
    chain: Chain = Field(default_factory=Chain, description="The blockchain.")
    contracts: Contracts = Field(default_factory=Contracts, description="Stakes and deadlines.")
    baselines: dict[Label, dict[str, Any]] = Field(
        default_factory=dict,
        description="Runs to compare with, by name: what differs from this scenario, dotted or nested.",
    )
    output: Output = Field(default_factory=Output, description="What the run leaves behind.")

    @property
    def byzantine_count(self) -> int:
        """Return the number of Byzantine peers (b), all groups together."""
        return sum(group.size(self.peers.count) for group in self.adversaries)

    @model_validator(mode="after")
    def _check(self) -> Scenario:
        check_groups(self)
        check_majority(self)
        check_sizes(self)
        check_membership(self)
        check_degree(self)
        if RESERVED_BASELINE in self.baselines:
            raise mistake(
                "this name is kept for the scenario itself; choose another", ("baselines", RESERVED_BASELINE)
            )
        return self


def check_groups(scenario: Scenario) -> None:
    """Refuse groups without a peer, peers that do not exist or stand in two groups, and too many faults."""
    n = scenario.peers.count
    named: list[int] = []
    for key, groups in (("adversaries", scenario.adversaries), ("faults", scenario.faults)):
        for index, group in enumerate(groups):
            _check_group(group, (key, index), n, named)
    failing = sum(group.size(n) for group in scenario.faults)
    if scenario.byzantine_count + failing > n:
        raise mistake(
            f"{failing} failing peers beside {scenario.byzantine_count} Byzantine ones are more than all {n}; "
            "use fewer",
            ("faults",),
        )


def _check_group(group: PeerGroup, where: Path, n: int, named: list[int]) -> None:
    """Check one group; `named` holds the peers that earlier groups name."""
    if group.size(n) == 0:
        raise mistake(
            f"{group.fraction} is no peer at all (b=0 of n={n}); use at least {1 / n:.4g}",
            (*where, "fraction"),
        )
    for position, peer in enumerate(group.peers or ()):
        if peer >= n:
            raise mistake(
                f"peer {peer} does not exist; use 0 to {n - 1}",
                (*where, "peers", position),
                ("peers", "count"),
            )
    named += group.peers or ()
    repeated = first_repeated(named)
    if repeated is not None:
        raise mistake(f"peer {named[repeated]} stands in another group too; keep one", (*where, "peers"))


def check_majority(scenario: Scenario) -> None:
    """Refuse Byzantine peers in such numbers that half of all peers or fewer are honest."""
    n, b = scenario.peers.count, scenario.byzantine_count
    if 2 * b < n:
        return
    most = (n - 1) // 2
    leaves = f"leaves no honest majority (b={b} of n={n})"
    if len(scenario.adversaries) > 1:
        raise mistake(f"the sum of all groups {leaves}; use at most {most} peers", ("adversaries",))
    group = scenario.adversaries[0]
    where = ("adversaries", 0, group.size_key)
    if group.fraction is None:
        raise mistake(f"{b} {leaves}; use at most {most}", where, ("peers", "count"))
    cure = "less than 0.5" if group.fraction >= 0.5 else f"at most {most / n:.4g}"
    raise mistake(f"{group.fraction:g} {leaves}; use {cure}", where, ("peers", "count"))


def check_sizes(scenario: Scenario) -> None:
    """Refuse more validators, or a larger minimum, than there are peers for."""
    n, m, least = scenario.peers.count, scenario.protocol.validators, scenario.contracts.minimum_peers
    if n < least:
        raise mistake(
            f"{n} peers are fewer than the minimum of {least}; lower minimum_peers or use more peers",
            ("contracts", "minimum_peers"),
            ("peers", "count"),
        )
    if 2 * m >= n:
        raise mistake(
            f"{m} validators and as many targets need more than {2 * m} peers, got {n}; "
            f"lower validators to {(n - 1) // 2} or use more peers",
            ("protocol", "validators"),
            ("peers", "count"),
        )


def check_membership(scenario: Scenario) -> None:
    """Refuse comings and goings for which there are not enough honest peers, or no rules."""
    honest = scenario.peers.count - scenario.byzantine_count
    moving = sum(group.count for group in scenario.membership)
    joining = sum(group.count for group in scenario.membership if group.join_step is not None)
    if moving > honest:
        raise mistake(f"{moving} moving peers are more than the {honest} honest ones; use fewer", ("membership",))
    if scenario.peers.count - joining < scenario.contracts.minimum_peers:
        raise mistake("too few peers are left to start the job; let fewer join late", ("membership",))
    for index, group in enumerate(scenario.membership):
        if group.join_step is not None and not scenario.contracts.probation_steps:
            raise mistake(
                "joining late needs a probation; set contracts.probation_steps to at least 1",
                ("membership", index),
                ("contracts", "probation_steps"),
            )


def check_degree(scenario: Scenario) -> None:
    """Refuse a random regular overlay that cannot exist; other overlays are checked by their shelf."""
    n, degree = scenario.peers.count, scenario.topology.params.get("degree")
    if scenario.topology.name != "random_regular" or degree is None:
        return
    paths = (("topology", "params", "degree"), ("peers", "count"))
    if not isinstance(degree, int) or isinstance(degree, bool):
        raise mistake(f"got {degree!r}; allowed is a whole number from 2 to {n - 1}", paths[0])
    if not 2 <= degree < n:
        raise mistake(f"{n} peers cannot have {degree} neighbours each; use a degree from 2 to {n - 1}", *paths)
    if n * degree % 2:
        raise mistake(f"{n} peers with {degree} neighbours each make half a link; make one of them even", *paths)


def scenario_digest(scenario: Scenario) -> str:
    """Return the SHA-256, in hex, of the scenario's canonical JSON.

    All defaults are filled in and keys are sorted, so that spelling does not matter. The description,
    the baselines and the output section are left out, because they do not change the run.
    """
    content = scenario.model_dump(exclude=NOT_DIGESTED)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


@cache
def _schema_text() -> str:
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **Scenario.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario, for editors."""
    schema: dict[str, Any] = json.loads(_schema_text())
    return schema


def schema_text() -> str:
    """Return the content of ``scenarios/scenario.schema.json``."""
    return _schema_text()
