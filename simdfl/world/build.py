"""The assembler: from a scenario to peers, network, chain and contracts, and through the run to its result."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adversaries import make_adversary
from contracts_model import Phase
from simdfl.aggregation import make_rule
from simdfl.chain.blockchain import Blockchain
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.signatures import Keypair
from simdfl.errors import ProtocolAborted, UserError, unknown_name
from simdfl.kernel import Environment
from simdfl.kernel.actor import Life
from simdfl.learning.data import DATASETS
from simdfl.learning.devices import DEVICES
from simdfl.learning.gradients import GradientEngine, TrainingDivergedError
from simdfl.learning.models import MODELS, Model
from simdfl.learning.optimisers import make_optimiser
from simdfl.learning.schedules import bind
from simdfl.network import Network
from simdfl.peers.behaviour import Behaviour, Coalition
from simdfl.peers.peer import Messenger, Peer, Seat
from simdfl.protocols import PROTOCOLS
from simdfl.protocols.all_reduce import AllReducePeer
from simdfl.protocols.baseline import BaselineJob
from simdfl.protocols.job import VerifiedJob
from simdfl.protocols.parameter_server import ParameterServer, ServerPeer
from simdfl.protocols.parts import PartMath
from simdfl.protocols.training import Training
from simdfl.protocols.verified import VerifiedPeer
from simdfl.rng import Rng
from simdfl.scenario import Scenario
from simdfl.world.conditions import draw_conditions, draw_overlay
from simdfl.world.manifest import (
    chain_profile,
    check_exchange_time,
    clip_settings,
    deploy,
    fund_rewards,
    make_manifest,
)
from simdfl.world.observer import Observer, Progress
from simdfl.world.result import RunResult
from simdfl.world.tables import collect_result

CLOSING_BLOCKS = 4
"""Blocks made after the last peer has gone, so that its last transactions are included."""


@dataclass
class World:
    """A run ready to start."""

    scenario: Scenario
    env: Environment
    network: Network
    training: Training
    peers: list[Peer]
    honest: frozenset[int]
    observer: Observer
    manifest: dict[str, Any]
    chain: Blockchain | None
    others: list[Any]
    messages: list[Any]
    notices: list[str]

    def run(self) -> RunResult:
        """Live through all steps; an abort that the protocol foresees is an outcome, not an exception."""
        thresholds = gc.get_threshold()
        gc.set_threshold(100_000, 50, 50)
        outcome = "completed"
        try:
            self._run()
            if self.chain is not None and self.chain.job.ledger.phase() == Phase.ABORTED:
                outcome = f"aborted: {self.chain.history.abort_reason} (step {self.chain.job.ledger.step()})"
        except (ProtocolAborted, TrainingDivergedError) as error:
            outcome = f"aborted: {error}"
        finally:
            gc.set_threshold(*thresholds)
        return collect_result(self, outcome)

    def _run(self) -> None:
        for actor in self.others:
            actor.start()
        lives = [peer.start() for peer in self.peers]
        self.env.run(until=self.env.all_of(lives) | self.env.process(self._watch()))
        if self.chain is not None:
            self.env.run(until=self.env.now + CLOSING_BLOCKS * self.chain.profile.block_time_s)

    def _watch(self) -> Life:
        """Abort a run in which nothing happens any more: a defect or a lost majority, never a wait for ever."""
        c = self.scenario.contracts
        patience_s = 5.0 * (
            c.register_s + c.deal_s + c.commit_s + c.aggregate_s + c.reveal_s + c.recover_s + c.vote_s
        )
        count = -1
        while count != self.observer.recorder.count:
            count = self.observer.recorder.count
            yield self.env.sleep(patience_s)
        last = max(self.observer.steps, default=0)
        raise ProtocolAborted(f"no progress for {patience_s:.0f} simulated seconds", last)


def build(scenario: Scenario, progress: Progress | None = None) -> World:
    """Assemble a run.

    Parameters
    ----------
    scenario : Scenario
        A validated scenario.
    progress : callable, optional
        See :class:`~simdfl.world.observer.Observer`.

    Raises
    ------
    UserError
        If a name is on no shelf or a shelf refuses its parameters.
    """
    if scenario.protocol.name not in PROTOCOLS:
        raise unknown_name("protocol.name", scenario.protocol.name, PROTOCOLS)
    rng = Rng(scenario.seed)
    n = scenario.peers.count
    device = _shelf("peers.device", scenario.peers.device, DEVICES)
    training, notices = _make_training(scenario, rng)
    groups = _draw_byzantine(scenario, rng)
    byzantine = frozenset(peer for members in groups for peer in members)
    honest = frozenset(range(n)) - byzantine
    overlay = draw_overlay(scenario, byzantine, rng)
    observer = Observer(
        training,
        honest,
        scenario.protocol.steps,
        scenario.learning.evaluate_every,
        scenario.output.trace == "full",
        progress,
    )
    env = Environment()
    section = scenario.network
    network = Network(
        env,
        overlay,
        draw_conditions(section, n, rng),
        rng,
        section.validate_ms * 1e-3,
        scenario.chain.access_latency_ms * 1e-3,
    )
    behaviours = _make_behaviours(scenario, rng, groups, training.engine.dataset.n_classes)
    slowness = _draw_slowness(scenario, rng)
    keypairs = [Keypair.from_seed(rng.key("signing-key", peer)) for peer in range(n)]
    seats = [Seat(env, i, keypairs[i], behaviours[i], device, float(slowness[i]), network) for i in range(n)]
    world = World(scenario, env, network, training, [], honest, observer, {}, None, [], [], notices)
    if scenario.protocol.name == "verified":
        _add_verified(world, rng, seats)
    else:
        _add_baseline(world, rng, seats)
    peers: Any = world.peers
    observer.peer_states = lambda peer: peers[peer].state
    return world


def _shelf(where: str, name: str, shelf: dict[str, Any]) -> Any:
    if name not in shelf:
        raise unknown_name(where, name, shelf)
    return shelf[name]


def _make_model(scenario: Scenario, input_shape: tuple[int, ...], n_classes: int) -> Model:
    section = scenario.learning
    params = dict(section.model.params)
    if section.lanes is not None:
        if "lanes" in params:
            raise UserError("learning.lanes and learning.model.params.lanes are both given; keep one")
        params["lanes"] = section.lanes
    factory = _shelf("learning.model.name", section.model.name, MODELS)
    shape: dict[str, Any] = {"input_shape": input_shape, "n_classes": n_classes}
    return bind("learning.model.params", factory, params, shape)


def _make_training(scenario: Scenario, rng: Rng) -> tuple[Training, list[str]]:
    section = scenario.learning
    load = _shelf("learning.dataset.name", section.dataset.name, DATASETS)
    given = {"rng": rng.stream("dataset")}
    dataset = bind("learning.dataset.params", load, section.dataset.params, given)
    model = _make_model(scenario, dataset.input_shape, dataset.n_classes)
    engine = GradientEngine(model, dataset, section.batch_size)
    notice = engine.self_test(rng.stream("self-test"))
    rate = learning_rate(scenario)
    optimiser = make_optimiser(section.optimiser.name, {"learning_rate": rate, **section.optimiser.params})
    params = engine.model.init(rng.stream("initial-weights"))
    return Training(engine, optimiser, params), [notice] if notice else []


def learning_rate(scenario: Scenario) -> dict[str, Any]:
    """Return the schedule in the form of the learning room; a cosine ends with the run unless told otherwise."""
    optimiser = scenario.learning.optimiser
    schedule = optimiser.schedule
    ends = {"steps": scenario.protocol.steps} if schedule.name == "cosine" else {}
    return {"name": schedule.name, "initial": optimiser.learning_rate, **ends, **schedule.params}


def _draw_byzantine(scenario: Scenario, rng: Rng) -> list[list[int]]:
    """Draw who is Byzantine, group by group: never simply the first b."""
    n = scenario.peers.count
    named = {peer for group in scenario.adversaries for peer in group.peers or ()}
    order = [int(p) for p in rng.stream("byzantine").permutation(n) if int(p) not in named]
    groups = []
    for group in scenario.adversaries:
        if group.peers is not None:
            groups.append(sorted(group.peers))
        else:
            count = group.byzantine_count(n)
            groups.append(sorted(order[:count]))
            order = order[count:]
    return groups


def _make_behaviours(scenario: Scenario, rng: Rng, groups: list[list[int]], n_classes: int) -> list[Behaviour]:
    """Return one behaviour per peer; all Byzantine peers collude, whatever their group."""
    behaviours: list[Behaviour] = [Behaviour() for _ in range(scenario.peers.count)]
    everyone = frozenset(peer for members in groups for peer in members)
    coalition_rng = Rng(int.from_bytes(rng.key("coalition")[:8], "little"))
    coalition = Coalition(everyone, scenario.peers.count, n_classes, coalition_rng)
    for group, members in zip(scenario.adversaries, groups):
        for peer in members:
            behaviours[peer] = make_adversary(
                group.name,
                group.params,
                coalition=coalition,
                start_step=group.start_step,
                stop_step=group.stop_step,
                period=group.period,
            )
    return behaviours


def _draw_slowness(scenario: Scenario, rng: Rng) -> np.ndarray:
    spread = scenario.peers.speed_spread
    return rng.stream("slowness").lognormal(0.0, spread, scenario.peers.count)


def _add_verified(world: World, rng: Rng, seats: list[Seat]) -> None:
    """Add contracts, chain and verifying peers."""
    scenario = world.scenario
    settings = clip_settings(scenario)
    scheme = BeaconScheme(scenario.beacon.scheme, scenario.beacon.group)
    world.manifest = make_manifest(scenario, world.training)
    owner = Keypair.from_seed(rng.key("owner"))
    addresses = [seat.keypair.address for seat in seats]
    profile = chain_profile(scenario)
    check_exchange_time(scenario, profile, world)
    contracts = deploy(scenario, world, scheme, owner, addresses)
    chain = Blockchain(world.env, world.network, contracts, profile, world.observer)
    keep: Callable[[Any], None] = world.messages.append if scenario.output.messages else lambda message: None
    job = VerifiedJob(
        contracts.terms,
        world.training,
        PartMath(settings, scenario.peers.count),
        scheme,
        Messenger(contracts.terms.job_digest, addresses, keep),
        rng,
        world.observer,
        scenario.contracts.report_s,
    )
    world.chain = chain
    world.others = [chain]
    chain.mempool.add(fund_rewards(scenario, chain, owner))
    world.peers.extend(VerifiedPeer(seat, chain, job) for seat in seats)


def _add_baseline(world: World, rng: Rng, seats: list[Seat]) -> None:
    """Add the peers of an unverified protocol."""
    scenario = world.scenario
    section = scenario.protocol.rule
    rule = make_rule(section.name, section.params, scenario.peers.count, scenario.byzantine_count, section.then)
    job = BaselineJob(
        world.training,
        rule,
        scenario.protocol.steps,
        scenario.peers.count,
        float(scenario.contracts.aggregate_s),
        rng,
        world.observer,
    )
    kind: Any = AllReducePeer if scenario.protocol.name == "all_reduce" else ServerPeer
    world.peers.extend(kind(seat, job) for seat in seats)
    if kind is ServerPeer:
        world.others = [ParameterServer(world.env, world.network, job, seats[0].device)]
