"""What an audit has found: how often each check held, and where it did not."""

from __future__ import annotations

from dataclasses import dataclass, field

from simdfl.errors import UserError

KEPT = 50
"""Violations kept per check; more are counted only, so that a hostile folder cannot fill the memory."""


class Unusable(UserError):
    """The folder cannot be audited: something is missing, malformed or larger than allowed."""


@dataclass(frozen=True)
class Violation:
    """One place where a check failed; the step is None where a fault belongs to none."""

    step: int | None
    place: str
    what: str


@dataclass
class Check:
    """One kind of evidence: the level at which it is looked at, what it shows, and its tally."""

    name: str
    level: int
    evidence: str
    held: int = 0
    failed: int = 0
    violations: list[Violation] = field(default_factory=list)


@dataclass
class Findings:
    """All checks of an audit, with remarks that are no violation."""

    checks: dict[str, Check] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def require(self, name: str, holds: object, step: int | None, place: str, what: str) -> bool:
        """Count one check; keep the place if it does not hold. Return whether it does."""
        check = self.checks.get(name)
        if check is None:
            check = self.checks[name] = Check(name, *CHECKS[name])
        if holds:
            check.held += 1
        else:
            check.failed += 1
            if len(check.violations) < KEPT:
                check.violations.append(Violation(step, place, what))
        return bool(holds)

    @property
    def is_clean(self) -> bool:
        """Whether nothing failed."""
        return not any(check.failed for check in self.checks.values())

    def first(self) -> tuple[Check, Violation] | None:
        """Return the violation of the earliest step; content addresses count only if nothing else failed."""
        found = [(check, violation) for check in self.checks.values() for violation in check.violations]
        if not found:
            return None
        return min(found, key=lambda pair: (pair[1].step is None, pair[1].step or 0, pair[0].level))


CHECKS: dict[str, tuple[int, str]] = {
    "content addresses": (0, "SHA-256 of every published file against the index"),
    "manifest": (0, "the manifest's digest against the terms, and the terms against its configuration"),
    "block hashes": (0, "every block hash recomputed over its header, its receipts and its parent"),
    "block rules": (0, "numbers, times, base fee (EIP-1559), gas limits, nonces and fees of every block"),
    "transaction signatures": (0, "the sender recovered from every transaction's signature"),
    "receipts": (0, "every call executed again: outcome, reason, gas and events"),
    "balances": (0, "money conserved: what was minted is held, burned or paid"),
    "contract state": (0, "the digest of all slots and balances after the last block"),
    "anchors": (0, "anchored roots against the hashes of the channel's blocks"),
    "message signatures": (0, "every gossip message signed by its sender, over its content"),
    "commitments": (0, "gossiped part hashes against the root that the chain has"),
    "dealings": (0, "sharings verified, and bound to the dealer's root on chain"),
    "reports": (0, "one signed report of every contributor, of the right shape"),
    "V2 sums": (0, "projections on every part sum to zero within the tolerance, or a case was opened"),
    "aggregates": (0, "published aggregated parts against the hashes on chain; void parts zero"),
    "state digests": (0, "a majority's digest for every step; checkpoints and final weights against it"),
    "dataset": (1, "the Merkle root of the training data, rebuilt by the auditor"),
    "updates": (1, "the optimiser applied to the aggregates, against the agreed state digests"),
    "gradients": (1, "gradients recomputed from weights and public batch, against the committed root"),
    "projections": (1, "reports recomputed from gradient, aggregate and beacon, against the signed one"),
    "aggregation": (2, "CenteredClip recomputed from all contributions, against the hashes on chain"),
    "final model": (2, "the state after a replay of all steps, against the published weights"),
}
"""Every check by name: the level that makes it, and its evidence."""
