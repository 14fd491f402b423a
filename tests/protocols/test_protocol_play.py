"""The verified protocol as a play: who acts when, and that everybody ends with the same model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_runs import SMALL, attack, build_small, run_small

from simdfl.chain.block import ContractEvent
from simdfl.scenario import loads
from simdfl.world import build

HERE = Path(__file__).parent


def contract_events(*names: str) -> list[tuple[float, str]]:
    world = build_small("protocol.steps=2", "output.trace=full")
    world.run()
    events = world.observer.recorder.of_type(ContractEvent)
    return [(now_s, event.name) for now_s, event in events if event.name in names]


def test_the_phases_follow_the_paper_and_take_a_block_each() -> None:
    log = contract_events("StepOpened", "Exchange", "Final", "Locked", "Output", "EpochOpened")
    assert log == [
        (2.0, "EpochOpened"),
        (28.0, "Locked"),
        (30.0, "Output"),
        (30.0, "StepOpened"),
        (32.0, "Exchange"),
        (34.0, "Final"),
        (34.0, "Locked"),
        (36.0, "Output"),
        (36.0, "StepOpened"),
        (38.0, "Exchange"),
        (40.0, "Final"),
        (40.0, "Locked"),
        (42.0, "Output"),
        (42.0, "StepOpened"),
    ]


def test_an_honest_run_removes_nobody_and_agrees_on_one_model() -> None:
    world, result = run_small()
    assert result.completed
    assert result.removals == []
    assert [row["distinct_models"] for row in result.steps] == [1] * 12
    assert {peer.state.digest for peer in world.peers} == {world.observer.final_state.digest}
    assert result.accuracy > 0.5


def test_the_chain_agrees_on_the_same_states_as_the_peers() -> None:
    world, result = run_small()
    assert world.chain is not None
    for step in range(1, 13):
        assert world.chain.history.states[step].hex() == result.steps[step - 1]["state"]


def test_everybody_withdraws_deposit_and_reward() -> None:
    world, _ = run_small()
    assert world.chain is not None
    job = world.chain.job
    rewards = [job.ledger.earned[peer] * job.terms.reward_wei for peer in range(10)]
    paid = {
        e.fields["peer"]: e.fields["amount"]
        for b in world.chain.blocks
        for e in b.events
        if e.name == "Withdrawn"
    }
    assert paid == {peer: job.terms.deposit_wei + reward for peer, reward in enumerate(rewards)}
    assert all(earned > 0 for earned in rewards)


def test_same_seed_same_trace_and_model_other_seed_other_trace() -> None:
    _, first = run_small(attack("sign_flip"))
    _, again = run_small(attack("sign_flip"))
    _, other = run_small(attack("sign_flip"), seed=2)
    assert first.trace_digest == again.trace_digest
    assert np.array_equal(first.params, again.params)
    assert first.trace_digest != other.trace_digest


def test_the_trace_does_not_depend_on_the_process_or_its_hash_seed() -> None:
    _, here = run_small(attack("sign_flip"))
    code = "from small_runs import *; print(run_small(attack('sign_flip'))[1].trace_digest)"
    for hash_seed in ("0", "4242"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(HERE)}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == here.trace_digest


def test_real_and_ideal_groups_differ_in_secrets_only() -> None:
    small = ("protocol.steps=3", "peers.count=6", "topology.name=complete")
    _, ideal = run_small(*small)
    _, real = run_small(*small, "beacon.group=bls12_381")
    times_s = [row["finished_s"] for row in ideal.steps]
    assert [row["finished_s"] for row in real.steps] == pytest.approx(times_s, abs=0.01)
    beacon = [row for row in ideal.traffic if row["traffic"] == "beacon"]
    assert [row for row in real.traffic if row["traffic"] == "beacon"] == beacon
    assert [(r["function"], r["calls"], r["failed"]) for r in real.calls] == [
        (r["function"], r["calls"], r["failed"]) for r in ideal.calls
    ]
    assert real.trace_digest != ideal.trace_digest


def test_baselines_train_on_the_same_network_and_start() -> None:
    scenario = loads(SMALL, "small", ["protocol.steps=40"]).scenario
    runs = {}
    for name in ("verified", "all_reduce", "parameter_server"):
        world = build(
            scenario.model_copy(update={"protocol": scenario.protocol.model_copy(update={"name": name})})
        )
        runs[name] = (world, world.run())
    genesis = {world.training.genesis.digest for world, _ in runs.values()}
    assert len(genesis) == 1
    for world, result in runs.values():
        assert result.completed
        assert result.accuracy > 0.85
        assert set(world.network.overlay.edges) == set(runs["verified"][0].network.overlay.edges)
    gradient_bytes = {name: run[1].summary["gradient_bytes"] for name, run in runs.items()}
    assert gradient_bytes["all_reduce"] > 1.5 * gradient_bytes["parameter_server"]


def test_a_slot_of_twelve_seconds_is_one_override_away() -> None:
    _, result = run_small(
        "chain.block_time_s=12", "contracts.deal_s=120", "protocol.steps=3", attack("withhold_aggregate", 1)
    )
    assert result.completed
    assert result.summary["step_s"] >= 36.0
