"""One audit from the first file to the last finding."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contracts_model.job import Job
from simdfl.auditing.beacon import BeaconAudit
from simdfl.auditing.chain import ChainAudit
from simdfl.auditing.declared import check_declared
from simdfl.auditing.facts import Facts
from simdfl.auditing.findings import Findings, Unusable
from simdfl.auditing.honesty import Gap, gaps_of
from simdfl.auditing.messages import MessageAudit
from simdfl.auditing.published import INDEX, Published, open_published, read_index
from simdfl.auditing.reading import sha256_of
from simdfl.auditing.weights import check_weights
from simdfl.canonical import canonical_json
from simdfl.crypto.hashing import digest
from simdfl.errors import CryptoError
from simdfl.rng import Rng

NEEDED_FILES = (
    *("manifest.json", "deployment.json", "chain.jsonl.gz", "messages.jsonl.gz"),
    *("aggregates.f32", "opened.bin", "model.npy", "optimiser.bin"),
)
OTHER_FILES = re.compile(r"base_chain\.jsonl\.gz|checkpoints/\d{8}\.(params|optimiser)")
SHARES = (1, 0.01, 0.05, 0.1, 0.2)
"""Amounts of cheating for which a sample's worth is stated: one gradient, then parts of all."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What the auditor asks for: level, coin, size of the sample, and where to remember progress."""

    folder: Path
    level: int = 0
    coin: int = 0
    samples: int = 64
    budget_s: float = math.inf
    dealings: float = 0.02
    expected: str = ""
    resume: Path | None = None


@dataclass
class Outcome:
    """What came of an audit; `level` is the highest one reached, -1 if nothing could be checked."""

    request: Request
    index: dict[str, Any]
    address: str
    findings: Findings = field(default_factory=Findings)
    level: int = -1
    unusable: str = ""
    gaps: list[Gap] = field(default_factory=list)
    configuration: dict[str, Any] | None = None
    job_digest: str = ""
    published: Published | None = None
    sample: dict[str, Any] = field(default_factory=dict)
    removed: list[tuple[int, int, str, str]] = field(default_factory=list)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """Return 0 clean, 1 for a violation, 2 where the input is unusable or lacks what was asked for."""
        if not self.findings.is_clean:
            return 1
        return 2 if self.unusable or self.level < self.request.level else 0


def detection_probability(eligible: int, wrong: int, samples: int) -> float:
    """Return the chance that a sample without replacement meets at least one of the wrong gradients.

    >>> detection_probability(100, 10, 5) > 1 - 0.9**5
    True
    """
    samples, wrong = min(samples, eligible), min(wrong, eligible)
    if samples + wrong > eligible:
        return 1.0
    missed = sum(math.log1p(-wrong / (eligible - k)) for k in range(samples))
    return -math.expm1(missed)


def inspect(request: Request, progress: Progress | None = None) -> Outcome:
    """Audit a run folder.

    Raises
    ------
    Unusable
        If there is no index to begin with; what is found wrong later is in the outcome.
    """
    folder = request.folder
    if not folder.is_dir():
        raise Unusable(f"{folder}: is no folder; give the folder of a run")
    index = read_index(folder)
    outcome = Outcome(request, index, digest("simdfl/published", canonical_json(index)).hex())
    try:
        _check_addresses(outcome)
        if "chain.jsonl.gz" not in index["files"]:
            outcome.unusable = "the run published no chain: there is nothing to check its weights against"
        else:
            _Inspection(outcome, progress or (lambda what, done, of: None)).run()
    except (Unusable, CryptoError) as error:
        outcome.unusable = str(error)
    outcome.gaps = gaps_of(index, outcome.configuration, outcome.level)
    return outcome


def _check_addresses(outcome: Outcome) -> None:
    """Check every published file against the index, and the index against what the auditor expects."""
    request, findings = outcome.request, outcome.findings
    if request.expected:
        same = outcome.address == request.expected
        findings.require("content addresses", same, None, INDEX, "not the published files that were expected")
    for name, entry in sorted(outcome.index["files"].items()):
        found, size = sha256_of(request.folder, name)
        same = (found, size) == (entry["sha256"], entry["bytes"])
        findings.require("content addresses", same, None, name, "not the file that the index names")


