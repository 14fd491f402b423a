"""Small gossip runs for tests: a linear model on an overlay of a few peers."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdfl.learning.optimisers import Optimiser
from simdfl.protocols.gossip import GossipPeer
from simdfl.protocols.training import ModelState
from simdfl.scenario import loads
from simdfl.world import RunResult, World, build

SMALL = """
name: small
protocol: {name: gossip_sgd, steps: 8}
peers: {count: 10}
topology: {name: random_regular, params: {degree: 4}}
learning:
  model: {name: logistic}
  optimiser: {name: sgd, learning_rate: 0.1}
  evaluate_every: 1
"""


def build_gossip(*overrides: str, seed: int = 1) -> World:
    """Return a small gossip world with `overrides` (key.path=value) applied."""
    return build(loads(SMALL, "small", overrides, seed=seed).scenario)


def run_gossip(*overrides: str, seed: int = 1) -> tuple[World, RunResult]:
    """Run a small gossip world."""
    world = build_gossip(*overrides, seed=seed)
    return world, world.run()


def digest(*overrides: str) -> str:
    """Return the trace digest of a small run."""
    return run_gossip(*overrides)[1].trace_digest


def give_models(world: World, models: np.ndarray) -> None:
    """Give every peer a model of its own, models : (n, d)."""
    for peer, params in zip(world.peers, models.astype(np.float32)):
        assert isinstance(peer, GossipPeer)
        handle = world.training.engine.put(params)
        peer.state = ModelState(handle, params, world.training.genesis.opt_state, handle)
        peer.told = params


def stop_learning(world: World) -> None:
    """Let every optimiser step be nothing: what is left is gossip."""
    still = Optimiser("sgd", lambda step: 0.0 * step)
    world.training.optimiser = still
    for peer in world.peers:
        assert isinstance(peer, GossipPeer)
        peer.job.local_steps._optimiser = still


def models(world: World) -> np.ndarray:
    """Return all peers' parameters (n, d) float64."""
    peers: Any = world.peers
    return np.stack([peer.state.params for peer in peers]).astype(np.float64)


def variance(rows: np.ndarray) -> float:
    """Return the mean squared distance of rows to their mean."""
    return float(((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean())
