"""Network time: whole nanoseconds, so that every fidelity computes the same times to the last bit.

SimPy's clock is a float of seconds. A nanosecond k stands for the float ``k / 1e9``; the two conversions below
are exact inverses on such floats for the first 50 days.
"""

from __future__ import annotations

from math import isinf

NS = 1_000_000_000
"""Nanoseconds in a second."""

NEVER_NS = 2**62
"""Later than anything that happens."""


def to_seconds(time_ns: int) -> float:
    """Return the float that stands for a nanosecond.

    >>> to_seconds(300_000_000)
    0.3
    """
    return time_ns / NS


def first_ns(time_s: float) -> int:
    """Return the first nanosecond that is not before `time_s`.

    >>> first_ns(0.3), first_ns(1e-9 / 3), first_ns(float("inf")) == NEVER_NS
    (300000000, 1, True)
    """
    if isinf(time_s):
        return NEVER_NS
    near = round(time_s * NS)
    return near if near / NS >= time_s else near + 1


def last_ns(time_s: float) -> int:
    """Return the last nanosecond that is not after `time_s`.

    >>> last_ns(0.3), last_ns(1e-9 / 3)
    (300000000, 0)
    """
    near = round(time_s * NS)
    return near if near / NS <= time_s else near - 1


def duration_ns(duration_s: float) -> int:
    """Return a duration, rounded to the nearest nanosecond."""
    return round(duration_s * NS)
