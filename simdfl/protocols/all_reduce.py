"""Butterfly all-reduce: everybody aggregates one part, nobody checks anything.

The communication pattern of the verified protocol without its proofs (BTARD section 2.2): the difference of the
two in time, bytes and computation is the price of assurance.
"""

from __future__ import annotations

import numpy as np

from simdfl.crypto.hashing import digest
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.peers.peer import Seat
from simdfl.protocols.baseline import BaselineJob, BaselinePeer
from simdfl.protocols.parts import admissible, make_aggregate, own_first, part_size, split_parts


class AllReducePeer(BaselinePeer):
    """One peer of the unverified all-reduce.

    A rule sees one part of every gradient: a rule for whole vectors acts on the part as if it were one.

    Parameters
    ----------
    seat : Seat
        Its place in the run.
    job : BaselineJob
        What all peers share.
    """

    def __init__(self, seat: Seat, job: BaselineJob) -> None:
        super().__init__(seat, job)
        self._session = job.session(seat.index)

    def run(self) -> Life:
        """Compute, exchange, aggregate one's own part, collect all parts, update."""
        for step in range(self.job.steps):
            if self.has_crashed(step):
                return
            yield from self.during("COMPUTE", self.compute(step))
            yield from self.during("EXCHANGE", self.exchange(step))
            yield from self.during("AGGREGATE", self.aggregate(step))
            yield from self.during("UPDATE", self.collect(step))

    def exchange(self, step: int) -> Life:
        """EXCHANGE: send part j of one's gradient to aggregator j."""
        n = self.job.n_peers
        gradient = self.contribution(step)
        parts = split_parts(gradient, n)
        size = self.job.training.sizes.part_bytes(n, parts.shape[1])
        turn = self.turn(step)
        for owner in own_first(range(n), self.index):
            if owner == self.index or self.behaviour.sends_part(turn, owner):
                part = Message("PART", step, self.index, parts[owner], size, Traffic.GRADIENT)
                self.network.send(part, owner)
        yield self.inbox.collect("PART", step, n, self.env.now + self.job.wait_s)

    def aggregate(self, step: int) -> Life:
        """AGGREGATE one's own part over whatever arrived and send it to all."""
        n = self.job.n_peers
        arrived = {peer: message.content for peer, message in self.inbox.peek("PART", step).items()}
        sizes = self.job.training.sizes
        added = sum(sizes.part_entries(n, part.size) for part in arrived.values())
        yield self.spend("aggregation", self.device.work_s(added))
        turn = self.turn(step)
        root = self.job.root(self.state, step)
        own_root = None if root is None else split_parts(root, n)[self.index]
        values = self.behaviour.aggregate(turn, self._session.aggregate(step, arrived, n, own_root))
        aggregate = make_aggregate(admissible(values))
        size = sizes.part_bytes(n, aggregate.values.size)
        message = Message("VALUE", step, self.index, aggregate, size, Traffic.GRADIENT)
        for peer in own_first(range(n), self.index):
            if peer == self.index or self.behaviour.sends_aggregate(turn, peer):
                self.network.send(message, peer)

    def collect(self, step: int) -> Life:
        """Collect the aggregated parts and update; a part that does not come counts as zero."""
        n = self.job.n_peers
        got = yield self.inbox.collect("VALUE", step, n, self.env.now + self.job.wait_s)
        vector = np.zeros((n, part_size(self.job.training.n_parameters, n)), dtype=np.float32)
        for owner, message in got.messages.items():
            vector[owner] = message.content.values
        hashes = [got.messages[owner].content.hash if owner in got.messages else b"" for owner in range(n)]
        aggregate = vector.reshape(-1)[: self.job.training.n_parameters]
        self.finish(step, aggregate, digest("simdfl/aggregate", *hashes))
