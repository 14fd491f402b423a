"""The lines and links of a run as whole numbers: what every fidelity reads.

Latencies are nanoseconds, speeds are picoseconds a byte (0 is unlimited), factors on jitter have 20 binary
places. So all fidelities do the same integer arithmetic and agree to the bit. The only floating-point
comparison, of a loss, is one multiplication. Losses on both lines and on the way add up as rates.

A lost packet is sent again one retransmission time-out later; a copy across a split waits for the first
time-out after the split heals, as a TCP connection does. With ``slow_start`` a copy starts with ten packets and
doubles them every round trip until the line is full (RFC 6928, RFC 5681 section 3.1): the last bit comes later
by what the line stood idle. Every copy starts anew, as connections that were idle do.

Copies that leave one after the other are as fast as the first can be; those that share the uplink all end with
the last. Where they share, a flow's speed is its part of the line, and in slow start it idles the less the more
there are. A downlink gives each flow the same part (processor sharing), and while flows compete, a share of its
speed is lost to their retransmissions (contention).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import isinf, log1p

import numpy as np

from simdfl.errors import UserError
from simdfl.network.clock import NEVER_NS, NS, duration_ns
from simdfl.network.conditions import Conditions, burst_table, jitter_table, loss_table
from simdfl.rng import Rng

BINARY_PLACES = 20
ONE = 1 << BINARY_PLACES
KEPT_PLACES = 10
KEPT_ONE = 1 << KEPT_PLACES
"""The share of a line's speed that contention leaves is a multiple of ``1 / KEPT_ONE``."""
PACKET_BYTES = 1448
MINIMUM_TIMEOUT_NS = 200_000_000
"""Lower bound of TCP's retransmission time-out as Linux has it."""
MAXIMUM_TIMEOUT_NS = 60_000_000_000
"""Upper bound of the doubled time-out (RFC 6298, section 2.5)."""
MAXIMUM_ROUNDS = 1_000
"""So often is a packet sent again at most; reached only at losses far beyond what a link can be used at."""
EVERYWHERE = -1
"""Side of a host that no split cuts off."""


