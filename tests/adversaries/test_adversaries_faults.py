"""Time: late, loud, slow and dead peers, and that misfortune is not punished."""

from __future__ import annotations

import numpy as np
import pytest

from adversaries import FAULTS, make_fault
from simdfl.errors import UserError
from simdfl.peers.behaviour import Behaviour, Byzantine
from simdfl.scenario import loads
from simdfl.testing import make_turn
from simdfl.world import RunResult, World, build

RUN = """
name: late
protocol: {name: all_reduce, steps: 4}
peers: {count: 6}
topology: {name: complete}
learning: {model: {name: logistic}, evaluate_every: 1}
contracts: {aggregate_s: 30}
"""


def run(*overrides: str, protocol: str = "all_reduce") -> tuple[World, RunResult]:
    world = build(loads(RUN, "late", [f"protocol.name={protocol}", *overrides]).scenario)
    return world, world.run()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_lies_about_nothing(name):
    peer = make_fault(name, {}, start_step=1)
    assert not isinstance(peer, Byzantine)
    own = {key for key in vars(FAULTS[name]) if key in vars(Behaviour)} - {"__init__", "__doc__", "__module__"}
    assert own <= {"slowness", "delay_s", "has_crashed", "goes_down", "down_s", "link_factor"}
    before, after = make_turn(0, 0), make_turn(1, 0)
    honest = Behaviour()
    assert peer.slowness(before) == honest.slowness(before) == 1.0
    assert peer.delay_s(before) == honest.delay_s(before) == 0.0
    assert peer.has_crashed(before) is honest.has_crashed(before) is False
    struck = (peer.slowness(after), peer.delay_s(after), peer.has_crashed(after), peer.link_factor())
    assert struck != (1.0, 0.0, False, 1.0)
    assert peer.gradient(after) is after.own_gradient()


def test_faults_strike_on_their_schedule():
    peer = make_fault("late", {"delay_s": 2.0}, start_step=2, stop_step=7, period=3)
    assert [step for step in range(9) if peer.delay_s(make_turn(step, 0)) == 2.0] == [2, 5]


@pytest.mark.parametrize(
    "name, params, sentence",
    [
        ("stragler", {}, "fault: unknown name 'stragler' (did you mean 'straggler'?)"),
        ("straggler", {"factor": 0.5}, "straggler.factor: must be at least 1, got 0.5"),
        ("straggler", {"fator": 2}, "fault straggler: unknown parameter 'fator' (did you mean 'factor'?)"),
        ("slow_link", {"share": 0.0}, "slow_link.share: must be above 0 and at most 1, got 0.0"),
        ("late", {"delay_s": "x"}, "fault late.delay_s: must be a number, got 'x'"),
        ("crash", {"x": 1}, "fault crash: unknown parameter 'x'; known parameters: return_after_s"),
        ("adversaries:Fault2", {}, "unknown name 'Fault2'"),
        ("adversaries.zero:Zero", {}, "cannot be imported"),
        ("adversaries.noise:Zero", {}, "must be a subclass of adversaries.faults.Fault"),
    ],
)
def test_mistakes_are_one_sentence(name, params, sentence):
    with pytest.raises(UserError) as caught:
        make_fault(name, params)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("protocol", ["all_reduce", "parameter_server"])
def test_a_late_peer_costs_time_and_nothing_else(protocol):
    _, calm = run(protocol=protocol)
    for late in (
        "faults=[{name: late, count: 1, params: {delay_s: 3.0}}]",
        "adversaries=[{name: delayer, count: 1, params: {delay_s: 3.0}}]",
    ):
        _, result = run(late, protocol=protocol)
        assert result.summary["step_s"] == pytest.approx(calm.summary["step_s"] + 3.0, rel=0.05)
        np.testing.assert_array_equal(result.params, calm.params)


def test_a_straggler_makes_all_wait_for_its_machine():
    _, calm = run()
    world, slow = run("faults=[{name: straggler, peers: [4], params: {factor: 100000}}]")
    assert slow.peers[4]["gradient_s"] == pytest.approx(100_000 * calm.peers[4]["gradient_s"])
    assert slow.summary["step_s"] > calm.summary["step_s"]
    assert 4 in world.honest


@pytest.mark.parametrize("protocol", ["all_reduce", "parameter_server"])
def test_a_dead_peer_is_waited_for_and_then_done_without(protocol):
    _, result = run("faults=[{name: crash, peers: [2], start_step: 1}]", protocol=protocol)
    assert result.completed
    assert len(result.steps) == 4
    assert result.peers[2]["gradients_computed"] == 1
    assert result.summary["step_s"] > 25.0
    assert not result.peers[2]["byzantine"]


