"""The verified training protocol, step by step (Pavlova et al. 2025; BTARD, Gorbunov et al. 2022, algorithm 1).

A peer's life in the order of the paper: COMPUTE, COMMIT, EXCHANGE, AGGREGATE, LOCK, BEACON, PROJECT, VERIFY,
UPDATE. The order is the security argument. Part hashes are final before any part is seen; aggregates are final
before the beacon opens; gradients are final before their validators are drawn. The barriers are the phases of
the step ledger: every root is a transaction in its step, so what counts is what the chain has included.

Beside this life every peer has two duties: the beacon's (:mod:`simdfl.protocols.beacon_duty`) and the court's
(:mod:`simdfl.protocols.court_duty`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts_model import Phase
from contracts_model.court import Absence
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.client import ChainClient
from simdfl.chain.history import mask_members
from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest, sha256
from simdfl.crypto.signatures import Keypair
from simdfl.kernel import Environment
from simdfl.kernel.actor import Life
from simdfl.learning.devices import DeviceProfile
from simdfl.network import Message, Network, Traffic
from simdfl.peers.behaviour import Behaviour, Turn
from simdfl.peers.peer import Peer
from simdfl.protocols.beacon_duty import BeaconDuty
from simdfl.protocols.court_duty import CourtDuty
from simdfl.protocols.job import StepRecord, VerifiedJob
from simdfl.protocols.parts import (
    Commitment,
    Report,
    admissible,
    commit_gradient,
    make_aggregate,
    transcript_digest,
)
from simdfl.protocols.training import LabelMap, ModelState
from simdfl.protocols.waiting import await_chain

HASH_BYTES = 32
PER_STEP_TOPICS = (
    "COMMIT",
    "PART",
    "VALUE",
    "REPORT",
    "chain:Phase",
    "chain:Exchange",
    "chain:Final",
    "chain:Absent",
    "chain:PartVoided",
)
LOCK_PATIENCE = 8.0


@dataclass(frozen=True)
class StepFinished:
    """Trace: a peer has updated its model."""

    step: int
    peer: int
    state: bytes


@dataclass(frozen=True)
class PeerLeft:
    """Trace: a peer takes no further part."""

    step: int
    peer: int
    reason: str


class Removed(Exception):
    """A peer finds itself outside the roster."""


class VerifiedPeer(Peer):
    """One peer of the verified protocol.

    Parameters
    ----------
    env, index, keypair, behaviour, device, network
        See :class:`~simdfl.peers.peer.Peer`.
    slowness : float
        Factor on this peer's gradient time.
    chain : Blockchain
        Where the contracts are.
    job : VerifiedJob
        What all peers share.
    """

    def __init__(
        self,
        env: Environment,
        index: int,
        keypair: Keypair,
        behaviour: Behaviour,
        device: DeviceProfile,
        network: Network,
        slowness: float,
        chain: Blockchain,
        job: VerifiedJob,
    ) -> None:
        super().__init__(env, index, keypair, behaviour, device, network)
        self.slowness = slowness
        self.chain = ChainClient(index, keypair, chain, network, self.inbox)
        self.job = job
        self.state: ModelState = job.training.genesis
        self.records: dict[int, StepRecord] = {}
        self.finished_step = -1
        self.rank = index
        self.beacon_duty = BeaconDuty(self)
        self.court_duty = CourtDuty(self)
        self.inbox.listen("WANT", self._serve_want)

    # ---- life

    def run(self) -> Life:
        """Register, train step by step, withdraw what is owed."""
        yield from self.beacon_duty.register()
        self.also(self.beacon_duty.deal_epochs())
        self.also(self.beacon_duty.recover_withheld())
        self.also(self.court_duty.serve())
        step = 0
        try:
            for step in range(self.job.terms.steps + 1):
                yield from self._live_step(step)
        except Removed as removed:
            self.job.trace(self.env.now, PeerLeft(step, self.index, str(removed)))
        yield from self._withdraw()

    def _withdraw(self) -> Life:
        """Wait for the end of the job and take back the deposit with what was earned."""
        steps = self.job.terms.steps
        done = self.inbox.collect("chain:Phase", steps + 1, {int(Phase.DONE)})
        yield done | self.inbox.collect("chain:Aborted", 0, 1)
        if not done.triggered:
            return
        deadline_s = self._phase_deadline(steps, Phase.DONE)
        yield self.env.sleep(max(0.0, deadline_s - self.env.now) + self.chain.block_time_s)
        if self.index not in self.chain.history.banned:
            self.chain.submit("ledger", "withdraw")

    def _live_step(self, step: int) -> Life:
        randomness = yield from self.beacon(step)
        if step > 0:
            yield from self.project(step - 1, randomness)
            yield from self.verify(step - 1)
            self.update(step - 1)
        record = self._enter_step(step, randomness)
        target = dict(self.chain.history.pairs[step]).get(self.index)
        if target is not None:
            yield from self.validate(step, target)
        else:
            yield from self.compute_and_commit(record)
        if step == self.job.terms.steps:
            return
        yield from self.exchange_and_aggregate(record)
        yield from self.lock(record)
        self.beacon_duty.reveal(record)

    def _enter_step(self, step: int, randomness: bytes) -> StepRecord:
        roster = self.chain.history.rosters[step]
        if self.index not in roster:
            raise Removed(self.chain.history.removed.get(self.index, "not in the roster"))
        self.rank = roster.index(self.index)
        record = StepRecord(step, self.state, randomness, roster)
        self.records[step] = record
        oldest = step - self.job.terms.dispute_window
        self.records.pop(oldest, None)
        return record

    def turn(self, record: StepRecord) -> Turn:
        """Return what a behaviour may look at when it decides something in this step."""
        validators = {validator for validator, _ in self.chain.history.pairs[record.step]}
        expected = [peer for peer in record.roster if peer not in validators]
        contributors = record.contributors or expected

        def gradient_of(peer: int, label_map: LabelMap | None = None) -> np.ndarray:
            return self.job.gradient(record.state, record.randomness, record.step, peer, label_map)

        return Turn(record.step, self.index, record.roster, contributors, gradient_of)

    # ---- COMPUTE

    def compute_and_commit(self, record: StepRecord) -> Life:
        """COMPUTE the gradient of the public batch, then COMMIT to its parts: gossip hashes, post the root."""
        step, state = record.step, record.state
        reports = self._reports_digest(step - 1)
        if step == self.job.terms.steps:
            self.chain.submit("ledger", "commit", step, bytes(HASH_BYTES), state.digest, reports)
            return
        turn = self.turn(record)
        self.job.training.announce(state, record.randomness, step, turn.contributors)
        yield self.spend("gradient", self._gradient_s())
        self.gradients_computed += 1
        commitment = self._commit_to(record, self.behaviour.gradient(turn))
        yield self.spend("hash", self.device.hash_s(commitment.parts.nbytes) + self.device.sign_s)
        self._gossip_commitment(record, turn, commitment)
        self.chain.submit("ledger", "commit", step, commitment.root, state.digest, reports)

    def _gradient_s(self) -> float:
        engine = self.job.training.engine
        return self.slowness * self.device.gradient_s(engine.model, engine.batch_size)

    def _commit_to(self, record: StepRecord, gradient: np.ndarray) -> Commitment:
        honest = self.job.gradient(record.state, record.randomness, record.step, self.index)
        if gradient is honest:
            return self.job.honest_commitment(
                record.state, record.randomness, record.step, self.index, len(record.roster)
            )
        return commit_gradient(admissible(gradient), len(record.roster))

    def _gossip_commitment(self, record: StepRecord, turn: Turn, commitment: Commitment) -> None:
        message = self._commit_message(record.step, commitment)
        other = self.behaviour.other_gradient(turn)
        if other is None:
            self.network.broadcast(message)
            return
        second = self._commit_message(record.step, self._commit_to(record, other))
        neighbours = self.network.neighbours(self.index)
        half = len(neighbours) // 2
        self.network.broadcast(message, neighbours[half:])
        self.network.broadcast(second, neighbours[:half])

    def _commit_message(self, step: int, commitment: Commitment) -> Message:
        size = HASH_BYTES * (len(commitment.hashes) + 1)
        return self.job.messenger.make(self, "COMMIT", step, commitment, size, commitment.root, Traffic.CONTROL)

    def _reports_digest(self, step: int) -> bytes:
        record = self.records.get(step)
        roots = [record.reports[peer].root for peer in sorted(record.reports)] if record else []
        return transcript_digest(roots)

    # ---- validation of the previous step (CheckComputations)

    def validate(self, step: int, target: int) -> Life:
        """Recompute the target's gradient and report of the previous step; publish the result."""
        record = self.records[step - 1]
        yield self.spend("validation", self._gradient_s())
        self.gradients_computed += 1
        is_right, _ = self.court_duty.check_computation(record, target)
        result = self.behaviour.attests(self.turn(self.records[step]), target, is_right)
        if result is None:
            return
        gradient = self.job.gradient(record.state, record.randomness, step - 1, target)
        evidence = sha256(canonical_float32(gradient) + self.keypair.address)
        self.chain.submit("ledger", "attest", step, target, result, evidence, self.state.digest)

    # ---- EXCHANGE and AGGREGATE

    def exchange_and_aggregate(self, record: StepRecord) -> Life:
        """EXCHANGE parts, AGGREGATE one's own over all contributors; start again when a pair was eliminated."""
        step = record.step
        event = yield from await_chain(self, "Exchange", step, 0, step + 1, Phase.COMMIT)
        self._send_parts(record)
        final = None
        while final is None:
            record.attempt = event.fields["attempt"]
            record.contributors = mask_members(event.fields["contributors"])
            if self.index in mask_members(event.fields["dropped"]):
                raise Removed("eliminated")
            yield from self._aggregate_attempt(record)
            event, final = yield from self._next_attempt_or_final(record)

    def _send_parts(self, record: StepRecord) -> None:
        own = self.inbox.peek("COMMIT", record.step).get(self.index)
        if own is None:
            return
        turn = self.turn(record)
        commitment: Commitment = own.content
        instead = self.behaviour.sent_gradient(turn)
        if instead is not None:
            commitment = self._commit_to(record, instead)
        for position, owner in enumerate(record.roster):
            if owner == self.index or self.behaviour.sends_part(turn, owner):
                content = (commitment, position)
                size = commitment.part_bytes
                part = Message("PART", record.step, self.index, content, size, Traffic.GRADIENT)
                self.network.send(part, owner)

    def _aggregate_attempt(self, record: StepRecord) -> Life:
        """Collect the parts; with all of them publish the aggregate, else leave with who sent none."""
        step = record.step
        deadline_s = self._phase_deadline(step, Phase.AGGREGATE) - self.job.terms.aggregate_s / 2
        moved = self.inbox.collect("chain:Exchange", step, {record.attempt + 1})
        for topic in ("COMMIT", "PART"):
            yield self.inbox.collect(topic, step, record.contributors, deadline_s) | moved
            if moved.triggered:
                return
        position = record.position(self.index)
        missing = [peer for peer in record.contributors if not self._has_part(record, peer, position)]
        size = 4 * self.job.training.n_parameters // len(record.roster) * len(record.contributors)
        yield self.spend("hash", self.device.hash_s(size) + len(record.contributors) * self.device.verify_s)
        turn = self.turn(record)
        for other in self.behaviour.eliminates(turn, missing)[:1]:
            self.chain.submit("ledger", "eliminate", step, other)
        if not missing:
            yield self.spend("aggregation", self._aggregation_s(record))
            self._publish_aggregate(record, turn)

    def _has_part(self, record: StepRecord, peer: int, position: int) -> bool:
        """Return whether this peer's part arrived and matches its signed, posted commitment."""
        commitment = self.court_duty.posted_commitment(record.step, peer)
        part = self.inbox.peek("PART", record.step).get(peer)
        if commitment is None or part is None:
            return False
        record.commitments[peer] = commitment
        sent, where = part.content
        return bool(where == position and sent.hashes[position] == commitment.hashes[position])

    def _aggregation_s(self, record: StepRecord) -> float:
        """Gram matrix and a few passes over the contributions of one part."""
        contributors = len(record.contributors)
        size = self.job.training.n_parameters / len(record.roster)
        return 2.0 * contributors * (contributors + 10) * size / self.device.flops_per_s

    def _publish_aggregate(self, record: StepRecord, turn: Turn) -> None:
        commitments = [record.commitments[peer] for peer in record.contributors]
        right = self.job.math.aggregate(commitments)[record.position(self.index)]
        values = self.behaviour.aggregate(turn, right.values)
        aggregate = right if values is right.values else make_aggregate(admissible(values))
        self.chain.submit("ledger", "aggregate", record.step, record.attempt, aggregate.hash)
        topic, size = f"VALUE{record.attempt}", 4 * len(aggregate.values)
        message = Message(topic, record.step, self.index, aggregate, size, Traffic.GRADIENT)
        for peer in record.roster:
            if peer == self.index or self.behaviour.sends_aggregate(turn, peer):
                self.network.send(message, peer)

    def _next_attempt_or_final(self, record: StepRecord) -> Life:
        step, attempt = record.step, record.attempt
        again = self.inbox.collect("chain:Exchange", step, {attempt + 1})
        final = self.env.process(await_chain(self, "Final", step, 0, step + 1, Phase.AGGREGATE))
        yield again | final
        if again.triggered and again.value is not None:
            return again.value.messages[attempt + 1], None
        return None, final.value

    def _phase_deadline(self, step: int, phase: Phase) -> float:
        return float(self.inbox.peek("chain:Phase", step + 1)[int(phase)].fields["deadline"])

    # ---- LOCK

    def lock(self, record: StepRecord) -> Life:
        """LOCK: the aggregates are final on chain; hold them all before opening one's secret."""
        step, topic = record.step, f"VALUE{record.attempt}"
        posted = self.chain.history.aggregates[(step, record.attempt)]
        void = mask_members(self.inbox.peek("chain:Final", step)[0].fields["void"])
        owners = [owner for owner in record.roster if owner not in void]
        patience_s = self.job.terms.reveal_s / LOCK_PATIENCE
        yield self.inbox.collect(topic, step, owners, self.env.now + patience_s)
        for owner in owners:
            if not self._has_value(topic, step, owner, posted):
                yield from self._fetch(topic, record, owner, posted, patience_s)

    def _has_value(self, topic: str, step: int, owner: int, posted: dict[int, bytes]) -> bool:
        message = self.inbox.peek(topic, step).get(owner)
        return message is not None and message.content.hash == posted[owner]

    def _fetch(
        self, topic: str, record: StepRecord, owner: int, posted: dict[int, bytes], patience_s: float
    ) -> Life:
        """Ask everybody for an aggregated part; if nobody has it, vote it absent and wait for the verdict.

        One honest holder is enough. Where a majority votes it absent the part is void for all, also for those
        who have it: what counts is decided on chain.
        """
        step = record.step
        voided = self.inbox.collect("chain:PartVoided", step, {owner})
        until_s, voted = self.env.now + patience_s, False
        for peer in record.roster:
            if peer not in (self.index, owner):
                self.network.send(Message("WANT", step, self.index, (topic, owner), 8, Traffic.CONTROL), peer)
        while not voided.triggered and not self._has_value(topic, step, owner, posted):
            self.inbox.discard(topic, step, owner)
            yield self.inbox.collect(topic, step, {owner}, None if voted else until_s) | voided
            if not voted and self.env.now >= until_s and not self._has_value(topic, step, owner, posted):
                absent = (int(Absence.AGGREGATE), step, owner)
                self.chain.submit("court", "report_absence", *absent)
                voted = True

    def _settle(self, record: StepRecord) -> None:
        """Take the aggregates as the chain settled them: a part can become void until the beacon opens."""
        step = record.step
        void = set(mask_members(self.inbox.peek("chain:Final", step)[0].fields["void"]))
        void |= set(self.inbox.peek("chain:PartVoided", step))
        values = self.inbox.peek(f"VALUE{record.attempt}", step)
        record.aggregates = [None if owner in void else values[owner].content for owner in record.roster]

    def _serve_want(self, step: int, sender: int, message: Message) -> None:
        topic, owner = message.content
        held = self.inbox.peek(topic, step).get(owner)
        if held is not None:
            self.network.send(held, sender, source=self.index)

    # ---- BEACON

    def beacon(self, step: int) -> Life:
        """BEACON: wait until the contracts have opened the output that begins `step`; return it."""
        phases = (Phase.REGISTER, Phase.DEAL, Phase.REVEAL, Phase.RECOVER)
        opened = yield from await_chain(self, "StepOpened", step, 0, step, *phases)
        randomness: bytes = opened.fields["randomness"]
        return randomness

    # ---- PROJECT

    def project(self, step: int, randomness: bytes) -> Life:
        """PROJECT one's clipped differences on the random directions and gossip what came out."""
        record = self.records[step]
        record.beacon = randomness
        self._settle(record)
        if self.index not in record.contributors:
            return
        size = self.job.training.n_parameters * self.job.math.settings.projections
        yield self.spend("projection", 6.0 * size / self.device.flops_per_s + self.device.hash_s(2 * size))
        true, norms = self._true_reports(record)
        mine = record.contributors.index(self.index)
        turn = self.turn(record)

        def shift(part: int) -> np.ndarray:
            return np.asarray(true[:, record.position(part)].sum(axis=0))

        report = Report(tuple(record.roster), *self.behaviour.report(turn, true[mine], norms[mine], shift))
        if self.behaviour.sends_report(turn):
            message = self.job.messenger.make(
                self, "REPORT", step, report, report.size_bytes, report.root, Traffic.CONTROL
            )
            self.network.broadcast(message)

    def _true_reports(self, record: StepRecord) -> tuple[np.ndarray, np.ndarray]:
        for peer in record.contributors:
            if peer not in record.commitments:
                commitment = self.court_duty.posted_commitment(record.step, peer)
                if commitment is not None:
                    record.commitments[peer] = commitment
        return record.true_reports(self.job.math, record.contributors)

    # ---- VERIFY

    def verify(self, step: int) -> Life:
        """VERIFY the reports: V1 against the parts one holds, V2 by their sums, V3 by one's own distances."""
        record = self.records[step]
        yield from self._collect_reports(record)
        checks = len(record.contributors) * self.device.verify_s
        yield self.spend("verification", checks + len(record.roster) * 1e-6)
        true, norms = self._true_reports(record)
        self._check_reports_on_own_part(record, true, norms)
        self._check_sums(record)
        self._check_own_distances(record, norms)
        self.court_duty.verified(step)

    def _collect_reports(self, record: StepRecord) -> Life:
        """Wait for all reports; whose does not come is voted absent, and all parts are then recomputed."""
        step = record.step
        deadline_s = self.env.now + self.job.report_s
        got = yield self.inbox.collect("REPORT", step, record.contributors, deadline_s)
        for peer in record.contributors:
            message = got.messages.get(peer)
            if message is None:
                self.chain.submit("court", "report_absence", int(Absence.REPORT), step, peer)
            elif self.job.messenger.is_authentic(message) and message.content.owners == tuple(record.roster):
                record.reports[peer] = message.content
        if len(record.reports) < len(record.contributors):
            self.also(self.court_duty.check_parts(record))

    def _check_reports_on_own_part(self, record: StepRecord, true: np.ndarray, norms: np.ndarray) -> None:
        """V1: this aggregator holds every part that it aggregated, so it knows every right answer."""
        position = record.position(self.index)
        if record.aggregates[position] is None:
            return
        liars = [
            peer
            for row, peer in enumerate(record.contributors)
            if peer in record.reports
            and not is_report_right(record.reports[peer], position, true[row], norms[row])
        ]
        for peer in self.behaviour.accuses(self.turn(record), liars):
            self.chain.submit("court", "accuse_report", record.step, peer)

    def _check_sums(self, record: StepRecord) -> None:
        """V2: at the fixed point the clipped differences sum to zero, and so do their projections."""
        if len(record.reports) < len(record.contributors):
            return
        sums = sum(record.reports[peer].projections.astype(object) for peer in record.contributors)
        bound = self.job.terms.tolerance * len(record.contributors)
        for position, total in enumerate(np.abs(np.asarray(sums))):
            if (total > bound).any():
                self.also(self.court_duty.challenge_sum(record, record.roster[position]))

    def _check_own_distances(self, record: StepRecord, norms: np.ndarray) -> None:
        """V3: complain about parts further than Delta_max from one's own."""
        if self.index not in record.contributors:
            return
        limit = self.job.math.settings.max_deviation * 2.0**40
        far = np.flatnonzero(norms[record.contributors.index(self.index)] > limit)
        for owner in self.behaviour.complains(self.turn(record), [record.roster[at] for at in far]):
            self.chain.submit("court", "complain", record.step, owner)

    # ---- UPDATE

    def update(self, step: int) -> None:
        """UPDATE the model by the aggregate. Nothing is rolled back later: clipping bounds the damage."""
        record = self.records[step]
        self.state = self.job.training.update(record.state, *assemble(record, self.job.training.n_parameters))
        self.finished_step = step
        self.inbox.forget(PER_STEP_TOPICS, step - self.job.terms.dispute_window)
        self.job.trace(self.env.now, StepFinished(step, self.index, self.state.digest))


def is_report_right(report: Report, position: int, true: np.ndarray, norms: np.ndarray) -> bool:
    """Return whether a report says of one part what it should; `true` (p, K), `norms` (p,)."""
    same = np.array_equal(report.projections[position], true[position])
    return bool(same and report.norms[position] == norms[position])


def assemble(record: StepRecord, n_parameters: int) -> tuple[np.ndarray, bytes]:
    """Return the aggregate gradient (d,) of a step, void parts zero, and its digest."""
    size = -(-n_parameters // len(record.roster))
    vector = np.zeros((len(record.roster), size), dtype=np.float32)
    for position, aggregate in enumerate(record.aggregates):
        if aggregate is not None:
            vector[position] = aggregate.values
    hashes = [b"" if aggregate is None else aggregate.hash for aggregate in record.aggregates]
    return vector.reshape(-1)[:n_parameters], digest("simdfl/aggregate", *hashes)
