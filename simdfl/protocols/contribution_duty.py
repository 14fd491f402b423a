"""A peer's duty to value contributions: open one's update, compute everybody's value, agree, and have all paid.

When a round ends, every contributor of its last step gossips the gradient behind its commitment; the posted
root binds it. All compute the same amounts (:mod:`simdfl.protocols.contributions`), post their digest, and by
turns have everybody paid when a majority agrees. Who does not open, and whoever adds nothing, gets nothing.
What it leaves out: validators of that step, who have no update in it, earn no contribution then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts_model.rewards import payout_digest
from simdfl.crypto.hashing import sha256
from simdfl.kernel.actor import Life
from simdfl.learning.model import FORWARD_BACKWARD
from simdfl.network import Message, Traffic
from simdfl.protocols.contributions import split_budget
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import StepRecord

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

OPENING_SHARE = 0.25
"""Part of the voting time within which updates must be open."""
AGREEING_SHARE = 0.5
"""Part of the voting time within which a majority must have posted the same amounts."""
LAST_TURN = 4
"""Each of the first peers waits for the call of the one before it to be seen; all others wait as long as this."""


class ContributionDuty(Duty):
    """The side of one peer's life that values contributions."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        self._every = peer.job.terms.contribution_every

    def after(self, record: StepRecord, randomness: bytes) -> None:
        """Begin a round's valuation if this step, of which all gradients are final, ends one."""
        if self._every and (record.step + 1) % self._every == 0:
            self.peer.also(self._value(record, randomness))

    def _value(self, record: StepRecord, randomness: bytes) -> Life:
        peer, terms, game = self.peer, self.peer.job.terms, self.peer.job.game
        assert game is not None
        round_ = (record.step + 1) // self._every - 1
        self._open(record)
        deadline_s = peer.env.now + OPENING_SHARE * terms.vote_s
        got = yield peer.inbox.collect("UPDATE", record.step, set(record.contributors), deadline_s)
        opened = {
            who: message.content
            for who, message in got.messages.items()
            if who in record.commitments and game.is_opened(message.content, record.commitments[who].root)
        }
        yield peer.spend("verification", self._duration_s(len(opened)))
        size = peer.job.training.n_parameters
        updates = {who: commitment.parts.reshape(-1)[:size] for who, commitment in opened.items()}
        weights = game.weights(record.state, randomness, updates) if updates else {}
        right = split_budget(terms.contribution_wei, weights, terms.n_peers)
        amounts = peer.behaviour.values_contributions(round_, right)
        body = payout_digest(sha256, round_, amounts)
        peer.chain.submit("rewards", "post", round_, body)
        yield from self._have_paid(round_, body, amounts)

    def _open(self, record: StepRecord) -> None:
        """Gossip one's own update of a step, and have it counted."""
        peer = self.peer
        own = peer.own_commitments.get(record.step)
        if own is None or peer.index not in record.contributors:
            return
        size = len(own.parts) * own.part_bytes(peer.job.training.sizes)
        message = Message("UPDATE", record.step, peer.index, own, size, Traffic.GRADIENT)
        peer.network.broadcast(message)

    def _duration_s(self, players: int) -> float:
        """Return the simulated duration of hashing all updates and of as many losses as the orders may need."""
        peer, valuation = self.peer, self.peer.job.valuation
        assert valuation is not None
        engine = peer.job.training.engine
        forward = peer.gradient_s(engine) / FORWARD_BACKWARD * valuation.records / engine.batch_size
        hashing_s = peer.device.hash_s(peer.job.training.sizes.vector_bytes()) * players
        return hashing_s + forward * (1 + valuation.permutations * players)

    def _have_paid(self, round_: int, body: bytes, amounts: list[int]) -> Life:
        """Show the amounts when a majority has agreed on them; by turns, as one call pays all."""
        peer = self.peer
        deadline_s = peer.env.now + AGREEING_SHARE * peer.job.terms.vote_s
        agreed = yield peer.inbox.collect("chain:ContributionAgreed", round_, 1, deadline_s)
        if not agreed.complete or agreed.messages[0].fields["digest"] != body:
            return
        yield peer.env.sleep(min(peer.rank, LAST_TURN) * peer.chain.inclusion_s)
        if not peer.inbox.peek("chain:ContributionPaid", round_):
            peer.chain.submit("rewards", "pay", round_, amounts)
