"""Actors: a name, an inbox, a life, and side activities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any

from simpy.events import Event, Process

from simdfl.kernel.environment import Environment
from simdfl.kernel.inbox import Inbox

Life = Generator[Event, Any, Any]


class Actor(ABC):
    """Something that lives in the simulated world and waits for messages and times.

    Parameters
    ----------
    env : Environment
        The clock.
    """

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.inbox = Inbox(env)

    @abstractmethod
    def run(self) -> Life:
        """Live: a SimPy generator."""

    def start(self) -> Process:
        """Begin to live now."""
        return self.env.process(self.run())

    def also(self, activity: Life) -> Process:
        """Begin a side activity that runs beside :meth:`run`."""
        return self.env.process(activity)
