"""What the unprotected baselines share: public batches, no checks, no chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdfl.aggregation import Rule, RuleSession, needs_root
from simdfl.kernel.actor import Life
from simdfl.learning.poison import Poison
from simdfl.peers.behaviour import Turn
from simdfl.peers.peer import Peer, Seat
from simdfl.protocols.training import ModelState, Training
from simdfl.protocols.verified import StepFinished
from simdfl.rng import Rng
from simdfl.trace import Tracer


@dataclass(frozen=True)
class BaselineJob:
    """What all peers of a baseline run share; ``wait_s`` is how long they wait for one another."""

    training: Training
    rule: Rule
    steps: int
    n_peers: int
    wait_s: float
    rng: Rng
    trace: Tracer

    def randomness(self, step: int) -> bytes:
        """Return the public randomness that names a step's batches: nobody needs to trust it here."""
        return self.rng.key("baseline-batches", step)

    def session(self, aggregator: int, layers: tuple[int, ...] = ()) -> RuleSession:
        """Return one aggregator's use of the rule; every aggregator and step has randomness of its own."""
        return RuleSession(self.rule, lambda step: self.rng.key("rule", aggregator, step), layers)

    def root(self, state: ModelState, step: int) -> np.ndarray | None:
        """Return the gradient (d,) of a public batch for rules that trust one, else None.

        The batch is that of a peer that does not exist, number n, so that no peer's row is the root by chance.
        """
        if not needs_root(self.rule):
            return None
        seed = self.training.batch_seed(self.randomness(step), step, self.n_peers)
        return self.training.gradient(state, seed)


class BaselinePeer(Peer):
    """A peer that trains without verification.

    Parameters
    ----------
    seat : Seat
        Its place in the run.
    job : BaselineJob
        What all peers share.
    """

    def __init__(self, seat: Seat, job: BaselineJob) -> None:
        super().__init__(seat)
        self.job = job
        self.state: ModelState = job.training.genesis

    def turn(self, step: int) -> Turn:
        """Return what a behaviour may look at."""
        everyone = range(self.job.n_peers)
        state, randomness = self.state, self.job.randomness(step)

        def gradient_of(peer: int, poison: Poison | None = None) -> np.ndarray:
            seed = self.job.training.batch_seed(randomness, step, peer)
            return self.job.training.gradient(state, seed, poison)

        def ask(peer: int, poison: Poison) -> None:
            self.job.training.ask(state, self.job.training.batch_seed(randomness, step, peer), poison)

        return Turn(step, self.index, everyone, everyone, gradient_of, ask=ask)

    def has_crashed(self, step: int) -> bool:
        """Return whether this peer falls silent before `step`."""
        return self.behaviour.has_crashed(self.turn(step))

    def compute(self, step: int) -> Life:
        """COMPUTE the gradient; it is asked for early, so that it is computed together with the others'."""
        randomness, turn = self.job.randomness(step), self.turn(step)
        self.job.training.announce(self.state, randomness, step, range(self.job.n_peers))
        yield from self.compute_gradient(self.job.training.engine, turn)
        yield from self.hold_back(turn)

    def contribution(self, step: int) -> np.ndarray:
        """Return what this peer sends as its gradient (d,), as it is: here the rule alone stands against NaN."""
        with np.errstate(over="ignore"):
            return np.asarray(self.behaviour.gradient(self.turn(step)), dtype=np.float32)

    def finish(self, step: int, aggregate: np.ndarray, aggregate_digest: bytes) -> None:
        """Apply the aggregate (d,)."""
        self.state = self.job.training.update(self.state, aggregate, aggregate_digest)
        self.inbox.forget(("PART", "VALUE", "GRADIENT", "MODEL"), step)
        self.job.trace(self.env.now, StepFinished(step, self.index, self.state.digest))
