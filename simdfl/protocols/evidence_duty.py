"""A peer's duty to keep evidence: what contradicts itself is shown to the contract, which decides alone.

Delays by turns keep it to one transaction where one is enough (a proof of equivocation, a challenge of a sum).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contracts_model.court import Kind
from simdfl.kernel.actor import Life
from simdfl.network import Message
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import StepRecord
from simdfl.protocols.parts import Commitment

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer


class EvidenceDuty(Duty):
    """What one peer can prove by showing signed bytes."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        self._variants: dict[tuple[str, int, int], list[Message]] = {}
        self._contradicted: set[tuple[int, int]] = set()
        peer.inbox.on_conflict(self._keep_conflict)

    def _keep_conflict(self, topic: str, step: int, sender: int, first: Any, second: Any) -> None:
        """Keep both of two signed messages for one slot: they are an equivocation, to be proved in turns."""
        if not isinstance(second, Message) or not second.signature:
            return
        if second.digest == first.digest or not self.peer.job.messenger.is_authentic(second):
            return
        self._variants.setdefault((topic, step, sender), [first]).append(second)
        self.peer.also(self._prove_equivocation(first, second))

    def _prove_equivocation(self, first: Message, second: Message) -> Life:
        peer = self.peer
        if first.sender == peer.index:
            return
        yield peer.wait_turn()
        if first.sender not in peer.chain.history.removed:
            slot = (first.sender, first.topic.encode(), first.step)
            proof = (first.digest, first.signature, second.digest, second.signature)
            peer.chain.submit("court", "prove_equivocation", *slot, *proof)

    def posted_commitments(self, step: int, contributors: Sequence[int]) -> dict[int, Commitment]:
        """Return the gossiped commitments of these contributors that carry their roots posted on chain."""
        arrived = self.peer.inbox.peek("COMMIT", step)
        found = {who: self._posted_commitment(step, who, arrived.get(who)) for who in contributors}
        return {who: commitment for who, commitment in found.items() if commitment is not None}

    def posted_commitment(self, step: int, contributor: int) -> Commitment | None:
        """Return the gossiped commitment that carries the root posted on chain, or None if it is not here."""
        return self.posted_commitments(step, (contributor,)).get(contributor)

    def _posted_commitment(self, step: int, contributor: int, first: Message | None) -> Commitment | None:
        posted = self.peer.chain.history.roots[step].get(contributor)
        copies = self._variants.get(("COMMIT", step, contributor), [first] if first is not None else [])
        for message in copies:
            if message.digest == posted and self.peer.job.messenger.is_authentic(message):
                commitment: Commitment = message.content
                return commitment
        if first is not None and posted is not None and len(copies) == 1:
            self.peer.also(self._prove_contradiction(first))
        return None

    def _prove_contradiction(self, message: Message) -> Life:
        """Show a signed commitment that is not the posted one, once."""
        peer = self.peer
        slot = (message.sender, message.step)
        if slot in self._contradicted or not peer.job.messenger.is_authentic(message):
            return
        self._contradicted.add(slot)
        yield peer.wait_turn()
        if message.sender not in peer.chain.history.removed:
            peer.chain.submit("court", "prove_contradiction", *slot, message.digest, message.signature)

    def challenge_sum(self, record: StepRecord, owner: int) -> Life:
        """V2 failed on a part: show the signed entries to the contract."""
        peer = self.peer
        yield peer.wait_turn()
        if self._is_case_open(Kind.AGGREGATION, record.step, owner):
            return
        position = record.position(owner)
        messages = [peer.inbox.peek("REPORT", record.step)[who] for who in record.contributors]
        reports = [record.reports[who] for who in record.contributors]
        peer.chain.submit(
            "court",
            "challenge_sum",
            record.step,
            owner,
            position,
            len(record.roster),
            [report.leaves[position] for report in reports],
            [report.root for report in reports],
            [report.path(position) for report in reports],
            [message.signature for message in messages],
            gas_limit=400_000 + 30_000 * len(reports),
        )

    def check_parts(self, record: StepRecord) -> Life:
        """Have every part of a step without all reports recomputed; each peer begins with another part."""
        peer = self.peer
        deadline_s = peer.env.now + peer.job.report_s + 3.0 * peer.chain.inclusion_s
        absent = yield peer.inbox.collect("chain:Absent", record.step, 1, deadline_s)
        if not absent.complete:
            return
        mine = record.position(peer.index)
        owners = record.roster[mine:] + record.roster[:mine]
        for owner in owners:
            if not self._is_case_open(Kind.AGGREGATION, record.step, owner):
                peer.chain.submit("court", "check_part", record.step, owner)
                yield peer.env.sleep(2.0 * peer.chain.block_time_s)

    def _is_case_open(self, kind: Kind, step: int, target: int) -> bool:
        cases = self.peer.chain.history.cases.values()
        return any((c["kind"], c["step"], c["target"]) == (kind, step, target) for c in cases)
