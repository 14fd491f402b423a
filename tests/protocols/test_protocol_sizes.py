"""Cost profiles: a small stand-in carries the bytes and durations of a large model, in every protocol."""

from __future__ import annotations

from functools import cache

import pytest

from simdfl.errors import UserError
from simdfl.protocols import PROTOCOLS
from simdfl.records.figures import overhead, run_figures
from simdfl.scenario import loads
from simdfl.world import RunResult, build

TEXT = """
name: sizes
protocol: {steps: 3, validators: 1}
peers: {count: 6}
topology: {name: complete}
beacon: {group: ideal}
network: {uplink_mbps: 100, downlink_mbps: 100}
learning: {batch_size: 16, evaluate_every: 100}
contracts: {deal_s: 22}
"""
RESNET18 = """
name: resnet18
protocol: {steps: 8, validators: 2}
beacon: {group: ideal}
network: {uplink_mbps: 100, downlink_mbps: 100}
learning: {model: {name: logistic}, evaluate_every: 100, nominal_parameters: 11_200_000, nominal_flops: 3.3e9}
contracts: {reveal_s: 600}
baselines: {twin: {protocol.name: all_reduce}}
"""
MLP = "learning.model={name: mlp, params: {hidden: [64, 32]}}"
MLP_PARAMETERS = 64 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10
LOGISTIC = "learning.model={name: logistic}"


@cache
def run(protocol: str, *changes: str) -> RunResult:
    return build(loads(TEXT, "sizes", changes, protocol=protocol).scenario).run()


def sent(result: RunResult, traffic: str) -> int:
    return next(row["sent_bytes"] for row in result.traffic if row["traffic"] == traffic)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stand_in_sends_the_bytes_of_the_real_model(protocol: str) -> None:
    real = run(protocol, MLP)
    profile = run(protocol, LOGISTIC, f"learning.nominal_parameters={MLP_PARAMETERS}")
    small = run(protocol, LOGISTIC)
    assert profile.outcome == real.outcome == "completed"
    assert sent(profile, "gradient") == sent(real, "gradient") > 5 * sent(small, "gradient")
    assert profile.params.shape == small.params.shape
    assert any(notice.startswith("cost profile: ") for notice in profile.summary["notices"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_own_size_as_nominal_size_changes_nothing(protocol: str) -> None:
    own = run(protocol, MLP, f"learning.nominal_parameters={MLP_PARAMETERS}")
    assert own.trace_digest == run(protocol, MLP).trace_digest
    assert own.summary["notices"] == []


@pytest.mark.parametrize("work", ["gradient", "hash", "aggregation", "projection", "validation"])
def test_every_duration_grows_with_the_nominal_size(work: str) -> None:
    small, large = (
        run("verified", LOGISTIC, *change) for change in ((), ("learning.nominal_parameters=6_500_000",))
    )
    spent = [sum(row[f"{work}_s"] for row in result.peers) for result in (small, large)]
    assert spent[1] > 20 * spent[0] > 0


def test_the_four_parts_of_a_step_add_up_to_it() -> None:
    for result in (run("verified", MLP), run("all_reduce", MLP)):
        figures = run_figures(result)
        parts = sum(figures[f"{name}_s"] for name in ("compute", "traffic", "chain", "waiting"))
        assert parts == pytest.approx(figures["step_s"])
    assert run_figures(run("all_reduce", MLP))["chain_s"] == 0.0 < run_figures(run("verified", MLP))["chain_s"]


def test_deadlines_too_short_for_the_nominal_size_are_a_mistake() -> None:
    for nominal, key in ((200_000_000, "aggregate_s"), (30_000_000, "reveal_s")):
        with pytest.raises(UserError, match=rf"contracts\.{key}: .* is too short to exchange gradients of"):
            build(loads(TEXT, "sizes", [f"learning.nominal_parameters={nominal}"]).scenario)


def test_nominal_operations_need_nominal_parameters() -> None:
    with pytest.raises(UserError, match=r"learning\.nominal_flops: has no meaning alone; add nominal_parameters"):
        loads(TEXT, "sizes", ["learning.nominal_flops=1e9"])


@pytest.mark.slow
def test_assurance_of_a_resnet18_among_sixteen_costs_little_traffic_and_two_validators_in_sixteen() -> None:
    """Control and beacon traffic stay below 1 % of the gradients'; m of n gradients are recomputations."""
    loaded = loads(RESNET18, "resnet18")
    ours, twin = (run_figures(build(s).run()) for s in (loaded.scenario, loaded.baselines["twin"]))
    assert (ours["control_bytes"] + ours["beacon_bytes"]) / twin["gradient_bytes"] < 0.01
    assert ours["validation_share"] == pytest.approx(2 / 16, abs=0.02)
    assert overhead(ours, twin)["overhead_bytes_ratio"] < 0.01
