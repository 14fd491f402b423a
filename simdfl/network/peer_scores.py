"""Scores that peers of gossipsub give their neighbours, from what they deliver, withhold, forge and promise.

The score of a neighbour is P1 (time in the mesh) + P2 (messages it was first to deliver) + P3 (square of what it
delivers too little as a member of the mesh) + P3b (such deficits at the time it was pruned) + P4 (square of
invalid messages) + P7 (square of broken rules: grafting during back-off, names announced and not delivered), each
times its weight. P5 (the application's word) and P6 (peers on one address) are left out: no protocol here
speaks up, and every peer has an address of its own. Counters decay at each heartbeat.

References
----------
libp2p specifications, pubsub/gossipsub/gossipsub-v1.1.md, "Peer Scoring". D. Vyzovitis et al., "GossipSub:
attack-resilient message propagation in the Filecoin and ETH2.0 networks", arXiv 2007.02754, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import inf

from simdfl.errors import UserError
from simdfl.network.message import Message

NEGLIGIBLE = 0.01
"""A counter that has decayed below it is zero (DecayToZero)."""


@dataclass(frozen=True)
class ScoreParameters:
    """Weights, decays and thresholds by their names in the specification.

    The specification leaves the numbers to the network, as they depend on its traffic: these suit about one
    message a heartbeat.

    Parameters
    ----------
    time_in_mesh_weight, time_in_mesh_cap_s : float
        P1: weight of a second in the mesh, and how many count.
    first_message_weight, first_message_decay, first_message_cap : float
        P2.
    mesh_message_weight, mesh_message_decay, mesh_message_threshold, mesh_message_cap : float
        P3: deliveries that a member of the mesh owes; the weight is negative.
    mesh_message_window_s, mesh_message_activation_s : float
        How long after the first delivery a copy counts, and after how long in the mesh deliveries are owed.
    mesh_failure_weight, mesh_failure_decay : float
        P3b.
    invalid_weight, invalid_decay : float
        P4.
    behaviour_weight, behaviour_decay, behaviour_threshold : float
        P7, and how much of it is forgiven.
    gossip_threshold, publish_threshold, graylist_threshold : float
        Below them no names are exchanged, no own messages sent, nothing at all heard.
    opportunistic_threshold : float
        A mesh whose median score lies below it is given better members, two every ``opportunistic_beats``.
    opportunistic_beats : int
    promise_s : float
        How long a neighbour may take to deliver what it has announced and was asked for.
    """

    time_in_mesh_weight: float = 0.01
    time_in_mesh_cap_s: float = 300.0
    first_message_weight: float = 1.0
    first_message_decay: float = 0.9
    first_message_cap: float = 10.0
    mesh_message_weight: float = -1.0
    mesh_message_decay: float = 0.9
    mesh_message_threshold: float = 1.0
    mesh_message_cap: float = 20.0
    mesh_message_window_s: float = 2.0
    mesh_message_activation_s: float = 5.0
    mesh_failure_weight: float = -1.0
    mesh_failure_decay: float = 0.9
    invalid_weight: float = -20.0
    invalid_decay: float = 0.99
    behaviour_weight: float = -10.0
    behaviour_decay: float = 0.9
    behaviour_threshold: float = 0.0
    gossip_threshold: float = -10.0
    publish_threshold: float = -50.0
    graylist_threshold: float = -80.0
    opportunistic_threshold: float = 1.0
    opportunistic_beats: int = 60
    promise_s: float = 3.0

    def __post_init__(self) -> None:
        """Refuse rewards for misdeeds, growing counters and thresholds out of order."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_decay") and not 0 < value < 1:
                _refuse(field.name, value, "between 0 and 1")
            is_penalty = field.name.split("_weight")[0] in (
                "mesh_message",
                "mesh_failure",
                "invalid",
                "behaviour",
            )
            if field.name.endswith("_weight") and (value > 0 if is_penalty else value < 0):
                _refuse(field.name, value, "at most 0" if is_penalty else "at least 0")
            if field.name.endswith(("_s", "_cap", "_beats")) and not value > 0:
                _refuse(field.name, value, "positive")
        for name in ("mesh_message_threshold", "behaviour_threshold"):
            if getattr(self, name) < 0:
                _refuse(name, getattr(self, name), "at least 0")
        if not self.graylist_threshold <= self.publish_threshold <= self.gossip_threshold <= 0:
            _refuse("gossip_threshold", self.gossip_threshold, "0 ≥ gossip ≥ publish ≥ graylist threshold")


