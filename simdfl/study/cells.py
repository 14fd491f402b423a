"""Which attack concerns which protocol, and the setting in which it has something to do.

Both follow from the attack itself: an attack concerns a protocol that asks for the decisions by which it lies.
What each protocol asks for stands in one table, which a test holds against what running protocols do ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adversaries import ADVERSARIES, FAULTS
from simdfl.peers.behaviour import Behaviour, Byzantine

CHECKED = frozenset({"verified", "btard"})
PARTS = CHECKED | {"all_reduce"}
GOSSIP = frozenset({"gossip_sgd", "async_gossip"})
EVERYWHERE = PARTS | GOSSIP | {"parameter_server"}
PROTOCOLS = ("verified", "btard", "all_reduce", "parameter_server", "gossip_sgd", "async_gossip")

ASKED_BY: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("gradient", "craft", "slowness", "delay_s", "junk_bytes", "link_factor"), EVERYWHERE),
    **dict.fromkeys(("has_crashed", "goes_down", "goal"), EVERYWHERE),
    "vector_for": GOSSIP,
    "sends_part": PARTS | GOSSIP,
    **dict.fromkeys(("aggregate", "sends_aggregate"), PARTS),
    **dict.fromkeys(("anchors", "opened_share"), frozenset({"verified"})),
    "sends_finite": EVERYWHERE,
}
"""Which protocols ask for a decision; those that are not named are asked for where gradients are checked."""

COVER = frozenset({"report", "votes", "goal", "deals_late", "down_s", "sends_finite"})
"""What hides or measures a lie told elsewhere; alone it can be one."""

IGNORED = frozenset(dir(object)) | {"gradient", "is_attacking", "coalition", "MARGIN", "parts"}


@dataclass(frozen=True)
class Setting:
    """Overrides of the base scenario under which an attack has something to do, and why."""

    overrides: tuple[str, ...]
    reason: str
    params: str = ""
    beside: str = ""
    only: frozenset[str] = EVERYWHERE


PACE: Mapping[str, tuple[str, ...]] = {
    "async_gossip": (
        "learning.nominal_parameters=1_000_000",
        "learning.nominal_flops=5_000_000_000",
        "network.latency_ms=2",
        "network.uplink_mbps=1000",
        "network.downlink_mbps=1000",
    ),
}
"""By protocol: where nobody waits, gradients must take longer than messages, or nothing arrives in time."""

TOLERANT = "protocol.arithmetic.name=tolerant"
SETTINGS: Mapping[str, Setting] = {
    "lazy_validator": Setting(("protocol.canary_permille=300",), "canaries are planted"),
    "slow_drift": Setting((TOLERANT,), "arithmetic is tolerant", "relative: 0.0002"),
    "refuse_to_show": Setting((TOLERANT,), "gradients must be shown"),
    "stake_griefing": Setting((TOLERANT,), "gradients must be shown"),
    "bias_beacon": Setting(("beacon.scheme=randao",), "what is withheld is left out"),
    "early_decryption": Setting(
        ("beacon.threshold_percent=30",), "three hold enough shares", "scale: 1", only=frozenset({"verified"})
    ),
    "sybil_join": Setting(("contracts.probation_steps=3",), "joining is allowed"),
    "reentry": Setting(("contracts.probation_steps=3",), "coming back is allowed"),
    "ban_evasion": Setting(("contracts.probation_steps=3",), "coming back is allowed"),
    "false_anchor": Setting(
        ("protocol.anchoring.policy=dispute", "beacon.epoch_outputs=16"), "one peer's anchor can stand"
    ),
    "colluding_validator": Setting((), "others attack", beside="sign_flip"),
    "withhold_vote": Setting((), "others attack", beside="sign_flip"),
    "front_running_proposer": Setting((), "there is a proof to copy", beside="equivocate"),
    "block_spam": Setting(("chain.gas_limit=17_000_000",), "blocks are small", "calls: 4"),
    "aggregation_shift": Setting((), "of half the part's norm", "size: 0.5"),
    "shift_under_v3": Setting(("protocol.max_deviation=2.0",), "V3 is tight", "max_deviation: 2.0"),
}
"""Attacks that need more than the base scenario.

``beside`` is an attack of others that they cover or use; ``only`` are the protocols they are about, where their
decisions alone do not tell.
"""


def changes(attack: type[Behaviour], base: type[Behaviour]) -> frozenset[str]:
    """Return the decisions that a class makes otherwise than its base.

    >>> sorted(changes(ADVERSARIES["withhold_part"], Byzantine))
    ['sends_part']
    """
    names = (name for name in dir(base) if not name.startswith("_") and name not in IGNORED)
    crafted = {"gradient"} if getattr(attack, "gradient", None) is not base.gradient else set()
    return frozenset(n for n in names if getattr(attack, n) is not getattr(base, n)) | crafted


def concerns(name: str) -> tuple[str, ...]:
    """Return the protocols in which an attack or a fault of the shelf has any effect, in their order.

    >>> concerns("withhold_reveal"), concerns("dissensus")
    (('verified', 'btard'), ('gossip_sgd', 'async_gossip'))
    """
    if name == "combine":
        return PROTOCOLS
    is_fault = name in FAULTS
    decisions = changes(FAULTS[name], Behaviour) if is_fault else changes(ADVERSARIES[name], Byzantine)
    lies = decisions - COVER or decisions or {"attests"}  # who changes nothing covers its accomplices, as all do
    asking = EVERYWHERE.intersection(*(ASKED_BY.get(lie, CHECKED) for lie in lies))
    only = SETTINGS[name].only if name in SETTINGS else EVERYWHERE
    return tuple(protocol for protocol in PROTOCOLS if protocol in asking & only)


def setting_of(name: str, protocol: str) -> Setting:
    """Return the setting of an attack in a protocol: the base scenario's where it needs no other."""
    setting = SETTINGS.get(name, Setting((), ""))
    return setting if protocol in CHECKED else Setting((), "", setting.params, setting.beside)
