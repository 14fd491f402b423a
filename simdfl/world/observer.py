"""Watches a run from outside: step times, accuracy, removals; feeds tables and live progress."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdfl.chain.block import BlockProduced, ContractEvent, Reorganised
from simdfl.learning.poison import Records
from simdfl.protocols.training import ModelState, Training
from simdfl.protocols.verified import StepFinished
from simdfl.trace import TraceRecorder
from simdfl.world.result import Row

Progress = Callable[[int, float, float | None, int], None]
EVALUATED = ("accuracy", "loss", "accuracy_worst", "consensus_distance", "attack_success")


@dataclass(frozen=True)
class FinalModel:
    """What is left at the end: parameters (d,), accuracy, loss (nats) and attack success, None without a goal."""

    params: np.ndarray
    accuracy: float
    loss: float
    attack_success: float | None


class Observer:
    """The tracer of a run, which also keeps the tables.

    Parameters
    ----------
    training : Training
        Evaluates models.
    honest : frozenset of int
        Whose models count.
    steps, every : int
        Steps of the run, and between two evaluations.
    keep_trace : bool
        Whether all events are kept.
    progress : callable, optional
        Called as ``progress(step, now_s, accuracy or None, removed)`` when a step is first finished.
    """

    def __init__(
        self,
        training: Training,
        honest: frozenset[int],
        steps: int,
        every: int,
        keep_trace: bool,
        progress: Progress | None,
    ) -> None:
        self.recorder = TraceRecorder(keep_trace)
        self.removals: list[Row] = []
        self.steps: dict[int, Row] = {}
        self.final_state: ModelState = training.genesis
        self.peer_states: Callable[[int], ModelState] | None = None
        self.goal: Records | None = None
        self.publish: Callable[[int, int, ModelState], None] | None = None
        self._training = training
        self._honest = honest
        self._last = steps - 1
        self._every = every
        self._progress = progress
        self._current_step = 0
        self._block = 0
        self._removal_blocks: list[int] = []

    def __call__(self, now_s: float, event: Any) -> None:
        """Record an event (a :data:`~simdfl.trace.Tracer`)."""
        self.recorder(now_s, event)
        if isinstance(event, StepFinished):
            self._on_step(now_s, event)
        elif isinstance(event, BlockProduced):
            self._block = event.number
        elif isinstance(event, Reorganised) and event.chain == "chain":
            self._go_back(event.ancestor)
        elif isinstance(event, ContractEvent) and event.name in ("Banned", "Ejected", "StepOpened"):
            self._on_contract(now_s, event)

    def _on_step(self, now_s: float, event: StepFinished) -> None:
        if event.peer not in self._honest or self.peer_states is None:
            return
        row = self.steps.get(event.step)
        if row is not None:
            row["finished_s"] = now_s
            row["models"].add(event.state)
            return
        state = self.peer_states(event.peer)
        accuracy = loss = success = None
        if event.step % self._every == 0 or event.step == self._last:
            evaluation = self._training.evaluate(state)
            accuracy, loss = evaluation.accuracy, evaluation.loss
            success = self.attack_success(state)
        figures = {"accuracy": accuracy, "loss": loss, "attack_success": success}
        self.steps[event.step] = self._row(event.step, now_s, state, event.state) | figures
        self.final_state = state
        if self.publish is not None:
            self.publish(event.step, event.peer, state)
        if self._progress is not None:
            self._progress(event.step, now_s, accuracy, self.removed_count)

    def _row(self, step: int, now_s: float, state: ModelState, model: bytes) -> Row:
        """Return the row of a step that somebody has just finished, not evaluated yet."""
        return {
            "step": step,
            "first_finished_s": now_s,
            "finished_s": now_s,
            **dict.fromkeys(EVALUATED),
            "removed": self.removed_count,
            "state": state.digest.hex(),
            "models": {model},
        }

    def outcome(self) -> FinalModel:
        """Return the model at the end of the run, with what it is worth."""
        evaluation = self._training.evaluate(self.final_state)
        success = self.attack_success(self.final_state)
        return FinalModel(self.final_state.params, evaluation.accuracy, evaluation.loss, success)

    def attack_success(self, state: ModelState) -> float | None:
        """Return the share of the attackers' records that the model labels as they wish; None without a goal."""
        return None if self.goal is None else self._training.success(state, self.goal)

    def _on_contract(self, now_s: float, event: ContractEvent) -> None:
        fields = json.loads(event.fields)
        if event.name == "StepOpened":
            self._current_step = fields["step"]
            return
        self._removal_blocks.append(self._block)
        self.removals.append(
            {
                "time_s": now_s,
                "step": self._current_step,
                "peer": fields["peer"],
                "kind": event.name.lower(),
                "reason": fields["reason"],
                "reporter": fields.get("reporter", -1),
                "slashed_wei": str(fields.get("slashed", 0)),
                "byzantine": fields["peer"] not in self._honest,
            }
        )

    @property
    def removed_count(self) -> int:
        """Removals so far; a ban of a peer that was removed before is none."""
        seen: set[int] = set()
        count = 0
        for row in self.removals:
            count += row["kind"] == "ejected" or row["peer"] not in seen
            seen.add(row["peer"])
        return count

    def _go_back(self, ancestor: int) -> None:
        """Forget removals in blocks that are abandoned."""
        stands = [block <= ancestor for block in self._removal_blocks]
        self.removals = [row for row, holds in zip(self.removals, stands) if holds]
        self._removal_blocks = [block for block in self._removal_blocks if block <= ancestor]

    def step_rows(self) -> list[Row]:
        """Return one row per finished step, in order."""
        rows = []
        for step in sorted(self.steps):
            row = dict(self.steps[step])
            row["distinct_models"] = len(row.pop("models"))
            rows.append(row)
        return rows
