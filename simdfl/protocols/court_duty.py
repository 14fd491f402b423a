"""A peer's duty in court: show what is asked for, recompute what is disputed, vote.

Every peer, or the jury that the beacon drew, judges (:mod:`simdfl.protocols.judgement`); the contract counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from contracts_model.court import Kind
from simdfl.chain.history import mask_members
from simdfl.kernel.actor import Life
from simdfl.learning.partition import BatchOpening
from simdfl.network import Message, Traffic
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import StepRecord
from simdfl.protocols.judgement import INNOCENT, VOID, Judge, absent, case_parties
from simdfl.protocols.parts import Commitment

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

OPENING_SHARE = 0.5
"""Part of the voting time within which the parts must be open."""
SHOW_SHARE = 0.5
"""Part of the committing time that a target has to show its validator what it is asked for."""
VOTE_BLOCKS = 3.0
"""A vote sent so many blocks before the deadline counts."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a peer shows of a step: its gradient, in a private job also the batch, and the size of both."""

    commitment: Commitment
    batch: BatchOpening | None
    size_bytes: int


class CourtDuty(Duty):
    """The court side of one peer's life."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        self.judge = Judge(peer)
        self._verified: dict[int, Any] = {}
        peer.inbox.listen("SHOW", self._serve_show)

    def verified(self, step: int) -> None:
        """Note that this peer has all the reports of a step: it can judge cases about it."""
        self._verified_event(step).succeed()

    def _verified_event(self, step: int) -> Any:
        return self._verified.setdefault(step, self.peer.env.event())

    # ---- showing a gradient to one's validator

    def ask(self, record: StepRecord, target: int) -> Life:
        """Ask a target for the gradient that it committed to; return what it shows, or None."""
        peer = self.peer
        peer.network.send(Message("SHOW", record.step, peer.index, None, 8, Traffic.CONTROL), target)
        deadline_s = peer.env.now + SHOW_SHARE * peer.job.terms.commit_s
        got = yield peer.inbox.collect("SHOWN", record.step, {target}, deadline_s)
        return self._accept(record, target, got.messages[target].content) if got.complete else None

    def _serve_show(self, step: int, sender: int, message: Message) -> None:
        """Show one's gradient, and in a private job its batch, to the validator that the beacon drew for it."""
        peer = self.peer
        pairs, record = peer.chain.history.pairs.get(step + 1, []), peer.records.get(step)
        if (sender, peer.index) not in pairs or record is None or step not in peer.own_commitments:
            return
        if peer.behaviour.shows(peer.turn(record), sender):
            shown = self._show(record, readers=1)
            peer.network.send(
                Message("SHOWN", step, peer.index, shown, shown.size_bytes, Traffic.CONTROL), sender
            )

    def _show(self, record: StepRecord, readers: int) -> Shown:
        """Return what one shows of a step, and count one's private records as opened to so many readers."""
        peer, job = self.peer, self.peer.job
        seed = job.training.batch_seed(record.randomness, record.step, peer.index)
        batch = job.training.open_batch(peer.index, seed)
        if batch is not None:
            peer.records_opened += len(batch.leaves) * readers
        own = peer.own_commitments[record.step]
        gradient_bytes = len(own.parts) * own.part_bytes(job.training.sizes)
        size = gradient_bytes * job.arithmetic.shows + (batch.size_bytes if batch is not None else 0)
        return Shown(own, batch, size)

    def _accept(self, record: StepRecord, target: int, shown: Shown) -> Commitment | None:
        """Return the gradient that was shown, if its batch opens the shard that the target committed to."""
        training, roots = self.peer.job.training, self.peer.chain.history.shard_roots
        seed = training.batch_seed(record.randomness, record.step, target)
        is_open = training.is_batch_open(target, seed, roots.get(target, b""), shown.batch)
        return shown.commitment if is_open else None

    @property
    def must_show(self) -> bool:
        """Whether a target has to show something before it can be judged."""
        return self.peer.job.arithmetic.shows or self.peer.job.is_private

    # ---- cases

    def serve(self) -> Life:
        """Take up every case in its order."""
        number = 0
        while True:
            number += 1
            got = yield self.peer.inbox.collect("chain:CaseOpened", number, 1)
            self.peer.also(self._take_up(got.messages[0].fields))

    def _take_up(self, case: dict[str, Any]) -> Life:
        """Open what the court asks for; judge and vote, if one is called to."""
        peer = self.peer
        yield self._verified_event(case["step"])
        record = peer.records.get(case["step"])
        if record is None or peer.index not in peer.chain.history.rosters[max(peer.records)]:
            return
        self._open_evidence(case, record)
        if peer.index not in mask_members(case["jury"]):
            return
        verdict = yield from self._judge(case, record)
        vote = peer.behaviour.votes(case, verdict) if verdict is not None else None
        if vote == VOID:
            peer.chain.submit("court", "vote_void", case["case"])
        elif vote is not None:
            peer.chain.submit("court", "vote", case["case"], *vote)

    def _judge(self, case: dict[str, Any], record: StepRecord) -> Life:
        target, accuser = case_parties(case)
        known = target in record.roster or target in self.peer.chain.history.probes[record.step]
        if not known:
            return INNOCENT
        if case["kind"] == Kind.COMPUTATION:
            return (yield from self._judge_computation(case, record, target, accuser))
        if case["kind"] == Kind.CANARY and accuser is not None:
            shown = (yield from self._shown_by(case, record, accuser)) if self.must_show else None
            yield self.peer.spend("court", self.recomputation_s(record))
            return self.judge.canary(record, target, accuser, shown)
        return (yield from self._judge_opened(case, record))

    # ---- evidence that the parties open

    def _opener(self, case: dict[str, Any]) -> int:
        """Return who must open: an accuser the target's part (V1), an accused its own gradient or part."""
        return int(case["accuser"] if case["kind"] == Kind.REPORT else case["target"])

    def _open_evidence(self, case: dict[str, Any], record: StepRecord) -> None:
        """Gossip what is disputed, if one is a party that must."""
        peer = self.peer
        if not peer.behaviour.opens_parts(case):
            return
        if case["kind"] in (Kind.REPORT, Kind.AGGREGATION) and self._opener(case) == peer.index:
            self._open_parts(case, record)
        elif case["kind"] in (Kind.COMPUTATION, Kind.CANARY) and self.must_show:
            self._open_gradient(case, record)

    def _open_parts(self, case: dict[str, Any], record: StepRecord) -> None:
        whose = [case["target"]] if case["kind"] == Kind.REPORT else record.contributors
        content = {who: record.commitments[who] for who in whose if who in record.commitments}
        size = sum(commitment.part_bytes(self.peer.job.training.sizes) for commitment in content.values())
        self._gossip_opening(case, content, size)

    def _open_gradient(self, case: dict[str, Any], record: StepRecord) -> None:
        """Open one's own gradient as the accused or as a canary, one's recomputation as the accuser."""
        peer = self.peer
        whose = case["accuser"] if case["kind"] == Kind.CANARY else case["target"]
        if whose == peer.index and record.step in peer.own_commitments:
            shown = self._show(record, len(mask_members(case["jury"])))
            self._gossip_opening(case, shown, shown.size_bytes)
        elif case["kind"] == Kind.COMPUTATION and case["accuser"] == peer.index and peer.job.arithmetic.shows:
            recomputed = peer.behaviour.recomputed(case, self.judge.reference(record, case["target"]))
            self._gossip_opening(case, recomputed, peer.job.training.sizes.vector_bytes(recomputed.size))

    def _gossip_opening(self, case: dict[str, Any], content: Any, size: int) -> None:
        opening = Message("OPENING", case["case"], self.peer.index, content, size, Traffic.CONTROL)
        self.peer.network.broadcast(opening)

    def _opened_by(self, case: dict[str, Any], opener: int) -> Life:
        """Wait for what a party opens; return it, or None."""
        deadline_s = self.peer.when_clock_shows(case["deadline"]) - OPENING_SHARE * self.peer.job.terms.vote_s
        got = yield self.peer.inbox.collect("OPENING", case["case"], {opener}, deadline_s)
        return got.messages[opener].content if got.complete else None

    def _shown_by(self, case: dict[str, Any], record: StepRecord, whose: int) -> Life:
        """Wait for the gradient that a party opens; return it, or None if it or its batch is not shown."""
        shown = yield from self._opened_by(case, whose)
        return None if shown is None else self._accept(record, whose, shown)

    # ---- judgements that take time

    def recomputation_s(self, record: StepRecord) -> float:
        """Return the simulated duration of recomputing somebody's gradient, its hashes and its report."""
        peer = self.peer
        hashing_s = peer.device.hash_s(peer.job.training.sizes.vector_bytes())
        projecting_s = peer.verification_duty.projection_s(len(record.roster), record)
        return peer.gradient_s(peer.job.training.engine) + hashing_s + projecting_s

    def _judge_computation(
        self, case: dict[str, Any], record: StepRecord, target: int, accuser: int | None
    ) -> Life:
        shown: Commitment | None = None
        recomputed: np.ndarray | None = None
        if self.must_show:
            shown = yield from self._shown_by(case, record, target)
            if shown is None:
                return absent(target)
            if accuser is not None and self.peer.job.arithmetic.shows:
                recomputed = yield from self._opened_by(case, accuser)
        yield self.peer.spend("court", self.recomputation_s(record))
        verdict = self.judge.computation(record, target, shown, recomputed)
        if verdict not in (INNOCENT, VOID) and self.peer.job.terms.canary_permille:
            lot_known = yield from self._await_canary(case, record, target)
            if not lot_known or self.judge.is_planted(record, target, shown):
                return VOID
        return verdict

    def _await_canary(self, case: dict[str, Any], record: StepRecord, target: int) -> Life:
        """Wait until the target's lot as a canary is known: when the output after next is open.

        Return whether it is by the time to vote. It never is if the target left, or was eliminated, before it
        could open its secret; who may have planted its error is not to be slashed for it.
        """
        output = record.step + 2
        if output > self.peer.job.terms.steps:
            return True  # nobody was to plant anything: this output does not exist
        deadline_s = self.peer.when_clock_shows(case["deadline"]) - VOTE_BLOCKS * self.peer.chain.inclusion_s
        opened = yield self.peer.inbox.collect("chain:StepOpened", output, 1, deadline_s)
        return opened.complete and target in self.peer.chain.history.lots[output]

    def _judge_opened(self, case: dict[str, Any], record: StepRecord) -> Life:
        opener = self._opener(case)
        opened: dict[int, Commitment] | None = yield from self._opened_by(case, opener)
        if opened is None:
            return absent(opener)
        position = record.position(opener)
        yield self.peer.spend("court", self.peer.exchange_duty.aggregation_s(record))
        judge = self.judge.report if case["kind"] == Kind.REPORT else self.judge.aggregation
        return judge(record, case["target"], position, opened)

    # ---- canaries

    def watch_canaries(self) -> Life:
        """Accuse validators that attested one's own planted errors to be right.

        Whose errors were planted comes out with the output after next; what its validator attested is on chain.
        """
        peer, history = self.peer, self.peer.chain.history
        if not peer.job.terms.canary_permille:
            return
        for step in range(peer.job.terms.steps - 1):
            yield peer.inbox.collect("chain:StepOpened", step + 2, 1)
            if (step, peer.index) not in history.canaries or step not in peer.planted:
                continue
            for validator, target in history.pairs.get(step + 1, []):
                if target == peer.index and history.attested.get((step + 1, validator)) == (target, True):
                    peer.chain.submit("court", "accuse_canary", step, validator)
