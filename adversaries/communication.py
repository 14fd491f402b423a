"""Attacks on what is sent to whom: withheld parts, aggregates and reports, and two stories at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries.checks import require_count
from adversaries.targets import draw_victims
from simdfl.peers.behaviour import Byzantine, Turn


class WithholdPart(Byzantine):
    """Send no part to `victims` honest aggregators, drawn anew in every attacking step.

    No third party can tell who of the two is at fault: the aggregator eliminates itself and the attacker
    (ELIMINATE, section 8 of the protocol). Both leave, nobody is slashed, and an honest majority stays one.

    Parameters
    ----------
    victims : int
        Aggregators that get no part of this peer.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (ELIMINATE).
    """

    def __init__(self, *, victims: int = 1, **base: Any) -> None:
        super().__init__(**base)
        require_count("withhold_part.victims", victims)
        self.victims = victims

    def sends_part(self, turn: Turn, receiver: int) -> bool:
        """Send to all but the victims."""
        attacked = self.is_attacking(turn.step)
        return not attacked or receiver not in draw_victims(self.coalition, turn, turn.roster, self.victims)


class WrongPart(Byzantine):
    """Commit to the own gradient, but send parts of its negative.

    The parts do not match the posted hashes, so for an aggregator they never came: it eliminates itself and the
    attacker. An aggregator that did not compare hashes would take in a gradient that nobody committed to.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (parts are checked against the broadcast hashes).
    """

    def sent_gradient(self, turn: Turn) -> np.ndarray | None:
        """Return the negative of the own gradient (d,)."""
        return -turn.own_gradient() if self.is_attacking(turn.step) else None


class WithholdAggregate(Byzantine):
    """Publish the hash of the aggregated part, but send the part to nobody.

    Whoever misses it asks others, finds none, and votes it absent; a majority declares the part void and ejects
    the aggregator, and the step goes on with zeros in its place.
    """

    def sends_aggregate(self, turn: Turn, receiver: int) -> bool:
        """Send to nobody."""
        return not self.is_attacking(turn.step)


class WithholdReport(Byzantine):
    """Publish no projections and norms after the beacon opened.

    A majority votes the report absent and ejects the peer; as the sums of V2 prove nothing without it, every
    aggregation of the step is then recomputed.
    """

    def sends_report(self, turn: Turn) -> bool:
        """Send no report."""
        return not self.is_attacking(turn.step)


class Equivocate(Byzantine):
    """Commit to the own gradient before some neighbours and to its negative before the others.

    Gossip brings both signed messages together at every honest peer; two signatures for one slot are a proof
    that the court's contract decides alone (section 8 of the protocol).

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (contradicting messages).
    """

    def other_gradient(self, turn: Turn) -> np.ndarray | None:
        """Return the negative of the own gradient (d,)."""
        return -turn.own_gradient() if self.is_attacking(turn.step) else None
