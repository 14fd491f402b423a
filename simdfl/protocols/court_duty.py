"""A peer's duty in court: keep evidence, open parts, recompute what is disputed, vote.

Every peer judges by the same public bytes and therefore votes the same verdict; the contract counts. Rank-ordered
delays keep it to one transaction where one is enough (a proof of equivocation, a challenge of a sum).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts_model.beacon import mask_bytes
from contracts_model.court import Kind
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import StepRecord
from simdfl.protocols.parts import Commitment, Report

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

Verdict = tuple[bytes, bytes, bytes]
INNOCENT: Verdict = (b"", b"", b"")
OPENING_SHARE = 0.5
"""Part of the voting time within which the parts must be open."""


class CourtDuty(Duty):
    """The court side of one peer's life."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        self._variants: dict[tuple[str, int, int], list[Message]] = {}
        self._verified: dict[int, Any] = {}
        self._contradicted: set[tuple[int, int]] = set()
        peer.inbox.on_conflict(self._keep_conflict)

    # ---- evidence

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

    def posted_commitment(self, step: int, contributor: int) -> Commitment | None:
        """Return the gossiped commitment that carries the root posted on chain, or None if it is not here."""
        posted = self.peer.chain.history.roots[step].get(contributor)
        first = self.peer.inbox.peek("COMMIT", step).get(contributor)
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

    def verified(self, step: int) -> None:
        """Note that this peer has all the reports of a step: it can judge cases about it."""
        self._verified_event(step).succeed()

    def _verified_event(self, step: int) -> Any:
        return self._verified.setdefault(step, self.peer.env.event())

    # ---- cases

    def serve(self) -> Life:
        """Take up every case in its order."""
        number = 0
        while True:
            number += 1
            got = yield self.peer.inbox.collect("chain:CaseOpened", number, 1)
            self.peer.also(self._judge(got.messages[0].fields))

    def _judge(self, case: dict[str, Any]) -> Life:
        peer = self.peer
        yield self._verified_event(case["step"])
        record = peer.records.get(case["step"])
        if record is None or peer.index not in peer.chain.history.rosters[max(peer.records)]:
            return
        if case["target"] not in record.roster:
            peer.chain.submit("court", "vote", case["case"], *INNOCENT)
            return
        self._open_parts(case, record)
        if case["kind"] == Kind.COMPUTATION:
            yield peer.spend("court", self.recomputation_s(record))
            verdict = self._judge_computation(record, case["target"])
        else:
            verdict = yield from self._judge_opened(case, record)
        vote = peer.behaviour.votes(case, verdict) if verdict is not None else None
        if vote is not None:
            peer.chain.submit("court", "vote", case["case"], *vote)

    def _open_parts(self, case: dict[str, Any], record: StepRecord) -> None:
        """Gossip the disputed parts: the accuser the target's (V1), an accused aggregator all of its own."""
        opener = case["accuser"] if case["kind"] == Kind.REPORT else case["target"]
        if case["kind"] == Kind.COMPUTATION or opener != self.peer.index:
            return
        if not self.peer.behaviour.opens_parts(case):
            return
        whose = [case["target"]] if case["kind"] == Kind.REPORT else record.contributors
        size = 4 * sum(record.commitments[who].parts.shape[1] for who in whose if who in record.commitments)
        content = {who: record.commitments[who] for who in whose if who in record.commitments}
        opening = Message("OPENING", case["case"], self.peer.index, content, size, Traffic.CONTROL)
        self.peer.network.broadcast(opening)

    def _judge_opened(self, case: dict[str, Any], record: StepRecord) -> Life:
        peer = self.peer
        opener = case["accuser"] if case["kind"] == Kind.REPORT else case["target"]
        deadline_s = case["deadline"] - OPENING_SHARE * peer.job.terms.vote_s
        got = yield peer.inbox.collect("OPENING", case["case"], {opener}, deadline_s)
        if not got.complete:
            return b"", b"", mask_bytes(1 << opener)
        opened: dict[int, Commitment] = got.messages[opener].content
        position = record.position(opener)
        yield peer.spend("court", peer.exchange_duty.aggregation_s(record))
        if case["kind"] == Kind.REPORT:
            return self._judge_report(record, case["target"], position, opened)
        return self._judge_aggregation(record, case["target"], position, opened)

    def check_computation(self, record: StepRecord, target: int) -> tuple[bool, int]:
        """Recompute the target's gradient and report; return whether both are right, and on whose parts not.

        Returns
        -------
        is_right : bool
            False if the posted root or any reported number is wrong.
        suspects : int
            Bit mask of the owners of parts on which a right gradient was misreported.
        """
        job = self.peer.job
        expected = job.honest_commitment(record.state, record.randomness, record.step, target, len(record.roster))
        if expected.root != self.peer.chain.history.roots[record.step].get(target):
            return False, 0
        report = self._heard_report(record, target)
        if report is None:
            return True, 0
        true, norms = job.math.true_reports(record.beacon, record.roster, [expected], record.aggregates)
        suspects = sum(
            1 << owner
            for position, owner in enumerate(record.roster)
            if not report.is_right(position, true[0, position], norms[0, position])
        )
        return suspects == 0, suspects

    def _heard_report(self, record: StepRecord, contributor: int) -> Report | None:
        """Return a report as everybody has it by the time of a case; None if it was voted absent.

        Not what was here at this peer's own deadline: a report timed to reach only some in time would otherwise
        make honest peers judge differently.
        """
        if contributor in self.peer.inbox.peek("chain:Absent", record.step):
            return None
        return self.peer.verification_duty.known_report(record, contributor)

    def recomputation_s(self, record: StepRecord) -> float:
        """Return the simulated duration of recomputing somebody's gradient, its hashes and its report."""
        peer = self.peer
        hashing_s = peer.device.hash_s(4 * peer.job.training.n_parameters)
        projecting_s = peer.verification_duty.projection_s(len(record.roster), record)
        return peer.gradient_s(peer.job.training.engine) + hashing_s + projecting_s

    def _judge_computation(self, record: StepRecord, target: int) -> Verdict:
        is_right, suspects = self.check_computation(record, target)
        if is_right:
            return INNOCENT
        return mask_bytes(1 << target), mask_bytes(suspects), b""

    def _wrong_reporters(self, record: StepRecord, position: int, opened: dict[int, Commitment]) -> list[int]:
        """Return whose report on this part contradicts its own committed part."""
        reports = {who: self._heard_report(record, who) for who in record.contributors if who in opened}
        peers = [
            who
            for who, report in reports.items()
            if report is not None and self._is_committed(record, who, position, opened[who])
        ]
        if not peers:
            return []
        true, norms = self.peer.job.math.true_reports(
            record.beacon, record.roster, [opened[who] for who in peers], record.aggregates
        )
        wrong = []
        for row, who in enumerate(peers):
            report = reports[who]
            if report is not None and not report.is_right(position, true[row, position], norms[row, position]):
                wrong.append(who)
        return wrong

    def _is_committed(self, record: StepRecord, who: int, position: int, opened: Commitment) -> bool:
        """Check an opened part against the hash that its contributor signed and posted."""
        commitment = self.posted_commitment(record.step, who)
        return commitment is not None and opened.hashes[position] == commitment.hashes[position]

    def _judge_report(
        self, record: StepRecord, target: int, position: int, opened: dict[int, Commitment]
    ) -> Verdict | None:
        """Return the verdict on a report, or None, an abstention, if this peer never got it."""
        if self._heard_report(record, target) is None:
            return None
        is_false = target in self._wrong_reporters(record, position, opened)
        return (mask_bytes(1 << target), b"", b"") if is_false else INNOCENT

    def _judge_aggregation(
        self, record: StepRecord, target: int, position: int, opened: dict[int, Commitment]
    ) -> Verdict:
        """CheckAveraging: recompute the part from its opened inputs, and every report on it."""
        published = record.aggregates[position]
        if published is None:
            return INNOCENT
        complete = all(
            who in opened and self._is_committed(record, who, position, opened[who])
            for who in record.contributors
        )
        if not complete:
            return b"", b"", mask_bytes(1 << target)
        guilty = sum(1 << who for who in self._wrong_reporters(record, position, opened))
        right = self.peer.job.math.aggregate([opened[who] for who in record.contributors])[position]
        if right.hash != published.hash:
            guilty |= 1 << target
        return mask_bytes(guilty), b"", b""
