"""The terms of the contracts against the manifest: what was deployed must be what was declared.

The members' addresses, the owner's, and who starts the job are the deployment's own: the manifest does not name
them.
"""

from __future__ import annotations

import math
from typing import Any

from contracts_model.gas import TX_GAS_CAP
from contracts_model.terms import FIXED_POINT_BITS, Terms, Withheld
from simdfl.auditing.findings import Findings, Unusable
from simdfl.auditing.published import Published, as_wei
from simdfl.auditing.timing import SLOTS, declared_source, is_declared
from simdfl.units import ETHER

PEER_BALANCE_WEI = 1_000 * ETHER
OWNER_BALANCE_WEI = 1_000_000 * ETHER
POLICIES = {"commit_reveal": Withheld.RESTART, "randao": Withheld.SKIP, "ideal": Withheld.TRUSTED}
SECTIONS = {
    "protocol": ("steps", "validators", "projections", "canary_permille"),
    "beacon": ("epoch_outputs", "threshold_percent"),
    "contracts": (
        *("minimum_peers", "dispute_window", "reward_wei", "reporter_percent", "jury_size"),
        *("probation_steps", "assumed_byzantine", "register_s", "deal_s", "commit_s", "aggregate_s"),
        *("reveal_s", "recover_s", "vote_s"),
    ),
}
"""Terms that stand in the configuration under their own names."""


def sum_tolerance(protocol: dict[str, Any], size: int) -> int:
    """Return V2's bound per contributor for parts of `size` entries, in units of 2^-40 (PROTOCOL section 6)."""
    scale = min(float(protocol["clip_radius"]), float(protocol["max_deviation"]))
    bound = 2.0 * float(protocol["clip_tolerance"]) + 2.0**-22 * (1.0 + scale)
    return int(bound * math.sqrt(size) * float(1 << FIXED_POINT_BITS))


def declared_terms(configuration: dict[str, Any], n_parameters: int, n_peers: int) -> dict[str, Any]:
    """Return the terms that a configuration determines, by name."""
    protocol, contracts, beacon = (configuration[key] for key in ("protocol", "contracts", "beacon"))
    terms = {name: configuration[section][name] for section, names in SECTIONS.items() for name in names}
    scheme = beacon_scheme(configuration)
    is_private = configuration["learning"]["privacy"]["data"] == "private"
    terms |= {
        "withheld": POLICIES.get(scheme, Withheld.RECOVER),
        "tolerated_percent": beacon["tolerated_percent"] if scheme == "albatross" else 0,
        "proves_dealings": beacon.get("verification") == "on_chain",
        "shows": protocol["arithmetic"]["name"] == "tolerant" or is_private,
        "tolerance": sum_tolerance(protocol, -(-2 * n_parameters // n_peers)),
    }
    contribution = contracts.get("contribution") or {"percent": 0, "every": 0}
    terms |= {f"contribution_{name}": contribution[name] for name in ("percent", "every")}
    if protocol["name"] == "btard":
        terms["deposit_wei"] = 0
    elif contracts["cheating_gain_wei"] is None:
        terms["deposit_wei"] = contracts["deposit_wei"]
    return terms


def beacon_scheme(configuration: dict[str, Any]) -> str:
    """Return the beacon's scheme; ``btard`` tosses coins by commit-reveal, whatever else is declared."""
    is_btard = configuration["protocol"]["name"] == "btard"
    return "commit_reveal" if is_btard else str(configuration["beacon"]["scheme"])


def check_declared(published: Published, findings: Findings) -> None:
    """Check that the deployed terms, beacon and accounts are what the manifest declares."""

    def require(holds: object, what: str) -> None:
        findings.require("manifest", holds, None, "manifest.json and deployment.json", what)

    terms, configuration = published.terms, published.configuration
    require(terms.job_digest == published.job_digest, "the manifest's digest is not the one in the terms")
    try:
        declared = declared_terms(configuration, published.n_parameters, terms.n_peers)
        scheme, group = beacon_scheme(configuration), configuration["beacon"]["group"]
        protocol = configuration["protocol"]["name"]
        _check_accounts(published, terms, require)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unusable(f"manifest.json: its configuration lacks {str(error)[:80]}") from error
    for name, value in declared.items():
        deployed = getattr(terms, name)
        same = type(value) is type(deployed) or isinstance(value, int) == isinstance(deployed, int)
        require(same and value == deployed, f"terms.{name} is {deployed}, declared is {value}")
    require(published.scheme.name == scheme, f"the beacon is {published.scheme.name}, declared is {scheme}")
    require(published.deployment["beacon"]["group"] == group, "the beacon is over another group than declared")
    require(published.index["protocol"] == protocol, "the index names another protocol than the manifest")


def _check_accounts(published: Published, terms: Terms, require: Any) -> None:
    """Every member starts with the same balance, the owner with its own, nobody else with anything."""
    expected = {member.hex(): PEER_BALANCE_WEI + terms.deposit_wei for member in terms.members}
    expected[terms.owner.hex()] = OWNER_BALANCE_WEI
    for name, chain in published.deployment["chains"].items():
        found = {account: as_wei(name, wei) for account, wei in chain["balances"].items()}
        require(found == expected, f"the accounts of {name} do not start with the balances of all jobs")
        _check_chain(published, name, chain, require)


def _check_chain(published: Published, name: str, chain: dict[str, Any], require: Any) -> None:
    """Check a chain against the declared policy, and the declared numbers where there are any."""
    configuration, is_base = published.configuration, name == "base"
    protocol, declared = configuration["protocol"], configuration["chain"]
    policy = protocol["anchoring"]["policy"]
    is_channel = not is_base and (protocol["name"] == "btard" or policy != "step")
    anchoring = (policy == "dispute", protocol["anchoring"]["challenge_s"]) if is_base else (False, 0)
    kind = ("anchor" if is_base else "job", is_channel, *anchoring)
    found = (chain["contracts"], chain["is_channel"], chain["is_optimistic"], chain["window_s"])
    require(found == kind, f"{name} is {found}, declared is {kind}")
    require(chain["tx_gas_cap"] == TX_GAS_CAP, f"{name} caps calls at {chain['tx_gas_cap']} gas")
    is_shared = not is_channel and declared.get("demand") is not None
    require(chain["is_shared"] == is_shared, f"{name} is not shared with others as it is declared")
    source = {"name": "slots", "params": SLOTS} if is_channel else declared_source(declared)
    require(is_declared(chain["source"], source), f"the block source of {name} is not the declared one")
    for key in () if is_channel else ("block_time_s", "gas_limit", "base_fee_wei"):
        value = declared[key]
        given = as_wei(name, chain[key]) if key == "base_fee_wei" else chain[key]
        require(value is None or value == given, f"{key} of {name} is {given}, declared is {value}")
