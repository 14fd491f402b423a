"""Which attack concerns which protocol: one that asks for the decisions that it lies in.

An attack is a set of decisions that it makes otherwise than an honest
:class:`~simdfl.peers.behaviour.Behaviour`. A protocol asks its peers for some decisions and not for others. So
nothing is listed by attack here; the one table says what each protocol asks for, and a test holds it against what
running protocols do ask for.
"""

from __future__ import annotations

from adversaries import ADVERSARIES, FAULTS
from adversaries.combined import DECISIONS
from simdfl.matrix.settings import setting_of
from simdfl.peers.behaviour import Behaviour, Byzantine, Coalition
from simdfl.rng import Rng

TRAINING = {"gradient", "goal", "slowness", "delay_s", "junk_bytes", "has_crashed", "goes_down", "link_factor"}
PARTS = {"sends_part", "aggregate", "sends_aggregate"}
CHECKS = {
    *("other_gradient", "sent_gradient", "aggregate_for", "report", "sends_report", "accuses", "complains"),
    *("eliminates", "attests", "votes", "opens_parts", "shows", "claims_unshown", "recomputed", "plants"),
}
MEMBERSHIP = {"returns", "evades", "joins_in", "down_s"}
BLOCKS = {"relays", "includes", "front_runs", "spam"}
TOSS = {"deals_late", "transcript", "reveals", "holds_back", "opens"}
SHARING = {"disputes", "opened_share"}

ASKS: dict[str, set[str]] = {
    "verified": TRAINING | PARTS | CHECKS | MEMBERSHIP | BLOCKS | TOSS | SHARING | {"anchors"},
    "btard": TRAINING | PARTS | CHECKS | MEMBERSHIP | BLOCKS | TOSS,
    "all_reduce": TRAINING | PARTS,
    "parameter_server": TRAINING,
    "gossip_sgd": TRAINING | {"vector_for", "sends_part"},
    "async_gossip": TRAINING | {"vector_for", "sends_part"},
}
"""What a protocol asks its peers for."""

COVER = frozenset({"report", "votes", "goal", "deals_late", "down_s"})
"""Decisions that hide or measure an attack beside others; alone they can be one."""
TRUST = frozenset({"learns_secrets", "learns_key", "shared_notes", "accomplices"})
"""What a coalition knows; no lie."""


def lies_of(name: str) -> frozenset[str]:
    """Return the decisions that an attack or fault of the shelf makes otherwise than an honest peer.

    Whoever does nothing but cover its accomplices, as all do, lies as a validator.

    >>> sorted(lies_of("bias_beacon"))
    ['gradient', 'holds_back', 'opens']
    """
    if name in FAULTS:
        fails = frozenset(d for d in DECISIONS if getattr(FAULTS[name], d) is not getattr(Behaviour, d))
        return fails - COVER
    attack = ADVERSARIES[name](coalition=Coalition(frozenset({0}), 4, 2, Rng(0)))
    changed = {d for d in (*DECISIONS, "craft") if _decides(attack, d)}
    lies = frozenset("gradient" if d == "craft" else d for d in changed - TRUST)
    return lies - COVER or lies or frozenset({"attests"})


def _decides(attack: Byzantine, decision: str) -> bool:
    """Return whether an attack has an own answer; ``combine`` has those of its parts."""
    return getattr(getattr(attack, decision), "__func__", None) is not getattr(Byzantine, decision, None)


def concerns(name: str, protocol: str) -> bool:
    """Return whether a protocol asks for every decision by which an attack or fault does harm.

    >>> concerns("sign_flip", "parameter_server"), concerns("equivocate", "parameter_server")
    (True, False)
    """
    only = setting_of(name).only
    return lies_of(name) <= ASKS[protocol] and (only is None or protocol in only)