class _Inspection:
    """The levels, one after the other."""

    def __init__(self, outcome: Outcome, progress: Progress) -> None:
        names = outcome.index["files"]
        missing = [name for name in NEEDED_FILES if name not in names]
        unknown = [name for name in names if name not in NEEDED_FILES and not OTHER_FILES.fullmatch(name)]
        if missing or unknown:
            what = (
                f"lacks {', '.join(missing)}"
                if missing
                else f"names {unknown[0][:80]!r}, which is no part of a run"
            )
            raise Unusable(f"{INDEX}: {what}")
        self._outcome = outcome
        self._progress = progress
        self._findings = outcome.findings
        self._published = outcome.published = open_published(outcome.request.folder, outcome.index)
        outcome.job_digest = self._published.job_digest.hex()
        self._rng = Rng(outcome.request.coin)
        self._facts = Facts()

    def _tick(self, what: str) -> Callable[[int], None]:
        return lambda done: self._progress(what, done, self._published.steps)

    def run(self) -> None:
        """Make all checks up to the level asked for, and note who was removed."""
        started = time.perf_counter()
        messages = self._level_0()
        self._outcome.level = 0
        self._outcome.seconds["level 0"] = time.perf_counter() - started
        if self._outcome.request.level:
            self._recompute(messages)
            self._outcome.seconds["all"] = time.perf_counter() - started

    def _level_0(self) -> MessageAudit:
        published, findings, request = self._published, self._findings, self._outcome.request
        check_declared(published, findings)
        self._outcome.configuration = published.configuration
        main = ChainAudit(published, "chain", findings)
        facts = self._facts = main.run(self._tick("chain"))
        if not isinstance(main.job, Job):
            raise Unusable("deployment.json: the main chain does not hold the job's contracts")
        self._note_removed(facts)
        self._note_accounts(main)
        self._check_anchors(facts)
        coin = self._rng.stream("audit-dealings")
        beacon = BeaconAudit(
            published, main.job, facts, findings, 1.0 if request.level else request.dealings, coin
        )
        messages = MessageAudit(published, facts, findings, beacon)
        messages.run(self._tick("messages"))
        check_weights(published, facts, findings, self._tick("weights"))
        if published.terms.proves_dealings:
            findings.notes.append("Every sharing was verified on chain, and again when its blocks were executed.")
        if beacon.seen:
            findings.notes.append(
                f"Sharings verified in full: {beacon.verified} of {beacon.seen} (those of recovered secrets, and "
                "a sample; level 1 takes all)."
            )
        return messages

    def _note_removed(self, facts: Facts) -> None:
        gone = [(peer, step, "banned", reason) for peer, (step, reason) in facts.banned.items()]
        gone += [
            (peer, step, "ejected", reason)
            for peer, (step, reason) in facts.ejected.items()
            if peer not in facts.banned
        ]
        self._outcome.removed = sorted(gone, key=lambda row: (row[1], row[0]))
        if facts.aborted:
            self._findings.notes.append(f"The job was given up: {facts.aborted}.")

    def _note_accounts(self, chain: ChainAudit) -> None:
        """Keep who earned and lost what on a chain, as the auditor's own execution has it; wei as text."""
        is_channel = self._published.deployment["chains"][chain.name]["is_channel"]
        for peer, account in enumerate(chain.accounts.peers):
            amounts = asdict(account) | {"held_wei": account.held_wei, "net_wei": account.net_wei}
            row = {"where": "channel" if is_channel else "chain", "peer": peer}
            self._outcome.accounts.append(row | {key: str(wei) for key, wei in amounts.items()})

    def _check_anchors(self, facts: Facts) -> None:
        """Execute the base chain, if there is one; its last anchor of each epoch is a block of the channel."""
        if "base" not in self._published.deployment["chains"]:
            return
        chain = ChainAudit(self._published, "base", self._findings)
        base = chain.run(lambda step: None)
        self._note_accounts(chain)
        for epoch, root in base.anchored.items():
            holds = root in facts.block_hashes
            step = (epoch + 1) * self._published.terms.epoch_outputs
            what = "the anchored root is the hash of no block of the channel"
            self._findings.require("anchors", holds, step, f"anchor of epoch {epoch}", what)
        if not base.anchored:
            self._findings.notes.append("No epoch was anchored: nothing outside the channel binds its history.")

    # ---- levels 1 and 2

    def _recompute(self, messages: MessageAudit) -> None:
        reason = self._why_not()
        if reason:
            self._outcome.unusable = reason
            return
        from simdfl.auditing.journal import Journal
        from simdfl.auditing.learning import rebuild
        from simdfl.auditing.recompute import Recomputation

        request, findings = self._outcome.request, self._findings
        learning = rebuild(self._published, findings)
        key = f"{self._outcome.address} {request.level} {request.coin} {request.samples}"
        journal = Journal(request.resume, key)
        work = Recomputation(self._published, self._facts, findings, learning, messages.reports, journal)
        if request.level == 1:
            coin = self._rng.stream("audit-gradients")
            work.sample(
                coin, request.samples, request.budget_s, lambda done: self._progress("gradients", done, 0)
            )
        else:
            final = work.replay(self._tick("replay"))
            self._check_final(final)
        self._outcome.level = request.level
        self._outcome.sample = self._worth(vars(work.tally))

    def _why_not(self) -> str:
        """Return why gradients cannot be recomputed here, or nothing."""
        from simdfl.auditing.learning import foreign_environment

        configuration = self._published.configuration
        if configuration["protocol"]["arithmetic"]["name"] == "tolerant":
            return "levels 1 and 2 need exact arithmetic: of tolerant gradients the sent bytes are not published"
        if configuration["learning"]["privacy"]["data"] == "private":
            return "levels 1 and 2 need public data: the records of this run are private"
        different = foreign_environment(self._published)
        if different:
            return "levels 1 and 2 need the declared arithmetic; here: " + ", ".join(different)
        return ""

    def _check_final(self, replayed: bytes) -> None:
        from simdfl.auditing.parts import state_digest
        from simdfl.auditing.weights import read_state

        published = state_digest(*read_state(self._published, "model.npy", "optimiser.bin"))
        what = "the replay ends at other weights than the published ones"
        self._findings.require("final model", replayed == published, self._published.steps, "model.npy", what)

    def _worth(self, tally: dict[str, Any]) -> dict[str, Any]:
        """Return the tally, with the chance that this sample would have met so much cheating."""
        eligible, checked = tally["eligible"], tally["checked"]
        amounts = {1 if share == 1 else math.ceil(share * eligible) for share in SHARES} if eligible else set()
        chances = {str(k): detection_probability(eligible, k, checked) for k in sorted(amounts)}
        return {**tally, "detection": chances}
