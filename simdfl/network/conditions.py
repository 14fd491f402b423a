"""What the links are like: latency, jitter, bandwidths and loss of one run, fixed for its duration.

Latency is one-way propagation: the region table's entry for the pair, plus each end's access latency. Jitter
multiplies it for each message by ``1 + spread · E`` with E exponential of mean one: small and one-sided, with
the spread that the measured tables give. The heavy-tailed alternative, ``pareto``, has the same 90th percentile
and a tail of index 1.5. How conditions change over time is the business of :mod:`simdfl.network.schedule`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

JITTER_TABLE_SIZE = 1 << 16
JITTER_ONE = 1 << 20
JITTER_TAILS = ("exponential", "pareto")
TAIL_INDEX = 1.5
BURST_CHANGES = 64
"""Changes of a line's state until they repeat; even."""
TAIL_CAP = 1_000.0
"""A jitter beyond this factor of the spread is cut, for whole numbers of 64 bits."""


@dataclass(frozen=True)
class Bursts:
    """Losses that come in bursts: every line changes between a good state and a bad one at random times.

    Parameters
    ----------
    good_s, bad_s : float
        Mean durations of the two states; both are exponential.
    loss : float
        Probability that a packet is lost on a line in its bad state.

    References
    ----------
    E. N. Gilbert, "Capacity of a burst-noise channel", Bell System Technical Journal 39, 1960; E. O. Elliott,
    "Estimates of error rates for codes on burst-noise channels", ibid. 42, 1963.
    """

    good_s: float
    bad_s: float
    loss: float


@dataclass(frozen=True)
class Conditions:
    """Link conditions of n hosts.

    Parameters
    ----------
    regions : (n,) int array
        Region of each host, an index into `region_latency_s`.
    region_latency_s : (r, r) float array
        One-way latency between regions, seconds.
    region_jitter : (r, r) float array
        Relative spread of the latency.
    access_latency_s : (n,) float array
        What each host's access line adds, each way.
    up_bps, down_bps : (n,) float arrays
        Access bandwidths, bits per second.
    loss : float
        Probability that one packet is lost and sent again.
    jitter_tail : str
        Shape of the jitter, a name of ``JITTER_TAILS``.
    slow_start : bool
        Whether a copy needs round trips to reach the speed of its line.
    initial_window : int
        Packets that slow start begins with.
    shares_lines : bool
        Whether copies that leave together share the uplink, so that all end with the last, and those that arrive
        share the downlink; else one follows the other.
    contention : float
        Share of a shared downlink's speed that is lost while flows compete for it.
    bursts : Bursts or None
        Spells of losses on each access line.
    """

    regions: np.ndarray
    region_latency_s: np.ndarray
    region_jitter: np.ndarray
    access_latency_s: np.ndarray
    up_bps: np.ndarray
    down_bps: np.ndarray
    loss: float = 0.0
    jitter_tail: str = "exponential"
    slow_start: bool = False
    initial_window: int = 10
    shares_lines: bool = False
    contention: float = 0.0
    bursts: Bursts | None = None

    def __post_init__(self) -> None:
        """Refuse conditions that no network can have."""
        if not (np.all(self.up_bps > 0) and np.all(self.down_bps > 0)):
            raise ValueError("bandwidths must be positive")
        if not 0.0 <= self.loss < 1.0:
            raise ValueError(f"loss must lie in [0, 1), got {self.loss}")
        if self.bursts is not None and not 0.0 < self.bursts.loss < 1.0:
            raise ValueError(f"bursts need a loss in (0, 1), got {self.bursts.loss}")
        if not 0.0 <= self.contention <= 0.99:
            raise ValueError(f"contention must lie in [0, 0.99], got {self.contention}")
        if np.any(self.region_latency_s < 0) or np.any(self.access_latency_s < 0):
            raise ValueError("latencies must not be negative")

    @property
    def n_hosts(self) -> int:
        """How many hosts there are."""
        return len(self.regions)

    def one_way_s(self, source: int, target: int) -> float:
        """Return the propagation latency from `source` to `target`, without jitter."""
        between = self.region_latency_s[self.regions[source], self.regions[target]]
        return float(between + self.access_latency_s[source] + self.access_latency_s[target])

    def with_host(self, access_latency_s: float, bandwidth_bps: float) -> Conditions:
        """Return these conditions with one more host, in a region of its own at the centre of all.

        Its latency to a host is that host's access latency plus `access_latency_s`; used for infrastructure
        (a chain's entry point, a parameter server).
        """
        r = len(self.region_latency_s)
        latency = np.zeros((r + 1, r + 1))
        latency[:r, :r] = self.region_latency_s
        jitter = np.zeros((r + 1, r + 1))
        jitter[:r, :r] = self.region_jitter
        return replace(
            self,
            regions=np.append(self.regions, r),
            region_latency_s=latency,
            region_jitter=jitter,
            access_latency_s=np.append(self.access_latency_s, access_latency_s),
            up_bps=np.append(self.up_bps, bandwidth_bps),
            down_bps=np.append(self.down_bps, bandwidth_bps),
        )


def jitter_table(rng: np.random.Generator, tail: str = "exponential") -> list[int]:
    """Return the shared table of jitter draws, in units of ``1 / JITTER_ONE``.

    Links walk through it at their own offsets and pace.
    """
    if tail == "exponential":
        draws = rng.exponential(1.0, JITTER_TABLE_SIZE)
    else:
        p90 = 0.1 ** (-1.0 / TAIL_INDEX) - 1.0
        draws = np.minimum(rng.pareto(TAIL_INDEX, JITTER_TABLE_SIZE) * np.log(10.0) / p90, TAIL_CAP)
    return np.rint(draws * JITTER_ONE).astype(np.int64).tolist()


def burst_table(bursts: Bursts, n_lines: int, rng: np.random.Generator) -> np.ndarray:
    """Return when the state of each line changes, (n_lines, BURST_CHANGES) int64, ascending nanoseconds.

    A line is bad from an odd change to the next; after the last one it all begins again.
    """
    means_s = np.tile([bursts.good_s, bursts.bad_s], BURST_CHANGES // 2)
    lengths_s = rng.exponential(1.0, (n_lines, BURST_CHANGES)) * means_s
    return np.cumsum(np.rint(lengths_s * 1e9).astype(np.int64) + 1, axis=1)


def loss_table(rng: np.random.Generator) -> list[float]:
    """Return the shared table of exponential draws for packet losses: ``-log`` of uniform ones."""
    return rng.exponential(1.0, JITTER_TABLE_SIZE).tolist()