def _refuse(name: str, value: float, allowed: str) -> None:
    raise UserError(f"network.gossip.params.score.{name}: got {value:g}; allowed is {allowed}")


class Record:
    """What one peer remembers of one neighbour."""

    __slots__ = ("behaviour", "failure", "first", "invalid", "mesh", "mesh_since_s", "promises")

    def __init__(self) -> None:
        self.first = self.mesh = self.failure = self.invalid = self.behaviour = 0.0
        self.mesh_since_s: float | None = None
        self.promises: dict[Message, float] = {}


class PeerScores:
    """The records of one peer about its neighbours.

    Parameters
    ----------
    p : ScoreParameters
    """

    def __init__(self, p: ScoreParameters) -> None:
        self.p = p
        self._records: dict[int, Record] = {}
        self._arrivals: dict[Message, tuple[float, set[int]]] = {}

    def _of(self, other: int) -> Record:
        return self._records.setdefault(other, Record())

    def score(self, other: int, now_s: float) -> float:
        """Return the score of a neighbour; 0 of one that nothing is known of."""
        p, record = self.p, self._records.get(other)
        if record is None:
            return 0.0
        deficit, age_s = self._deficit(record, now_s), 0.0
        if record.mesh_since_s is not None:
            age_s = min(now_s - record.mesh_since_s, p.time_in_mesh_cap_s)
        excess = max(0.0, record.behaviour - p.behaviour_threshold)
        return (
            p.time_in_mesh_weight * age_s
            + p.first_message_weight * record.first
            + p.mesh_message_weight * deficit**2
            + p.mesh_failure_weight * record.failure
            + p.invalid_weight * record.invalid**2
            + p.behaviour_weight * excess**2
        )

    def _deficit(self, record: Record, now_s: float) -> float:
        since_s = record.mesh_since_s
        if since_s is None or now_s - since_s < self.p.mesh_message_activation_s:
            return 0.0
        return max(0.0, self.p.mesh_message_threshold - record.mesh)

    # ---- what happens

    def joins(self, other: int, now_s: float) -> None:
        """Note that a neighbour is in the mesh from now on."""
        record = self._of(other)
        record.mesh_since_s, record.mesh = now_s, 0.0

    def leaves(self, other: int, now_s: float) -> None:
        """Note that a neighbour is in the mesh no longer; what it owes stays for a while."""
        record = self._of(other)
        record.failure += self._deficit(record, now_s) ** 2
        record.mesh_since_s = None

    def delivers(self, other: int, message: Message, now_s: float, is_first: bool) -> None:
        """Note a valid message from a neighbour, the first copy or a later one."""
        record, p = self._of(other), self.p
        record.promises.pop(message, None)
        if is_first:
            self._arrivals[message] = now_s, set()
            record.first = min(p.first_message_cap, record.first + 1.0)
        first_s, came_from = self._arrivals.get(message, (-inf, {other}))
        in_time = now_s - first_s <= p.mesh_message_window_s
        if record.mesh_since_s is not None and in_time and other not in came_from:
            record.mesh = min(p.mesh_message_cap, record.mesh + 1.0)
        came_from.add(other)

    def forges(self, other: int) -> None:
        """Note an invalid message from a neighbour."""
        self._of(other).invalid += 1.0

    def promises(self, other: int, messages: Iterable[Message], now_s: float) -> None:
        """Note that a neighbour was asked for what it had announced."""
        for message in messages:
            self._of(other).promises.setdefault(message, now_s + self.p.promise_s)

    def misbehaves(self, other: int) -> None:
        """Note that a neighbour broke a rule."""
        self._of(other).behaviour += 1.0

    def beat(self, known: set[Message], now_s: float) -> None:
        """Let counters decay and count promises that were not kept by anybody."""
        p = self.p
        for record in self._records.values():
            for message in [m for m, until_s in record.promises.items() if m in known or until_s < now_s]:
                record.behaviour += message not in known
                del record.promises[message]
            record.first = _decayed(record.first, p.first_message_decay)
            record.mesh = _decayed(record.mesh, p.mesh_message_decay)
            record.failure = _decayed(record.failure, p.mesh_failure_decay)
            record.invalid = _decayed(record.invalid, p.invalid_decay)
            record.behaviour = _decayed(record.behaviour, p.behaviour_decay)
        for message in [m for m, (s, _) in self._arrivals.items() if now_s - s > p.mesh_message_window_s]:
            del self._arrivals[message]


def _decayed(counter: float, decay: float) -> float:
    counter *= decay
    return counter if counter >= NEGLIGIBLE else 0.0
