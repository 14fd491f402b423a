"""Every decision of a peer is a method here; the honest answers are the defaults, an adversary overrides some.

A protocol asks the behaviour at each point where a peer could lie. What a protocol never asks (a protocol
without beacon never asks for reveals) has no effect there. Byzantine peers collude fully: they share a
:class:`Coalition`, see all gradients and everything but unrevealed randomness (PROTOCOL section 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from simdfl.learning.poison import Poison
from simdfl.memo import Memo
from simdfl.rng import Rng


class GradientSource(Protocol):
    """Where a turn gets honest gradients from."""

    def __call__(self, peer: int, poison: Poison | None = None) -> np.ndarray:
        """Return the gradient (d,) that `peer` owes in this step, its batch poisoned first if asked."""
        ...


@dataclass
class Coalition:
    """The Byzantine peers of one adversary group, and what they remember together."""

    members: frozenset[int]
    n_peers: int
    n_classes: int
    rng: Rng
    notes: dict[Any, Any] = field(default_factory=dict)
    _memo: Memo = field(default_factory=lambda: Memo(64), repr=False)

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """Return what the coalition computed under `key`; the last 64 results are remembered.

        ``notes`` is a plain dictionary for what an attack must remember longer.
        """
        return self._memo.get(key, compute)


@dataclass(frozen=True)
class Turn:
    """One peer's view at one decision of one step.

    Parameters
    ----------
    step : int
        The training step.
    peer : int
        Who decides.
    roster : sequence of int
        Active peers of this step, ascending.
    contributors : sequence of int
        Peers that owe a gradient in this step, ascending.
    gradient_of : GradientSource
        Omniscience about gradients; computed only when asked for.
    ask : callable, optional
        ``ask(peer, poison)`` announces that a poisoned gradient will be read, so that accomplices' are computed
        together.
    vector_of : callable, optional
        What a peer would send its neighbours honestly, (d,); without it, the gradient. Gossip protocols give it.
    neighbours_of : callable, optional
        Whom a peer exchanges vectors with; without it, the whole roster but itself.
    """

    step: int
    peer: int
    roster: Sequence[int]
    contributors: Sequence[int]
    gradient_of: GradientSource
    ask: Callable[[int, Poison], object] | None = None
    vector_of: Callable[[int], np.ndarray] | None = None
    neighbours_of: Callable[[int], Sequence[int]] | None = None

    def own_gradient(self, poison: Poison | None = None) -> np.ndarray:
        """Return the gradient (d,) that this peer owes, its batch poisoned first if asked."""
        return self.gradient_of(self.peer, poison)

    def honest_vector(self, peer: int) -> np.ndarray:
        """Return what `peer` would send its neighbours honestly, (d,)."""
        return self.gradient_of(peer) if self.vector_of is None else self.vector_of(peer)

    def neighbours(self, peer: int) -> Sequence[int]:
        """Return whom `peer` exchanges vectors with."""
        if self.neighbours_of is None:
            return [other for other in self.roster if other != peer]
        return self.neighbours_of(peer)

    def honest_gradients(self, coalition: Coalition) -> np.ndarray:
        """Return the gradients (h, d) of all contributors outside the coalition."""
        honest = [peer for peer in self.contributors if peer not in coalition.members]
        if not honest:
            return self.own_gradient()[None, :]
        return np.stack([self.gradient_of(peer) for peer in honest])


class Behaviour:
    """An honest peer."""

    # ---- learning

    def gradient(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) float32 to contribute."""
        return turn.own_gradient()

    def goal(self) -> Poison | None:
        """Return the poison whose success on the test records is to be measured, or None; asked once a run."""
        return None

    # ---- time

    def slowness(self, turn: Turn) -> float:
        """Return the factor on the time that the own gradient takes."""
        return 1.0

    def delay_s(self, turn: Turn) -> float:
        """Return how long to hold back the own gradient before it is sent, simulated seconds."""
        return 0.0

    def junk_bytes(self, turn: Turn) -> int:
        """Return the size of a useless message to send to every neighbour in this step, 0 for none."""
        return 0

    def has_crashed(self, turn: Turn) -> bool:
        """Return whether the peer falls silent for ever before this step."""
        return False

    # ---- messages

    def vector_for(self, turn: Turn, receiver: int, vector: np.ndarray) -> np.ndarray:
        """Return what to send this neighbour (d,) in a gossip protocol, given the vector meant for all."""
        return vector

    def other_gradient(self, turn: Turn) -> np.ndarray | None:
        """Return a second gradient to commit to before half of the neighbours (equivocation), or None."""
        return None

    def sent_gradient(self, turn: Turn) -> np.ndarray | None:
        """Return a gradient whose parts to send instead of those committed to, or None."""
        return None

    def sends_part(self, turn: Turn, receiver: int) -> bool:
        """Return whether to send one's part to this aggregator."""
        return True

    def sends_aggregate(self, turn: Turn, receiver: int) -> bool:
        """Return whether to send the aggregated part to this peer."""
        return True

    # ---- aggregation and reports

    def aggregate(self, turn: Turn, value: np.ndarray) -> np.ndarray:
        """Return the aggregated part (d_part,) to publish, given the right one."""
        return value

    def report(
        self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the projections (parts, K) and norms (parts,) to report, both int64 in units of 2^-40.

        `shift` gives what a colluding aggregator's shift adds to the sum of a part.
        """
        return projections, norms

    def sends_report(self, turn: Turn) -> bool:
        """Return whether to publish the report at all."""
        return True

    # ---- checks

    def accuses(self, turn: Turn, liars: Sequence[int]) -> Sequence[int]:
        """Return whom to accuse of a false report on one's part (V1), given who did report falsely."""
        return liars

    def complains(self, turn: Turn, owners: Sequence[int]) -> Sequence[int]:
        """Return on whose parts to complain (V3), given those further than Delta_max from one's own."""
        return owners

    def eliminates(self, turn: Turn, missing: Sequence[int]) -> Sequence[int]:
        """Return with whom to leave, given whose parts did not arrive."""
        return missing

    def attests(self, turn: Turn, target: int, is_right: bool) -> bool | None:
        """Return the validator's result to publish about `target`, or None for silence."""
        return is_right

    def votes(
        self, case: dict[str, Any], verdict: tuple[bytes, bytes, bytes]
    ) -> tuple[bytes, bytes, bytes] | None:
        """Return the verdict to vote in court given the right one, or None to abstain."""
        return verdict

    def opens_parts(self, case: dict[str, Any]) -> bool:
        """Return whether to open the parts that the court asks for."""
        return True

    # ---- beacon

    def transcript(self, output: int, transcript: bytes) -> bytes:
        """Return the dealing to publish for a beacon output, given the right one."""
        return transcript

    def disputes(self, dealer: int) -> bool:
        """Return whether to prove an invalid dealing of this dealer."""
        return True

    def reveals(self, turn: Turn) -> bool:
        """Return whether to open one's secret of this step's beacon."""
        return True


class ShiftOracle(Protocol):
    """How a shifted aggregate moves the sum of projections on a part."""

    def __call__(self, part: int) -> np.ndarray:
        """Return the excess (K,) int64 of the true sum on the part owned by peer `part`."""
        ...


def is_scheduled(step: int, start_step: int, stop_step: int | None, period: int) -> bool:
    """Return whether `step` is one of ``start_step, start_step + period, …`` before ``stop_step``.

    >>> [step for step in range(9) if is_scheduled(step, 2, 7, 3)]
    [2, 5]
    """
    before_stop = stop_step is None or step < stop_step
    return step >= start_step and before_stop and (step - start_step) % period == 0


class Byzantine(Behaviour):
    """Base of all adversaries: membership in a coalition, a schedule, and cover for the others.

    Parameters
    ----------
    coalition : Coalition
        With whom this peer colludes.
    start_step, stop_step, period : int
        It attacks in steps ``start_step, start_step + period, …`` before ``stop_step``.
    """

    sends_finite: ClassVar[bool] = True
    """Whether all entries of its gradient are finite; an attack by NaN or infinities says no."""

    def __init__(
        self, coalition: Coalition, start_step: int = 0, stop_step: int | None = None, period: int = 1
    ) -> None:
        self.coalition = coalition
        self.start_step = start_step
        self.stop_step = stop_step
        self.period = period

    def is_attacking(self, step: int) -> bool:
        """Return whether the schedule says to attack in `step`."""
        return is_scheduled(step, self.start_step, self.stop_step, self.period)

    def gradient(self, turn: Turn) -> np.ndarray:
        """Return :meth:`craft`'s vector while attacking, the honest gradient otherwise."""
        if not self.is_attacking(turn.step):
            return turn.own_gradient()
        with np.errstate(over="ignore"):
            return np.asarray(self.craft(turn)).astype(np.float32, copy=False)

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the malicious gradient (d,); gradient attacks override this method alone."""
        return turn.own_gradient()

    def accuses(self, turn: Turn, liars: Sequence[int]) -> Sequence[int]:
        """Never accuse an accomplice."""
        return [peer for peer in liars if peer not in self.coalition.members]

    def complains(self, turn: Turn, owners: Sequence[int]) -> Sequence[int]:
        """Draw no attention to one's own distance."""
        return []

    def attests(self, turn: Turn, target: int, is_right: bool) -> bool | None:
        """Cover for accomplices."""
        return True if target in self.coalition.members else is_right

    def disputes(self, dealer: int) -> bool:
        """Spare accomplices."""
        return dealer not in self.coalition.members

    def votes(
        self, case: dict[str, Any], verdict: tuple[bytes, bytes, bytes]
    ) -> tuple[bytes, bytes, bytes] | None:
        """Vote an accomplice innocent."""
        return (b"", b"", b"") if case["target"] in self.coalition.members else verdict
