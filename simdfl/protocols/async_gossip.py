"""Asynchronous gossip: each peer trains at its own pace and gives its model away; nobody waits for anybody.

Peer i repeats, ``steps`` times:

1. merge the models that have arrived since its last step into x_i;
2. compute the gradient at x_i and step along it;
3. send x_i to ``fanout`` neighbours drawn at random.

By default models carry the weights of GoSGD, a sum-weight gossip: each peer starts with weight 1; a message
takes an equal share of its sender's weight along, and a receiver of weight a that merges a model of weight b
moves by b / (a + b) towards it and keeps a + b. No weight is lost, so that a model counts for as much as went
into it although nothing is symmetric. The paper sends with probability p to any peer; here a message goes to
neighbours after every step. With ``merge: age`` the weights are the numbers of local steps in a model, as in
gossip learning, and the merged model is as old as the oldest. Models that wait together are merged together, by
the gossip rule.

Weights and ages are the sender's word; nobody can check them. The pairwise averaging of AD-PSGD, in which both
sides change at once, is not offered: a message moves its receiver alone.

References
----------
Blot, Picard, Cord, Thome, "Gossip training for deep learning", arXiv 1611.09726, 2016, section 3 (GoSGD).
Ormándi, Hegedűs, Jelasity, "Gossip learning with linear models on fully distributed data", Concurrency and
Computation 25(4), 2013, algorithm 1.
Hegedűs, Danner, Jelasity, "Gossip learning as a decentralized alternative to federated learning", DAIS 2019,
section 3 (merging by age).
Lian, Zhang, Zhang, Liu, "Asynchronous decentralized parallel stochastic gradient descent", ICML 2018 (AD-PSGD).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.peers.peer import Seat
from simdfl.protocols.gossip import GossipJob, GossipPeer

WEIGHT_BYTES = 8
LEAST_WEIGHT = 1e-300
"""A peer that only gives would halve its weight to nothing in a thousand steps."""


@dataclass(frozen=True, eq=False)
class Parcel:
    """A model on its way: the vector (d,) and the weight or age that its sender claims."""

    vector: np.ndarray
    weight: float


class AsyncGossipPeer(GossipPeer):
    """One peer of asynchronous gossip.

    Parameters
    ----------
    seat : Seat
        Its place in the run.
    job : GossipJob
        What all peers share.
    """

    def __init__(self, seat: Seat, job: GossipJob) -> None:
        super().__init__(seat, job)
        self.is_aged = job.style.merge == "age"
        self.weight = 0.0 if self.is_aged else 1.0
        self._arrived: list[Parcel] = []
        self.inbox.listen("PUSH", lambda step, sender, message: self._arrived.append(message.content))

    def run(self) -> Life:
        """Merge, learn, push; when done, take no more models."""
        for step in range(self.job.steps):
            if self.has_crashed(step):
                break
            yield from self.merge(step)
            yield from self.compute(step)
            self.weight += self.is_aged
            self.finish(step, self.adapt(step, self.state.params))
            yield from self.push(step)
        self.inbox.listen("PUSH", lambda step, sender, message: None)

    def merge(self, step: int) -> Life:
        """Take in what has arrived."""
        if not self._arrived:
            return
        parcels, self._arrived = self._arrived, []
        weights = np.array([self.weight, *(parcel.weight for parcel in parcels)])
        vectors = [parcel.vector for parcel in parcels]
        mixed, duration_s = self.mix(step, self.state.params, vectors, weights / weights.sum())
        self.weight = float(weights.max() if self.is_aged else weights.sum())
        self.adopt(mixed, self.state.opt_state)
        yield self.spend("aggregation", duration_s)

    def push(self, step: int) -> Life:
        """Give the model to neighbours drawn at random, and with it a share of the weight."""
        fanout, turn = self.job.style.fanout, self.turn(step)
        yield from self.hold_back(turn)
        if not self.is_aged:
            self.weight = max(self.weight / (1 + fanout), LEAST_WEIGHT)
        draw = self.job.rng.stream("push", self.index, step)
        for neighbour in draw.choice(self.neighbours, fanout, replace=False).tolist():
            if self.behaviour.sends_part(turn, neighbour):
                vector = self.tell(turn, neighbour)
                size_bytes = self.job.training.sizes.vector_bytes(vector.size) + WEIGHT_BYTES
                parcel = Parcel(vector, self.weight)
                message = Message("PUSH", step, self.index, parcel, size_bytes, Traffic.GRADIENT)
                self.network.send(message, neighbour)
