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


class ForesightSource(Protocol):
    """What can be worked out of a beacon output before it is official."""

    def others_have_opened(self) -> bool:
        """Return whether every dealer outside the coalition has opened its secret."""
        ...

    def pairs(
        self, roster: Sequence[int], contributors: Sequence[int], withholding: Sequence[int] = ()
    ) -> list[tuple[int, int]] | None:
        """Return the (validator, target) pairs that would follow if these withhold, or None if unknown."""
        ...


class Dealer(Protocol):
    """A dealer's choices when it deals for one beacon output."""

    @property
    def output(self) -> int:
        """The first output that this dealing serves."""
        ...

    @property
    def threshold(self) -> int:
        """How many shares recover the secret."""
        ...

    @property
    def transcript(self) -> bytes:
        """The right transcript."""
        ...

    def of_degree(self, degree: int) -> bytes:
        """Return a transcript whose polynomial has this degree."""
        ...

    def in_other_context(self) -> bytes:
        """Return a valid sharing made for another output: a replay."""
        ...

    def copied(self, dealer: int) -> bytes | None:
        """Return what `dealer` published for this output, if it has been heard of."""
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
    foresight : ForesightSource, optional
        What a coalition can work out of the beacon output that ends this step; None without a beacon.
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
    foresight: ForesightSource | None = None
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

    def goes_down(self, turn: Turn) -> bool:
        """Return whether the machine stops as this step begins, in protocols that it can come back to."""
        return False

    def link_factor(self) -> float:
        """Return by what the own bandwidths are multiplied."""
        return 1.0

    def down_s(self) -> float | None:
        """Return for how long a crash lasts, simulated seconds; None is for ever."""
        return None

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

    def aggregate_for(self, turn: Turn, receiver: int, value: np.ndarray) -> np.ndarray:
        """Return the aggregated part (d_part,) to send to this peer, given the one whose hash is posted."""
        return value

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

    def claims_unshown(self, turn: Turn, target: int) -> bool:
        """Return whether to claim as a validator that a target showed nothing, although it did."""
        return False

    def shows(self, turn: Turn, validator: int) -> bool:
        """Return whether to show one's gradient, or private batch, to the validator that asks for it."""
        return True

    def recomputed(self, case: dict[str, Any], reference: np.ndarray) -> np.ndarray:
        """Return the recomputation (d,) to show as an accuser, given the right one."""
        return reference

    def plants(self, turn: Turn) -> bool:
        """Return whether to plant the error that one's lot as a canary asks for."""
        return True

    def returns(self) -> bool:
        """Return whether to come back, by way of probation, after an ejection."""
        return True

    def evades(self) -> bool:
        """Return whether to try to come back after a ban."""
        return False

    def joins_in(self) -> int | None:
        """Return the step in which to register, or None to be there from the start."""
        return None

    # ---- network and chain

    def relays(self, step: int, origin: int, neighbour: int) -> bool:
        """Return whether to pass on to a neighbour what `origin` broadcast about a step."""
        return True

    def includes(self, step: int, sender: int, function: str) -> bool:
        """Return, as a block's proposer, whether to include a peer's call."""
        return True

    def front_runs(self, step: int, function: str) -> bool:
        """Return, as a block's proposer, whether to put one's own copy of a call before it."""
        return False

    def puts_last(self, step: int, sender: int, function: str) -> bool:
        """Return, as a block's proposer, whether to put a peer's call behind all others."""
        return False

    def spam(self, turn: Turn) -> list[int]:
        """Return the calldata sizes, in bytes, of junk transactions to send."""
        return []

    def anchors(self, epoch: int, content: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the anchor (block hash, bans, payouts) to sign and post for an epoch, given the right one."""
        return content

    def values_contributions(self, round: int, amounts: list[int]) -> list[int]:
        """Return the amounts in wei, one a member, to vote for in a round of contributions."""
        return amounts

    # ---- beacon

    def deals_late(self, epoch: int) -> bool:
        """Return whether to deal only when all others have."""
        return False

    def transcript(self, dealer: Dealer) -> bytes:
        """Return the dealing to publish for a beacon output."""
        return dealer.transcript

    def learns_secrets(self, peer: int, secrets: dict[int, int]) -> None:
        """Take note of one's own secrets by output; a coalition shares them."""

    def learns_key(self, peer: int, secret_key: int) -> None:
        """Take note of one's own beacon key; a coalition shares it."""

    def shared_notes(self) -> dict[Any, Any]:
        """Return what one's coalition knows together; an honest peer has none."""
        return {}

    def accomplices(self) -> frozenset[int]:
        """Return one's coalition, oneself included; an honest peer has none."""
        return frozenset()

    def disputes(self, dealer: int) -> bool:
        """Return whether to prove an invalid dealing of this dealer."""
        return True

    def reveals(self, turn: Turn) -> bool:
        """Return whether to open one's secret of this step's beacon."""
        return True

    def holds_back(self, turn: Turn) -> bool:
        """Return whether to wait with one's secret until all others have opened theirs, and decide then."""
        return False

    def opens(self, turn: Turn, foresight: ForesightSource) -> bool:
        """Return whether to open the secret that one held back."""
        return True

    def opened_share(self, output: int, dealer: int, share: bytes) -> bytes | None:
        """Return the decrypted share to publish in a recovery, or None for silence."""
        return share


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

    def plants(self, turn: Turn) -> bool:
        """Do not bother."""
        return False

    def learns_secrets(self, peer: int, secrets: dict[int, int]) -> None:
        """Tell the accomplices."""
        for output, secret in secrets.items():
            self.coalition.notes.setdefault(("secrets", output), {})[peer] = secret

    def learns_key(self, peer: int, secret_key: int) -> None:
        """Tell the accomplices."""
        self.coalition.notes.setdefault("beacon_keys", {})[peer] = secret_key

    def shared_notes(self) -> dict[Any, Any]:
        """Return the coalition's notes."""
        return self.coalition.notes

    def accomplices(self) -> frozenset[int]:
        """Return the coalition."""
        return self.coalition.members

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