@dataclass
class Links:
    """Links between all hosts; a schedule changes them during a run.

    Parameters
    ----------
    conditions : Conditions
        What they are at the start.
    rng : Rng
        Root of the jitter and loss draws.

    Attributes
    ----------
    up_ps, down_ps : list of int
        Picoseconds that a byte takes on each host's lines.
    side : list of int
        The side of a split each host is on.
    heals_ns : int
        When the present split ends.
    """

    conditions: Conditions
    rng: Rng
    loss: float = field(init=False)
    latency_factor: float = field(default=1.0, init=False)
    bandwidth_factor: float = field(default=1.0, init=False)
    side: list[int] = field(init=False)
    heals_ns: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Draw the tables."""
        self.n = self.conditions.n_hosts
        self.slow_start = self.conditions.slow_start
        self.window_bytes = self.conditions.initial_window * PACKET_BYTES
        self.shares_lines = self.conditions.shares_lines
        self.kept = round((1.0 - self.conditions.contention) * KEPT_ONE)
        self.jitter = jitter_table(self.rng.stream("jitter"), self.conditions.jitter_tail)
        self.loss = self.conditions.loss
        self.bursts = self._draw_bursts()
        self.side = [EVERYWHERE] * self.n
        self.regions: list[int] = self.conditions.regions.tolist()
        self.refresh()

    @cached_property
    def losses(self) -> list[float]:
        """Draws of packet losses; without loss nobody asks for them."""
        return loss_table(self.rng.stream("loss"))

    def _draw_bursts(self) -> np.ndarray:
        """Return the changes of each peer's line, (peers, changes) int64; without bursts there are none.

        The last host is infrastructure, whose line is always good.
        """
        bursts = self.conditions.bursts
        if bursts is None:
            return np.zeros((0, 1), dtype=np.int64)
        return burst_table(bursts, self.n - 1, self.rng.stream("bursts"))

    def is_bursting(self, host: int, time_ns: int) -> bool:
        """Return whether a line is in its bad state."""
        if host >= len(self.bursts):
            return False
        changes = self.bursts[host]
        return bool(np.searchsorted(changes, time_ns % int(changes[-1]), side="right") & 1)

    def refresh(self) -> None:
        """Compute the whole numbers again after a factor has changed."""
        c = self.conditions
        latency = c.region_latency_s * self.latency_factor
        self.region_ns = [[duration_ns(entry) for entry in row] for row in latency.tolist()]
        self.access_ns = [duration_ns(entry) for entry in (c.access_latency_s * self.latency_factor).tolist()]
        self.spread = [[round(entry * ONE) for entry in row] for row in c.region_jitter.tolist()]
        self.up_ps = [_picoseconds(bps * self.bandwidth_factor) for bps in c.up_bps.tolist()]
        self.down_ps = [_picoseconds(bps * self.bandwidth_factor) for bps in c.down_bps.tolist()]
        self._set_rates()
        self._check_width()

    def _check_width(self) -> None:
        """Refuse delays that 64 bits cannot hold."""
        longest = max(map(max, self.region_ns)) + 2 * max(self.access_ns)
        widest = (longest * max(map(max, self.spread))) >> BINARY_PLACES
        if widest * max(self.jitter) >= NEVER_NS:
            raise UserError(
                f"network: a latency of {longest / NS:.3g} s with this jitter can last for decades; "
                f"use a smaller latency or jitter"
            )

    def _set_rates(self) -> None:
        """Compute, for 0, 1 and 2 lines in a burst, the lost share of packets and its rate ``-log(1 - loss)``."""
        bursts = self.conditions.bursts
        kept = 1.0 if bursts is None else 1.0 - bursts.loss
        self.lost_shares = [self.loss, 1.0 - (1.0 - self.loss) * kept, 1.0 - (1.0 - self.loss) * kept**2]
        self.rates = [-log1p(-share) for share in self.lost_shares]

    @property
    def is_lossy(self) -> bool:
        """Return whether packets can be lost."""
        return self.loss > 0.0 or self.conditions.bursts is not None

    def between(self, source: int, target: int) -> tuple[int, int]:
        """Return (latency_ns, spread_ns) of a link; spread is what a jitter of one adds."""
        region, other = self.regions[source], self.regions[target]
        latency = self.region_ns[region][other] + self.access_ns[source] + self.access_ns[target]
        return latency, (latency * self.spread[region][other]) >> BINARY_PLACES

    def is_cut(self, source: int, target: int) -> bool:
        """Return whether a split lies between two hosts."""
        here, there = self.side[source], self.side[target]
        return here != there and here != EVERYWHERE and there != EVERYWHERE

    def split(self, sides: list[int], heals_ns: int = NEVER_NS) -> None:
        """Cut the network until `heals_ns`; `sides` has one entry a host."""
        self.side, self.heals_ns = list(sides), heals_ns

    def heal(self) -> None:
        """End the split."""
        self.side = [EVERYWHERE] * self.n

    @property
    def is_unlimited(self) -> bool:
        """Return whether no line is ever busy."""
        return not any(self.up_ps) and not any(self.down_ps)

    @property
    def has_jitter(self) -> bool:
        """Return whether equal messages can take different times."""
        return any(any(row) for row in self.spread)


def _picoseconds(bps: float) -> int:
    return 0 if isinf(bps) else round(8e12 / bps)


def transmission_ns(size_bytes: int, ps_per_byte: int) -> int:
    """Return how long a line is busy with `size_bytes`.

    >>> transmission_ns(1000, 1_000_000)
    1000000
    """
    return (size_bytes * ps_per_byte + 500) // 1000


def resent_at(start_ns: int, latency_ns: int, heals_ns: int) -> int:
    """Return when TCP tries for the first time after a split has healed, at most ``NEVER_NS``."""
    if heals_ns >= NEVER_NS:
        return NEVER_NS
    timeout = max(MINIMUM_TIMEOUT_NS, 4 * latency_ns)
    while start_ns < heals_ns:
        start_ns += timeout
        timeout = min(2 * timeout, MAXIMUM_TIMEOUT_NS)
    return start_ns


def stall_ns(size_bytes: int, ps_per_byte: int, round_trip_ns: int, window_bytes: int) -> int:
    """Return how long the line stands idle in slow start.

    >>> stall_ns(14_480, 80_000, 100_000_000, 14_480), stall_ns(14_481, 80_000, 100_000_000, 14_480)
    (0, 98841600)
    """
    window, sent, stall = window_bytes, 0, 0
    while size_bytes - sent > window:
        burst = transmission_ns(window, ps_per_byte)
        if burst >= round_trip_ns:
            break
        stall += round_trip_ns - burst
        sent += window
        window *= 2
    return stall


def as_array(values: list[int]) -> np.ndarray:
    """Return whole numbers as the compiled fidelity reads them."""
    return np.array(values, dtype=np.int64)
