"""Peers that the network loses for a while, and who did not stop: the others go on, and so do they."""

from __future__ import annotations

import pytest

from simdfl.scenario import loads
from simdfl.world import build

TEXT = """
name: absent
protocol: {steps: 8}
peers: {count: 8}
topology: {name: complete}
beacon: {group: ideal}
learning: {dataset: {name: synthetic, params: {n_train: 200, n_test: 50, dim: 4, n_classes: 2}},
  model: {name: logistic}, batch_size: 4, evaluate_every: 100}
network: {churn: {share: 0.5, session_s: 60, absence_s: 20, after_s: 0}}
contracts: {commit_s: 20, aggregate_s: 20, reveal_s: 20}
"""


@pytest.mark.parametrize("seed", range(8))
def test_absences_end_no_process_and_split_no_model(seed: int) -> None:
    world = build(loads(f"{TEXT}seed: {seed}\n").scenario)
    result = world.run()
    assert result.outcome == "completed" or "minimum" in result.outcome
    assert max((row["distinct_models"] for row in result.steps), default=1) == 1
    reasons = {row["reason"] for row in result.removals if row["kind"] == "banned"}
    assert reasons <= {"withheld reveal"}  # a secret that is due and does not come is slashed, for whatever cause
