"""The assembler: from a scenario to peers, network, chain and contracts, and through the run to its result."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from contracts_model import Withheld
from simdfl.aggregation import GOSSIP_RULES, make_rule
from simdfl.chain.blockchain import Blockchain
from simdfl.crypto.beacon import BeaconScheme, make_beacon
from simdfl.crypto.signatures import Keypair
from simdfl.errors import ProtocolAborted, UserError, unknown_name
from simdfl.kernel import Environment
from simdfl.kernel.actor import Life
from simdfl.learning.data import Dataset
from simdfl.learning.datasets import load_dataset
from simdfl.learning.devices import DEVICES
from simdfl.learning.gradients import GradientEngine, TrainingDivergedError, nominal_sizes
from simdfl.learning.model import Model
from simdfl.learning.models import MODELS
from simdfl.learning.optimisers import make_optimiser
from simdfl.learning.partition import Shards, partition_dirichlet, partition_iid
from simdfl.learning.schedules import bind
from simdfl.learning.sizes import SizeModel
from simdfl.learning.states import own_rows
from simdfl.network import Network
from simdfl.network.nat import draw_relays
from simdfl.network.strategies import make_gossip
from simdfl.peers.peer import Messenger, Peer, Seat
from simdfl.protocols import GOSSIP_PROTOCOLS, PROTOCOLS
from simdfl.protocols.all_reduce import AllReducePeer
from simdfl.protocols.baseline import BaselineJob
from simdfl.protocols.contributions import ContributionGame
from simdfl.protocols.job import VerifiedJob
from simdfl.protocols.parameter_server import ParameterServer, ServerPeer
from simdfl.protocols.parts import PartMath
from simdfl.protocols.training import ModelState, Training
from simdfl.protocols.trusted_dealer import TrustedDealer
from simdfl.protocols.verified import VerifiedPeer, assemble
from simdfl.rng import Rng
from simdfl.scenario import Scenario
from simdfl.store import NOTHING, Nothing
from simdfl.world.assurance import make_arithmetic
from simdfl.world.cast import attack_goal, draw_byzantine, make_behaviours
from simdfl.world.chains import Chains, fund_rewards, main_profile, make_chains
from simdfl.world.conditions import (
    HOST_BPS,
    UNLIMITED,
    change_conditions,
    draw_clock_offsets,
    draw_conditions,
    draw_hidden,
    draw_overlay,
    let_peers_come_and_go,
    narrow_links,
)
from simdfl.world.deadlines import chain_profile, check_exchange_time
from simdfl.world.gossip import add_gossip
from simdfl.world.gossip_observer import GossipObserver
from simdfl.world.manifest import (
    PEER_BALANCE_WEI,
    clip_settings,
    deploy,
    make_manifest,
    make_valuation,
    scheme_name,
)
from simdfl.world.meddling import let_peers_meddle
from simdfl.world.membership import count_founders, draw_plans
from simdfl.world.observer import Observer, Progress
from simdfl.world.publication import Publication
from simdfl.world.result import RunResult
from simdfl.world.tables import collect_result
from simdfl.world.timeline import Timeline, watch_world

CLOSING_BLOCKS = 4
"""Blocks made after the last peer has gone, so that its last transactions are included."""


PROFILE_NOTICE = (
    "cost profile: sizes and durations are those of {nominal:,} parameters; learned figures are those of a small "
    "stand-in model of {real:,}."
)


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
    chains: Chains | None
    others: list[Any]
    messages: list[Any]
    notices: list[str]
    job: VerifiedJob | None = None
    timeline: Timeline | None = None
    publication: Publication | None = None

    @property
    def chain(self) -> Blockchain | None:
        """Where the job's contracts run, if it has any."""
        return None if self.chains is None else self.chains.main

    def resync(self, peer: int) -> None:
        """Let a peer that was off the network learn what the chain did meanwhile."""
        if self.chains is not None:
            self.peers[peer].chain.resync()  # type: ignore[attr-defined]

    def run(self) -> RunResult:
        """Live through all steps; an abort that the protocol foresees is an outcome, not an exception."""
        thresholds = gc.get_threshold()
        gc.set_threshold(100_000, 50, 50)
        outcome = "completed"
        try:
            self._run()
            if self.chain is not None and self.chain.history.abort_reason:
                last = max(self.chain.history.rosters, default=0)
                outcome = f"aborted: {self.chain.history.abort_reason} (step {last})"
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
        for chain in self.chains.all if self.chains is not None else ():
            self.env.run(until=self.env.now + chain.profile.span_s(CLOSING_BLOCKS))

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


