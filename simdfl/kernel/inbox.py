"""Inboxes: an actor waits for a quorum of messages on a topic and step, never for single messages.

Messages are stored by (topic, step) and sender; the first copy from a sender counts. So the network may
deliver a flood of n² copies with one dictionary access each and wake each actor once.

A network engine that runs ahead of the clock delivers with the time of arrival: what wakes or calls somebody is
then scheduled for that time. The engine guarantees that no actor acts in between.

An engine may also keep deliveries back that wake and call nobody (a :class:`Backlog`). The inbox takes them
before anybody looks into it, and tells the engine after how many more deliveries a wait can end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from simpy.events import Event

from simdfl.kernel.environment import DEADLINE, Environment

Slot = tuple[str, int]


@dataclass(frozen=True)
class Collected:
    """What a wait brought: messages by sender, and whether all that was asked for came in time."""

    messages: dict[int, Any]
    complete: bool


@dataclass
class _Wait:
    event: Event
    need: int
    senders: frozenset[int] | None
    order: Sequence[int]
    done: bool = False


class Backlog(Protocol):
    """Deliveries to one inbox that an engine keeps back."""

    def pull(self) -> Iterable[tuple[Sequence[int], Sequence[Any]]]:
        """Return the senders and messages kept back, slot by slot, each in the order of arrival.

        They are then no longer kept.
        """

    def watch(self, topic: str, step: int, missing: int) -> None:
        """Deliver, and do not keep back, the `missing`-th next message of a slot; 0 ends the watch."""

    def listen(self, topic: str) -> None:
        """Keep back nothing of a topic."""


class Inbox:
    """The messages of one actor.

    Parameters
    ----------
    env : Environment
        The clock.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._slots: dict[Slot, dict[int, Any]] = {}
        self._waits: dict[Slot, list[_Wait]] = {}
        self._listeners: dict[str, Callable[[int, int, Any], None]] = {}
        self._conflicts: Callable[[str, int, int, Any, Any], None] | None = None
        self._backlog: Backlog | None = None

    def take_from(self, backlog: Backlog) -> None:
        """Take what an engine keeps back before anybody looks."""
        self._backlog = backlog
        for topic in self._listeners:
            backlog.listen(topic)
        for slot in self._waits:
            self._watch(slot)

    def _pull(self) -> None:
        """Store what was kept back: it wakes and calls nobody.

        Where no sender is known yet and none comes twice, and so it is as a rule, a slot takes all at once.
        """
        if self._backlog is None:
            return
        for senders, messages in self._backlog.pull():
            slot = self._slots.setdefault((messages[0].topic, messages[0].step), {})
            fresh = dict(zip(senders, messages, strict=True))
            if len(fresh) == len(messages) and slot.keys().isdisjoint(fresh):
                slot.update(fresh)
                continue
            for sender, message in zip(senders, messages, strict=True):
                slot.setdefault(sender, message)

    def _watch(self, key: Slot) -> None:
        """Tell the engine how many more messages the nearest wait on a slot needs."""
        if self._backlog is None:
            return
        slot = self._slots.get(key, {})
        missing = [wait.need - self._have(slot, wait) for wait in self._waits.get(key, ())]
        self._backlog.watch(*key, max(1, min(missing)) if missing else 0)

    def listen(self, topic: str, handler: Callable[[int, int, Any], None]) -> None:
        """Hand every message of `topic` to ``handler(step, sender, message)`` instead of storing it."""
        self._pull()
        self._listeners[topic] = handler
        if self._backlog is not None:
            self._backlog.listen(topic)

    def on_conflict(self, handler: Callable[[str, int, int, Any, Any], None]) -> None:
        """Call ``handler(topic, step, sender, first, second)`` when a slot is filled twice, differently."""
        self._conflicts = handler

    def deliver(self, topic: str, step: int, sender: int, message: Any, at_s: float | None = None) -> None:
        """Take a message that arrives at `at_s` (now by default); the first from a sender in a slot counts."""
        self._pull()
        at_s = self._env.now if at_s is None else at_s
        if topic in self._listeners:
            handler = self._listeners[topic]
            self._at(at_s, lambda: handler(step, sender, message))
            return
        slot = self._slots.setdefault((topic, step), {})
        first = slot.setdefault(sender, message)
        if first is not message:
            handle = self._conflicts
            if handle is not None and first != message:
                self._at(at_s, lambda: handle(topic, step, sender, first, message))
            return
        waits = self._waits.get((topic, step))
        if waits:
            self._wake(waits, slot, at_s)
            self._watch((topic, step))

    def _at(self, at_s: float, action: Callable[[], object]) -> None:
        if at_s <= self._env.now:
            action()
        else:
            self._env.at(at_s, action)

    def _wake(self, waits: list[_Wait], slot: dict[int, Any], at_s: float) -> None:
        for wait in list(waits):
            if self._have(slot, wait) >= wait.need:
                waits.remove(wait)
                wait.done = True
                collected = self._collected(slot, wait, complete=True)
                self._at(at_s, partial(wait.event.succeed, collected))

    @staticmethod
    def _have(slot: dict[int, Any], wait: _Wait) -> int:
        return len(slot) if wait.senders is None else len(wait.senders & slot.keys())

    @staticmethod
    def _collected(slot: dict[int, Any], wait: _Wait, complete: bool) -> Collected:
        if wait.senders is None:
            return Collected({sender: slot[sender] for sender in _ascending(slot)}, complete)
        return Collected({sender: slot[sender] for sender in wait.order if sender in slot}, complete)

    def collect(
        self,
        topic: str,
        step: int,
        need: int | Collection[int],
        deadline_s: float | None = None,
    ) -> Event:
        """Wait for a quorum.

        Parameters
        ----------
        topic, step : str, int
            The slot to wait on.
        need : int or collection of int
            How many distinct senders must have been heard, or exactly which.
        deadline_s : float, optional
            Absolute time at which the wait ends all the same. A message that arrives then still counts.

        Returns
        -------
        Event
            Its value is a :class:`Collected`.
        """
        self._pull()
        wait = self._make_wait(need)
        slot = self._slots.get((topic, step), {})
        if self._have(slot, wait) >= wait.need:
            return wait.event.succeed(self._collected(slot, wait, complete=True))
        if deadline_s is not None and deadline_s < self._env.now:
            return wait.event.succeed(self._collected(slot, wait, complete=False))
        self._waits.setdefault((topic, step), []).append(wait)
        self._watch((topic, step))
        if deadline_s is not None:
            self._env.at(deadline_s, lambda: self._give_up(topic, step, wait), DEADLINE)
        return wait.event

    def _make_wait(self, need: int | Collection[int]) -> _Wait:
        if isinstance(need, int):
            return _Wait(Event(self._env), need, None, ())
        return _Wait(Event(self._env), len(need), frozenset(need), sorted(set(need)))

    def _give_up(self, topic: str, step: int, wait: _Wait) -> None:
        if wait.done:
            return
        self._pull()
        waits = self._waits.get((topic, step), [])
        if wait in waits:
            waits.remove(wait)
            self._watch((topic, step))
        slot = self._slots.get((topic, step), {})
        wait.event.succeed(self._collected(slot, wait, complete=False))

    def peek(self, topic: str, step: int) -> dict[int, Any]:
        """Return what has arrived on a slot, by sender, without waiting."""
        self._pull()
        return self._slots.get((topic, step), {})

    def discard(self, topic: str, step: int, sender: int) -> None:
        """Drop a message that turned out to be worthless, so that another copy can take its slot."""
        self._pull()
        self._slots.get((topic, step), {}).pop(sender, None)

    def forget(self, topics: tuple[str, ...], before_step: int) -> None:
        """Drop messages and waits of steps before `before_step` on topics that begin with one of `topics`."""
        self._pull()
        for table in (self._slots, self._waits):
            for slot in [s for s in table if s[1] < before_step and s[0].startswith(topics)]:
                del table[slot]
                if table is self._waits:
                    self._watch(slot)


def _ascending(slot: dict[int, Any]) -> Iterable[int]:
    """Return the senders of a slot in ascending order; where none is missing, without sorting."""
    is_full = bool(slot) and min(slot) == 0 and max(slot) == len(slot) - 1
    return range(len(slot)) if is_full else sorted(slot)
