"""What the gossip protocols share: peers with models of their own, and what a lie is where models are exchanged.

Every peer holds parameters and an optimiser state that nobody else has; only parameters travel. A peer's gradient
is taken at its own model, on the public batch that it would have in ``all_reduce``.

A behaviour decides about gradients, but a model is sent. So a Byzantine peer keeps an honest model, which it
needs to lie well, and *tells* another one: the model that the optimiser would have reached with the crafted
gradient instead of the right one, from the same start, with an optimiser state in which the crafted gradients
pile up. A crafted NaN therefore spoils what is told and never the liar's own model, and a liar that stops is
honest at once.
``vector_for`` may then tell every neighbour something else. Nobody here can check any of it.

Omniscient attackers see every peer's model as it is at that instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from simdfl.aggregation import GossipContext, GossipRule, RuleContext
from simdfl.aggregation.rows import is_usable
from simdfl.kernel.actor import Life
from simdfl.learning.gradients import TrainingDivergedError
from simdfl.learning.handles import GradientHandle
from simdfl.learning.local_steps import StepEngine, StepHandle
from simdfl.learning.optimisers import OptState
from simdfl.learning.poison import Poison
from simdfl.peers.behaviour import Turn
from simdfl.peers.peer import Peer, Seat
from simdfl.protocols.partners import Partners
from simdfl.protocols.training import ModelState, Training
from simdfl.protocols.verified import StepFinished
from simdfl.rng import Rng
from simdfl.trace import Tracer

LOSS_SHARE = 1.0 / 3.0
"""A forward pass as a share of a gradient, which is one forward and one backward pass of twice the work."""


@dataclass(frozen=True)
class GossipStyle:
    """How models are exchanged; see the protocols' own pages for the words."""

    order: str = "combine_and_adapt"
    merge: str = "sum_weight"
    fanout: int = 1


