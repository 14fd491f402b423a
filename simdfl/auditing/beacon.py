"""The beacon's transcripts: every dealing bound to its dealer's root on chain, and sharings verified.

An opened secret was checked against its commitment when the chain was executed again, and outputs were recomputed
from the opened secrets. What a sharing's own proof adds is that a withheld secret could have been recovered. It
is therefore verified for every secret that was, and for a sample drawn by the auditor's coin, or for all.
"""

from __future__ import annotations

import numpy as np

from contracts_model.beacon import dealing_context, first_of_pack
from contracts_model.job import Job
from contracts_model.merkle import merkle_root
from simdfl.auditing.facts import Facts
from simdfl.auditing.findings import Findings
from simdfl.auditing.published import Published
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.hashing import sha256


class BeaconAudit:
    """Checks dealings.

    Parameters
    ----------
    published : Published
        The run folder.
    job : Job
        The contracts after the last block: they hold the registered keys.
    facts : Facts
        What the contracts decided.
    findings : Findings
        Receives what is found.
    share : float
        Which part of all sharings to verify in full; those recovered are always.
    coin : numpy.random.Generator
        The auditor's own.
    """

    def __init__(
        self,
        published: Published,
        job: Job,
        facts: Facts,
        findings: Findings,
        share: float,
        coin: np.random.Generator,
    ) -> None:
        self._published = published
        self._job = job
        self._facts = facts
        self._findings = findings
        self._share = share
        self._coin = coin
        self.verified = 0
        self.seen = 0

    def check(
        self, place: str, epoch: int, dealer: int, transcripts: list[bytes], commitments: list[bytes]
    ) -> bytes:
        """Check one dealer's dealings of an epoch; return their root, which the dealer signed."""
        leaves = [sha256(sha256(t) + c) for t, c in zip(transcripts, commitments)]
        root = merkle_root(leaves)
        posted = self._facts.dealt.get((epoch, dealer))
        if posted is None:  # gossiped too late, or on probation: it never counted
            return root
        step = epoch * self._published.terms.epoch_outputs
        holds = posted == root or dealer in self._facts.banned or dealer in self._facts.ejected
        what = f"dealer {dealer} gossiped other sharings than the root on chain binds, and stayed"
        self._findings.require("dealings", holds, step, place, what)
        if posted == root and isinstance(self._published.scheme, BeaconScheme):
            for position in range(len(leaves)):
                self._verify(place, step + position, dealer, transcripts[position], commitments[position])
        return root

    def _verify(self, place: str, output: int, dealer: int, transcript: bytes, commitment: bytes) -> None:
        terms, epoch = self._published.terms, output // self._published.terms.epoch_outputs
        receivers = self._facts.receivers[epoch]
        self.seen += 1
        is_needed = (output, dealer) in self._facts.recovered
        if not is_needed and self._coin.random() >= self._share:
            return
        self.verified += 1
        position = output % terms.epoch_outputs
        coordinate = position - first_of_pack(position, terms.packing(len(receivers)))
        context = dealing_context(terms.job_digest, output - coordinate, dealer)
        keys = [self._job.registry.key_of(peer) for peer in receivers]
        threshold = terms.threshold(len(receivers))
        scheme = self._published.scheme
        right = scheme.verify_dealing(context, keys, threshold, transcript, commitment, coordinate)
        holds = right or dealer in self._facts.banned
        what = f"the sharing of dealer {dealer} for output {output} is invalid, and it was never banned"
        self._findings.require("dealings", holds, output, place, what)
