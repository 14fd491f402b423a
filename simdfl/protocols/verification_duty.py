"""PROJECT and VERIFY: every contributor reports its clipped differences on random directions; everybody checks.

V1: an aggregator holds every part of its own and knows every right answer. V2: at the fixed point of CenteredClip
the differences sum to zero, and so do their projections. V3: nobody's distance may exceed Delta_max.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contracts_model.court import Absence
from simdfl.kernel.actor import Life
from simdfl.network import Traffic
from simdfl.protocols.job import StepRecord
from simdfl.protocols.parts import Report

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer


class VerificationDuty:
    """The verifying side of one peer's life.

    Parameters
    ----------
    peer : VerifiedPeer
        Whose duty it is.
    """

    def __init__(self, peer: VerifiedPeer) -> None:
        self.peer = peer

    # ---- PROJECT

    def project(self, step: int, randomness: bytes) -> Life:
        """PROJECT one's clipped differences on the random directions and gossip what came out."""
        record = self.peer.records[step]
        record.beacon = randomness
        self.peer.exchange_duty.settle(record)
        if self.peer.index not in record.contributors:
            return
        size = self.peer.job.training.n_parameters * self.peer.job.math.settings.projections
        yield self.peer.spend(
            "projection", 6.0 * size / self.peer.device.flops_per_s + self.peer.device.hash_s(2 * size)
        )
        true, norms = self._true_reports(record)
        mine = record.contributors.index(self.peer.index)
        turn = self.peer.turn(record)

        def shift(part: int) -> np.ndarray:
            return np.asarray(true[:, record.position(part)].sum(axis=0))

        report = Report(tuple(record.roster), *self.peer.behaviour.report(turn, true[mine], norms[mine], shift))
        if self.peer.behaviour.sends_report(turn):
            message = self.peer.job.messenger.make(
                self.peer, "REPORT", step, report, report.size_bytes, report.root, Traffic.CONTROL
            )
            self.peer.network.broadcast(message)

    def _true_reports(self, record: StepRecord) -> tuple[np.ndarray, np.ndarray]:
        for peer in record.contributors:
            if peer not in record.commitments:
                commitment = self.peer.court_duty.posted_commitment(record.step, peer)
                if commitment is not None:
                    record.commitments[peer] = commitment
        return record.true_reports(self.peer.job.math, record.contributors)

    # ---- VERIFY

    def verify(self, step: int) -> Life:
        """VERIFY the reports: V1 against the parts one holds, V2 by their sums, V3 by one's own distances."""
        record = self.peer.records[step]
        yield from self._collect_reports(record)
        checks = len(record.contributors) * self.peer.device.verify_s
        yield self.peer.spend("verification", checks + len(record.roster) * 1e-6)
        true, norms = self._true_reports(record)
        self._check_reports_on_own_part(record, true, norms)
        self._check_sums(record)
        self._check_own_distances(record, norms)
        self.peer.court_duty.verified(step)

    def _collect_reports(self, record: StepRecord) -> Life:
        """Wait for all reports; whose does not come is voted absent, and all parts are then recomputed."""
        step = record.step
        deadline_s = self.peer.env.now + self.peer.job.report_s
        got = yield self.peer.inbox.collect("REPORT", step, record.contributors, deadline_s)
        for peer in record.contributors:
            message = got.messages.get(peer)
            if message is None:
                self.peer.chain.submit("court", "report_absence", int(Absence.REPORT), step, peer)
            elif self.peer.job.messenger.is_authentic(message) and message.content.owners == tuple(record.roster):
                record.reports[peer] = message.content
        if len(record.reports) < len(record.contributors):
            self.peer.also(self.peer.court_duty.check_parts(record))

    def _check_reports_on_own_part(self, record: StepRecord, true: np.ndarray, norms: np.ndarray) -> None:
        """V1: this aggregator holds every part that it aggregated, so it knows every right answer."""
        position = record.position(self.peer.index)
        if record.aggregates[position] is None:
            return
        liars = [
            peer
            for row, peer in enumerate(record.contributors)
            if peer in record.reports
            and not is_report_right(record.reports[peer], position, true[row], norms[row])
        ]
        for peer in self.peer.behaviour.accuses(self.peer.turn(record), liars):
            self.peer.chain.submit("court", "accuse_report", record.step, peer)

    def _check_sums(self, record: StepRecord) -> None:
        """V2: at the fixed point the clipped differences sum to zero, and so do their projections."""
        if len(record.reports) < len(record.contributors):
            return
        sums = sum(record.reports[peer].projections.astype(object) for peer in record.contributors)
        bound = self.peer.job.terms.tolerance * len(record.contributors)
        for position, total in enumerate(np.abs(np.asarray(sums))):
            if (total > bound).any():
                self.peer.also(self.peer.court_duty.challenge_sum(record, record.roster[position]))

    def _check_own_distances(self, record: StepRecord, norms: np.ndarray) -> None:
        """V3: complain about parts further than Delta_max from one's own."""
        if self.peer.index not in record.contributors:
            return
        limit = self.peer.job.math.settings.max_deviation * 2.0**40
        far = np.flatnonzero(norms[record.contributors.index(self.peer.index)] > limit)
        for owner in self.peer.behaviour.complains(self.peer.turn(record), [record.roster[at] for at in far]):
            self.peer.chain.submit("court", "complain", record.step, owner)


def is_report_right(report: Report, position: int, true: np.ndarray, norms: np.ndarray) -> bool:
    """Return whether a report says of one part what it should; `true` (p, K), `norms` (p,)."""
    same = np.array_equal(report.projections[position], true[position])
    return bool(same and report.norms[position] == norms[position])
