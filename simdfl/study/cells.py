"""Which attack concerns which protocol, and the setting in which it has something to do.

Both follow from the attack itself: an attack concerns a protocol that asks for one of the decisions it changes.
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
    "has_crashed": EVERYWHERE,
    "vector_for": GOSSIP,
    **dict.fromkeys(("sends_part", "aggregate", "sends_aggregate"), PARTS),
    **dict.fromkeys(("includes", "front_runs", "spam", "anchors"), frozenset({"verified"})),
    **dict.fromkeys(("transcript", "deals_late", "opened_share"), frozenset({"verified"})),
    "sends_finite": frozenset(),
}
"""Which protocols ask for a decision; those that are not named are asked for where gradients are checked."""

IGNORED = frozenset(dir(object)) | {"gradient", "is_attacking", "coalition", "MARGIN", "parts"}


@dataclass(frozen=True)
class Setting:
    """Overrides of the base scenario under which an attack has something to do, and why."""

    overrides: tuple[str, ...]
    reason: str
    params: str = ""
    beside: str = ""


TOLERANT = "protocol.arithmetic.name=tolerant"
SETTINGS: Mapping[str, Setting] = {
    "lazy_validator": Setting(("protocol.canary_permille=300",), "canaries are planted"),
    "slow_drift": Setting((TOLERANT,), "arithmetic is tolerant", "relative: 0.0002"),
    "refuse_to_show": Setting((TOLERANT,), "gradients must be shown"),
    "stake_griefing": Setting((TOLERANT,), "gradients must be shown"),
    "bias_beacon": Setting(("beacon.scheme=pvss_ldei",), "it holds its secrets back"),
    "early_decryption": Setting(("beacon.threshold_percent=30",), "three hold enough shares", "scale: 1"),
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
"""Attacks that need more than the base scenario; ``beside`` is an attack of others that they cover or use."""


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
    asking = frozenset().union(*(ASKED_BY.get(decision, CHECKED) for decision in decisions))
    return tuple(protocol for protocol in PROTOCOLS if protocol in asking)


def setting_of(name: str, protocol: str) -> Setting:
    """Return the setting of an attack in a protocol: the base scenario's where it needs no other."""
    setting = SETTINGS.get(name, Setting((), ""))
    return setting if protocol in CHECKED else Setting((), "", setting.params, setting.beside)
