"""What all peers of one verified run share: the manifest, the learning, the cryptography, the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from contracts_model import Terms
from simdfl.crypto.beacon import RandomBeacon
from simdfl.learning.poison import Poison
from simdfl.memo import Memo
from simdfl.peers.peer import Messenger
from simdfl.protocols.arithmetic import Arithmetic, Exact
from simdfl.protocols.contributions import ContributionGame, Valuation
from simdfl.protocols.parts import Aggregate, Commitment, PartMath, Report
from simdfl.protocols.training import ModelState, Training
from simdfl.rng import Rng
from simdfl.trace import Tracer

if TYPE_CHECKING:
    from simdfl.protocols.beacon_duty import DealtEpoch


@dataclass(frozen=True)
class MembershipPlan:
    """When a peer joins or leaves: steps that are open when it acts; None is from the start, or never."""

    join_step: int | None = None
    leave_step: int | None = None


@dataclass(frozen=True)
class VerifiedJob:
    """The job manifest and the shared, pure machinery behind it.

    ``report_s`` is how long peers wait for each other's reports before they vote somebody absent;
    ``beacon_keys`` are the registered keys by peer, ``batch_verdicts`` what is known of published dealings, and
    ``published`` the transcripts by (output, dealer). ``proven`` holds what dealers prove on chain, by (epoch,
    dealer): calldata that a peer may read once the block has reached it. ``dealt_bytes`` lists the sizes of an
    epoch's dealings. ``checks`` lists (step, validator, target, agreed) of all validations where arithmetic is
    tolerant. ``plans`` says who joins, leaves or crashes when, and ``settlement`` what the contracts of a
    channel gave every member at the end, in wei. ``valuation`` and ``game`` value contributions, where they are
    rewarded.
    """

    terms: Terms
    training: Training
    math: PartMath
    scheme: RandomBeacon
    messenger: Messenger
    rng: Rng
    trace: Tracer
    report_s: int
    arithmetic: Arithmetic = field(default_factory=Exact)
    plans: Mapping[int, MembershipPlan] = field(default_factory=dict)
    settlement: Callable[[], tuple[int, ...]] = tuple
    beacon_keys: dict[int, bytes] = field(default_factory=dict)
    batch_verdicts: Memo = field(default_factory=lambda: Memo(4096), repr=False)
    published: dict[tuple[int, int], bytes] = field(default_factory=dict, repr=False)
    proven: dict[tuple[int, int], DealtEpoch] = field(default_factory=dict, repr=False)
    checks: list[tuple[int, int, int, bool]] = field(default_factory=list, repr=False)
    dealt_bytes: dict[int, list[int]] = field(default_factory=dict, repr=False)
    valuation: Valuation | None = None
    game: ContributionGame | None = field(default=None, repr=False)

    @property
    def is_private(self) -> bool:
        """Whether peers hold records that the others do not."""
        return self.training.shards is not None

    def gradient(
        self,
        state: ModelState,
        randomness: bytes,
        step: int,
        peer: int,
        poison: Poison | None = None,
        device: int | None = None,
    ) -> np.ndarray:
        """Return the gradient (d,) that `peer` owes in `step`, computed on its own or another peer's device."""
        seed = self.training.batch_seed(randomness, step, peer)
        plain = self.training.gradient(state, seed, poison)
        key = state.digest + seed + repr(poison).encode() * (poison is not None)
        return self.arithmetic.on_device(peer if device is None else device, plain, key)

    def honest_commitment(
        self, state: ModelState, randomness: bytes, step: int, peer: int, n_parts: int, device: int
    ) -> Commitment:
        """Return the commitment that `peer` owes in `step`, computed on a peer's device."""
        gradient = self.gradient(state, randomness, step, peer, device=device)
        key = (
            state.digest,
            self.training.batch_seed(randomness, step, peer) + self.arithmetic.device_key(device),
        )
        return self.math.commitment(key, gradient, n_parts)


class Removed(Exception):
    """A peer finds itself outside the roster."""


@dataclass
class StepRecord:
    """What one peer knows of one step; kept for the dispute window.

    ``roster`` owns the parts in order; ``aggregates`` holds a published part or None where it is void.
    """

    step: int
    state: ModelState
    randomness: bytes
    roster: list[int]
    attempt: int = 0
    contributors: list[int] = field(default_factory=list)
    commitments: dict[int, Commitment] = field(default_factory=dict)
    aggregates: list[Aggregate | None] = field(default_factory=list)
    beacon: bytes = b""
    reports: dict[int, Report] = field(default_factory=dict)

    def position(self, owner: int) -> int:
        """Return which part `owner` aggregates."""
        return self.roster.index(owner)

    def true_reports(self, math: PartMath, peers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the right projections (c, p, K) and norms (c, p) of these contributors."""
        commitments = [self.commitments[peer] for peer in peers]
        return math.true_reports(self.beacon, self.roster, commitments, self.aggregates)
