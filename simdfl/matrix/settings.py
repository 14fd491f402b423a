"""What an attack needs beside the common scenario to have anything to attack, and why.

Everything else about an attack follows from its class; only this cannot.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """Changes to the scenario, for the attack and for its attack-free twin.

    Parameters
    ----------
    overrides : tuple of str
        ``key.path=value`` each.
    reason : str
        Why, for the reader of the matrix.
    params : str
        Parameters of the attack, as YAML.
    only : frozenset of str, optional
        Protocols that the attack is about, if its decisions alone do not tell.
    """

    overrides: tuple[str, ...]
    reason: str
    params: str = "{}"
    only: frozenset[str] | None = None


PLAIN = Setting((), "")
TOLERANT = "protocol.arithmetic={name: tolerant}"
PROBATION = "contracts.probation_steps=3"

SETTINGS: dict[str, Setting] = {
    "lazy_validator": Setting(("protocol.canary_permille=300",), "only a planted error tells who does not look"),
    "slow_drift": Setting((TOLERANT,), "made to hide within a tolerance", "{relative: 0.01}"),
    "refuse_to_show": Setting((TOLERANT,), "only where gradients are shown can one refuse to"),
    "stake_griefing": Setting((TOLERANT,), "only where gradients are shown can one claim that none was"),
    "sybil_join": Setting((PROBATION,), "joining late takes a probation"),
    "reentry": Setting((PROBATION,), "coming back takes a probation"),
    "ban_evasion": Setting((PROBATION,), "coming back takes a probation"),
    "crash": Setting((PROBATION,), "back after 60 s, on probation", "{return_after_s: 60}"),
    "churn": Setting((PROBATION,), "coming back takes a probation"),
    "false_anchor": Setting(
        ("protocol.anchoring.policy=dispute", "protocol.anchoring.challenge_s=60", "beacon.epoch_outputs=16"),
        "an anchor is posted by one peer only under this policy",
    ),
    "early_decryption": Setting(
        ("beacon.threshold_percent=30",),
        "its three members are t only at so low a threshold",
        only=frozenset({"verified"}),
    ),
    "bias_beacon": Setting(("beacon.scheme=randao",), "with sharings there is nothing to choose"),
}


def setting_of(name: str) -> Setting:
    """Return what an attack or fault needs; most need nothing."""
    return SETTINGS.get(name, PLAIN)