def test_junk_is_counted_and_slows_the_parts():
    _, calm = run()
    _, loud = run("adversaries=[{name: flooding, count: 1, params: {size_bytes: 3000000}}]")
    junk = sum(row["sent_control_bytes"] for row in loud.peers) - sum(
        row["sent_control_bytes"] for row in calm.peers
    )
    assert junk == pytest.approx(4 * 5 * 3_000_000, rel=0.01)  # steps × neighbours
    assert loud.summary["step_s"] > calm.summary["step_s"]
    np.testing.assert_array_equal(loud.params, calm.params)


@pytest.mark.parametrize("protocol", ["all_reduce", "parameter_server"])
def test_what_is_no_number_reaches_the_rule_and_is_left_out(protocol):
    """The mean of five: to the mean of six, NaN would be contagious and a zero would count."""
    results = [
        run(f"adversaries=[{{name: {name}, peers: [1]}}]", protocol=protocol) for name in ("nan", "inf", "zero")
    ]
    nan, inf, zero = [result for _, result in results]
    assert nan.completed
    assert np.isfinite(nan.params).all()
    np.testing.assert_array_equal(nan.params, inf.params)
    assert not np.array_equal(nan.params, zero.params)


def test_misfortune_is_drawn_among_the_honest_and_not_slashed():
    text = "faults=[{name: late, count: 2, params: {delay_s: 1.0}}]"
    beacon = ["beacon={group: ideal, epoch_outputs: 4}", "contracts.deal_s=22", "peers.count=10"]
    world, result = run(text, "adversaries=[{name: zero, count: 3}]", *beacon, protocol="verified")
    failing = {peer.index for peer in world.peers if type(peer.behaviour).__name__ == "LateSender"}
    assert len(failing) == 2
    assert failing <= world.honest
    assert not any(row["peer"] in world.honest for row in result.removals)


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("faults=[{name: late, fraction: 0.01}]", "is no peer at all"),
        ("faults=[{name: late, peers: [9]}]", "peer 9 does not exist; use 0 to 5"),
        ("faults=[{name: late, count: 7}]", "7 failing peers beside 0 Byzantine ones are more than all 6"),
    ],
)
def test_groups_that_cannot_be_are_one_sentence(override, sentence):
    with pytest.raises(UserError) as caught:
        loads(RUN, "late", [override])
    assert sentence in str(caught.value)


def test_a_crashed_peer_of_the_verified_protocol_is_ejected_and_comes_back_on_probation():
    faults = "faults=[{name: crash, count: 1, start_step: 2, params: {return_after_s: 150}}]"
    more = ("contracts.deal_s=22", "contracts.probation_steps=2", "beacon.group=ideal", "beacon.epoch_outputs=4")
    _, result = run(faults, *more, "protocol.steps=24", protocol="verified")
    assert result.completed
    assert [(row["kind"], row["reason"]) for row in result.removals] == [("ejected", "missed deadline: commit")]
    assert [row["standing"] for row in result.peers] == ["active"] * 6
    assert [row["slashed_wei"] for row in result.removals] == ["0"]


def test_a_churning_peer_goes_and_comes_again_and_again():
    faults = "faults=[{name: churn, count: 1, start_step: 2, period: 12, params: {return_after_s: 60}}]"
    more = ("contracts.deal_s=22", "contracts.probation_steps=2", "beacon.group=ideal", "beacon.epoch_outputs=4")
    quick = ("contracts.commit_s=20", "contracts.aggregate_s=20", "protocol.steps=60")
    _, result = run(faults, *more, *quick, protocol="verified")
    assert result.completed
    assert len(result.removals) >= 2
    assert {(row["kind"], row["slashed_wei"]) for row in result.removals} == {("ejected", "0")}


def test_a_slow_link_delays_a_step_and_harms_nobody():
    _, calm = run("protocol.steps=4")
    _, slow = run("protocol.steps=4", "faults=[{name: slow_link, count: 1, params: {share: 0.001}}]")
    assert slow.summary["step_s"] > calm.summary["step_s"]
    assert min(row["up_bps"] for row in slow.peers) < 0.01 * min(row["up_bps"] for row in calm.peers)


def test_a_peer_cannot_both_fail_and_lie():
    with pytest.raises(UserError, match="stands in another group too"):
        loads(RUN, "late", ["faults=[{name: late, peers: [1]}]", "adversaries=[{name: zero, peers: [1]}]"])
