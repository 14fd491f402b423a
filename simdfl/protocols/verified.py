"""The verified training protocol, step by step (Pavlova et al. 2025; BTARD, Gorbunov et al. 2022, algorithm 1).

A peer's life in the order of the paper: COMPUTE, COMMIT, EXCHANGE, AGGREGATE, LOCK, BEACON, PROJECT, VERIFY,
UPDATE. The order is the security argument. Part hashes are final before any part is seen; aggregates are final
before the beacon opens; gradients are final before their validators are drawn. The barriers are the phases of
the step ledger: every root is a transaction in its step, so what counts is what the chain has included.

Beside this life every peer has duties, each in a room of its own: to the beacon
(:mod:`~simdfl.protocols.beacon_duty`, :mod:`~simdfl.protocols.reveal_duty`), to the court
(:mod:`~simdfl.protocols.evidence_duty`, :mod:`~simdfl.protocols.court_duty`), to membership
(:mod:`~simdfl.protocols.membership_duty`), and where contributions are rewarded to their value
(:mod:`~simdfl.protocols.contribution_duty`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts_model import Phase
from contracts_model.draw import is_canary
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.channel import make_client
from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest, sha256
from simdfl.errors import ProtocolAborted, UserError
from simdfl.kernel.actor import Life
from simdfl.learning.poison import Poison
from simdfl.network import Message, Traffic
from simdfl.peers.behaviour import Turn
from simdfl.peers.peer import Peer, Seat
from simdfl.protocols.anchor_duty import AnchorDuty
from simdfl.protocols.beacon_duty import PROOF_GAS_LIMIT, BeaconDuty
from simdfl.protocols.contribution_duty import ContributionDuty
from simdfl.protocols.court_duty import CourtDuty
from simdfl.protocols.evidence_duty import EvidenceDuty
from simdfl.protocols.exchange_duty import ExchangeDuty
from simdfl.protocols.foresight import Foresight
from simdfl.protocols.job import MembershipPlan, Removed, StepRecord, VerifiedJob
from simdfl.protocols.membership_duty import MembershipDuty
from simdfl.protocols.parts import (
    Commitment,
    admissible,
    commit_gradient,
    part_size,
    transcript_digest,
)
from simdfl.protocols.reveal_duty import RevealDuty
from simdfl.protocols.training import ModelState
from simdfl.protocols.verification_duty import VerificationDuty
from simdfl.protocols.waiting import await_chain

HASH_BYTES = 32
EMPTY = bytes(HASH_BYTES)
TURNS = 3
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


class VerifiedPeer(Peer):
    """One peer of the verified protocol.

    Parameters
    ----------
    seat : Seat
        Its place in the run.
    chain : Blockchain
        Where the contracts are.
    job : VerifiedJob
        What all peers share.
    base : Blockchain, optional
        Where stakes and anchors are, if the contracts run in the peers' own channel.
    """

    def __init__(self, seat: Seat, chain: Blockchain, job: VerifiedJob, base: Blockchain | None = None) -> None:
        super().__init__(seat)
        self.chain = make_client(seat.index, seat.keypair, chain, seat.network, self.inbox)
        self.job = job
        self.state: ModelState = job.training.genesis
        self.records: dict[int, StepRecord] = {}
        self.own_commitments: dict[int, Commitment] = {}
        self.planted: set[int] = set()
        self.records_opened = 0
        self.rank = seat.index
        self.next_epoch = 0
        self.beacon_duty = BeaconDuty(self)
        self.reveal_duty = RevealDuty(self)
        self.evidence_duty = EvidenceDuty(self)
        self.membership_duty = MembershipDuty(self, job.plans.get(seat.index, MembershipPlan()))
        self.court_duty = CourtDuty(self)
        self.contribution_duty = ContributionDuty(self)
        self.exchange_duty = ExchangeDuty(self)
        self.verification_duty = VerificationDuty(self)
        self.settled = self.env.event()
        self.anchor_duty = AnchorDuty(self, base) if base is not None else None

    # ---- life

    def run(self) -> Life:
        """Register, train step by step, withdraw what is owed."""
        start: int | None = 0
        anchoring = self.also(self.anchor_duty.run()) if self.anchor_duty is not None else None
        if self.membership_duty.plan.join_step is None:
            yield from self.beacon_duty.register()
            self.also(self.beacon_duty.deal_epochs())
            self.also(self.reveal_duty.reveal_first())
        else:
            start = yield from self.membership_duty.join_late()
        self.also(self.reveal_duty.watch())
        self.also(self.court_duty.serve())
        self.also(self.court_duty.watch_canaries())
        while start is not None:
            start = yield from self._train(start)
        if self.network.is_down(self.index):
            return
        yield from self._withdraw()
        if anchoring is not None:
            self.settled.succeed()
            yield anchoring

    def _train(self, start: int) -> Life:
        """Make the steps from `start` on; return where to go on after an absence, or None."""
        step = start
        try:
            for step in range(start, self.job.terms.steps + 1):
                yield from self._live_step(step)
        except (Removed, ProtocolAborted) as end:
            self.job.trace(self.env.now, PeerLeft(step, self.index, str(end)))
            self.membership_duty.evade()
            if self.membership_duty.may_return():
                return (yield from self.membership_duty.come_back())
        return None

    def _withdraw(self) -> Life:
        """Take back the deposit with what was earned, at the end of the job.

        Who left, after the dispute window.
        """
        done = self.inbox.collect("chain:Phase", self.job.terms.steps + 1, {int(Phase.DONE)})
        ended = done | self.inbox.collect("chain:Aborted", 0, 1)
        left = self.chain.history.left_in.get(self.index)
        if left is not None:
            undisputed = self.inbox.collect("chain:StepOpened", left + self.job.terms.dispute_window, 1)
            yield undisputed | ended
            if undisputed.triggered and undisputed.value is not None:
                self.chain.submit("ledger", "withdraw")
                return
        yield ended
        yield self.env.sleep(self.job.terms.vote_s + 2.0 * self.chain.block_time_s)
        if self.index not in self.chain.history.banned:
            self.chain.submit("ledger", "withdraw")
        yield self.env.sleep(2.0 * self.chain.inclusion_s)

    def _live_step(self, step: int) -> Life:
        randomness = yield from self.during("BEACON", self.beacon(step))
        if step - 1 in self.records and self.records[step - 1].contributors:
            yield from self.during("PROJECT", self.verification_duty.project(step - 1, randomness))
            yield from self.during("VERIFY", self.verification_duty.verify(step - 1))
            self.update(step - 1)
            self.contribution_duty.after(self.records[step - 1], randomness)
        record = self._enter_step(step, randomness)
        if (yield from self.membership_duty.act(record)):
            raise Removed("crashed")
        target = dict(self.chain.history.pairs[step]).get(self.index)
        if target is not None:
            yield from self.during("VALIDATE", self.validate(step, target))
        else:
            yield from self.during("COMPUTE and COMMIT", self.compute_and_commit(record))
        if step == self.job.terms.steps:
            # Somebody may have fallen silent: without a call after the deadline nobody would get its stake back.
            yield from await_chain(self, "Phase", step + 1, int(Phase.DONE), step + 1, Phase.COMMIT)
            return
        yield from self.during("EXCHANGE and AGGREGATE", self.exchange_duty.exchange_and_aggregate(record))
        yield from self.during("LOCK", self.exchange_duty.lock(record))
        self.reveal_duty.reveal(record)

    def _enter_step(self, step: int, randomness: bytes) -> StepRecord:
        roster = self.chain.history.rosters[step]
        if self.index not in roster:
            raise Removed(self.chain.history.removed.get(self.index, "not in the roster"))
        self.rank = roster.index(self.index)
        record = StepRecord(step, self.state, randomness, roster)
        self.records[step] = record
        oldest = step - self.job.terms.dispute_window
        self.records.pop(oldest, None)
        self.own_commitments.pop(oldest, None)
        self.membership_duty.entered(step)
        return record

    def turn(self, record: StepRecord) -> Turn:
        """Return what a behaviour may look at when it decides something in this step."""
        validators = {validator for validator, _ in self.chain.history.pairs[record.step]}
        expected = [peer for peer in record.roster if peer not in validators]
        contributors = record.contributors or expected

        def gradient_of(peer: int, poison: Poison | None = None) -> np.ndarray:
            # Of a batch that is nobody's the gradient is computed on the own device.
            device = peer if peer < self.job.terms.n_peers else self.index
            return self.job.gradient(record.state, record.randomness, record.step, peer, poison, device)

        def ask(peer: int, poison: Poison) -> None:
            seed = self.job.training.batch_seed(record.randomness, record.step, peer)
            self.job.training.ask(record.state, seed, poison)

        foresight = Foresight(self, record.step + 1) if self.behaviour.accomplices() else None
        return Turn(record.step, self.index, record.roster, contributors, gradient_of, foresight, ask)

    def wait_turn(self) -> Any:
        """Return a wait of up to two blocks, by rank: one transaction is enough, and many can make it."""
        return self.env.sleep(self.rank % TURNS * self.chain.block_time_s)

    def phase_deadline(self, step: int, phase: Phase) -> float:
        """Return when a phase of `step` that was announced ends by this peer's clock, in simulated time."""
        return self.when_clock_shows(
            float(self.inbox.peek("chain:Phase", step + 1)[int(phase)].fields["deadline"])
        )

    # ---- COMPUTE

    def compute_and_commit(self, record: StepRecord) -> Life:
        """COMPUTE the gradient of the public batch, then COMMIT to its parts: gossip hashes, post the root."""
        step, state = record.step, record.state
        reports = self._reports_digest(step - 1)
        if step == self.job.terms.steps:
            self.chain.submit("ledger", "commit", step, EMPTY, state.digest, reports)
            return
        turn = self.turn(record)
        self._send_junk(turn)
        self.job.training.announce(state, record.randomness, step, turn.contributors)
        yield from self.compute_gradient(self.job.training.engine, turn)
        commitment = self.commit_to(record, self._plant(turn, self.behaviour.gradient(turn)))
        self.own_commitments[step] = commitment
        hashed_bytes = len(commitment.parts) * commitment.part_bytes(self.job.training.sizes)
        yield self.spend("hash", self.device.hash_s(hashed_bytes) + self.device.sign_s)
        yield from self.hold_back(turn)
        self._gossip_commitment(record, turn, commitment)
        self.chain.submit("ledger", "commit", step, commitment.root, state.digest, reports)

    def _send_junk(self, turn: Turn) -> None:
        """Send the junk transactions that a behaviour wants to fill blocks with."""
        for size in self.behaviour.spam(turn):
            junk: tuple[Any, ...] = (0, self.index, b"\x01" * size, b"", [])
            self.chain.submit("beacon", "dispute_dealing", *junk, gas_limit=PROOF_GAS_LIMIT, tips=2)

    def _plant(self, turn: Turn, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient (d,) with a canary's error, if the own lot says so.

        Only a lazy validator misses it.
        """
        terms, output = self.job.terms, turn.step + 2
        secret = self.beacon_duty.secrets.get(output)
        if not terms.canary_permille or secret is None or output > terms.steps or not self.behaviour.plants(turn):
            return gradient
        if not is_canary(terms.job_digest, output, secret, terms.canary_permille):
            return gradient
        self.planted.add(turn.step)
        return self.job.arithmetic.plant(gradient, secret)

    def commit_to(self, record: StepRecord, gradient: np.ndarray) -> Commitment:
        """Return the commitment to a gradient (d,), an honest one from memory."""
        if gradient.ndim != 1 or not len(gradient):
            raise UserError(f"adversary: gradient() must return a vector (d,), got shape {gradient.shape}")
        honest = self.job.gradient(record.state, record.randomness, record.step, self.index)
        if gradient is honest:
            inputs = (record.state, record.randomness, record.step)
            return self.job.honest_commitment(*inputs, self.index, len(record.roster), self.index)
        return commit_gradient(admissible(gradient), len(record.roster))

    def _gossip_commitment(self, record: StepRecord, turn: Turn, commitment: Commitment) -> None:
        message = self._commit_message(record.step, commitment)
        other = self.behaviour.other_gradient(turn)
        if other is None:
            self.network.broadcast(message)
            return
        second = self._commit_message(record.step, self.commit_to(record, other))
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
        """Recompute the target's gradient and report of the previous step; publish the result.

        Where a target must show its gradient or its private batch and does not, nobody accuses it; it must answer
        in court.
        """
        record, shown = self.records[step - 1], None
        if self.court_duty.must_show:
            shown = yield from self.court_duty.ask(record, target)
            if shown is None or self.behaviour.claims_unshown(self.turn(self.records[step]), target):
                self._attest(step, target, False, EMPTY)
                return
        yield self.spend("validation", self.court_duty.recomputation_s(record))
        self.gradients_computed += 1
        self.validations += 1
        is_right = self.court_duty.judge.is_target_right(record, target, shown)
        if self.job.arithmetic.shows:
            self.job.checks.append((step - 1, self.index, target, is_right))
        result = self.behaviour.attests(self.turn(self.records[step]), target, is_right)
        reference = self.court_duty.judge.reference(record, target)
        self._attest(step, target, result, sha256(canonical_float32(reference) + self.keypair.address))

    def _attest(self, step: int, target: int, result: bool | None, evidence: bytes) -> None:
        """Publish a validator's result, or keep silent."""
        if result is not None:
            self.chain.submit("ledger", "attest", step, target, result, evidence, self.state.digest)

    # ---- BEACON

    def beacon(self, step: int) -> Life:
        """BEACON: wait until the contracts have opened the output that begins `step`; return it."""
        phases = (Phase.REGISTER, Phase.DEAL, Phase.REVEAL, Phase.RECOVER)
        opened = yield from await_chain(self, "StepOpened", step, 0, step, *phases)
        randomness: bytes = opened.fields["randomness"]
        return randomness

    # ---- UPDATE

    def update(self, step: int) -> None:
        """UPDATE the model by the aggregate. Nothing is rolled back later: clipping bounds the damage."""
        record = self.records[step]
        self.state = self.job.training.update(record.state, *assemble(record, self.job.training.n_parameters))
        self.inbox.forget(PER_STEP_TOPICS, step - self.job.terms.dispute_window)
        self.job.trace(self.env.now, StepFinished(step, self.index, self.state.digest))


def assemble(record: StepRecord, n_parameters: int) -> tuple[np.ndarray, bytes]:
    """Return the aggregate gradient (d,) of a step, void parts zero, and its digest."""
    n_parts = len(record.roster)
    vector = np.zeros((n_parts, part_size(n_parameters, n_parts)), dtype=np.float32)
    for position, aggregate in enumerate(record.aggregates):
        if aggregate is not None:
            vector[position] = aggregate.values
    hashes = [b"" if aggregate is None else aggregate.hash for aggregate in record.aggregates]
    return vector.reshape(-1)[:n_parameters], digest("simdfl/aggregate", *hashes)
