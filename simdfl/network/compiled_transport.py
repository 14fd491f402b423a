"""The fidelity ``kernel``: the model of ``event``, moved by compiled loops over arrays.

Between two SimPy events the compiled loop runs alone. It keeps deliveries back that wake and call nobody; an
inbox takes them when somebody looks. Python is entered for a delivery that can end a wait, is listened to, or
belongs to a slot that is filled twice, and for relays that may refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simdfl.kernel import Environment, Inbox
from simdfl.network import compiled, compiled_kept, compiled_links
from simdfl.network import compiled_queue as q
from simdfl.network import compiled_rows as c
from simdfl.network.clock import NEVER_NS
from simdfl.network.compiled_code import Called
from simdfl.network.compiled_state import (
    START,
    first_place,
    grown,
    make_room,
    make_state,
    write_lines,
    write_links,
)
from simdfl.network.conditions import Conditions
from simdfl.network.links import Links
from simdfl.network.message import Message
from simdfl.network.reports import Reports
from simdfl.network.transport import NOT_RELAYED, Relays, Sending, Transport
from simdfl.rng import Rng

_advance, _accept = Called(compiled.advance), Called(compiled_links.accept)
_pull, _settle = Called(compiled_kept.pull), Called(q.settle)
_LATER = [q.N_RING, q.N_FAR]
Batch = tuple[list[int], list[Message]]
"""Senders and messages of one slot."""


class CompiledTransport(Transport):
    """See :class:`~simdfl.network.transport.Transport`."""

    name = "kernel"

    def __init__(
        self, env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng
    ) -> None:
        super().__init__(env, conditions, neighbours, rng)
        self._state, self._link_rows = make_state(self.links, neighbours)
        self._n_links = len(self._link_rows)
        write_links(self._state, self.links, range(self._n_links))
        write_lines(self._state, self.links)
        self._sent = self._state.hosts[:, c.SENT : c.SENT + c.TRAFFIC_COLUMNS].T
        self._received = self._state.hosts[:, c.RECEIVED : c.RECEIVED + c.TRAFFIC_COLUMNS].T
        self._spare = 2 + max((len(targets) for targets in neighbours), default=0)
        self._messages = np.full(START, None, dtype=object)
        self._senders = np.full(START, None, dtype=object)
        self._new_ends: list[tuple[int, int]] = []
        self._frames: set[int] = set()
        self._free_messages = list(range(START - 1, -1, -1))
        self._free_seen = list(range(len(self._state.seen) - 1, -1, -1))
        self._free_rows = list(range(len(self._state.remaining) - 1, -1, -1))
        self._slots: dict[tuple[str, int], int] = {}
        self._reports = Reports(self._n)

    @property
    def transmissions(self) -> int:
        """How many copies were put on links so far."""
        self._hand_over()
        return int(self._state.numbers[c.TRANSMISSIONS])

    # ---- handing over

    def _accept(self, sendings: list[Sending]) -> None:
        self._reclaim()
        copies: list[int] = []
        places: list[int] = []
        rows: list[tuple[int, ...]] = []
        twice: list[Message] = []
        for sending in sendings:
            place, row = self._register(sending)
            places.append(place)
            rows.append(row)
            for target in sending.targets:
                copies += (sending.time_ns, self._link(sending.source, target), place)
            copies += (0, c.NONE, place)
            if not sending.is_frame and self._reports.fills_twice(sending):
                twice.append(sending.message)
        self._state.messages[places] = rows
        for message in twice:
            self._report_all(message)
        self._mark_seen(places, [sending.source for sending in sendings])
        self._put_on_uplinks(copies)

    def _put_on_uplinks(self, copies: list[int]) -> None:
        """Let copies leave: time, link and message of each, one after the other."""
        self._write_new_links()
        table = np.array(copies, dtype=np.int64).reshape(-1, 3)
        if self.links.shares_lines:
            compiled_links.join_all(self._state, table)
        done = 0
        while done < len(table):
            done = _accept(self._state, table, done)
            self._state = make_room(self._state, self._spare)

    def _register(self, sending: Sending) -> tuple[int, tuple[int, ...]]:
        """Return a place for a message and its row there."""
        message = sending.message
        place = self._free_place()
        self._messages[place], self._senders[place] = message, message.sender
        is_reported = sending.is_frame or self.on_delivery is not None or self._reports.is_heard(message.topic)
        if sending.is_frame:
            self._frames.add(place)
        seen = c.NONE if sending.validate_ns == NOT_RELAYED else self._free_seen_row()
        slot = self._slot(message.topic, message.step)
        return place, (
            message.size_bytes,
            sending.validate_ns,
            slot,
            is_reported,
            message.traffic,
            seen,
            0,
            0,
        )

    def _report_all(self, message: Message) -> None:
        """Report all that is in flight of a slot and sender."""
        key = (message.topic, message.step, message.sender)
        for place, other in enumerate(self._messages.tolist()):
            if other is not None and (other.topic, other.step, other.sender) == key:
                self._state.messages[place, c.REPORTED] = 1

    def _mark_seen(self, places: list[int], sources: list[int]) -> None:
        rows = self._state.messages[places, c.SEEN_ROW]
        is_flood = rows != c.NONE
        self._state.seen[rows[is_flood]] = 0
        flooding = np.array(sources)[is_flood]
        self._state.seen[rows[is_flood], flooding >> 3] = 1 << (flooding & 7)

    # ---- places and rows

    def _reclaim(self) -> None:
        """Take back the places of messages that nobody needs any more."""
        state = self._state
        finished = state.finished[: state.numbers[c.N_FINISHED]]
        if not len(finished):
            return
        rows = state.messages[finished, c.SEEN_ROW]
        self._free_seen += rows[rows != c.NONE].tolist()
        for place in finished.tolist():
            self._messages[place] = self._senders[place] = None
            self._frames.discard(place)
            self._free_messages.append(place)
        state.numbers[c.N_FINISHED] = 0

    def _free_place(self) -> int:
        if not self._free_messages:
            size = len(self._messages)
            self._state = self._state._replace(
                messages=grown(self._state.messages, size + 1), finished=grown(self._state.finished, size + 1)
            )
            self._free_messages = list(range(2 * size - 1, size - 1, -1))
            self._messages = np.append(self._messages, np.full(size, None, dtype=object))
            self._senders = np.append(self._senders, np.full(size, None, dtype=object))
        return self._free_messages.pop()

    def _free_seen_row(self) -> int:
        if not self._free_seen:
            size = len(self._state.seen)
            self._state = self._state._replace(seen=grown(self._state.seen, size + 1))
            self._free_seen = list(range(2 * size - 1, size - 1, -1))
        return self._free_seen.pop()

    def _slot(self, topic: str, step: int) -> int:
        slot = self._slots.setdefault((topic, step), len(self._slots))
        if slot >= len(self._state.row_of_slot):
            self._state = self._state._replace(row_of_slot=grown(self._state.row_of_slot, slot + 1, c.NONE))
        return slot

    def _link(self, source: int, target: int) -> int:
        key = source * self._n + target
        row = self._link_rows.get(key)
        if row is None:
            row = self._link_rows[key] = self._n_links
            self._n_links += 1
            self._new_ends.append((source, target))
        return row

    def _write_new_links(self) -> None:
        """Write the links that have got a row since the last time, all at once."""
        if not self._new_ends:
            return
        ends, first = np.array(self._new_ends), self._n_links - len(self._new_ends)
        state = self._state = self._state._replace(
            ends=grown(self._state.ends, self._n_links), links=grown(self._state.links, self._n_links)
        )
        state.ends[first : self._n_links] = ends
        state.links[first : self._n_links, c.PLACE] = first_place(ends, self._n)
        write_links(state, self.links, range(first, self._n_links))
        self._new_ends.clear()

    # ---- running

    def _head_ns(self) -> int:
        while (head_ns := self._present_ns()) == NEVER_NS and self._state.queue[_LATER].any():
            if not _settle(self._state):
                self._state = make_room(self._state, self._spare)
        return head_ns

    def _present_ns(self) -> int:
        """Return what :func:`compiled_queue.head_time` does; calling that would take ten times as long."""
        state = self._state
        return min(state.run.item(state.queue.item(q.RUN_AT), 0), state.near.item(0))

    def _advance(self, limit_ns: int) -> None:
        while True:
            reason = _advance(self._state, limit_ns, self._spare)
            if reason == c.FULL:
                self._state = make_room(self._state, self._spare)
                continue
            if reason == c.DONE:
                return
            time_ns, link, place = self._state.numbers[c.STOP_TIME : c.STOP_MESSAGE + 1].tolist()
            source, target = self._state.ends[link].tolist()
            message = self._messages[place]
            if reason == c.DELIVERED:
                self._deliver(time_ns, source, target, message, place in self._frames)
                return
            self._ask(time_ns, source, target, place)
            compiled_kept.release(self._state, place, 1)

    def _ask(self, time_ns: int, source: int, target: int, place: int) -> None:
        """Pass a broadcast on to whom the relay lets it."""
        message, relays = self._messages[place], self.relays
        assert relays is not None
        onward: list[int] = []
        for neighbour in self._neighbours[target]:
            if neighbour != source and relays(target, neighbour, message):
                onward += (time_ns, self._link(target, neighbour), place)
        self._put_on_uplinks(onward)

    # ---- hosts

    def attach(self, host: int, inbox: Inbox) -> None:
        """Deliver what arrives at `host` to `inbox`, which takes what is kept back for it."""
        super().attach(host, inbox)
        self._state.hosts[host, c.N_KEPT] = 0
        inbox.take_from(Kept(self, host))

    def filter_relays(self, relays: Relays, may_refuse: frozenset[int]) -> None:
        """Ask before one of `may_refuse` passes on a broadcast."""
        super().filter_relays(relays, may_refuse)
        self._state.hosts[sorted(may_refuse), c.MAY_REFUSE] = 1

    def set_down(self, host: int, is_down: bool) -> None:
        """Take a host off the network, or back on it."""
        super().set_down(host, is_down)
        self._state.hosts[host, c.IS_DOWN] = is_down

    def change_links(self, change: Callable[[Links], object]) -> None:
        """Change the links from now on."""
        super().change_links(change)
        write_links(self._state, self.links, range(self._n_links))
        write_lines(self._state, self.links)

    # ---- what is kept back

    def pull(self, host: int) -> list[Batch]:
        """Return what is kept back for a host by slot, each oldest first, and keep it no longer."""
        count = self._state.hosts.item(host, c.N_KEPT)
        if count <= 0:
            return []
        places, slots = np.empty((2, count), dtype=np.int64)
        if _pull(self._state, host, places, slots):
            return [self._batch(places)]
        order = np.argsort(slots, kind="stable")
        cuts = np.flatnonzero(np.diff(slots[order])) + 1
        return [self._batch(part) for part in np.split(places[order], cuts)]

    def _batch(self, places: np.ndarray) -> Batch:
        """Return senders and messages; as arrays of objects many are taken at once."""
        return self._senders[places].tolist(), self._messages[places].tolist()

    def watch(self, host: int, topic: str, step: int, missing: int) -> None:
        """Report the `missing`-th next delivery of a slot to a host."""
        slot = self._slot(topic, step)
        row = self._state.row_of_slot.item(slot)
        if row == c.NONE:
            if not missing:
                return
            row = self._state.row_of_slot[slot] = self._free_row()
        self._state.remaining[row, host] = missing

    def _free_row(self) -> int:
        """Return a row of waits, of a slot on which nobody waits any more if there is one."""
        if not self._free_rows:
            state = self._state
            idle = np.logical_not(np.any(state.remaining, axis=1)).reshape(-1)
            state.row_of_slot[np.isin(state.row_of_slot, np.flatnonzero(idle))] = c.NONE
            self._free_rows = np.flatnonzero(idle).tolist()
            if 2 * len(self._free_rows) < len(idle):
                self._state = state._replace(remaining=grown(state.remaining, len(idle) + 1))
                self._free_rows += range(len(idle), 2 * len(idle))
        return self._free_rows.pop()

    def listen(self, topic: str) -> None:
        """Report every message of a topic."""
        self._reports.listen(topic)
        for place, message in enumerate(self._messages.tolist()):
            if message is not None and message.topic == topic:
                self._state.messages[place, c.REPORTED] = 1


class Kept:
    """What the network keeps back for one host: the backlog of its inbox."""

    def __init__(self, transport: CompiledTransport, host: int) -> None:
        self._transport, self._host = transport, host

    def pull(self) -> list[Batch]:
        """Return what is kept back by slot, each oldest first."""
        return self._transport.pull(self._host)

    def watch(self, topic: str, step: int, missing: int) -> None:
        """Report the `missing`-th next message of a slot."""
        self._transport.watch(self._host, topic, step, missing)

    def listen(self, topic: str) -> None:
        """Report every message of a topic."""
        self._transport.listen(topic)
