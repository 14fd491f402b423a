"""Watches a run in which every peer has a model of its own: how good the models are, and how far apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simdfl.learning.gradients import Evaluation
from simdfl.protocols.training import ModelState
from simdfl.protocols.verified import StepFinished
from simdfl.world.observer import FinalModel, Observer

EVALUATED_PEERS = 16


class Spread:
    """Running mean squared distance of vectors to their mean, about the first of them.

    >>> spread = Spread(np.float32([1.0, 0.0]))
    >>> spread.add(np.float32([3.0, 0.0]))
    >>> spread.consensus_distance(), spread.mean()
    (1.0, array([2., 0.], dtype=float32))
    """

    def __init__(self, first: np.ndarray) -> None:
        self._first = first.astype(np.float64)
        self._sum = np.zeros_like(self._first)
        self._squares = 0.0
        self._count = 1

    def add(self, vector: np.ndarray) -> None:
        """Take one more vector (d,) into account."""
        about = vector - self._first
        self._sum += about
        self._squares += float(about @ about)
        self._count += 1

    def consensus_distance(self) -> float:
        """Return the mean squared distance to the mean, never below zero."""
        shift = self._sum / self._count
        return max(0.0, self._squares / self._count - float(shift @ shift))

    def mean(self) -> np.ndarray:
        """Return the mean (d,) float32."""
        return (self._first + self._sum / self._count).astype(np.float32)


@dataclass
class _Snapshot:
    """What is known of the honest models after one evaluated step."""

    spread: Spread
    count: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    successes: list[float] = field(default_factory=list)


class GossipObserver(Observer):
    """An observer of many models.

    Accuracy, loss and attack success are means over the evaluated peers: all honest ones, or 16 drawn once for
    the run. Each is evaluated when it has made the step, so that peers out of step are compared at equal steps.
    The final model is the mean over the honest peers that made the last step, all of them if nobody did.
    """

    def draw_sample(self, rng: np.random.Generator) -> None:
        """Draw whose models are evaluated."""
        honest = sorted(self._honest)
        drawn = rng.choice(honest, min(EVALUATED_PEERS, len(honest)), replace=False)
        self.sample = frozenset(drawn.tolist())
        self._snapshots: dict[int, _Snapshot] = {}
        self._done: set[int] = set()

    def _on_step(self, now_s: float, event: StepFinished) -> None:
        if event.peer not in self._honest or self.peer_states is None:
            return
        state = self.peer_states(event.peer)
        row = self.steps.get(event.step)
        is_first = row is None
        if row is None:
            row = self.steps[event.step] = self._row(event.step, now_s, state, event.state)
        row["finished_s"] = now_s
        row["models"].add(event.state)
        if event.step % self._every == 0 or event.step == self._last:
            row |= self._figures(event, state)
        if event.step == self._last:
            self._done.add(event.peer)
        if is_first and self._progress is not None:
            self._progress(event.step, now_s, row["accuracy"], self.removed_count)

    def _figures(self, event: StepFinished, state: ModelState) -> dict[str, float | None]:
        """Take one more model of this step into account and return the step's figures so far."""
        snapshot = self._snapshots.get(event.step)
        if snapshot is None:
            snapshot = self._snapshots[event.step] = _Snapshot(Spread(state.params))
        else:
            snapshot.spread.add(state.params)
        if event.peer in self.sample:
            snapshot.evaluations.append(self._training.evaluate(state))
            success = self.attack_success(state)
            snapshot.successes += [] if success is None else [success]
        snapshot.count += 1
        if snapshot.count == len(self._honest):  # nobody can add to these two vectors of doubles
            del self._snapshots[event.step]
        figures = _summary(snapshot.evaluations, snapshot.successes)
        return figures | {"consensus_distance": snapshot.spread.consensus_distance()}

    def outcome(self) -> FinalModel:
        """Return the mean of the honest models, with the mean of what the evaluated ones are worth."""
        assert self.peer_states is not None
        peers = sorted(self._done or self._honest)
        states = {peer: self.peer_states(peer) for peer in peers}
        spread = Spread(states[peers[0]].params)
        for peer in peers[1:]:
            spread.add(states[peer].params)
        chosen = [states[peer] for peer in peers if peer in self.sample] or list(states.values())[
            :EVALUATED_PEERS
        ]
        successes = [value for state in chosen if (value := self.attack_success(state)) is not None]
        figures = _summary([self._training.evaluate(state) for state in chosen], successes)
        accuracy, loss = figures["accuracy"], figures["loss"]
        assert accuracy is not None
        assert loss is not None
        return FinalModel(spread.mean(), accuracy, loss, figures["attack_success"])


def _summary(evaluations: list[Evaluation], successes: list[float]) -> dict[str, float | None]:
    """Return means and the least accuracy; None where nothing was evaluated yet."""
    accuracies = [evaluation.accuracy for evaluation in evaluations]
    return {
        "accuracy": float(np.mean(accuracies)) if accuracies else None,
        "loss": float(np.mean([evaluation.loss for evaluation in evaluations])) if accuracies else None,
        "accuracy_worst": min(accuracies) if accuracies else None,
        "attack_success": float(np.mean(successes)) if successes else None,
    }
