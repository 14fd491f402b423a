"""Instant finality: validators vote on every block before it counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simdfl.chain.sources.base import BlockSource, Found, require, tries_for

STEPS = 3
"""Proposal, pre-vote, pre-commit: each takes one way through the network."""


@dataclass(frozen=True)
class Bft(BlockSource):
    """A pause, then a round of voting; a silent proposer costs a timeout, and the next one tries.

    A validator votes in a step when it has heard more than two thirds of the votes of the step before. Latencies
    are drawn afresh for every message. Left out: Byzantine validators (more than a third stop the chain).

    Parameters
    ----------
    block_time_s : float
        Pause between a block and the next proposal; voting comes on top.
    validators : int
        Who votes.
    latency_ms : float
        Median one-way latency between two validators.
    spread : float
        Standard deviation of its logarithm.
    silent : float
        Probability that a proposer is down.
    timeout_s : float
        What a round without a proposal takes.

    References
    ----------
    Buchman, Kwon and Milosevic, "The latest gossip on BFT consensus", 2018, algorithm 1.
    """

    name = "bft"

    validators: int = 16
    latency_ms: float = 50.0
    spread: float = 0.5
    silent: float = 0.0
    timeout_s: float = 3.0

    def __post_init__(self) -> None:
        require(4 <= self.validators <= 400, "validators", self.validators, "a number between 4 and 400")
        require(0 < self.latency_ms <= 60_000, "latency_ms", self.latency_ms, "above 0 and at most 60,000 ms")
        require(0 <= self.spread <= 1, "spread", self.spread, "between 0 and 1")
        require(0 <= self.silent <= 0.33, "silent", self.silent, "a probability of at most 0.33")
        require(0 < self.timeout_s <= 3600, "timeout_s", self.timeout_s, "above 0 and at most 3,600 s")

    @property
    def is_final(self) -> bool:
        """A block that is made is final."""
        return True

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield blocks when more than two thirds of the validators have committed them."""
        at_s = 0.0
        while True:
            at_s += self.block_time_s
            while self.silent and rng.random() < self.silent:
                at_s += self.timeout_s
            at_s += self.voting_s(rng)
            yield Found(at_s)

    def voting_s(self, rng: np.random.Generator) -> float:
        """Return what one successful round takes, from the proposal on."""
        count, quorum = self.validators, 2 * self.validators // 3
        ready_s = np.zeros(count)
        for step in range(STEPS):
            ways_s = self.latency_ms * 1e-3 * rng.lognormal(0.0, self.spread, (count, count))
            np.fill_diagonal(ways_s, 0.0)
            heard_s = ready_s[:, None] + ways_s
            ready_s = ways_s[0] if step == 0 else np.partition(heard_s, quorum, axis=0)[quorum]
        return float(np.partition(ready_s, quorum)[quorum])

    def span_s(self, blocks: int) -> float:
        """Return a bound: no step takes longer than a latency two deviations above the median."""
        round_s = self.block_time_s + STEPS * self.latency_ms * 1e-3 * math.exp(2 * self.spread)
        return blocks * round_s + (tries_for(blocks, self.silent) - blocks) * self.timeout_s
