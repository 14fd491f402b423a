"""Judging: what a peer that knows a step's public bytes says of a gradient, a report or an aggregate.

Every honest peer judges by the same bytes and therefore says the same. Where arithmetic is only tolerant, each
compares with a recomputation on its own device, and the majority decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from contracts_model.beacon import mask_bytes
from simdfl.protocols.arithmetic import JUDGEMENT_MARGIN
from simdfl.protocols.job import StepRecord
from simdfl.protocols.parts import Commitment, Report, are_wrong, commit_gradient

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer

Verdict = tuple[bytes, bytes, bytes]
INNOCENT: Verdict = (b"", b"", b"")
VOID: Verdict = (b"void", b"", b"")
"""Neither side is to blame. Not a verdict of the contract's, which has a call of its own for it."""


def guilty(*peers: int) -> Verdict:
    """Return the verdict that these are guilty.

    >>> guilty(0, 2)[0].hex()
    '05'
    """
    return mask_bytes(sum(1 << peer for peer in set(peers))), b"", b""


def absent(peer: int) -> Verdict:
    """Return the verdict that this peer did not answer."""
    return b"", b"", mask_bytes(1 << peer)


class Judge:
    """One peer's judgement.

    Parameters
    ----------
    peer : VerifiedPeer
        Who judges: its memory of the step, its device.
    """

    def __init__(self, peer: VerifiedPeer) -> None:
        self._peer = peer

    # ---- gradients

    def posted_root(self, record: StepRecord, target: int) -> bytes | None:
        """Return the root that a contributor or a candidate posted for a step."""
        history = self._peer.chain.history
        return history.roots[record.step].get(target) or history.probes[record.step].get(target)

    def is_gradient_right(
        self, record: StepRecord, target: int, shown: Commitment | None, margin: float = 1.0
    ) -> bool:
        """Return whether the posted gradient is what its public batch gives.

        By hash where equal means equal bits; else by the distance of what the target has shown, in tolerances.
        """
        posted, job = self.posted_root(record, target), self._peer.job
        if not job.arithmetic.shows:
            return self._honest(record, target, target).root == posted
        if (
            shown is None
            or shown.root != posted
            or commit_gradient(flat(shown), len(record.roster)).root != posted
        ):
            return False
        reference = self.reference(record, target)
        return job.arithmetic.agrees(flat(shown)[: len(reference)], reference, margin)

    def reference(self, record: StepRecord, target: int) -> np.ndarray:
        """Return the gradient (d,) that `target` owed, recomputed on the own device."""
        inputs = (record.state, record.randomness, record.step)
        return self._peer.job.gradient(*inputs, target, device=self._peer.index)

    def _honest(self, record: StepRecord, target: int, device: int) -> Commitment:
        inputs = (record.state, record.randomness, record.step)
        return self._peer.job.honest_commitment(*inputs, target, len(record.roster), device)

    def suspects(self, record: StepRecord, target: int, shown: Commitment | None) -> int:
        """Return on whose parts a right gradient was misreported, as a bit mask of the parts' owners."""
        report = self.heard_report(record, target)
        if report is None or target not in record.contributors:
            return 0
        expected = shown if shown is not None else self._honest(record, target, target)
        true, norms = self._peer.job.math.true_reports(
            record.beacon, record.roster, [expected], record.aggregates
        )
        return sum(
            1 << owner
            for position, owner in enumerate(record.roster)
            if not report.is_right(position, true[0, position], norms[0, position])
        )

    def is_target_right(self, record: StepRecord, target: int, shown: Commitment | None) -> bool:
        """Return whether a target's gradient and report are right: what a validator attests."""
        return self.is_gradient_right(record, target, shown) and not self.suspects(record, target, shown)

    def computation(
        self, record: StepRecord, target: int, shown: Commitment | None, recomputed: np.ndarray | None
    ) -> Verdict:
        """Return the verdict on a gradient and its report.

        `recomputed` (d,) is what the accuser compares with, where it has to show that. If both sides are within
        the tolerance, honest arithmetic differs; if both are outside, neither is to be believed: void.
        """
        accuser_agrees = recomputed is not None and self._peer.job.arithmetic.agrees(
            recomputed, self.reference(record, target), JUDGEMENT_MARGIN
        )
        if self.is_gradient_right(record, target, shown, JUDGEMENT_MARGIN):
            suspects = self.suspects(record, target, shown)
            if suspects:
                return mask_bytes(1 << target), mask_bytes(suspects), b""
            return VOID if accuser_agrees else INNOCENT
        return guilty(target) if accuser_agrees or recomputed is None else VOID

    def is_planted(self, record: StepRecord, target: int, shown: Commitment | None) -> bool:
        """Return whether the posted gradient is the right one with a canary's error, as its secret determines."""
        history, job = self._peer.chain.history, self._peer.job
        secret = history.lots[record.step + 2].get(target)
        if secret is None or (record.step, target) not in history.canaries:
            return False
        planted = job.arithmetic.plant(self.reference(record, target), secret)
        posted = self.posted_root(record, target)
        if not job.arithmetic.shows:
            return commit_gradient(planted, len(record.roster)).root == posted
        return (
            shown is not None
            and shown.root == posted
            and job.arithmetic.agrees(flat(shown)[: len(planted)], planted, JUDGEMENT_MARGIN)
        )

    # ---- reports and aggregates

    def heard_report(self, record: StepRecord, contributor: int) -> Report | None:
        """Return a report as everybody has it by the time of a case; None if it was voted absent.

        Not what was here at this peer's own deadline: a report timed to reach only some in time would otherwise
        make honest peers judge differently.
        """
        if contributor in self._peer.inbox.peek("chain:Absent", record.step):
            return None
        return self._peer.verification_duty.known_report(record, contributor)

    def _wrong_reporters(self, record: StepRecord, position: int, opened: dict[int, Commitment]) -> list[int]:
        """Return whose report on this part contradicts its own committed part."""
        reports = {who: self.heard_report(record, who) for who in record.contributors if who in opened}
        peers = [
            who
            for who, report in reports.items()
            if report is not None and self._is_committed(record, who, position, opened[who])
        ]
        if not peers:
            return []
        true, norms = self._peer.job.math.true_reports(
            record.beacon, record.roster, [opened[who] for who in peers], record.aggregates
        )
        heard = [report for who in peers if (report := reports[who]) is not None]
        is_wrong = are_wrong(heard, position, true[:, position], norms[:, position])
        return [who for who, wrong in zip(peers, is_wrong) if wrong]

    def _is_committed(self, record: StepRecord, who: int, position: int, opened: Commitment) -> bool:
        """Check an opened part against the hash that its contributor signed and posted."""
        commitment = self._peer.evidence_duty.posted_commitment(record.step, who)
        return commitment is not None and opened.hashes[position] == commitment.hashes[position]

    def report(
        self, record: StepRecord, target: int, position: int, opened: dict[int, Commitment]
    ) -> Verdict | None:
        """Return the verdict on a report, or None, an abstention, if this peer never got it."""
        if self.heard_report(record, target) is None:
            return None
        is_false = target in self._wrong_reporters(record, position, opened)
        return guilty(target) if is_false else INNOCENT

    def aggregation(
        self, record: StepRecord, target: int, position: int, opened: dict[int, Commitment]
    ) -> Verdict:
        """CheckAveraging: recompute the part from its opened inputs, and every report on it."""
        published = record.aggregates[position]
        if published is None:
            return INNOCENT
        complete = all(
            who in opened and self._is_committed(record, who, position, opened[who])
            for who in record.contributors
        )
        if not complete:
            return absent(target)
        liars = self._wrong_reporters(record, position, opened)
        right = self._peer.job.math.aggregate([opened[who] for who in record.contributors])[position]
        return guilty(*liars, target) if right.hash != published.hash else guilty(*liars)

    def canary(self, record: StepRecord, validator: int, canary: int, shown: Commitment | None) -> Verdict:
        """Return the verdict on a validator that attested a canary's planted error to be right."""
        attested = self._peer.chain.history.attested.get((record.step + 1, validator))
        missed = attested == (canary, True) and self.is_planted(record, canary, shown)
        return guilty(validator) if missed else INNOCENT


def flat(commitment: Commitment) -> np.ndarray:
    """Return a committed gradient, padding included, (p d_part,)."""
    return commitment.parts.reshape(-1)


def case_parties(case: dict[str, Any]) -> tuple[int, int | None]:
    """Return target and accuser of a case."""
    return case["target"], case["accuser"] if case["accuser"] >= 0 else None
