"""Levels 1 and 2: gradients computed again, and the whole training replayed.

Level 1 draws (step, peer) pairs with the auditor's own coin, which no peer could foresee. Level 2 takes all
pairs, aggregates them again where every contribution is known, and ends at the published weights.

A wrong gradient is no violation where the procedure dealt with it: its maker was banned, or it was a planted
canary. A wrong gradient of a peer that was never banned is what an audit is for.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from simdfl.auditing.facts import Facts, StepFacts
from simdfl.auditing.findings import Findings
from simdfl.auditing.journal import Journal
from simdfl.auditing.learning import Learning, Replay
from simdfl.auditing.parts import (
    ReportMaker,
    aggregate_parts,
    batch_seed,
    commitment_root,
    committed,
    part_hash,
)
from simdfl.auditing.published import Published
from simdfl.auditing.weights import aggregates, opened

Pair = tuple[int, int]
Tick = Callable[[int], None]
ROUND = 64
"""Pairs drawn together, so that a budget in seconds is looked at now and then."""


@dataclass
class Tally:
    """How much was recomputed: pairs, of those wrong and punished, canaries, and seconds."""

    eligible: int = 0
    checked: int = 0
    punished: int = 0
    canaries: int = 0
    steps_aggregated: int = 0
    steps_unknown: int = 0
    wrong: int = 0
    wall_s: float = 0.0


def eligible_pairs(published: Published, facts: Facts) -> list[Pair]:
    """Return all (step, contributor) whose gradient went into a finished step."""
    return [
        (step, peer)
        for step, found in sorted(facts.steps.items())
        if step < published.steps
        for peer in found.contributors
    ]


class Recomputation:
    """Computes again what peers say they computed.

    Parameters
    ----------
    published, facts, findings
        The run folder, what its contracts decided, and where findings go.
    learning : Learning
        The learning, set up again.
    reports : dict
        Digest of the signed report by (step, peer).
    journal : Journal
        Remembers finished pairs for a later resumption.
    """

    def __init__(
        self,
        published: Published,
        facts: Facts,
        findings: Findings,
        learning: Learning,
        reports: dict[Pair, bytes],
        journal: Journal,
    ) -> None:
        self._published = published
        self._facts = facts
        self._findings = findings
        self._learning = learning
        self._reports = reports
        self._journal = journal
        protocol = published.configuration["protocol"]
        self._protocol = protocol
        self._reporter = ReportMaker(float(protocol["clip_radius"]), published.terms.projections)
        self.tally = Tally(len(eligible_pairs(published, facts)))
        self._position, saved = journal.load(findings)
        self._before_s = float(saved.get("wall_s", 0.0))
        self.tally = Tally(**saved) if saved else self.tally

    # ---- level 1

    def sample(self, coin: np.random.Generator, samples: int, budget_s: float, tick: Tick) -> None:
        """Check pairs drawn without replacement, until there are enough of them or the time is used up."""
        started = time.perf_counter()
        pairs = eligible_pairs(self._published, self._facts)
        order = [pairs[int(at)] for at in coin.permutation(len(pairs))][:samples]
        for start in range(self._position, len(order), ROUND):
            if time.perf_counter() - started > budget_s:
                break
            self._check_round(sorted(order[start : start + ROUND]), tick)
            self._save(start + ROUND, started)
        self._save(len(order), started, True)

    def _check_round(self, pairs: list[Pair], tick: Tick) -> None:
        by_step: dict[int, list[int]] = defaultdict(list)
        for step, peer in pairs:
            by_step[step].append(peer)
        walk = Replay(self._published, self._learning, True)
        for step, peers in by_step.items():
            walk.seek(step)
            stream = aggregates(self._published, walk.step)
            at, aggregate = next(stream)
            while at < step:
                walk.advance(aggregate)
                at, aggregate = next(stream)
            self._check_state(walk, step)
            self._check_peers(walk.params, step, peers, aggregate)
            tick(self.tally.checked)

    # ---- level 2

    def replay(self, tick: Tick) -> bytes:
        """Check all pairs, aggregations and updates; return the digest of the last state."""
        started = time.perf_counter()
        walk, evidence = Replay(self._published, self._learning, False), self._evidence()
        for step, aggregate in aggregates(self._published):
            if step < self._position:
                walk.advance(aggregate)
                continue
            self._check_state(walk, step)
            found = self._facts.steps[step]
            gradients = self._check_peers(walk.params, step, found.contributors, aggregate)
            gradients |= evidence(step)
            self._check_aggregation(step, found, gradients)
            walk.advance(aggregate)
            tick(step)
            self._save(step + 1, started)
        self._check_state(walk, walk.step)
        self._save(self._published.steps, started, True)
        return walk.digest()

    def _save(self, position: int, started: float, at_once: bool = False) -> None:
        self.tally.wall_s = self._before_s + time.perf_counter() - started
        self._journal.save(position, self._findings, asdict(self.tally), at_once)

    def _evidence(self) -> Callable[[int], dict[int, np.ndarray]]:
        """Return a lookup of banned peers' opened gradients by step, which must be asked in order."""
        stream: Iterator[tuple[int, int, np.ndarray]] = opened(self._published)
        held = next(stream, None)

        def of(step: int) -> dict[int, np.ndarray]:
            nonlocal held
            found = {}
            while held is not None and held[0] <= step:
                at, peer, gradient = held
                facts = self._facts.steps[step]
                root = facts.roots.get(peer)
                if at == step and commitment_root(gradient, len(facts.roster)) == root:
                    found[peer] = gradient
                held = next(stream, None)
            return found

        return of

    def _check_aggregation(self, step: int, found: StepFacts, gradients: dict[int, np.ndarray]) -> None:
        if any(peer not in gradients for peer in found.contributors):
            self.tally.steps_unknown += 1
            return
        self.tally.steps_aggregated += 1
        rows = [gradients[peer] for peer in found.contributors]
        capacity = self._published.terms.n_peers
        parts = aggregate_parts(rows, len(found.roster), capacity, self._protocol)
        for owner, part in zip(found.roster, parts):
            if owner in found.void:
                continue
            right = part_hash(part) == found.aggregated.get(owner)
            what = (
                f"aggregator {owner} committed to another part than its contributions give, and was never banned"
            )
            holds = right or owner in self._facts.banned
            self._findings.require("aggregation", holds, step, f"aggregation of step {step}", what)

    # ---- both

    def _check_state(self, walk: Replay, step: int) -> None:
        found = self._facts.steps.get(step)
        if found is not None and found.state is not None:
            same = walk.digest() == found.state
            what = "the updates lead to another state than the majority agreed on"
            self._findings.require("updates", same, step, f"state of step {step}", what)

    def _check_peers(
        self, params: np.ndarray, step: int, peers: list[int], aggregate: np.ndarray
    ) -> dict[int, np.ndarray]:
        """Check gradients and reports of one step; return the gradients (d,) that are the committed ones."""
        found, engine = self._facts.steps[step], self._learning.engine
        state = engine.put(params)
        seeds = {peer: batch_seed(found.randomness, step, peer) for peer in peers}
        waiting = {peer: engine.request(state, seed) for peer, seed in seeds.items()}
        right = {}
        for peer, handle in waiting.items():
            gradient = committed(handle.value())
            self.tally.checked += 1
            sent = self._judge(step, peer, found, gradient)
            if sent is not None:
                right[peer] = sent
                self._check_report(step, peer, found, sent, aggregate)
        return right

    def _judge(self, step: int, peer: int, found: StepFacts, gradient: np.ndarray) -> np.ndarray | None:
        """Return the committed gradient (d,), right or with a canary's error; None where it is another.

        That is a violation if nobody answered it.
        """
        root = found.roots.get(peer)
        if commitment_root(gradient, len(found.roster)) == root:
            self._findings.require("gradients", True, step, "", "")
            return gradient
        self.tally.wrong += 1
        planted = self._planted(peer, found, gradient)
        if planted is not None and commitment_root(planted, len(found.roster)) == root:
            self.tally.canaries += 1
            return planted
        is_punished = peer in self._facts.banned
        self.tally.punished += is_punished
        what = f"peer {peer} committed to a gradient that its public batch does not give, and was never banned"
        self._findings.require("gradients", is_punished, step, f"gradient of step {step}, peer {peer}", what)
        return None

    def _planted(self, peer: int, found: StepFacts, gradient: np.ndarray) -> np.ndarray | None:
        """Return the gradient (d,) with the error that its maker's opened secret plants; None without one."""
        if peer not in found.canaries:
            return None
        planted = gradient.copy()
        at = found.canaries[peer] % len(planted)
        planted[at] = np.nextafter(planted[at], np.float32(np.inf))
        return planted

    def _check_report(
        self, step: int, peer: int, found: StepFacts, gradient: np.ndarray, aggregate: np.ndarray
    ) -> None:
        signed, later = self._reports.get((step, peer)), self._facts.steps.get(step + 1)
        if signed is None or later is None:
            return
        own = self._reporter.root(later.randomness, found.roster, found.void, gradient, aggregate)
        holds = own == signed or peer in self._facts.banned
        what = f"peer {peer} reported other projections or norms than its gradient has, and was never banned"
        self._findings.require("projections", holds, step, f"report of step {step}, peer {peer}", what)
