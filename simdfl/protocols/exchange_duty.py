"""EXCHANGE, AGGREGATE and LOCK: parts travel to their aggregators, aggregates to everybody, and become final.

A part counts if it matches the signed, posted hash of its contributor. Who misses a part leaves together with its
contributor (ELIMINATE) and aggregation starts again without both. An aggregate counts if it matches its posted
hash; who misses one asks the others, and what a majority never got is void for all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from contracts_model import Phase
from contracts_model.court import Absence
from simdfl.chain.history import mask_members
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.peers.behaviour import Turn
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import Removed, StepRecord
from simdfl.protocols.parts import Commitment, admissible, make_aggregate, own_first, part_size
from simdfl.protocols.waiting import await_chain

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

LOCK_PATIENCE = 8.0
"""Part of the reveal's time after which a missing aggregate is asked for, and again until it is voted absent."""


class ExchangeDuty(Duty):
    """The exchange side of one peer's life."""

    def __init__(self, peer: VerifiedPeer) -> None:
        super().__init__(peer)
        peer.inbox.listen("WANT", self._serve_want)

    # ---- EXCHANGE and AGGREGATE

    def exchange_and_aggregate(self, record: StepRecord) -> Life:
        """EXCHANGE parts, AGGREGATE one's own over all contributors; start again when a pair was eliminated."""
        step = record.step
        event = yield from await_chain(self.peer, "Exchange", step, 0, step + 1, Phase.COMMIT)
        self._send_parts(record)
        final = self.peer.also(await_chain(self.peer, "Final", step, 0, step + 1, Phase.AGGREGATE))
        while event is not None:
            record.attempt = event.fields["attempt"]
            record.contributors = mask_members(event.fields["contributors"])
            if self.peer.index in mask_members(event.fields["dropped"]):
                raise Removed("eliminated")
            yield from self._aggregate_attempt(record)
            again = self.peer.inbox.collect("chain:Exchange", step, {record.attempt + 1})
            yield again | final
            event = again.value.messages[record.attempt + 1] if again.triggered and again.value else None

    def _send_parts(self, record: StepRecord) -> None:
        own = self.peer.inbox.peek("COMMIT", record.step).get(self.peer.index)
        if own is None:
            return
        turn = self.peer.turn(record)
        commitment: Commitment = own.content
        instead = self.peer.behaviour.sent_gradient(turn)
        if instead is not None:
            commitment = self.peer.commit_to(record, instead)
        size = commitment.part_bytes(self.peer.job.training.sizes)
        positions = {owner: position for position, owner in enumerate(record.roster)}
        for owner in own_first(record.roster, self.peer.index):
            if owner == self.peer.index or self.peer.behaviour.sends_part(turn, owner):
                content = (commitment, positions[owner])
                part = Message("PART", record.step, self.peer.index, content, size, Traffic.GRADIENT)
                self.peer.network.send(part, owner)

    def _aggregate_attempt(self, record: StepRecord) -> Life:
        """Collect the parts; with all of them publish the aggregate, else leave with who sent none."""
        step = record.step
        deadline_s = self.peer.phase_deadline(step, Phase.AGGREGATE) - self.peer.job.terms.aggregate_s / 2
        moved = self.peer.inbox.collect("chain:Exchange", step, {record.attempt + 1})
        for topic in ("COMMIT", "PART"):
            yield self.peer.inbox.collect(topic, step, record.contributors, deadline_s) | moved
            if moved.triggered:
                return
        missing = self._missing_parts(record)
        size = self.peer.job.training.sizes.vector_bytes() // len(record.roster) * len(record.contributors)
        yield self.peer.spend(
            "hash", self.peer.device.hash_s(size) + len(record.contributors) * self.peer.device.verify_s
        )
        turn = self.peer.turn(record)
        for other in self.peer.behaviour.eliminates(turn, missing)[:1]:
            self.peer.chain.submit("ledger", "eliminate", step, other)
        if not missing:
            yield self.peer.spend("aggregation", self.aggregation_s(record))
            self._publish_aggregate(record, turn)

    def _missing_parts(self, record: StepRecord) -> list[int]:
        """Return whose part did not arrive, or does not match its signed, posted commitment."""
        position, count = record.position(self.peer.index), len(record.roster)
        shape = (count, part_size(self.peer.job.training.n_parameters, count))
        posted = self.peer.evidence_duty.posted_commitments(record.step, record.contributors)
        arrived = self.peer.inbox.peek("PART", record.step)
        missing = []
        for peer in record.contributors:
            commitment, part = posted.get(peer), arrived.get(peer)
            if commitment is not None and part is not None:
                record.commitments[peer] = commitment
                if _is_of(commitment, part.content, position, shape):
                    continue
            missing.append(peer)
        return missing

    def aggregation_s(self, record: StepRecord) -> float:
        """Gram matrix and a few passes over the contributions of one part."""
        contributors = len(record.contributors)
        size = self.peer.job.training.sizes.vector_entries() / len(record.roster)
        return 2.0 * contributors * (contributors + 10) * size / self.peer.device.flops_per_s

    def _publish_aggregate(self, record: StepRecord, turn: Turn) -> None:
        commitments = [record.commitments[peer] for peer in record.contributors]
        right = self.peer.job.math.aggregate(commitments)[record.position(self.peer.index)]
        values = self.peer.behaviour.aggregate(turn, right.values)
        aggregate = right if values is right.values else make_aggregate(admissible(values))
        self.peer.chain.submit("ledger", "aggregate", record.step, record.attempt, aggregate.hash)
        sizes, topic = self.peer.job.training.sizes, f"VALUE{record.attempt}"
        size = sizes.part_bytes(len(record.roster), len(aggregate.values))
        message = Message(topic, record.step, self.peer.index, aggregate, size, Traffic.GRADIENT)
        behaviour = self.peer.behaviour
        for peer in own_first(record.roster, self.peer.index):
            if peer == self.peer.index:
                self.peer.network.send(message, peer)
            elif behaviour.sends_aggregate(turn, peer):
                sent = behaviour.aggregate_for(turn, peer, aggregate.values)
                other = message if sent is aggregate.values else replace(message, content=make_aggregate(sent))
                self.peer.network.send(other, peer)

    # ---- LOCK

    def lock(self, record: StepRecord) -> Life:
        """LOCK: the aggregates are final on chain; hold them all before opening one's secret."""
        step, topic = record.step, f"VALUE{record.attempt}"
        posted = self.peer.chain.history.aggregates[(step, record.attempt)]
        void = mask_members(self.peer.inbox.peek("chain:Final", step)[0].fields["void"])
        owners = [owner for owner in record.roster if owner not in void]
        patience_s = self.peer.job.terms.reveal_s / LOCK_PATIENCE
        yield self.peer.inbox.collect(topic, step, owners, self.peer.env.now + patience_s)
        for owner in self._without_value(topic, step, owners, posted):
            if not self._has_value(topic, step, owner, posted):  # it may have come while another was fetched
                yield from self._fetch(topic, record, owner, posted, patience_s)

    def _without_value(self, topic: str, step: int, owners: list[int], posted: dict[int, bytes]) -> list[int]:
        """Return of which owners no aggregate that matches its posted hash has arrived."""
        arrived = self.peer.inbox.peek(topic, step)
        shape = (part_size(self.peer.job.training.n_parameters, len(self.peer.records[step].roster)),)
        return [
            owner
            for owner in owners
            if (message := arrived.get(owner)) is None
            or message.content.hash != posted[owner]
            or message.content.values.shape != shape
        ]

    def _has_value(self, topic: str, step: int, owner: int, posted: dict[int, bytes]) -> bool:
        return not self._without_value(topic, step, [owner], posted)

    def _fetch(
        self, topic: str, record: StepRecord, owner: int, posted: dict[int, bytes], patience_s: float
    ) -> Life:
        """Ask everybody for an aggregated part; if nobody has it, vote it absent and wait for the verdict.

        One honest holder is enough. Where a majority votes it absent the part is void for all, also for those
        who have it: what counts is decided on chain.
        """
        step = record.step
        voided = self.peer.inbox.collect("chain:PartVoided", step, {owner})
        until_s, voted = self.peer.env.now + patience_s, False
        for peer in record.roster:
            if peer not in (self.peer.index, owner):
                self.peer.network.send(
                    Message("WANT", step, self.peer.index, (topic, owner), 8, Traffic.CONTROL), peer
                )
        while not voided.triggered and not self._has_value(topic, step, owner, posted):
            self.peer.inbox.discard(topic, step, owner)
            yield self.peer.inbox.collect(topic, step, {owner}, None if voted else until_s) | voided
            if not voted and self.peer.env.now >= until_s and not self._has_value(topic, step, owner, posted):
                absent = (int(Absence.AGGREGATE), step, owner)
                self.peer.chain.submit("court", "report_absence", *absent)
                voted = True

    def settle(self, record: StepRecord) -> None:
        """Take the aggregates as the chain settled them: a part can become void until the beacon opens."""
        step = record.step
        void = set(mask_members(self.peer.inbox.peek("chain:Final", step)[0].fields["void"]))
        void |= set(self.peer.inbox.peek("chain:PartVoided", step))
        values = self.peer.inbox.peek(f"VALUE{record.attempt}", step)
        record.aggregates = [None if owner in void else values[owner].content for owner in record.roster]

    def _serve_want(self, step: int, sender: int, message: Message) -> None:
        topic, owner = message.content
        held = self.peer.inbox.peek(topic, step).get(owner)
        if held is not None:
            self.peer.network.send(held, sender, source=self.peer.index)


def _is_of(
    commitment: Commitment, content: tuple[Commitment, int], position: int, shape: tuple[int, int]
) -> bool:
    """Return whether a part that was sent for a position is the committed one, of a gradient of this shape."""
    sent, where = content
    fits = where == position and commitment.parts.shape == sent.parts.shape == shape
    return fits and sent.hashes[position] == commitment.hashes[position]
