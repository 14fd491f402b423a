"""Attacks on who belongs: Sybils that join late, and culprits that come back."""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries.checks import require_count
from adversaries.communication import WithholdReport
from adversaries.gradient import SignFlip
from simdfl.peers.behaviour import Turn


class SybilJoin(SignFlip):
    """Join while the job runs, then send the gradient with its sign flipped.

    A Sybil must compute gradients that are checked and not used before it takes part, and put up a stake. With
    ``works`` false it sends random vectors instead, to save the computation: a validator that looks finds that
    out during the probation.

    Parameters
    ----------
    join_step : int
        Step in which it registers.
    works : bool
        Whether it computes what the probation asks for.
    scale : float
        As for ``sign_flip``.

    References
    ----------
    Douceur, "The Sybil attack", IPTPS 2002; Gorbunov et al., ICML 2022, appendix (joining peers).
    """

    def __init__(self, *, join_step: int = 2, works: bool = True, **base: Any) -> None:
        super().__init__(**base)
        require_count("sybil_join.join_step", join_step)
        self.join_step = join_step
        self.works = works

    def joins_in(self) -> int | None:
        """Join late."""
        return self.join_step

    def gradient(self, turn: Turn) -> np.ndarray:
        """Return what the probation asks for (or a random vector), and once seated the attack's vector (d,)."""
        if turn.peer in turn.roster:
            return super().gradient(turn)
        honest = turn.own_gradient()
        if self.works:
            return honest
        return (
            self.coalition.rng.stream("sybil", turn.peer, turn.step)
            .standard_normal(len(honest))
            .astype(np.float32)
        )


class BanEvasion(SignFlip):
    """Once banned, try to come back and to register again with the same stake.

    The contracts know the address and the key: both calls revert. A new identity needs an invitation, a new stake
    and a new probation.
    """

    def evades(self) -> bool:
        """Try."""
        return True


class Reentry(WithholdReport):
    """Get oneself ejected, which costs no stake, come back by way of probation, and do it again.

    Every return costs as many checked gradients as the probation has steps, and the peer works for nobody
    meanwhile.
    """
