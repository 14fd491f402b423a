"""Attacks of aggregators on their part, and of contributors on what they report of a part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adversaries.checks import require, require_positive
from adversaries.targets import draw_victims
from simdfl.peers.behaviour import Byzantine, ShiftOracle, Turn

FIXED_ONE = 1 << 40
"""Reported numbers count in units of 2^-40 (section 6 of the protocol)."""


class CoveredShift(Byzantine):
    """Base of shifts of the own part that accomplices cover by bending their projections."""

    def craft(self, turn: Turn) -> np.ndarray:
        """Contribute honestly, and be there to cover."""
        self._accomplices("covering", turn.step).add(turn.peer)
        return turn.own_gradient()

    def aggregate(self, turn: Turn, value: np.ndarray) -> np.ndarray:
        """Return the part (d_part,) with the shift."""
        if not self.is_attacking(turn.step) or not self._accomplices("covering", turn.step):
            return value
        direction = self._direction(turn.peer, len(value))
        length = self._length(turn, value, direction)
        if length == 0.0:
            return value
        self._accomplices("shifting", turn.step).add(turn.peer)
        return (value + length * direction).astype(np.float32)

    def _length(self, turn: Turn, value: np.ndarray, direction: np.ndarray) -> float:
        """Return how far to shift the part along a unit vector (d_part,)."""
        return 0.0

    def report(
        self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take one's share of the excess off the own projections on every shifted part."""
        covering, shifting = (self._accomplices(role, turn.step) for role in ("covering", "shifting"))
        sharing = [peer for peer in turn.contributors if peer in covering]
        if turn.peer not in sharing:
            return projections, norms
        rank, bent = sharing.index(turn.peer), projections.copy()
        for position, owner in enumerate(turn.roster):
            if owner in shifting:
                whole, rest = np.divmod(shift(owner), len(sharing))
                bent[position] -= whole + (rank < rest)
        return bent, norms

    def _accomplices(self, role: str, step: int) -> set[int]:
        """Return the set, shared by the coalition, of who has this role in this step."""
        found: set[int] = self.coalition.once(("aggregation_shift", role, step), set)
        return found

    def _direction(self, peer: int, size: int) -> np.ndarray:
        def draw() -> np.ndarray:
            vector = self.coalition.rng.stream("aggregation_shift", peer, size).standard_normal(size)
            return vector / np.linalg.norm(vector)

        direction: np.ndarray = self.coalition.once(("aggregation_shift", "direction", peer, size), draw)
        return direction


class AggregationShift(CoveredShift):
    """Publish ``ghat[j] + e`` for the own part, while accomplices bend their projections until the sum is zero.

    e is a random direction, constant for each aggregator while its part keeps its size. The accomplices who
    contribute split the excess of the true sum among them, exact in integers, so V2 sees nothing; the
    aggregator accuses none of them, so V1 sees nothing; V3 sees it if most contributors are farther than
    Delta_max from the result. A validator who checks such an accomplice finds its projections false, and
    CheckAveraging then finds the aggregator.

    It needs an accomplice with this attack among the contributors, and rests in steps without one.

    Parameters
    ----------
    size : float
        Norm of e.
    relative : bool
        Whether `size` counts in norms of the right part instead of gradient units. With absolute units, a
        size of Delta_max less the honest distances stays just under V3.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (aggregation attack; verifications 1 to 3).
    """

    def __init__(self, *, size: float = 1.0, relative: bool = True, **base: Any) -> None:
        super().__init__(**base)
        require_positive("aggregation_shift.size", size)
        self.size = size
        self.relative = relative

    def _length(self, turn: Turn, value: np.ndarray, direction: np.ndarray) -> float:
        """Return the norm of e."""
        return self.size * (float(np.linalg.norm(value)) if self.relative else 1.0)


