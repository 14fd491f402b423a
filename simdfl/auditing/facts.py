"""What the contracts decided, by step: taken from the events of the auditor's own execution.

Some hundred bytes for every peer and step are kept, all of them hashes and numbers from the chain; calls,
receipts and messages pass by.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from contracts_model.runtime import Event
from contracts_model.storage import members
from contracts_model.terms import Phase


def peers_in(mask: bytes) -> list[int]:
    """Return the peers in an event's bit mask, ascending.

    >>> peers_in(bytes([5]))
    [0, 2]
    """
    return list(members(int.from_bytes(mask, "little")))


@dataclass
class StepFacts:
    """One step as the chain has it."""

    roster: list[int]
    randomness: bytes
    roots: dict[int, bytes] = field(default_factory=dict)
    contributors: list[int] = field(default_factory=list)
    aggregated: dict[int, bytes] = field(default_factory=dict)
    void: set[int] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)
    cases: set[tuple[int, int]] = field(default_factory=set)
    canaries: dict[int, int] = field(default_factory=dict)
    state: bytes | None = None


class Facts:
    """Index of one chain's events."""

    def __init__(self) -> None:
        self.steps: dict[int, StepFacts] = {}
        self.step = 0
        self.receivers: dict[int, list[int]] = {}
        self.dealt: dict[tuple[int, int], bytes] = {}
        self.recovered: set[tuple[int, int]] = set()
        self.banned: dict[int, tuple[int, str]] = {}
        self.ejected: dict[int, tuple[int, str]] = {}
        self.anchored: dict[int, bytes] = {}
        self.shard_roots: dict[int, bytes] = {}
        self.block_hashes: set[bytes] = set()
        self.aborted = ""
        self.is_done = False
        self.calls: dict[str, int] = defaultdict(int)
        self._opened = 0

    def record(self, event: Event) -> None:
        """Take one event into the index."""
        handler = getattr(self, f"_on_{event.name.lower()}", None)
        if handler is not None:
            handler(event.fields)

    def _on_stepopened(self, f: dict[str, Any]) -> None:
        self.step = f["step"]
        self.steps[f["step"]] = StepFacts(peers_in(f["roster"]), f["randomness"])

    def _on_committed(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].roots[f["peer"]] = f["root"]

    def _on_exchange(self, f: dict[str, Any]) -> None:
        found = self.steps[f["step"]]
        found.contributors = peers_in(f["contributors"])
        found.aggregated.clear()

    def _on_aggregated(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].aggregated[f["part"]] = f["digest"]

    def _on_final(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].void |= set(peers_in(f["void"]))

    def _on_partvoided(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].void.add(f["part"])

    def _on_stateagreed(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].state = f["state"]

    def _on_absent(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].absent.add(f["peer"])

    def _on_caseopened(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].cases.add((f["kind"], f["target"]))

    def _on_revealed(self, f: dict[str, Any]) -> None:
        self._opened = f["secret"]

    def _on_canary(self, f: dict[str, Any]) -> None:
        self.steps[f["step"]].canaries[f["peer"]] = self._opened

    def _on_epochopened(self, f: dict[str, Any]) -> None:
        self.receivers[f["epoch"]] = peers_in(f["receivers"])

    def _on_dealt(self, f: dict[str, Any]) -> None:
        self.dealt[f["epoch"], f["dealer"]] = f["root"]

    def _on_recovered(self, f: dict[str, Any]) -> None:
        self.recovered.add((f["output"], f["dealer"]))

    def _on_banned(self, f: dict[str, Any]) -> None:
        self.banned[f["peer"]] = (self.step, f["reason"])

    def _on_ejected(self, f: dict[str, Any]) -> None:
        self.ejected[f["peer"]] = (self.step, f["reason"])

    def _on_datacommitted(self, f: dict[str, Any]) -> None:
        self.shard_roots[f["peer"]] = f["root"]

    def _on_anchored(self, f: dict[str, Any]) -> None:
        self.anchored[f["epoch"]] = f["root"]

    def _on_aborted(self, f: dict[str, Any]) -> None:
        self.aborted = f["reason"].decode()

    def _on_phase(self, f: dict[str, Any]) -> None:
        self.is_done = f["phase"] == Phase.DONE
