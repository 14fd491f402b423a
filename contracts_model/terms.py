"""The job manifest on chain: the numbers and digests that the contracts decide by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

FIXED_POINT_BITS = 40
"""Projections and norms are published as integers in units of 2^-40."""


class Phase(IntEnum):
    """Where a job stands. REGISTER and DEAL happen once; COMMIT to RECOVER repeat every step."""

    REGISTER = 0
    DEAL = 1
    COMMIT = 2
    AGGREGATE = 3
    REVEAL = 4
    RECOVER = 5
    DONE = 6
    ABORTED = 7


@dataclass(frozen=True)
class Terms:
    """Everything fixed before the first registration.

    ``members`` are the addresses invited to register; a peer's index is its position there. Durations are whole
    seconds of block timestamps; ``validators`` is m, ``tolerance`` is the V2 bound per contributor in units of
    2^-40; ``epoch_outputs`` is how many beacon outputs one batch of dealings covers.
    """

    job_digest: bytes
    owner: bytes
    members: tuple[bytes, ...]
    minimum_peers: int
    steps: int
    validators: int
    projections: int
    tolerance: int
    epoch_outputs: int
    dispute_window: int
    deposit_wei: int
    reward_wei: int
    reporter_percent: int
    register_s: int
    deal_s: int
    commit_s: int
    aggregate_s: int
    reveal_s: int
    recover_s: int
    vote_s: int

    @property
    def n_peers(self) -> int:
        """How many peers are invited."""
        return len(self.members)

    def __post_init__(self) -> None:
        """Refuse terms under which the contracts could not work."""
        durations = (
            *(self.register_s, self.deal_s, self.commit_s, self.aggregate_s),
            *(self.reveal_s, self.recover_s, self.vote_s),
        )
        problems = [
            (len(self.job_digest) != 32, "job_digest takes 32 bytes"),
            (self.minimum_peers < 3, "minimum_peers must be at least 3"),
            (len(set(self.members)) != self.n_peers, "members must be distinct addresses"),
            (self.n_peers < self.minimum_peers, "n_peers must be at least minimum_peers"),
            (self.steps < 1 or self.epoch_outputs < 2, "steps >= 1 and epoch_outputs >= 2"),
            (not 0 <= self.reporter_percent <= 50, "reporter_percent must lie in 0..50"),
            (self.dispute_window < 3, "dispute_window must be at least 3 steps"),
            (self.validators < 0 or self.projections < 1, "validators >= 0 and projections >= 1"),
            (min(durations) < 1, "every phase must last at least a second"),
            (min(self.deposit_wei, self.reward_wei, self.tolerance) < 0, "amounts must not be negative"),
        ]
        for wrong, message in problems:
            if wrong:
                raise ValueError(message)


def threshold_for(n_active: int) -> int:
    """Return the reconstruction threshold t = ceil(n/2): secrecy b <= t-1 and liveness n-b >= t.

    >>> threshold_for(16), threshold_for(15)
    (8, 8)
    """
    return (n_active + 1) // 2