class LyingProjections(Byzantine):
    """Add `offset` to the own projections on the part of one honest aggregator, drawn anew in every step.

    The sum on that part no longer vanishes, which throws suspicion on the aggregator. But the aggregator holds
    the part and knows the right numbers (V1), and CheckAveraging bans the wrong reporter, not it.

    Parameters
    ----------
    offset : float
        In gradient units, not zero.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3, verification 1.
    """

    def __init__(self, *, offset: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        is_possible = math.isfinite(offset) and 1.0 <= abs(offset) * FIXED_ONE < 2.0**62
        require(is_possible, "lying_projections.offset", offset, "at least 2^-40 and below 2^22, with any sign")
        self.offset = offset

    def report(
        self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle
    ) -> tuple[np.ndarray, np.ndarray]:
        """Falsify one row of the projections."""
        victims = draw_victims(self.coalition, turn, turn.roster)
        if not self.is_attacking(turn.step) or not victims:
            return projections, norms
        bent = projections.copy()
        bent[list(turn.roster).index(victims[0])] += round(self.offset * FIXED_ONE)
        return bent, norms


class ShiftUnderV3(CoveredShift):
    """Shift the own part as far as V3 allows: until half of the contributors are at `max_deviation` from it.

    Everything else is as in ``aggregation_shift``. It shows what V3's bound leaves to colluders until a validator
    finds one of those who cover.

    Parameters
    ----------
    max_deviation : float
        The job's Delta_max, in gradient units.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3, verification 3.
    """

    MARGIN = 0.999

    def __init__(self, *, max_deviation: float = 10.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("shift_under_v3.max_deviation", max_deviation)
        self.max_deviation = max_deviation

    def _length(self, turn: Turn, value: np.ndarray, direction: np.ndarray) -> float:
        """Return the largest length at which at least half of the honest contributors do not complain."""
        honest = turn.honest_gradients(self.coalition)
        size, position = len(value), list(turn.roster).index(turn.peer)
        padded = np.zeros((len(honest), size * len(turn.roster)))
        padded[:, : honest.shape[1]] = honest
        apart = padded[:, position * size : (position + 1) * size] - value
        along = apart @ direction
        across = np.sum(apart * apart, axis=1) - along**2
        room = (self.MARGIN * self.max_deviation) ** 2 - across
        limits = np.sort(along + np.sqrt(np.maximum(room, 0.0)))
        silent = sum(peer in self.coalition.members for peer in turn.contributors)
        quiet = max(0, (len(turn.contributors) + 1) // 2 - silent)
        return float(max(0.0, limits[len(limits) - quiet])) if 0 < quiet <= len(limits) else float(limits[-1])


class LyingNorm(Byzantine):
    """Report the own distances too small by `factor`, so that V3's complaints of others look unfounded.

    V1: every aggregator knows the right distance on its own part.

    Parameters
    ----------
    factor : float
        Between 0 and 1.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3, verifications 1 and 3.
    """

    def __init__(self, *, factor: float = 0.5, **base: Any) -> None:
        super().__init__(**base)
        require(0 <= factor < 1, "lying_norm.factor", factor, "at least 0 and below 1")
        self.factor = factor

    def report(
        self, turn: Turn, projections: np.ndarray, norms: np.ndarray, shift: ShiftOracle
    ) -> tuple[np.ndarray, np.ndarray]:
        """Understate the norms (parts,)."""
        if not self.is_attacking(turn.step):
            return projections, norms
        return projections, (norms * self.factor).astype(np.int64)


class EquivocateAggregate(Byzantine):
    """Send every second peer another aggregated part than the one whose hash is on chain.

    A part that does not match its posted hash counts as not sent: who got the wrong one fetches the right one
    from the others.
    """

    def aggregate_for(self, turn: Turn, receiver: int, value: np.ndarray) -> np.ndarray:
        """Return the negative part (d_part,) for odd receivers."""
        return -value if self.is_attacking(turn.step) and receiver % 2 else value