class RowBuffer:
    """Memory for the rows of one mixture at a time: fresh memory would cost more than the mixture.

    Parameters
    ----------
    length : int
        Entries in a row (d).
    """

    def __init__(self, length: int) -> None:
        self._rows = np.empty((0, length), dtype=np.float32)

    def stack(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vectors (d,) as rows (k, d), good until the next call."""
        if len(vectors) > len(self._rows):
            self._rows = np.empty((len(vectors), self._rows.shape[1]), dtype=np.float32)
        rows = self._rows[: len(vectors)]
        return np.stack(vectors, out=rows) if vectors else rows


@dataclass(frozen=True, eq=False)
class GossipJob:
    """What all peers of a gossip run share.

    Parameters
    ----------
    training : Training
        Gradients, on an engine for own states, and the initial model.
    local_steps : StepEngine
        Optimiser steps.
    rules : sequence of GossipRule
        Peer i's rule.
    partners : Partners
        Who mixes with whom, and the weights.
    style : GossipStyle
    steps, n_peers : int
    wait_s : float
        How long a peer waits for its neighbours in one step.
    rng : Rng
    trace : Tracer
    rows : RowBuffer
    peers : list of GossipPeer
        Everybody, for omniscient attackers.
    """

    training: Training
    local_steps: StepEngine
    rules: Sequence[GossipRule]
    partners: Partners
    style: GossipStyle
    steps: int
    n_peers: int
    wait_s: float
    rng: Rng
    trace: Tracer
    rows: RowBuffer
    peers: list[GossipPeer] = field(default_factory=list, repr=False)

    def batch_seed(self, step: int, peer: int) -> bytes:
        """Return the public seed of a peer's batch: the one that it has in the other unverified protocols."""
        return self.training.batch_seed(self.rng.key("baseline-batches", step), step, peer)

    def ask(self, peer: int, step: int, poison: Poison | None = None) -> GradientHandle:
        """Ask for the gradient of a peer's present model on its batch of `step`."""
        training, state, seed = self.training, self.peers[peer].state, self.batch_seed(step, peer)
        try:
            return training.request(state.handle, seed, poison)
        except KeyError:  # dropped from the cache meanwhile: the owner is slow
            return training.request(training.engine.put(state.params), seed, poison)

    def rule_context(self, peer: int, step: int, own: np.ndarray) -> RuleContext:
        """Return what a rule over the closed neighbourhood may know: the own vector is the one to trust."""
        seed, previous = self.rng.key("rule", peer, step), self.peers[peer].state.params
        return RuleContext(step, seed, previous, own, None, self.training.layers)


class GossipPeer(Peer):
    """A peer with a model of its own.

    Parameters
    ----------
    seat : Seat
        Its place in the run.
    job : GossipJob
        What all peers share.
    """

    def __init__(self, seat: Seat, job: GossipJob) -> None:
        super().__init__(seat)
        self.job = job
        self.state: ModelState = job.training.genesis
        self.neighbours = self.network.neighbours(seat.index)
        self.told: np.ndarray = self.state.params
        self._told_opt_state = self.state.opt_state
        self._asked: tuple[int, GradientHandle, StepHandle] | None = None
        self._forecast: tuple[int, ModelState, np.ndarray] | None = None
        job.peers.append(self)

    def turn(self, step: int) -> Turn:
        """Return what a behaviour may look at."""
        everyone, job = range(self.job.n_peers), self.job

        def gradient_of(peer: int, poison: Poison | None = None) -> np.ndarray:
            if peer == self.index and poison is None and self._asked is not None and self._asked[0] == step:
                return self._asked[1].value()
            if peer >= job.n_peers:  # a batch that is nobody's: at the own model
                handle = job.training.engine.put(self.state.params)
                return job.training.engine.request(handle, job.batch_seed(step, peer), poison).value()
            return job.ask(peer, step, poison).value()

        return Turn(
            step,
            self.index,
            everyone,
            everyone,
            gradient_of,
            ask=lambda peer, poison: job.ask(peer, step, poison),
            vector_of=lambda peer: job.peers[peer].honest_vector(step),
            neighbours_of=lambda peer: job.peers[peer].neighbours,
        )

    def honest_vector(self, step: int) -> np.ndarray:
        """Return what this peer would send in `step` if it were honest (d,): its model as it is now."""
        return self.state.params

    def has_crashed(self, step: int) -> bool:
        """Return whether this peer falls silent before `step`."""
        return self.behaviour.has_crashed(self.turn(step))

    def compute(self, step: int) -> Life:
        """Compute the gradient at the own model, and the optimiser's step along it, together with the others'."""
        gradient = self.job.ask(self.index, step)
        self._asked = step, gradient, self.job.local_steps.request(gradient, self.state.opt_state)
        yield from self.compute_gradient(self.job.training.engine, self.turn(step))

    def adapt(self, step: int, start: np.ndarray) -> np.ndarray:
        """Return `start` (d,) after the local step, and settle what will be told of it."""
        assert self._asked is not None
        _, gradient, local_step = self._asked
        change, opt_state = local_step.value()
        reached = _read_only(start + change)
        with np.errstate(over="ignore"):
            claimed = np.asarray(self.behaviour.gradient(self.turn(step)), dtype=np.float32)
        right = gradient.value()
        if claimed is right or np.array_equal(claimed, right):
            self.told, self._told_opt_state = reached, opt_state
        else:
            optimiser = self.job.training.optimiser
            self.told, self._told_opt_state = optimiser.update(start, self._told_opt_state, claimed)
        return reached

    def tell(self, turn: Turn, neighbour: int) -> np.ndarray:
        """Return what this neighbour is told (d,) float32."""
        with np.errstate(over="ignore"):
            return np.asarray(self.behaviour.vector_for(turn, neighbour, self.told), dtype=np.float32)

    def mix(
        self, step: int, own: np.ndarray, vectors: Sequence[np.ndarray], weights: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the rule's mixture (d,) of the own and the given vectors, and how long it takes.

        Raises
        ------
        TrainingDivergedError
            If the own vector is not usable any more.
        """
        if not is_usable(own[None])[0]:
            raise TrainingDivergedError(
                f"the model of peer {self.index} is not finite or too long (training diverged in step {step}); "
                "use a smaller learning rate or a robust rule"
            )
        tested, seed = 0, self.job.batch_seed(step, self.index)

        def loss(vector: np.ndarray) -> float:
            nonlocal tested
            tested += 1
            return self.job.training.engine.loss(vector, seed)

        context = GossipContext(step, self.job.steps, loss, self.job.rule_context(self.index, step, own))
        mixed = self.job.rules[self.index](own, self.job.rows.stack(vectors), weights, context)
        entries = self.job.training.sizes.vector_entries(own.size)
        duration_s = self.device.work_s(2.0 * entries * len(weights))
        return mixed, duration_s + tested * LOSS_SHARE * self.gradient_s(self.job.training.engine)

    def adopt(self, params: np.ndarray, opt_state: OptState) -> None:
        """Make `params` (d,) the own model."""
        handle = self.job.training.engine.put(params)
        self.state = ModelState(handle, _read_only(params), opt_state, handle)

    def finish(self, step: int, params: np.ndarray) -> None:
        """End a step with the model `params` (d,); it has the digest of its parameters."""
        assert self._asked is not None
        self.adopt(params, self._asked[2].value()[1])
        self.job.trace(self.env.now, StepFinished(step, self.index, self.state.digest))


def _read_only(vector: np.ndarray) -> np.ndarray:
    vector.flags.writeable = False
    return vector
