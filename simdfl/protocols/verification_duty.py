"""PROJECT and VERIFY: every contributor reports its clipped differences on random directions; everybody checks.

V1: an aggregator holds every part of its own and knows every right answer. V2: at the fixed point of CenteredClip
the differences sum to zero, and so do their projections. V3: nobody's distance may exceed Delta_max.
"""

from __future__ import annotations

import numpy as np

from contracts_model.court import Absence
from simdfl.errors import UserError
from simdfl.kernel.actor import Life
from simdfl.network import Message, Traffic
from simdfl.protocols.duty import Duty
from simdfl.protocols.job import StepRecord
from simdfl.protocols.parts import Report, are_wrong


class VerificationDuty(Duty):
    """The verifying side of one peer's life."""

    # ---- PROJECT

    def project(self, step: int, randomness: bytes) -> Life:
        """PROJECT one's clipped differences on the random directions and gossip what came out."""
        record = self.peer.records[step]
        record.beacon = randomness
        self.peer.exchange_duty.settle(record)
        if self.peer.index not in record.contributors:
            return
        yield self.peer.spend("projection", self.projection_s(len(record.roster), record))
        true, norms = self._true_reports(record)
        mine = record.contributors.index(self.peer.index)
        turn = self.peer.turn(record)

        def shift(part: int) -> np.ndarray:
            return np.asarray(true[:, record.position(part)].sum(axis=0))

        numbers = self.peer.behaviour.report(turn, true[mine], norms[mine], shift)
        report = make_report(self.peer.job.math.owners(record.roster), *numbers)
        if self.peer.behaviour.sends_report(turn):
            message = self.peer.job.messenger.make(
                self.peer, "REPORT", step, report, report.size_bytes, report.root, Traffic.CONTROL
            )
            self.peer.network.broadcast(message)

    def projection_s(self, n_parts: int, record: StepRecord) -> float:
        """Return the simulated duration of projecting so many parts: the draws of z, and three passes each."""
        job, device = self.peer.job, self.peer.device
        size = n_parts * job.training.sizes.part_entries(len(record.roster)) * job.math.settings.projections
        return 6.0 * size / device.flops_per_s + device.hash_s(2 * size)

    def _true_reports(self, record: StepRecord) -> tuple[np.ndarray, np.ndarray]:
        """Return the right projections and norms; the rows of who is unknown here, after an absence, are zero."""
        for peer in record.contributors:
            if peer not in record.commitments:
                commitment = self.peer.evidence_duty.posted_commitment(record.step, peer)
                if commitment is not None:
                    record.commitments[peer] = commitment
        contributors, math = record.contributors, self.peer.job.math
        known = [row for row, peer in enumerate(contributors) if peer in record.commitments]
        if len(known) == len(contributors):
            return record.true_reports(math, contributors)
        norms = np.zeros((len(contributors), len(record.roster)), np.int64)
        true = np.zeros((*norms.shape, math.settings.projections), np.int64)
        if known:
            true[known], norms[known] = record.true_reports(math, [contributors[row] for row in known])
        return true, norms

    # ---- VERIFY

    def verify(self, step: int) -> Life:
        """VERIFY the reports: V1 against the parts one holds, V2 by their sums, V3 by one's own distances."""
        record = self.peer.records[step]
        yield from self._collect_reports(record)
        signatures_s = len(record.contributors) * self.peer.device.verify_s
        yield self.peer.spend("verification", signatures_s + self.projection_s(len(record.contributors), record))
        true, norms = self._true_reports(record)
        self._check_reports_on_own_part(record, true, norms)
        self._check_sums(record)
        self._check_own_distances(record, norms)
        self.peer.court_duty.verified(step)

    def _collect_reports(self, record: StepRecord) -> Life:
        """Wait for all reports; whose does not come is voted absent, and all parts are then recomputed."""
        step = record.step
        deadline_s = self.peer.env.now + self.peer.job.report_s
        yield self.peer.inbox.collect("REPORT", step, record.contributors, deadline_s)
        arrived, owners = self.peer.inbox.peek("REPORT", step), self.peer.job.math.owners(record.roster)
        for peer in record.contributors:
            report = self._accepted(owners, arrived.get(peer))
            if report is not None:
                record.reports[peer] = report
            else:
                self.peer.chain.submit("court", "report_absence", int(Absence.REPORT), step, peer)
        if len(record.reports) < len(record.contributors):
            self.peer.also(self.peer.evidence_duty.check_parts(record))

    def known_report(self, record: StepRecord, contributor: int) -> Report | None:
        """Return a contributor's report if it is here by now, signed by it and well formed."""
        owners = self.peer.job.math.owners(record.roster)
        return self._accepted(owners, self.peer.inbox.peek("REPORT", record.step).get(contributor))

    def _accepted(self, owners: tuple[int, ...], message: Message | None) -> Report | None:
        if message is None or not self.peer.job.messenger.is_authentic(message):
            return None
        report: Report = message.content
        count = self.peer.job.math.settings.projections
        return report if report.is_well_formed(owners, count) else None

    def _check_reports_on_own_part(self, record: StepRecord, true: np.ndarray, norms: np.ndarray) -> None:
        """V1: this aggregator holds every part that it aggregated, so it knows every right answer."""
        position = record.position(self.peer.index)
        if record.aggregates[position] is None:
            return
        rows = [
            row
            for row, peer in enumerate(record.contributors)
            if peer in record.reports and peer in record.commitments
        ]
        reports = [record.reports[record.contributors[row]] for row in rows]
        is_wrong = are_wrong(reports, position, true[rows, position], norms[rows, position])
        liars = [record.contributors[row] for row, wrong in zip(rows, is_wrong) if wrong]
        for peer in self.peer.behaviour.accuses(self.peer.turn(record), liars):
            self.peer.chain.submit("court", "accuse_report", record.step, peer)

    def _check_sums(self, record: StepRecord) -> None:
        """V2: at the fixed point the clipped differences sum to zero, and so do their projections."""
        if len(record.reports) < len(record.contributors):
            return
        bound = self.peer.job.terms.tolerance * len(record.contributors)
        reports = tuple(record.reports[peer] for peer in record.contributors)
        for position in self.peer.job.math.parts_off_balance(reports, bound):
            self.peer.also(self.peer.evidence_duty.challenge_sum(record, record.roster[position]))

    def _check_own_distances(self, record: StepRecord, norms: np.ndarray) -> None:
        """V3: complain about parts further than Delta_max from one's own."""
        if self.peer.index not in record.contributors:
            return
        limit = self.peer.job.math.settings.max_deviation * 2.0**40
        far = np.flatnonzero(norms[record.contributors.index(self.peer.index)] > limit)
        for owner in self.peer.behaviour.complains(self.peer.turn(record), [record.roster[at] for at in far]):
            self.peer.chain.submit("court", "complain", record.step, owner)


def make_report(owners: tuple[int, ...], projections: np.ndarray, norms: np.ndarray) -> Report:
    """Return what a behaviour wants to report.

    Raises
    ------
    UserError
        If that is not one integer array of rows and one of numbers: nothing else can be written down.
    """
    arrays = (np.asarray(projections), np.asarray(norms))
    if not all(np.issubdtype(array.dtype, np.integer) for array in arrays) or [a.ndim for a in arrays] != [2, 1]:
        raise UserError(
            "adversary: report() must return integer arrays (parts, K) and (parts,), got "
            f"{arrays[0].dtype} {arrays[0].shape} and {arrays[1].dtype} {arrays[1].shape}"
        )
    return Report(owners, arrays[0].astype(np.int64), arrays[1].astype(np.int64))
