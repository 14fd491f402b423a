"""Honest peers with bad luck: slow, late or dead. They lie about nothing and belong to no coalition.

They share the interface of attacks, so that a scenario can ask whether a protocol punishes misfortune: an honest
peer that is slashed for one of these was slashed wrongly.
"""

from __future__ import annotations

from typing import Any

from adversaries.checks import require, require_positive
from simdfl.peers.behaviour import Behaviour, Turn, is_scheduled


class Fault(Behaviour):
    """Base of all faults: a schedule.

    Parameters
    ----------
    start_step, stop_step, period : int
        It strikes in steps ``start_step, start_step + period, …`` before ``stop_step``.
    """

    def __init__(self, start_step: int = 0, stop_step: int | None = None, period: int = 1) -> None:
        self.start_step = start_step
        self.stop_step = stop_step
        self.period = period

    def strikes(self, step: int) -> bool:
        """Return whether the fault strikes in `step`."""
        return is_scheduled(step, self.start_step, self.stop_step, self.period)


class Straggler(Fault):
    """Compute `factor` times as long for every gradient: an old machine, or one that is busy.

    Parameters
    ----------
    factor : float
        At least 1.

    References
    ----------
    Dean and Barroso, "The tail at scale", CACM 56(2), 2013.
    """

    def __init__(self, *, factor: float = 10.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("straggler.factor", factor)
        require(factor >= 1, "straggler.factor", factor, "at least 1")
        self.factor = factor

    def slowness(self, turn: Turn) -> float:
        """Return the factor while the fault strikes."""
        return self.factor if self.strikes(turn.step) else 1.0


class LateSender(Fault):
    """Send the own gradient `delay_s` late: a link that stalls, a process that was swapped out.

    Parameters
    ----------
    delay_s : float
        Simulated seconds.
    """

    def __init__(self, *, delay_s: float = 5.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("late.delay_s", delay_s)
        self._late_s = delay_s

    def delay_s(self, turn: Turn) -> float:
        """Return the delay while the fault strikes."""
        return self._late_s if self.strikes(turn.step) else 0.0


class Crash(Fault):
    """Stop before step ``start_step``.

    In the verified protocol and ``btard`` it can come back: ejected for its silence, by way of probation. In the
    protocols beside them it stays away.

    Parameters
    ----------
    return_after_s : float or None
        How long it is down, simulated seconds; None is for ever.
    """

    def __init__(self, *, return_after_s: float | None = None, **base: Any) -> None:
        super().__init__(**base)
        if return_after_s is not None:
            require_positive("crash.return_after_s", return_after_s)
        self._return_after_s = return_after_s
        self._is_spent = False

    def has_crashed(self, turn: Turn) -> bool:
        """Return whether the machine is dead."""
        return turn.step >= self.start_step

    def goes_down(self, turn: Turn) -> bool:
        """Return whether it stops now: once."""
        now, self._is_spent = turn.step >= self.start_step and not self._is_spent, turn.step >= self.start_step
        return now

    def down_s(self) -> float | None:
        """Return how long it is down."""
        return self._return_after_s


class Churn(Crash):
    """Crash at ``start_step`` and again every ``period`` steps that it takes part in, and come back each time.

    Parameters
    ----------
    return_after_s : float
        How long each absence lasts, simulated seconds.

    References
    ----------
    Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks", IMC 2006.
    """

    def __init__(self, *, return_after_s: float = 120.0, **base: Any) -> None:
        super().__init__(return_after_s=return_after_s, **base)

    def goes_down(self, turn: Turn) -> bool:
        """Return whether it stops now: whenever the schedule says so."""
        return self.strikes(turn.step)


class SlowLink(Fault):
    """Have a line with `share` of the bandwidth that the peer would have, from the start.

    Parameters
    ----------
    share : float
        Above 0 and at most 1.
    """

    def __init__(self, *, share: float = 0.1, **base: Any) -> None:
        super().__init__(**base)
        require(0 < share <= 1, "slow_link.share", share, "above 0 and at most 1")
        self._share = share

    def link_factor(self) -> float:
        """Return the share."""
        return self._share


FAULTS: dict[str, type[Fault]] = {
    "straggler": Straggler,
    "late": LateSender,
    "slow_link": SlowLink,
    "crash": Crash,
    "churn": Churn,
}
