"""The fidelity ``arrival``: shortest paths give the times at which a flood arrives; nothing is moved hop by hop.

A first copy travels along a shortest path where nobody has to wait: no line is ever busy, latencies are the same
for all messages, nothing is lost, everybody relays. Under any other condition this fidelity refuses. Copies and
bytes are counted as flooding sends them: a peer passes a broadcast to all neighbours but the one it has it from.

References
----------
E. W. Dijkstra, "A note on two problems in connexion with graphs", Numerische Mathematik 1, 1959.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import NoReturn

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from simdfl.errors import UserError
from simdfl.kernel import Environment
from simdfl.network.clock import NEVER_NS
from simdfl.network.conditions import Conditions
from simdfl.network.links import Links
from simdfl.network.transport import NOT_RELAYED, Relays, Sending, Transport
from simdfl.rng import Rng


class ArrivalTransport(Transport):
    """See :class:`~simdfl.network.transport.Transport`.

    Raises
    ------
    UserError
        If the conditions have queues, jitter, loss or slow start; later, if links change, a peer goes off the
        network, or a relay may refuse.
    """

    name = "arrival"

    def __init__(
        self, env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng
    ) -> None:
        super().__init__(env, conditions, neighbours, rng)
        self._check()
        self._degrees = np.array([len(targets) for targets in neighbours], dtype=np.int64)
        self._trees: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._heap: list[tuple[int, int, int, int, Sending]] = []
        self._sequence = 0
        self._transmissions = 0

    @property
    def transmissions(self) -> int:
        """How many copies flooding puts on links."""
        self._hand_over()
        return self._transmissions

    def _check(self) -> None:
        if not self.links.is_unlimited:
            _refuse("lines with a bandwidth, on which copies queue", "set network.bandwidth to unlimited")
        if self.links.has_jitter:
            _refuse("jitter", "set network.jitter to 0")
        if self.links.is_lossy:
            _refuse("loss", "set network.loss to 0 and leave out network.bursts")
        if self.links.slow_start:
            _refuse("slow start", "set network.slow_start to false")

    # ---- moving

    def _accept(self, sendings: list[Sending]) -> None:
        for sending in sendings:
            if sending.validate_ns == NOT_RELAYED:
                self._send(sending, sending.targets[0])
            elif list(sending.targets) == list(self._neighbours[sending.source]):
                self._flood(sending)
            else:
                _refuse("a sender that leaves neighbours out", "choose another adversary")

    def _send(self, sending: Sending, target: int) -> None:
        self._count(sending, sending.source, target)
        arrival = sending.time_ns + self.links.between(sending.source, target)[0]
        self._push(arrival, sending.source, target, sending)

    def _count(self, sending: Sending, source: int, target: int) -> None:
        self._sent[sending.message.traffic, source] += sending.message.size_bytes
        self._received[sending.message.traffic, target] += sending.message.size_bytes
        self._transmissions += 1

    def _flood(self, sending: Sending) -> None:
        origin = sending.source
        after_ns, parents = self._tree(origin, sending.validate_ns)
        reached = np.flatnonzero(after_ns < NEVER_NS)
        for target in reached[np.argsort(after_ns[reached], kind="stable")].tolist():
            if target != origin:
                self._push(sending.time_ns + int(after_ns[target]), int(parents[target]), target, sending)
        copies = self._degrees[reached] - (reached != origin)
        size, traffic = sending.message.size_bytes, sending.message.traffic
        self._sent[traffic, reached] += size * copies
        children = np.bincount(parents[reached[reached != origin]], minlength=self._n)[reached]
        self._received[traffic, reached] += size * (self._degrees[reached] - children)
        self._transmissions += int(copies.sum())

    def _tree(self, origin: int, validate_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return how long after sending each host has a flood, and from whom."""
        found = self._trees.get((origin, validate_ns))
        if found is None:
            distances, parents = (
                table[0]
                for table in dijkstra(
                    self._graph(validate_ns), indices=np.array([origin]), return_predecessors=True
                )
            )
            after = np.full(self._n, NEVER_NS, dtype=np.int64)
            is_reached = np.isfinite(distances)
            after[is_reached] = distances[is_reached].astype(np.int64) // self._hop_unit - validate_ns
            after[origin] = 0  # every hop but the last is followed by a validation
            found = self._trees[origin, validate_ns] = after, parents
        return found

    @property
    def _hop_unit(self) -> int:
        """Return what a nanosecond weighs; a hop weighs one more, as sparse matrices lack links of length zero.

        More than any path has hops, so that hops decide between equally long paths only.
        """
        return 1 << self._n.bit_length()

    def _graph(self, validate_ns: int) -> csr_matrix:
        ends = np.repeat(np.arange(self._n), self._degrees)
        targets = [target for neighbours in self._neighbours for target in neighbours]
        delays = [self.links.between(a, b)[0] + validate_ns for a, b in zip(ends.tolist(), targets)]
        weights = np.array(delays, dtype=float) * self._hop_unit + 1.0
        return csr_matrix((weights, (ends, targets)), shape=(self._n, self._n))

    # ---- running

    def _push(self, time_ns: int, source: int, target: int, sending: Sending) -> None:
        self._sequence += 1
        heappush(self._heap, (time_ns, self._sequence, source, target, sending))

    def _head_ns(self) -> int:
        return self._heap[0][0] if self._heap else NEVER_NS

    def _advance(self, limit_ns: int) -> None:
        time_ns, _, source, target, sending = heappop(self._heap)
        self._deliver(time_ns, source, target, sending.message, sending.is_frame)

    # ---- refused

    def filter_relays(self, relays: Relays, may_refuse: frozenset[int]) -> None:
        """Refuse, unless nobody may refuse."""
        if may_refuse:
            _refuse("relays that hold messages back", "choose another adversary")

    def set_down(self, host: int, is_down: bool) -> None:
        """Refuse: paths would change."""
        _refuse("peers that leave the network", "leave out churn and crashes")

    def change_links(self, change: Callable[[Links], object]) -> None:
        """Refuse: paths would change."""
        _refuse("links that change", "leave out network.schedule")


def _refuse(what: str, cure: str) -> NoReturn:
    raise UserError(f"network.fidelity: arrival cannot represent {what}; use event or kernel, or {cure}")
