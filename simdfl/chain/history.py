"""What has happened on chain, indexed for those who act on it.

Shared by all peers: every peer sees the same chain, only at different times. A peer looks an entry up only after
the block that completes it has reached it, as the phase events tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from contracts_model import Event
from contracts_model.storage import members

REMEMBERED = ("receivers", "randomness", "rosters", "pairs", "cases")


def mask_members(mask: bytes) -> list[int]:
    """Return the peer indices in an event's bit mask.

    >>> mask_members(bytes([5]))
    [0, 2]
    """
    return list(members(int.from_bytes(mask, "little")))


class ChainHistory:
    """Index of contract events."""

    def __init__(self) -> None:
        self.roots: dict[int, dict[int, bytes]] = defaultdict(dict)
        self.aggregates: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)
        self.dealing_roots: dict[int, dict[int, bytes]] = defaultdict(dict)
        self.proven: set[tuple[int, int]] = set()
        self.receivers: dict[int, list[int]] = {}
        self.states: dict[int, bytes] = {}
        self.randomness: dict[int, bytes] = {}
        self.rosters: dict[int, list[int]] = {}
        self.pairs: dict[int, list[tuple[int, int]]] = {}
        self.cases: dict[int, dict[str, Any]] = {}
        self.secrets: dict[int, dict[int, int]] = defaultdict(dict)
        self.lots: dict[int, dict[int, int]] = defaultdict(dict)
        self.awaited: dict[int, list[int]] = {}
        self.canaries: set[tuple[int, int]] = set()
        self.attested: dict[tuple[int, int], tuple[int, bool]] = {}
        self.probes: dict[int, dict[int, bytes]] = defaultdict(dict)
        self.shard_roots: dict[int, bytes] = {}
        self.removed: dict[int, str] = {}
        self.left_in: dict[int, int] = {}
        self.banned: set[int] = set()
        self.anchors: dict[int, bytes] = {}
        self.challenged: set[int] = set()
        self.abort_reason = ""
        self.changed: set[int] = set()
        """Steps that a later branch has opened with another output."""

    def rebuild(self, events: Iterable[Event]) -> None:
        """Start again from the events of the branch that stands, in place.

        Steps and cases that a peer may be in the middle of are remembered until the branch has its own.
        """
        before = {name: dict(getattr(self, name)) for name in REMEMBERED}
        changed = self.changed
        vars(self).update(vars(ChainHistory()))
        self.changed = changed
        for name, entries in before.items():
            getattr(self, name).update(entries)
        for event in events:
            self.record(event)

    def record(self, event: Event) -> None:
        """Take one event into the index."""
        handler = getattr(self, f"_on_{event.name.lower()}", None)
        if handler is not None:
            handler(event.fields)

    def _on_committed(self, fields: dict[str, Any]) -> None:
        self.roots[fields["step"]][fields["peer"]] = fields["root"]

    def _on_aggregated(self, fields: dict[str, Any]) -> None:
        self.aggregates[(fields["step"], fields["attempt"])][fields["part"]] = fields["digest"]

    def _on_dealt(self, fields: dict[str, Any]) -> None:
        self.dealing_roots[fields["epoch"]][fields["dealer"]] = fields["root"]

    def _on_proven(self, fields: dict[str, Any]) -> None:
        self.proven.add((fields["output"], fields["dealer"]))

    def _on_epochopened(self, fields: dict[str, Any]) -> None:
        self.receivers[fields["epoch"]] = mask_members(fields["receivers"])

    def _on_locked(self, fields: dict[str, Any]) -> None:
        self.awaited[fields["output"]] = mask_members(fields["dealers"])

    def _on_revealed(self, fields: dict[str, Any]) -> None:
        self.secrets[fields["output"]][fields["dealer"]] = fields["secret"]
        # A toss that starts again has fresh secrets; what was planted was planted by the first ones.
        self.lots[fields["output"]].setdefault(fields["dealer"], fields["secret"])

    def _on_restarted(self, fields: dict[str, Any]) -> None:
        self.secrets[fields["output"]].clear()

    def _on_canary(self, fields: dict[str, Any]) -> None:
        self.canaries.add((fields["step"], fields["peer"]))

    def _on_attested(self, fields: dict[str, Any]) -> None:
        self.attested[fields["step"], fields["validator"]] = fields["target"], fields["honest"]

    def _on_probed(self, fields: dict[str, Any]) -> None:
        self.probes[fields["step"]][fields["peer"]] = fields["root"]

    def _on_datacommitted(self, fields: dict[str, Any]) -> None:
        self.shard_roots[fields["peer"]] = fields["root"]

    def _on_anchored(self, fields: dict[str, Any]) -> None:
        self.anchors[fields["epoch"]] = fields["root"]

    def _on_challenged(self, fields: dict[str, Any]) -> None:
        self.challenged.add(fields["epoch"])

    def _on_joined(self, fields: dict[str, Any]) -> None:
        self.removed.pop(fields["peer"], None)
        self.left_in.pop(fields["peer"], None)

    def _on_left(self, fields: dict[str, Any]) -> None:
        self.removed.setdefault(fields["peer"], "left")
        self.left_in[fields["peer"]] = max(self.rosters, default=0) + 1

    def _on_stateagreed(self, fields: dict[str, Any]) -> None:
        self.states[fields["step"]] = fields["state"]

    def _on_stepopened(self, fields: dict[str, Any]) -> None:
        step, pairs = fields["step"], fields["pairs"]
        if self.randomness.get(step, fields["randomness"]) != fields["randomness"]:
            self.changed.add(step)
        self.randomness[step] = fields["randomness"]
        self.rosters[step] = mask_members(fields["roster"])
        words = [int.from_bytes(pairs[at : at + 4], "little") for at in range(0, len(pairs), 4)]
        self.pairs[step] = list(zip(words[::2], words[1::2]))

    def _on_caseopened(self, fields: dict[str, Any]) -> None:
        self.cases[fields["case"]] = fields

    def _on_aborted(self, fields: dict[str, Any]) -> None:
        self.abort_reason = fields["reason"].decode()

    def _on_banned(self, fields: dict[str, Any]) -> None:
        self.removed[fields["peer"]] = fields["reason"]
        self.banned.add(fields["peer"])

    def _on_ejected(self, fields: dict[str, Any]) -> None:
        self.removed.setdefault(fields["peer"], fields["reason"])