def build(scenario: Scenario, progress: Progress | None = None, store: Nothing = NOTHING) -> World:
    """Assemble a run.

    Parameters
    ----------
    scenario : Scenario
        A validated scenario.
    progress : callable, optional
        See :class:`~simdfl.world.observer.Observer`.
    store : Store, optional
        Where expensive results are kept and read back, see :mod:`simdfl.store`.

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
    groups = draw_byzantine(scenario, rng)
    byzantine = frozenset(peer for members in groups for peer in members)
    honest = frozenset(range(n)) - byzantine
    overlay = draw_overlay(scenario, byzantine, rng)
    observer = _make_observer(scenario, training, honest, progress, rng)
    behaviours = make_behaviours(scenario, rng, groups, training.engine.dataset.n_classes)
    env = Environment()
    section = scenario.network
    network = Network(
        env,
        overlay,
        narrow_links(draw_conditions(section, n, rng), behaviours),
        rng,
        section.validate_ms * 1e-3,
        scenario.chain.access_latency_ms * 1e-3,
        np.inf if section.bandwidth == UNLIMITED else HOST_BPS,
        fidelity=section.fidelity,
        gossip=make_gossip(section.gossip.name, section.gossip.params),
        relays=draw_relays(n, draw_hidden(scenario, rng), rng.stream("relays")),
    )
    change_conditions(scenario, env, network)
    slowness = _draw_slowness(scenario, rng)
    keypairs = [Keypair.from_seed(rng.key("signing-key", peer)) for peer in range(n)]
    late_s = draw_clock_offsets(scenario, rng)
    seats = [
        Seat(env, i, keypairs[i], behaviours[i], device, float(slowness[i]), network, float(late_s[i]))
        for i in range(n)
    ]
    training.engine.store = store
    world = World(scenario, env, network, training, [], honest, observer, {}, None, [], [], notices)
    if scenario.protocol.name in ("verified", "btard"):
        _add_verified(world, rng, seats)
        _use_store(world, store)
    elif scenario.protocol.name in GOSSIP_PROTOCOLS:
        add_gossip(world, rng, seats)
    else:
        _add_baseline(world, rng, seats)
    let_peers_come_and_go(scenario, env, network, honest, rng, world.resync)
    if scenario.output.perfetto:
        world.timeline = watch_world(world, scenario.output.perfetto_copies)
    observer.goal = attack_goal(behaviours, training.engine.dataset)
    peers: Any = world.peers
    observer.peer_states = lambda peer: peers[peer].state
    return world


def _make_observer(
    scenario: Scenario, training: Training, honest: frozenset[int], progress: Progress | None, rng: Rng
) -> Observer:
    has_own_models = scenario.protocol.name in GOSSIP_PROTOCOLS
    observer = (GossipObserver if has_own_models else Observer)(
        training,
        honest,
        scenario.protocol.steps,
        scenario.learning.evaluate_every,
        scenario.output.trace == "full",
        progress,
    )
    if isinstance(observer, GossipObserver):
        observer.draw_sample(rng.stream("evaluated-peers"))
    return observer


def _use_store(world: World, store: Nothing) -> None:
    """Let aggregation and beacon of a verified job read back what an earlier process computed."""
    assert world.job is not None
    world.job.math.store = store
    if isinstance(world.job.scheme, BeaconScheme):
        world.job.scheme.store = store


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
    return replace(bind("learning.model.params", factory, params, shape), precision=section.precision)


def _make_training(scenario: Scenario, rng: Rng) -> tuple[Training, list[str]]:
    section = scenario.learning
    chosen = section.dataset
    dataset = load_dataset(chosen.name, chosen.params, rng.stream("dataset"), chosen.folder)
    model = _make_model(scenario, dataset.input_shape, dataset.n_classes)
    own_states = scenario.protocol.name in GOSSIP_PROTOCOLS
    states = own_rows(scenario.peers.count) if own_states else 256
    sizes = _make_sizes(scenario, model)
    engine = GradientEngine(model, dataset, section.batch_size, states=states, own_states=own_states, sizes=sizes)
    notice = engine.self_test(rng.stream("self-test"))
    rate = learning_rate(scenario)
    optimiser = make_optimiser(section.optimiser.name, {"learning_rate": rate, **section.optimiser.params})
    params = engine.model.init(rng.stream("initial-weights"))
    shards = make_shards(scenario, dataset, rng)
    notices = [notice] if notice else []
    if engine.sizes.is_profile:
        notices.append(PROFILE_NOTICE.format(nominal=engine.sizes.nominal, real=engine.sizes.real))
    return Training(engine, optimiser, params, shards), notices


def _make_sizes(scenario: Scenario, model: Model) -> SizeModel | None:
    """Return nominal sizes where the scenario asks for some."""
    section = scenario.learning
    if section.nominal_parameters is None:
        return None
    return nominal_sizes(model, section.batch_size, section.nominal_parameters, section.nominal_flops)


def make_shards(scenario: Scenario, dataset: Dataset, rng: Rng) -> Shards | None:
    """Return who holds which records, or None where all hold all."""
    section, n = scenario.learning.privacy, scenario.peers.count
    if section.data == "public":
        return None
    stream = rng.stream("shards")
    if section.partition == "iid":
        return Shards(dataset, partition_iid(dataset.y_train, n, stream))
    return Shards(dataset, partition_dirichlet(dataset.y_train, n, section.alpha, stream))


def learning_rate(scenario: Scenario) -> dict[str, Any]:
    """Return the schedule in the form of the learning room; a cosine ends with the run unless told otherwise."""
    optimiser = scenario.learning.optimiser
    schedule = optimiser.schedule
    ends = {"steps": scenario.protocol.steps} if schedule.name == "cosine" else {}
    return {"name": schedule.name, "initial": optimiser.learning_rate, **ends, **schedule.params}


def _draw_slowness(scenario: Scenario, rng: Rng) -> np.ndarray:
    spread = scenario.peers.speed_spread
    return rng.stream("slowness").lognormal(0.0, spread, scenario.peers.count)


def _add_verified(world: World, rng: Rng, seats: list[Seat]) -> None:
    """Add contracts, chain and verifying peers."""
    scenario = world.scenario
    scheme = make_beacon(scheme_name(scenario), scenario.beacon.group)
    world.manifest = make_manifest(scenario, world.training)
    owner = Keypair.from_seed(rng.key("owner"))
    addresses = [seat.keypair.address for seat in seats]
    profile = chain_profile(scenario)
    check_exchange_time(scenario, main_profile(scenario, profile), world)
    behaviours = [seat.behaviour for seat in seats]
    plans = draw_plans(scenario, world.honest, behaviours, rng)
    founders = count_founders(plans, len(seats))
    contracts = deploy(scenario, world, scheme, owner, addresses, founders)
    chains = world.chains = make_chains(scenario, world, contracts, profile, scheme)
    keep: Callable[[Any], None] = world.messages.append if scenario.output.messages else lambda message: None
    valuation = make_valuation(scenario)
    job = world.job = VerifiedJob(
        contracts.terms,
        world.training,
        PartMath(clip_settings(scenario), scenario.peers.count),
        scheme,
        Messenger(contracts.terms.job_digest, addresses, keep),
        rng,
        world.observer,
        scenario.contracts.report_s,
        make_arithmetic(scenario, rng),
        plans=plans,
        settlement=lambda: chains.settlement(PEER_BALANCE_WEI),
        valuation=valuation,
        game=None if valuation is None else ContributionGame(world.training, valuation),
    )
    world.others = list(chains.all)
    peers = [VerifiedPeer(seat, chains.main, job, chains.base) for seat in seats]
    world.peers.extend(peers)
    if scenario.output.messages:
        _publish(world, peers)
    let_peers_meddle(world, behaviours, addresses, peers)
    for chain in chains.all:
        chain.admit(fund_rewards(scenario, chain, owner))
    if contracts.terms.withheld == Withheld.TRUSTED:
        TrustedDealer(chains.main, chains.all[-1].inbox, owner, rng, first_nonce=1)


def _publish(world: World, peers: list[VerifiedPeer]) -> None:
    """Keep what the first honest peer to finish a step has aggregated."""
    publication = world.publication = Publication()

    def note(step: int, peer: int, state: ModelState) -> None:
        vector, _ = assemble(peers[peer].records[step], world.training.n_parameters)
        publication.note(world.training, step, vector, state)

    world.observer.publish = note


def _add_baseline(world: World, rng: Rng, seats: list[Seat]) -> None:
    """Add the peers of an unverified protocol."""
    scenario = world.scenario
    section = scenario.protocol.rule
    if section.name in GOSSIP_RULES:
        raise UserError(
            f"protocol.rule.name: {section.name!r} is a gossip rule and {scenario.protocol.name!r} has no "
            f"neighbourhoods; use a rule such as centered_clip, or one of {', '.join(GOSSIP_PROTOCOLS)}"
        )
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
