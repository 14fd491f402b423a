"""D-PSGD: every peer steps along the gradient at its own model and averages with its neighbours, step by step.

In step k peer i holds x_i and draws the batch xi_i:

1. g_i = gradient of F(x_i; xi_i);
2. x_i' = sum_j w_ij x_j over itself and its neighbours;
3. x_i = x_i' + the optimiser's step along g_i (for SGD: x_i' - gamma g_i).

That is the paper's order, and the default (``combine_and_adapt``): what is mixed are the models at which
gradients are taken, so that a peer sends before it computes and the network works meanwhile. In the other order
(``adapt_then_combine``) a peer first makes its step and then sends and mixes what it reached; a gradient then
goes through the rules within its own step, which is how robust gossip is mostly written. Optimiser states
are not mixed.

The neighbours are all of the overlay's, or one that changes from step to step (:mod:`simdfl.protocols.partners`).
The sum is the gossip rule's to replace. A peer waits for the neighbours of that step and for nobody else, at most
``wait_s``; the weight of one that does not come falls to the peer itself. A crashed or silent neighbour therefore
costs that wait in every step: without a ledger of who is gone nobody can be told from slow.

References
----------
Lian, Zhang, Zhang, Hsieh, Zhang, Liu, "Can decentralized algorithms outperform centralized algorithms? A case
study for decentralized parallel stochastic gradient descent", NIPS 2017, algorithm 1.
He, Karimireddy, Jaggi, "Byzantine-robust decentralized learning via ClippedGossip", arXiv 2202.01545, algorithm 1
(adapt, then combine).
"""

from __future__ import annotations

import numpy as np

from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.protocols.gossip import GossipPeer


class GossipSgdPeer(GossipPeer):
    """One peer of D-PSGD."""

    def run(self) -> Life:
        """Make all steps, each in the order that the job asks for."""
        adapts_first = self.job.style.order == "adapt_then_combine"
        for step in range(self.job.steps):
            if self.has_crashed(step):
                return
            params = yield from self.adapt_then_combine(step) if adapts_first else self.combine_and_adapt(step)
            self.inbox.forget(("MODEL",), step)
            self.finish(step, params)

    def combine_and_adapt(self, step: int) -> Life:
        """Send x_i, compute g_i meanwhile, mix what came, step along g_i."""
        yield from self.send(step)
        yield from self.compute(step)
        mixed = yield from self.combine(step, self.state.params)
        return self.adapt(step, mixed)

    def adapt_then_combine(self, step: int) -> Life:
        """Compute g_i, step along it, send where that leads, mix what came."""
        yield from self.compute(step)
        reached = self.adapt(step, self.state.params)
        yield from self.send(step)
        return (yield from self.combine(step, reached))

    def honest_vector(self, step: int) -> np.ndarray:
        """Return what this peer would send in `step` if it were honest (d,)."""
        if self.job.style.order == "combine_and_adapt":
            return self.state.params
        known = self._forecast
        if known is None or known[0] != step or known[1] is not self.state:
            local_step = self.job.local_steps.request(self.job.ask(self.index, step), self.state.opt_state)
            known = self._forecast = step, self.state, self.state.params + local_step.value()[0]
        return known[2]

    def send(self, step: int) -> Life:
        """Send every neighbour what is told of the own model."""
        turn = self.turn(step)
        yield from self.hold_back(turn)
        for neighbour in self.job.partners.targets(step, self.index):
            if self.behaviour.sends_part(turn, neighbour):
                vector = self.tell(turn, neighbour)
                size = self.job.training.sizes.vector_bytes(vector.size)
                message = Message("MODEL", step, self.index, vector, size, Traffic.GRADIENT)
                self.network.send(message, neighbour)

    def combine(self, step: int, own: np.ndarray) -> Life:
        """Wait for the neighbours' models of this step and mix them with `own` (d,)."""
        deadline_s = self.env.now + self.job.wait_s
        sources = self.job.partners.sources(step, self.index)
        got = yield self.inbox.collect("MODEL", step, sources, deadline_s)
        weights = self.job.partners.weights(self.index, list(got.messages))
        vectors = [message.content for message in got.messages.values()]
        mixed, duration_s = self.mix(step, own, vectors, weights)
        yield self.spend("aggregation", duration_s)
        return mixed
