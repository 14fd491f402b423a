"""D-PSGD and asynchronous gossip: what averaging does, who waits for whom, and what lies do."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gossip_runs import build_gossip, digest, give_models, models, run_gossip, stop_learning, variance

from simdfl.aggregation import GOSSIP_RULES, PRE_AGGREGATORS, RULES, metropolis_weights
from simdfl.errors import UserError
from simdfl.protocols.verified import StepFinished
from simdfl.rng import Rng
from simdfl.world.gossip import REMEMBERING
from topologies.measures import measure

ASYNC = "protocol.name=async_gossip"
ADAPT_FIRST = "protocol.gossip.order=adapt_then_combine"
COMPLETE = "topology={name: complete}"
NEAR = (
    "peers.device=raspberry_pi",
    "learning.batch_size=512",
    *(f"network.{key}" for key in ("latency_ms=0.01", "access_latency_ms=0", "jitter=0")),
    *(f"network.{key}=10000" for key in ("uplink_mbps", "downlink_mbps")),
)
"""Computing takes longer than sending: a gradient 0.4 ms, a message some microseconds."""
FULL = "output.trace=full"
ONE_PEER = ("protocol.gossip.partners=one_peer_exponential",)


def flip(scale: float = 5, count: int = 2) -> str:
    return f"adversaries=[{{name: sign_flip, count: {count}, params: {{scale: {scale}}}}}]"


def rule(name: str, **params: object) -> str:
    inside = ", ".join(f"{key}: {value}" for key, value in params.items())
    return f"protocol.rule={{name: {name}, params: {{{inside}}}}}"


def finished(world) -> dict[tuple[int, int], float]:
    """Return when each peer finished each step, s."""
    events = world.observer.recorder.of_type(StepFinished)
    return {(event.peer, event.step): now_s for now_s, event in events}


# ---- averaging


@pytest.mark.parametrize("topology", ["{name: ring}", "{name: random_regular, params: {degree: 4}}"])
@pytest.mark.parametrize("order", ["combine_and_adapt", "adapt_then_combine"])
def test_without_learning_one_step_is_one_product_with_the_mixing_matrix(topology, order) -> None:
    world = build_gossip(f"topology={topology}", f"protocol.gossip.order={order}", "protocol.steps=1")
    start = Rng(3).stream("models").standard_normal((10, world.training.n_parameters))
    give_models(world, start)
    stop_learning(world)
    assert world.run().completed
    assert models(world) == pytest.approx(metropolis_weights(world.network.overlay) @ start, abs=1e-5)


@pytest.mark.parametrize("topology", ["{name: ring}", "{name: random_regular, params: {degree: 4}}"])
def test_without_learning_gossip_contracts_at_the_rate_of_the_spectral_gap(topology) -> None:
    steps = 6
    world = build_gossip(f"topology={topology}", f"protocol.steps={steps}")
    start = Rng(3).stream("models").standard_normal((10, world.training.n_parameters))
    give_models(world, start)
    stop_learning(world)
    result = world.run()
    gap = measure(world.network.overlay).spectral_gap
    seen = [variance(start), *(row["consensus_distance"] for row in result.steps)]
    assert all(after <= (1 - gap) ** 2 * before * (1 + 1e-4) for before, after in pairwise(seen))
    assert seen[-1] < 0.5 * seen[0]
    assert models(world).mean(axis=0) == pytest.approx(start.mean(axis=0), abs=1e-5)


def test_one_peer_a_step_averages_exactly_after_log2_n_steps() -> None:
    world = build_gossip(
        "topology={name: exponential}",
        "peers.count=16",
        "protocol.steps=4",
        *ONE_PEER,
        "protocol.rule.name=mixing",
    )
    start = Rng(3).stream("models").standard_normal((16, world.training.n_parameters))
    give_models(world, start)
    stop_learning(world)
    assert world.run().completed
    assert models(world) == pytest.approx(np.tile(start.mean(axis=0), (16, 1)), abs=1e-5)
    sent = world.network.bytes_by_class()["gradient"]
    assert len(set(sent.tolist())) == 1  # one model a peer and step
    assert sent[0] < 4.1 * 4 * world.training.n_parameters


def test_a_random_matching_halves_distances_and_changes() -> None:
    world = build_gossip(
        "protocol.steps=6", "protocol.gossip.partners=random_matching", "protocol.rule.name=mixing"
    )
    start = Rng(3).stream("models").standard_normal((10, world.training.n_parameters))
    give_models(world, start)
    stop_learning(world)
    partners = world.peers[0].job.partners
    pairs = [tuple(tuple(partners.targets(step, peer)) for peer in range(10)) for step in range(6)]
    result = world.run()
    assert len(set(pairs)) > 3
    for step in range(6):
        assert all(pairs[step][pairs[step][p][0]] == (p,) for p in range(10) if pairs[step][p])
    seen = [variance(start), *(row["consensus_distance"] for row in result.steps)]
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(seen))
    assert seen[-1] < 0.3 * seen[0]
    assert models(world).mean(axis=0) == pytest.approx(start.mean(axis=0), abs=1e-5)


@pytest.mark.parametrize(
    "overrides, words",
    [
        (("protocol.gossip.partners=one_peer_exponential",), "use topology.name exponential"),
        (
            ("protocol.gossip.partners=random_matching", "protocol.rule.name=median"),
            "protocol.rule.name: 'median'",
        ),
        (("protocol.gossip.partners=random_matching", ASYNC), "set protocol.gossip.fanout"),
    ],
)
def test_one_partner_is_refused_where_it_makes_no_sense(overrides, words) -> None:
    with pytest.raises(UserError, match=words):
        build_gossip(*overrides)


@pytest.mark.parametrize("optimiser", ["sgd", "momentum"])
def test_on_the_complete_graph_gossip_after_the_step_is_all_reduce(optimiser) -> None:
    same = (COMPLETE, f"learning.optimiser.name={optimiser}", "protocol.steps=4")
    gossip, _ = run_gossip(*same, ADAPT_FIRST)
    together, _ = run_gossip(*same, "protocol.name=all_reduce")
    target = together.peers[0].state.params
    assert models(gossip) == pytest.approx(np.tile(target, (10, 1)), abs=2e-6)
    assert np.abs(target - together.training.genesis.params).max() > 1e-2


def test_in_the_paper_s_order_the_mean_model_after_a_step_is_all_reduce_s() -> None:
    gossip, result = run_gossip(COMPLETE, "protocol.steps=1")
    together, _ = run_gossip(COMPLETE, "protocol.steps=1", "protocol.name=all_reduce")
    assert models(gossip).mean(axis=0) == pytest.approx(together.peers[0].state.params, abs=1e-6)
    assert result.params == pytest.approx(together.peers[0].state.params, abs=1e-6)
    assert result.steps[0]["distinct_models"] == 10
    assert result.steps[0]["consensus_distance"] == pytest.approx(variance(models(gossip)), rel=1e-5)


def test_a_step_of_the_paper_is_a_product_with_the_matrix_minus_the_gradients() -> None:
    world = build_gossip("protocol.steps=1")
    start = 0.1 * Rng(3).stream("models").standard_normal((10, world.training.n_parameters))
    give_models(world, start)
    gradients = np.stack([world.peers[0].job.ask(peer, 0).value() for peer in range(10)])
    world.run()
    expected = metropolis_weights(world.network.overlay) @ start - 0.1 * gradients
    assert models(world) == pytest.approx(expected, abs=1e-6)


# ---- time and traffic


def test_a_straggler_holds_up_its_neighbours_first_and_the_others_later() -> None:
    straggler = "faults=[{name: straggler, peers: [0], params: {factor: 1000}}]"
    world, _ = run_gossip("topology={name: ring}", straggler, ADAPT_FIRST, *NEAR, FULL)
    ends = finished(world)
    assert min(ends[peer, 0] for peer in (9, 0, 1)) > 5 * max(ends[peer, 0] for peer in range(2, 9))
    assert ends[5, 7] > ends[0, 1]


@pytest.mark.parametrize("merge", ["sum_weight", "age"])
def test_a_straggler_slows_nobody_without_barriers(merge) -> None:
    plain = (ASYNC, *NEAR, FULL, "protocol.steps=20", f"protocol.gossip.merge={merge}")
    world, calm = run_gossip(*plain)
    slow, result = run_gossip(*plain, "faults=[{name: straggler, peers: [0], params: {factor: 20}}]")
    with_it, without = finished(slow), finished(world)
    for peer in range(1, 10):
        assert with_it[peer, 19] <= 1.01 * without[peer, 19]
    assert with_it[0, 19] > 15 * without[0, 19]
    for outcome in (calm, result):
        assert sum(row["gradients_computed"] for row in outcome.peers) == 10 * 20


def test_bytes_are_the_models_that_travel() -> None:
    world, result = run_gossip()
    size_bytes = 4 * world.training.n_parameters + 24
    [sent] = [row["sent_bytes"] for row in result.traffic if row["traffic"] == "gradient"]
    assert sent == 8 * 10 * 4 * size_bytes
    _, pushed = run_gossip(ASYNC, "protocol.gossip.fanout=3")
    [sent] = [row["sent_bytes"] for row in pushed.traffic if row["traffic"] == "gradient"]
    assert sent == 8 * 10 * 3 * (size_bytes + 8)


def test_sum_weights_are_conserved() -> None:
    world, _ = run_gossip(ASYNC, *NEAR, "protocol.steps=1")
    assert sum(peer.weight for peer in world.peers) == pytest.approx(5.0)
    world, _ = run_gossip(ASYNC, *NEAR, "protocol.steps=30")
    waiting = sum(parcel.weight for peer in world.peers for parcel in peer._arrived)
    assert 1.0 < sum(peer.weight for peer in world.peers) + waiting <= 10.0 + 1e-9


@pytest.mark.parametrize("merge", ["sum_weight", "age"])
def test_asynchronous_gossip_brings_models_together(merge) -> None:
    world = build_gossip(
        ASYNC, *NEAR, "peers.speed_spread=0.1", "protocol.steps=40", f"protocol.gossip.merge={merge}"
    )
    start = Rng(3).stream("models").standard_normal((10, world.training.n_parameters))
    give_models(world, start)
    stop_learning(world)
    result = world.run()
    assert variance(models(world)) < 1e-2 * variance(start)
    assert result.steps[-1]["consensus_distance"] < result.steps[0]["consensus_distance"]


# ---- the same every time


def test_the_traces_do_not_depend_on_the_process_or_its_hash_seed() -> None:
    changes = (flip(), "peers.speed_spread=0.5", "network.loss=0.05", "protocol.steps=4")
    here = [digest(*changes), digest(*changes, ASYNC)]
    assert here == [digest(*changes), digest(*changes, ASYNC)]
    code = f"from gossip_runs import digest; print(digest(*{changes!r}), digest(*{changes!r}, {ASYNC!r}))"
    env = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == here


def test_every_choice_has_an_effect() -> None:
    assert digest() != digest(ADAPT_FIRST)
    plain = (ASYNC, *NEAR)
    choices = ("protocol.gossip.merge=age", "protocol.gossip.fanout=2")
    assert len({digest(*plain), *(digest(*plain, choice) for choice in choices)}) == 3


# ---- lies


# Six neighbours, at most two of them Byzantine; the lie is a step thirty times as long the other way.
REGULAR = (
    *("peers.count=14", "topology={name: random_regular, params: {degree: 6}}", "protocol.steps=30"),
    *("learning.evaluate_every=29", "learning.optimiser.learning_rate=0.5"),
)


@pytest.mark.parametrize("order", ["combine_and_adapt", "adapt_then_combine"])
def test_robust_rules_withstand_what_carries_plain_mixing_away(order) -> None:
    common = (*REGULAR, f"protocol.gossip.order={order}", flip(30))
    assert run_gossip(*common, rule("mixing"))[1].accuracy < 0.3
    for robust in (rule("self_centred_clip", tau=0.1), rule("neighbour_trimmed_mean"), rule("median")):
        _, defended = run_gossip(*common, robust)
        assert defended.accuracy > 0.7
        assert defended.accuracy >= defended.steps[-1]["accuracy_worst"] > 0.5


def test_dissensus_hurts_mixing_more_than_clipping_about_oneself() -> None:
    common = (
        "protocol.steps=30",
        "learning.evaluate_every=29",
        "topology={name: random_regular, params: {degree: 3}}",
        "peers.count=12",
        "adversaries=[{name: dissensus, count: 2, params: {epsilon: 2}}]",
    )
    apart = {}
    for name in (rule("mixing"), rule("self_centred_clip", tau=0.1)):
        _, calm = run_gossip(*common[:-1], name)
        _, attacked = run_gossip(*common, name)
        apart[name] = attacked.steps[-1]["consensus_distance"] / calm.steps[-1]["consensus_distance"]
    mixing, clipping = apart.values()
    assert mixing > 100.0 * clipping


@pytest.mark.parametrize("protocol", ["gossip_sgd", "async_gossip"])
@pytest.mark.parametrize("name", ["nan", "inf", "alie", "mimic", "label_flip", "dissensus", "partial_drop"])
def test_a_liar_spoils_what_it_tells_and_never_its_own_model(protocol, name) -> None:
    attack = f"adversaries=[{{name: {name}, count: 2}}]"
    world, result = run_gossip(f"protocol.name={protocol}", attack, rule("self_centred_clip"), "protocol.steps=4")
    assert result.completed
    assert np.isfinite(models(world)).all()


def test_a_withheld_model_costs_its_neighbours_the_wait() -> None:
    silent = "adversaries=[{name: withhold_part, count: 1, params: {victims: 9}}]"
    world, result = run_gossip(silent, "protocol.steps=2", FULL)
    [liar] = set(range(10)) - world.honest
    ends = finished(world)
    for peer in range(10):
        waited = ends[peer, 0] >= 90.0
        assert waited == (peer in world.network.neighbours(liar))
    assert result.completed


def test_a_crashed_neighbour_s_weight_falls_to_the_peer_itself() -> None:
    crash = "faults=[{name: crash, peers: [3], start_step: 0}]"
    world = build_gossip("topology={name: ring}", crash, "protocol.steps=1")
    start = Rng(3).stream("models").standard_normal((10, world.training.n_parameters))
    give_models(world, start)
    stop_learning(world)
    world.run()
    expected = metropolis_weights(world.network.overlay)
    expected[3] = np.eye(10)[3]
    for peer in (2, 4):
        expected[peer, peer] += expected[peer, 3]
        expected[peer, 3] = 0.0
    assert models(world) == pytest.approx(expected @ start, abs=1e-5)


# ---- every rule, and what is refused


@pytest.mark.parametrize("name", sorted({*GOSSIP_RULES, *RULES, *PRE_AGGREGATORS} - REMEMBERING))
def test_every_rule_trains_in_a_neighbourhood(name) -> None:
    then = ", then: {name: median}" if name in PRE_AGGREGATORS else ""
    world, result = run_gossip(
        f"protocol.rule={{name: {name}{then}}}",
        "topology={name: random_regular, params: {degree: 6}}",
        "protocol.steps=2",
        "adversaries=[{name: sign_flip, peers: [2]}]",
    )
    assert result.completed
    assert np.abs(models(world) - world.training.genesis.params).max() > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("protocol.name=parameter_server", rule("mixing")), "'mixing' is a gossip rule"),
        (("protocol.name=all_reduce", rule("balance")), "'balance' is a gossip rule"),
        ((ASYNC, rule("krum")), "'krum' needs a whole neighbourhood"),
        ((rule("fools_gold"),), "'fools_gold' remembers rows"),
        ((rule("krun"),), "krum"),
        ((ASYNC, "protocol.gossip.fanout=5"), "5 is more than the 4 neighbours"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(changes, words) -> None:
    with pytest.raises(UserError, match=words):
        build_gossip(*changes)


def test_training_that_diverges_is_an_outcome() -> None:
    _, result = run_gossip(flip(1e20), "protocol.steps=30", rule("mixing"))
    assert result.completed or "diverged" in result.outcome
    _, result = run_gossip("learning.optimiser.learning_rate=1e30", "protocol.steps=30")
    assert "diverged" in result.outcome


def test_private_shards_pull_the_models_apart() -> None:
    """Uneven shards: the consensus distance grows, as every peer learns from classes of its own."""
    _, public = run_gossip()
    _, private = run_gossip("learning.privacy={data: private, partition: dirichlet, alpha: 0.1}")
    distances = [
        max(row["consensus_distance"] for row in r.steps if row["consensus_distance"] is not None)
        for r in (public, private)
    ]
    assert distances[1] > 1.2 * distances[0]
