"""SimPy's environment with absolute-time scheduling.

SimPy schedules by delay, and ``now + (t - now)`` need not equal ``t`` in floating point: two events meant for
one instant would then run in the wrong order. :meth:`Environment.at` puts an event at ``t`` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any

import simpy
from simpy.events import NORMAL, Event

DEADLINE = 2
"""Priority of deadlines: after everything else that happens at the same instant."""


class Environment(simpy.Environment):
    """A SimPy environment that can also schedule at an absolute time."""

    def at(self, time_s: float, callback: Callable[[], object], priority: int = NORMAL) -> Event:
        """Run `callback` at `time_s`.

        Parameters
        ----------
        time_s : float
            Absolute simulated time, not in the past.
        callback : callable
            Called without arguments.
        priority : int
            Events of one instant run in ascending priority.

        Returns
        -------
        Event
            Its callbacks can be cleared to cancel it.

        Raises
        ------
        ValueError
            If `time_s` lies in the past.
        """
        event = self._bare_event(time_s, priority)
        event.callbacks.append(lambda _event: _discard(callback()))
        return event

    def until_time(self, time_s: float) -> Event:
        """Return an event that happens at `time_s` exactly; for ``yield`` in an actor."""
        return self._bare_event(time_s, NORMAL)

    def _bare_event(self, time_s: float, priority: int) -> Event:
        if time_s < self.now:
            raise ValueError(f"cannot schedule at {time_s}, it is {self.now}")
        event = Event(self)
        event._ok = True
        event._value = None
        heappush(self._queue, (time_s, priority, next(self._eid), event))  # type: ignore[misc]
        return event

    def sleep(self, duration_s: float) -> Any:
        """Return an event that happens after `duration_s`."""
        return self.timeout(duration_s)


def _discard(result: object) -> None:
    """Drop a callback's result: SimPy callbacks return nothing."""
