"""Level 0 beside the chain: every signed message over its content, and the arithmetic of the reports (V2).

Messages are read once, in the order in which they were made. A step's sums are closed when the last message that
can belong to them is long past; what stays is one digest a report.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts_model.anchor import anchor_body
from contracts_model.court import Kind, message_digest
from contracts_model.merkle import merkle_root
from simdfl.auditing.beacon import BeaconAudit
from simdfl.auditing.facts import Facts, StepFacts
from simdfl.auditing.findings import Findings, Unusable
from simdfl.auditing.parts import ENTRY_BYTES
from simdfl.auditing.published import Published, as_bytes, as_wei, as_whole, require_fields
from simdfl.crypto.hashing import sha256
from simdfl.crypto.signatures import recover

OPEN_STEPS = 4
"""So many steps later nobody sends a report of a step any more."""
CONTENT_FIELDS = {
    "COMMIT": ("hashes",),
    "REPORT": ("entries",),
    "DEALING": ("transcripts", "commitments"),
    "SHARE": ("share",),
    "ANCHOR": ("root", "bans", "amounts"),
}
Tick = Callable[[int], None]


class MessageAudit:
    """The archive of signed messages.

    Parameters
    ----------
    published : Published
        The run folder.
    facts : Facts
        What the contracts decided.
    findings : Findings
        Receives what is found.
    beacon : BeaconAudit
        Checks dealings.
    """

    def __init__(self, published: Published, facts: Facts, findings: Findings, beacon: BeaconAudit) -> None:
        self._published = published
        self._facts = facts
        self._findings = findings
        self._beacon = beacon
        self._sums: dict[int, dict[int, list[list[int]]]] = {}
        self._closed: set[int] = set()
        self._commits: set[tuple[int, int]] = set()
        self.reports: dict[tuple[int, int], bytes] = {}
        self.twofold: set[tuple[int, int]] = set()

    def run(self, tick: Tick) -> None:
        """Check all messages."""
        newest = 0
        for number, message in enumerate(self._published.messages(), 1):
            topic = self._check(f"messages.jsonl.gz, line {number}", message)
            if topic in ("COMMIT", "REPORT"):
                newest = max(newest, message["step"])
                tick(newest)
            for step in [step for step in self._sums if step + OPEN_STEPS < newest]:
                self._close(step)
        for step in sorted(self._facts.steps):
            if step not in self._closed and self._is_complete(step):
                self._close(step)
        self._check_commitments_gossiped()

    def _check(self, place: str, message: dict[str, Any]) -> str:
        members = self._published.terms.members
        step, sender = as_whole(place, message["step"]), as_whole(place, message["sender"])
        topic, body = str(message["topic"]), as_bytes(place, message["digest"], 32)
        kind = "SHARE" if topic[5:].isdigit() and topic.startswith("SHARE") else topic
        if kind not in CONTENT_FIELDS or sender >= len(members) or step >= 1 << 64:
            raise Unusable(f"{place}: no message of this job")
        content = require_fields(place, message["content"], CONTENT_FIELDS[kind])
        signed = message_digest(sha256, self._published.job_digest, topic.encode(), step, body)
        signer = recover(signed, as_bytes(place, message["signature"]))
        own = getattr(self, f"_on_{kind.lower()}")(place, step, sender, content, body)
        at = None if kind in ("DEALING", "ANCHOR") else step
        right = signer == members[sender] and own == body
        self._findings.require(
            "message signatures", right, at, place, "not signed by its sender over its content"
        )
        return kind

    def _hexes(self, place: str, values: Any, size: int | None = None) -> list[bytes]:
        if not isinstance(values, list) or not values:
            raise Unusable(f"{place}: a list of hexadecimal texts is missing")
        return [as_bytes(place, value, size) for value in values]

    # ---- by topic; each returns the digest that the signature must cover

    def _on_commit(self, place: str, step: int, sender: int, content: dict[str, Any], body: bytes) -> bytes:
        own = merkle_root(self._hexes(place, content["hashes"], 32))
        posted = self._facts.steps[step].roots.get(sender) if step in self._facts.steps else None
        is_punished = sender in self._facts.banned
        holds = posted in (None, own) or is_punished
        what = f"peer {sender} gossiped another commitment than it posted, and was never banned"
        self._findings.require("commitments", holds, step, place, what)
        if posted == own:
            self._commits.add((step, sender))
        return own

    def _on_report(self, place: str, step: int, sender: int, content: dict[str, Any], body: bytes) -> bytes:
        entries = self._hexes(place, content["entries"])
        own = merkle_root(entries)
        earlier = self.reports.setdefault((step, sender), own)
        if earlier != own:
            self.twofold.add((step, sender))
            is_punished = sender in self._facts.banned
            what = f"peer {sender} signed two reports and was never banned"
            self._findings.require("reports", is_punished, step, place, what)
        elif step not in self._closed:
            self._add(step, sender, entries)
        return own

    def _on_share(self, place: str, step: int, sender: int, content: dict[str, Any], body: bytes) -> bytes:
        return sha256(as_bytes(place, content["share"]))

    def _on_dealing(self, place: str, step: int, sender: int, content: dict[str, Any], body: bytes) -> bytes:
        pieces = [self._hexes(place, content[key]) for key in CONTENT_FIELDS["DEALING"]]
        return self._beacon.check(place, step, sender, *pieces)

    def _on_anchor(self, place: str, step: int, sender: int, content: dict[str, Any], body: bytes) -> bytes:
        root, bans = as_bytes(place, content["root"], 32), as_bytes(place, content["bans"])
        if not isinstance(content["amounts"], list):
            raise Unusable(f"{place}: the list of amounts is missing")
        amounts = [as_wei(place, amount) for amount in content["amounts"]]
        return anchor_body(sha256, root, bans, amounts)

    # ---- V2

    def _reporters(self, facts: StepFacts) -> list[int]:
        """Return who owes a report of a step: its contributors, but for those voted absent."""
        return [peer for peer in facts.contributors if peer not in facts.absent]

    def _add(self, step: int, sender: int, entries: list[bytes]) -> None:
        facts = self._facts.steps.get(step)
        if facts is None or sender not in self._reporters(facts):
            return
        count = self._published.terms.projections
        numbers = [
            [
                int.from_bytes(entry[at : at + ENTRY_BYTES], "little", signed=True)
                for at in range(0, len(entry), 8)
            ]
            for entry in entries
        ]
        fits = {len(row) for row in numbers} == {count + 2} and [row[0] for row in numbers] == facts.roster
        what = f"the report of peer {sender} does not say one thing of each part"
        if self._findings.require("reports", fits, step, f"report of step {step}", what):
            rows = [[row[0], *row[1:-1]] for row in numbers]
            self._sums.setdefault(step, {})[sender] = rows

    def _is_complete(self, step: int) -> bool:
        """Return whether all reports of a step had the time to arrive: the step after it was completed."""
        later = self._facts.steps.get(step + 1)
        return later is not None and (step + 2 in self._facts.steps or self._facts.is_done)

    def _close(self, step: int) -> None:
        facts, found = self._facts.steps[step], self._sums.pop(step, {})
        self._closed.add(step)
        reporters = self._reporters(facts)
        for peer in reporters:
            has = peer in found
            what = f"no report of peer {peer}, which was not voted absent"
            self._findings.require("reports", has, step, f"reports of step {step}", what)
        if not all(peer in found for peer in reporters):
            return
        bound = self._published.terms.tolerance * len(reporters)
        for position, owner in enumerate(facts.roster):
            columns = zip(*(found[peer][position][1:] for peer in reporters))
            is_zero = all(abs(sum(column)) <= bound for column in columns)
            answered = (int(Kind.AGGREGATION), owner) in facts.cases
            blind = any((step, peer) in self.twofold for peer in reporters) or facts.absent
            what = f"projections on the part of peer {owner} do not sum to zero, and no case was opened"
            holds = is_zero or answered or (blind and owner in self._facts.banned)
            self._findings.require("V2 sums", holds, step, f"reports of step {step}", what)

    def _check_commitments_gossiped(self) -> None:
        """Every root that counts on chain was gossiped with its part hashes."""
        for step, facts in self._facts.steps.items():
            for peer in facts.contributors:
                has = (step, peer) in self._commits or not self._is_complete(step)
                what = f"no part hashes of peer {peer} for the root on chain"
                self._findings.require("commitments", has, step, f"commitments of step {step}", what)
