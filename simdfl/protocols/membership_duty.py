"""A peer's duty to membership: join late, leave, crash and come back (PROTOCOL section 11).

Who joins a running job follows it first: it fetches the state of every step from the peers, by majority of their
digests, computes the gradient it would owe, and commits to it. These gradients are checked and not used: a Sybil
pays in computation. After enough of them the contracts admit it to an epoch, for which it deals, and seat it
when that epoch begins. An ejected peer comes back the same way; a banned one does not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from contracts_model import Phase
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.peers.behaviour import Turn
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import MembershipPlan, StepRecord
from simdfl.protocols.training import ModelState

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

FETCH_BLOCKS = 2.0
"""After so many blocks a state that was promised is asked for elsewhere."""


class MembershipDuty(Duty):
    """The comings and goings of one peer."""

    def __init__(self, peer: VerifiedPeer, plan: MembershipPlan) -> None:
        super().__init__(peer)
        self.plan = plan
        self.is_candidate = False
        self._asked: dict[int, list[int]] = defaultdict(list)
        peer.inbox.listen("STATE?", self._serve_digest)
        peer.inbox.listen("STATE!", self._serve_state)

    # ---- what the plan says

    def act(self, record: StepRecord) -> Life:
        """Leave or crash, if the plan or one's luck says so in this step.

        Return whether the peer is out of it.
        """
        if self.plan.leave_step == record.step:
            self.peer.chain.submit("registry", "leave")
        if self.peer.behaviour.goes_down(self.peer.turn(record)):
            yield from self._crash()
            return True
        return False

    def _crash(self) -> Life:
        """Be off the network for a while, or for ever."""
        peer, down_s = self.peer, self.peer.behaviour.down_s()
        peer.network.set_down(peer.index, True)
        if down_s is not None:
            yield peer.env.sleep(down_s)
            peer.network.set_down(peer.index, False)
            peer.chain.resync()

    def may_return(self) -> bool:
        """Return whether a removed peer tries to come back."""
        terms = self.peer.job.terms
        has_left = self.peer.index in self.peer.chain.history.left_in
        wants = not has_left and self.peer.behaviour.returns()
        is_down = self.peer.network.is_down(self.peer.index)
        return bool(terms.probation_steps) and wants and not is_down and not self._is_over()

    def evade(self) -> None:
        """Try to come back after a ban, if one's behaviour does such things: the contracts refuse."""
        peer, duty = self.peer, self.peer.beacon_duty
        if peer.index not in peer.chain.history.banned or not peer.behaviour.evades():
            return
        peer.chain.submit("registry", "rejoin")
        peer.also(duty.register())

    def _is_over(self) -> bool:
        peer = self.peer
        done = int(Phase.DONE) in peer.inbox.peek("chain:Phase", peer.job.terms.steps + 1)
        return done or bool(peer.inbox.peek("chain:Aborted", 0)) or peer.index in peer.chain.history.banned

    # ---- joining

    def join_late(self) -> Life:
        """Register when the planned step opens and serve the probation; return the first step to take part in."""
        yield self.peer.inbox.collect("chain:StepOpened", self.plan.join_step or 0, 1)
        yield from self.peer.beacon_duty.register()
        return (yield from self._serve_probation())

    def come_back(self) -> Life:
        """Wait until one is out, rejoin and serve the probation; return the first step, or None."""
        peer = self.peer
        while peer.index not in peer.chain.history.removed:
            if self._is_over():
                return None
            yield peer.env.sleep(peer.chain.block_time_s)
        peer.chain.submit("registry", "rejoin")
        return (yield from self._serve_probation())

    def _serve_probation(self) -> Life:
        """Follow the job and commit to gradients until one is in a roster; None if that never happens."""
        peer, history = self.peer, self.peer.chain.history
        self.is_candidate = True
        peer.next_epoch = max(history.receivers, default=-1) + 1
        peer.also(peer.beacon_duty.deal_epochs())
        for step in range(max(history.rosters) + 1, peer.job.terms.steps + 1):
            opened = peer.inbox.collect("chain:StepOpened", step, 1)
            yield opened | peer.inbox.collect("chain:Aborted", 0, 1)
            if not opened.triggered or peer.index in history.banned:
                break
            state = yield from self._fetch_state(step)
            if state is None:
                continue
            if peer.index in history.rosters[step]:
                self.is_candidate = False
                peer.state = state
                return step
            if step < peer.job.terms.steps:
                yield from self._probe(step, state)
        self.is_candidate = False
        return None

    def _probe(self, step: int, state: ModelState) -> Life:
        """Compute the gradient that one would owe and commit to it."""
        peer = self.peer
        record = StepRecord(step, state, peer.chain.history.randomness[step], peer.chain.history.rosters[step])
        turn: Turn = peer.turn(record)
        yield peer.spend("gradient", peer.gradient_s(peer.job.training.engine))
        peer.gradients_computed += 1
        commitment = peer.commit_to(record, peer.behaviour.gradient(turn))
        peer.records[step], peer.own_commitments[step] = record, commitment
        peer.chain.submit("ledger", "probe", step, commitment.root)

    # ---- fetching a state: digests from all, by majority, then the state itself from one who has it

    def _fetch_state(self, step: int) -> Life:
        peer, roster = self.peer, self.peer.chain.history.rosters[step]
        others = [other for other in roster if other != peer.index]
        for other in others:
            peer.network.send(Message("STATE?", step, peer.index, None, 8, Traffic.CONTROL), other)
        need = len(roster) // 2 + 1
        deadline_s = peer.env.now + peer.job.terms.commit_s / 2
        got = yield peer.inbox.collect("STATE_DIGEST", step, min(need, len(others)), deadline_s)
        digests = Counter(message.content for message in got.messages.values())
        [(digest, votes)] = digests.most_common(1) or [(b"", 0)]
        if 2 * votes <= len(roster):
            return None
        holders = [other for other, message in got.messages.items() if message.content == digest]
        return (yield from self._fetch_from(step, digest, holders))

    def _fetch_from(self, step: int, digest: bytes, holders: list[int]) -> Life:
        peer = self.peer
        for holder in holders:
            peer.network.send(Message("STATE!", step, peer.index, None, 8, Traffic.CONTROL), holder)
            deadline_s = peer.env.now + FETCH_BLOCKS * peer.chain.block_time_s + peer.job.report_s
            got = yield peer.inbox.collect("STATE", step, {holder}, deadline_s)
            if got.complete and got.messages[holder].content.digest == digest:
                return got.messages[holder].content
        return None

    def _serve_digest(self, step: int, sender: int, message: Message) -> None:
        """Answer with the digest of a step's state, now or as soon as one is there."""
        if step in self.peer.records:
            self._send_digest(step, sender)
        else:
            self._asked[step].append(sender)

    def entered(self, step: int) -> None:
        """Answer who asked for the state of a step before it was there."""
        for sender in self._asked.pop(step, []):
            self._send_digest(step, sender)

    def _send_digest(self, step: int, receiver: int) -> None:
        digest = self.peer.records[step].state.digest
        message = Message("STATE_DIGEST", step, self.peer.index, digest, len(digest), Traffic.CONTROL)
        self.peer.network.send(message, receiver)

    def _serve_state(self, step: int, sender: int, message: Message) -> None:
        record = self.peer.records.get(step)
        if record is not None:
            size = self.peer.job.training.state_bytes(record.state)
            self.peer.network.send(
                Message("STATE", step, self.peer.index, record.state, size, Traffic.GRADIENT), sender
            )
