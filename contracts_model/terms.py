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


WRONG_PHASE = {phase: f"not in the {phase.name.lower()} phase" for phase in Phase}
"""Why a call reverts that belongs to another phase."""


class Withheld(IntEnum):
    """What becomes of a beacon output when a dealer does not open its secret in time."""

    RECOVER = 0
    """Verifiable sharings: t receivers recover the secret, the output is unchanged."""
    RESTART = 1
    """Commit-reveal: the withholder goes and the toss is repeated with fresh secrets (BTARD, appendix)."""
    SKIP = 2
    """RANDAO: the output is made of what was opened, so the last to open choose between outputs."""
    TRUSTED = 3
    """A trusted dealer, the owner of the job, publishes every output; nobody else deals."""


@dataclass(frozen=True)
class Terms:
    """Everything fixed before the first registration.

    ``members`` are the addresses invited to register; a peer's index is its position there, and the first
    ``founders`` of them start the job (all, if None); the others may join later. Durations are whole
    seconds of block timestamps; ``validators`` is m, ``tolerance`` is the V2 bound per contributor in units of
    2^-40; ``epoch_outputs`` is how many beacon outputs one batch of dealings covers.

    ``withheld`` is what becomes of withheld secrets. ``threshold_percent`` sets the threshold t = ceil(n
    percent / 100) of unpacked sharings; ``tolerated_percent``, where it is not zero, the share of colluding
    receivers that packed sharings withstand (ALBATROSS). ``jury_size`` jurors drawn by the beacon decide a
    case, or all peers if zero. ``canary_permille`` of all commitments are planted canaries. ``shows`` says that
    a gradient must be shown to be judged, by its maker, who can refuse. ``probation_steps`` gradients are
    checked and not used before somebody who joins late takes part (0: nobody joins late). ``assumed_byzantine``
    is how many liars the job was set up against; it ends when they could be a majority (None: it does not watch
    that). ``contribution_percent`` of the rewards for steps are paid beside them for contributions, in rounds of
    ``contribution_every`` steps (0: none are). ``proves_dealings`` says that every sharing is verified on chain
    before it counts (:mod:`contracts_model.proving_beacon`).
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
    withheld: Withheld = Withheld.RECOVER
    threshold_percent: int = 50
    tolerated_percent: int = 0
    jury_size: int = 0
    canary_permille: int = 0
    probation_steps: int = 0
    founders: int | None = None
    shows: bool = False
    assumed_byzantine: int | None = None
    contribution_percent: int = 0
    contribution_every: int = 0
    proves_dealings: bool = False

    @property
    def contribution_rounds(self) -> int:
        """How many rounds of contributions are paid; steps after the last one earn none."""
        return self.steps // self.contribution_every if self.contribution_every else 0

    @property
    def contribution_wei(self) -> int:
        """What one round pays for contributions at most, wei."""
        return self.reward_wei * self.n_peers * self.contribution_every * self.contribution_percent // 100

    @property
    def has_proofs(self) -> bool:
        """Whether there are sharings that a contract can verify: each of one secret."""
        return self.withheld == Withheld.RECOVER and not self.tolerated_percent

    @property
    def n_founders(self) -> int:
        """How many members the job waits for at the start."""
        return self.n_peers if self.founders is None else self.founders

    def threshold(self, receivers: int) -> int:
        """Return how many shares recover a secret dealt to so many receivers."""
        if self.tolerated_percent:
            return receivers - tolerated_for(receivers, self.tolerated_percent)
        return threshold_for(receivers, self.threshold_percent)

    def packing(self, receivers: int) -> int:
        """Return how many secrets one sharing packs: n - 2 t' (ALBATROSS), or one."""
        if self.tolerated_percent:
            return receivers - 2 * tolerated_for(receivers, self.tolerated_percent)
        return 1

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
            (not 1 <= self.threshold_percent <= 100, "threshold_percent must lie in 1..100"),
            (not 0 <= self.tolerated_percent < 50, "tolerated_percent must lie in 0..49"),
            (self.jury_size < 0 or self.probation_steps < 0, "jury_size and probation_steps must be at least 0"),
            (not 0 <= self.contribution_percent <= 1000, "contribution_percent must lie in 0..1000"),
            (not 0 <= self.contribution_every <= self.steps, "contribution_every must lie in 0..steps"),
            (self.proves_dealings and not self.has_proofs, "only unpacked sharings can be proven on chain"),
            (not 0 <= self.canary_permille <= 1000, "canary_permille must lie in 0..1000"),
            (not self.minimum_peers <= self.n_founders <= self.n_peers, "founders: minimum_peers..n_peers"),
        ]
        for wrong, message in problems:
            if wrong:
                raise ValueError(message)


def threshold_for(n_active: int, percent: int = 50) -> int:
    """Return the threshold t = ceil(n percent / 100); half gives secrecy for b <= t-1 and liveness for n-b >= t.

    >>> threshold_for(16), threshold_for(15), threshold_for(16, 33)
    (8, 8, 6)
    """
    return max(1, -(-n_active * percent // 100))


def tolerated_for(n_active: int, percent: int) -> int:
    """Return t', how many colluding receivers packed sharings withstand: so many percent, rounded down.

    >>> tolerated_for(16, 33)
    5
    """
    return n_active * percent // 100
