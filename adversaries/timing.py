"""Attacks on time and bandwidth: late on purpose, and loud."""

from __future__ import annotations

from typing import Any

from adversaries.checks import require_count, require_positive
from simdfl.peers.behaviour import Byzantine, Turn


class Delayer(Byzantine):
    """Hold the own gradient back for `delay_s` before sending it.

    Everyone waits until the deadline at most: the attack costs time, not accuracy. Nothing proves it; a peer that
    misses the deadline altogether counts as absent, and is ejected by the verified protocol.

    Parameters
    ----------
    delay_s : float
        Simulated seconds.
    """

    def __init__(self, *, delay_s: float = 5.0, **base: Any) -> None:
        super().__init__(**base)
        require_positive("delayer.delay_s", delay_s)
        self._held_s = delay_s

    def delay_s(self, turn: Turn) -> float:
        """Return the delay while attacking."""
        return self._held_s if self.is_attacking(turn.step) else 0.0


class Flooding(Byzantine):
    """Send every neighbour a useless message of `size_bytes` in each step, before the gradients.

    It fills the neighbours' downlinks, so that honest parts queue behind it. Junk has no signature, so nobody
    relays it; nothing proves it either.

    Parameters
    ----------
    size_bytes : int
        Size of one message.
    """

    def __init__(self, *, size_bytes: int = 1_000_000, **base: Any) -> None:
        super().__init__(**base)
        require_count("flooding.size_bytes", size_bytes)
        self.size_bytes = size_bytes

    def junk_bytes(self, turn: Turn) -> int:
        """Return the size while attacking."""
        return self.size_bytes if self.is_attacking(turn.step) else 0
