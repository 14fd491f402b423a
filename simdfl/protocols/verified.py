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
from typing import Any

import numpy as np

from contracts_model import Phase
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.client import ChainClient
from simdfl.crypto.encoding import canonical_float32
from simdfl.crypto.hashing import digest, sha256
from simdfl.errors import ProtocolAborted, UserError
from simdfl.kernel.actor import Life
from simdfl.learning.poison import Poison
from simdfl.network import Message, Traffic
from simdfl.peers.behaviour import Turn
from simdfl.peers.peer import Peer, Seat
from simdfl.protocols.beacon_duty import BeaconDuty
from simdfl.protocols.court_duty import CourtDuty
from simdfl.protocols.exchange_duty import ExchangeDuty
from simdfl.protocols.job import Removed, StepRecord, VerifiedJob
from simdfl.protocols.parts import (
    Commitment,
    admissible,
    commit_gradient,
    part_size,
    transcript_digest,
)
from simdfl.protocols.training import ModelState
from simdfl.protocols.verification_duty import VerificationDuty
from simdfl.protocols.waiting import await_chain

HASH_BYTES = 32
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
    """

    def __init__(self, seat: Seat, chain: Blockchain, job: VerifiedJob) -> None:
        super().__init__(seat)
        self.chain = ChainClient(seat.index, seat.keypair, chain, seat.network, self.inbox)
        self.job = job
        self.state: ModelState = job.training.genesis
        self.records: dict[int, StepRecord] = {}
        self.rank = seat.index
        self.beacon_duty = BeaconDuty(self)
        self.court_duty = CourtDuty(self)
        self.exchange_duty = ExchangeDuty(self)
        self.verification_duty = VerificationDuty(self)

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
        except (Removed, ProtocolAborted) as end:
            self.job.trace(self.env.now, PeerLeft(step, self.index, str(end)))
        yield from self._withdraw()

    def _withdraw(self) -> Life:
        """Wait for the end of the job, done or aborted, and take back the deposit with what was earned."""
        done = self.inbox.collect("chain:Phase", self.job.terms.steps + 1, {int(Phase.DONE)})
        yield done | self.inbox.collect("chain:Aborted", 0, 1)
        yield self.env.sleep(self.job.terms.vote_s + 2.0 * self.chain.block_time_s)
        if self.index not in self.chain.history.banned:
            self.chain.submit("ledger", "withdraw")

    def _live_step(self, step: int) -> Life:
        randomness = yield from self.beacon(step)
        if step > 0:
            yield from self.verification_duty.project(step - 1, randomness)
            yield from self.verification_duty.verify(step - 1)
            self.update(step - 1)
        record = self._enter_step(step, randomness)
        target = dict(self.chain.history.pairs[step]).get(self.index)
        if target is not None:
            yield from self.validate(step, target)
        else:
            yield from self.compute_and_commit(record)
        if step == self.job.terms.steps:
            return
        yield from self.exchange_duty.exchange_and_aggregate(record)
        yield from self.exchange_duty.lock(record)
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

        def gradient_of(peer: int, poison: Poison | None = None) -> np.ndarray:
            return self.job.gradient(record.state, record.randomness, record.step, peer, poison)

        def ask(peer: int, poison: Poison) -> None:
            seed = self.job.training.batch_seed(record.randomness, record.step, peer)
            self.job.training.ask(record.state, seed, poison)

        return Turn(record.step, self.index, record.roster, contributors, gradient_of, ask)

    def wait_turn(self) -> Any:
        """Return a wait of up to two blocks, by rank: one transaction is enough, and many can make it."""
        return self.env.sleep(self.rank % TURNS * self.chain.block_time_s)

    def phase_deadline(self, step: int, phase: Phase) -> float:
        """Return when a phase of `step` that was announced ends, in simulated time."""
        return float(self.inbox.peek("chain:Phase", step + 1)[int(phase)].fields["deadline"])

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
        yield from self.compute_gradient(self.job.training.engine, turn)
        commitment = self.commit_to(record, self.behaviour.gradient(turn))
        yield self.spend("hash", self.device.hash_s(commitment.parts.nbytes) + self.device.sign_s)
        yield from self.hold_back(turn)
        self._gossip_commitment(record, turn, commitment)
        self.chain.submit("ledger", "commit", step, commitment.root, state.digest, reports)

    def commit_to(self, record: StepRecord, gradient: np.ndarray) -> Commitment:
        """Return the commitment to a gradient (d,), an honest one from memory."""
        if gradient.ndim != 1 or not len(gradient):
            raise UserError(f"adversary: gradient() must return a vector (d,), got shape {gradient.shape}")
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
        """Recompute the target's gradient and report of the previous step; publish the result."""
        record = self.records[step - 1]
        yield self.spend("validation", self.court_duty.recomputation_s(record))
        self.gradients_computed += 1
        self.validations += 1
        is_right, _ = self.court_duty.check_computation(record, target)
        result = self.behaviour.attests(self.turn(self.records[step]), target, is_right)
        if result is None:
            return
        gradient = self.job.gradient(record.state, record.randomness, step - 1, target)
        evidence = sha256(canonical_float32(gradient) + self.keypair.address)
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
