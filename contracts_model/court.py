"""Court: accusations, votes, verdicts, and what arithmetic alone can decide (BTARD section 3; PROTOCOL §8).

Decided without a vote: two signatures for one slot, a signed commitment that contradicts the posted root, a
signed share that decrypts nothing. Opened without an accuser, by arithmetic or by majority: a V2 sum beyond the
tolerance, V3 complaints of more than half, a target that showed its validator nothing. Everything else is a case:
all peers, or a jury that the beacon draws after the case was opened, recompute and vote, and a majority on one
verdict decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from contracts_model.abi import Bytes, Bytes32, Bytes32s, BytesList, Uint
from contracts_model.beacon import Beacon, mask_bytes
from contracts_model.draw import draw_jury
from contracts_model.gas import words
from contracts_model.ledger import StepLedger
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, Mask, external, linked, sha256_gas
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import Terms

COMMIT_TOPIC = b"COMMIT"
REPORT_TOPIC = b"REPORT"
SHARE_TOPIC = b"SHARE"
ENTRY_BYTES = 8
TOPIC_BYTES = 31
"""Topics of signed messages are no longer than this."""
JURY_INPUT_BYTES = 32 + len(b"jury") + 8 + 8


class Kind(IntEnum):
    """What a case is about."""

    COMPUTATION = 1
    """A validator says: the target's gradient or report is not what its public seed gives."""
    REPORT = 2
    """An aggregator says: the target misreported its projection or norm on my part (V1)."""
    AGGREGATION = 3
    """The target's aggregated part is to be recomputed from the opened parts (CheckAveraging)."""
    CANARY = 4
    """A canary says: the target, its validator, attested that my planted error was right."""


class Absence(IntEnum):
    """What a peer failed to deliver to everybody."""

    AGGREGATE = 1
    REPORT = 2
    DEALING = 3


ABSENCE_REASONS = {
    Absence.AGGREGATE: "withheld the aggregated part",
    Absence.REPORT: "withheld the report",
    Absence.DEALING: "withheld the dealing",
}


def message_digest(sha256: Callable[[bytes], bytes], run: bytes, topic: bytes, step: int, body: bytes) -> bytes:
    """Return what a peer signs for a gossip message: one slot is (run, topic, step), the body its content."""
    framed = b"simdfl.message" + run + len(topic).to_bytes(1, "little") + topic
    return sha256(framed + step.to_bytes(8, "little") + body)


def share_topic(dealer: int) -> bytes:
    """Return the topic under which shares of a dealer's sharing are signed.

    >>> share_topic(7)
    b'SHARE007'
    """
    return SHARE_TOPIC + b"%03d" % dealer


def entry_leaf(part: int, projections: list[int], norm: int) -> bytes:
    """Return one report entry: what contributor i says of part j, in units of 2^-40."""
    numbers = [part, *projections, norm]
    return b"".join(number.to_bytes(ENTRY_BYTES, "little", signed=True) for number in numbers)


FIELD_BITS = 64


def pack_parties(kind: int, step: int, target: int, accuser: int) -> int:
    """Return a case's parties in one word; `accuser` counts from 1, 0 is nobody.

    >>> unpack_parties(pack_parties(2, 7, 3, 0)), unpack_parties(pack_parties(2, 7, 3, 5))
    ((2, 7, 3, -1), (2, 7, 3, 4))
    """
    return ((kind << FIELD_BITS | step) << FIELD_BITS | target) << FIELD_BITS | accuser


def unpack_parties(word: int) -> tuple[int, int, int, int]:
    """Return kind, step, target and accuser (-1 for nobody)."""
    low = (1 << FIELD_BITS) - 1
    return word >> 3 * FIELD_BITS, word >> 2 * FIELD_BITS & low, word >> FIELD_BITS & low, (word & low) - 1


@dataclass
class Court(Contract):
    """Cases by number; for each the parties, the eligible voters and the tally by verdict."""

    terms: Terms
    registry: Registry
    ledger: StepLedger
    beacon: Beacon
    state: Slots = field(init=False)
    about: Slots = field(init=False)
    parties: Slots = field(init=False)
    deadlines: Slots = field(init=False)
    closed: Slots = field(init=False)
    tally: Slots = field(init=False)
    void_votes: Slots = field(init=False)
    found_absent: Slots = field(init=False)
    blind: Slots = field(init=False)
    eligible: BitSet = field(init=False)
    voted: BitSet = field(init=False)
    silent: BitSet = field(init=False)
    complaints: BitSet = field(init=False)
    absences: BitSet = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.slots("state", depth=0)
        self.about = self.slots("about", depth=4)
        for label in ("parties", "deadlines", "closed", "void_votes", "blind"):
            setattr(self, label, self.slots(label))
        self.tally = self.slots("tally", depth=2)
        self.found_absent = self.slots("found_absent", depth=3)
        for label, depth in (("eligible", 1), ("voted", 1), ("silent", 1), ("complaints", 2), ("absences", 3)):
            setattr(self, label, self.bits(label, self.terms.n_peers, depth))

    # ---- opening

    def _open(self, ctx: Context, kind: Kind, step: int, target: int, accuser: int | None) -> None:
        topic = (int(kind), step, target, 0 if accuser is None else accuser + 1)
        if self.about[topic]:
            return
        number = self.state["count"] + 1
        self.state["count"] = number
        self.about[topic] = number
        self.parties[number] = pack_parties(*topic)
        if self.terms.jury_size and self.ledger.step() < self.terms.steps:
            self.state["waiting"] = number  # all later ones wait too; the closing step draws no more juries
            if not self.state["waiting_from"]:
                self.state["waiting_from"] = number
        else:
            self._hear(ctx, number, self.registry.active_mask())

    def _hear(self, ctx: Context, number: int, eligible: int) -> None:
        """Begin the vote of a case."""
        kind, step, target, accuser = unpack_parties(self.parties[number])
        deadline = ctx.timestamp_s + self.terms.vote_s
        self.deadlines[number] = deadline
        self.eligible.write(number, eligible)
        ctx.emit(
            self.name,
            "CaseOpened",
            case=number,
            kind=kind,
            step=step,
            target=target,
            accuser=accuser,
            jury=mask_bytes(eligible),
            deadline=deadline,
        )

    @linked
    def draw_juries(self, ctx: Context, randomness: bytes) -> None:
        """Draw the jurors of all cases that were opened before this output was known (called by the ledger).

        The parties do not judge. A jury drawn from an output that was open already could be chosen by whoever
        opens the case.
        """
        first = self.state["waiting_from"]
        if not first:
            return
        active = self.registry.active_mask()
        for number in range(first, self.state["waiting"] + 1):
            _, _, target, accuser = unpack_parties(self.parties[number])
            peers = [peer for peer in members(active) if peer not in (target, accuser)]
            self.work("juries with an accuser", accuser >= 0)
            jury = draw_jury(randomness, number, peers, self.terms.jury_size)
            ctx.meter.charge(len(jury) * sha256_gas(JURY_INPUT_BYTES))
            self.work("could be jurors", len(peers))
            self.work("jurors drawn", len(jury))
            self._hear(ctx, number, sum(1 << juror for juror in jury))
        self.state["waiting_from"] = 0

    def _require_recent(self, ctx: Context, step: int) -> None:
        """Revert unless `step` is over (only then are there reports on it) and in the dispute window."""
        age = self.ledger.step() - step
        self.work("steps that are over", age >= 1)
        ctx.require(1 <= age < self.terms.dispute_window - 1, "outside the dispute window")

    @linked
    def accuse_computation(self, ctx: Context, step: int, target: int, accuser: int) -> None:
        """Open the case that follows a validator's bad result (called by the ledger)."""
        self._open(ctx, Kind.COMPUTATION, step, target, accuser)

    @linked
    def demand_opening(self, ctx: Context, step: int, target: int) -> None:
        """Open the case of a target that showed its validator nothing (called by the ledger)."""
        self._open(ctx, Kind.COMPUTATION, step, target, None)

    @external
    def accuse_canary(self, ctx: Context, step: Uint, validator: Uint) -> None:
        """Say that `validator` attested the caller's planted error of `step` to be right, without looking."""
        canary = self.registry.known_index(ctx)
        self._require_recent(ctx, step)
        ctx.require(self.terms.canary_permille > 0, "this job plants no canaries")
        ctx.require(self.ledger.has_attested(step, validator, canary), "no such attestation")
        self._open(ctx, Kind.CANARY, step, validator, canary)

    @external
    def accuse_report(self, ctx: Context, step: Uint, target: Uint) -> None:
        """V1: the calling aggregator says that the target's projection or norm on its part is false."""
        accuser = self.registry.index_of(ctx)
        self._require_recent(ctx, step)
        ctx.require(self.ledger.is_contributor(step, target), "the target did not contribute")
        self._open(ctx, Kind.REPORT, step, target, accuser)

    @external
    def complain(self, ctx: Context, step: Uint, part: Uint) -> None:
        """V3: the caller's norm on this part exceeds Delta_max; more than half open CheckAveraging."""
        peer = self.registry.index_of(ctx)
        self._require_recent(ctx, step)
        ctx.require(part < self.terms.n_peers, "no such peer")
        ctx.require(self.ledger.is_contributor(step, peer), "only a contributor may complain")
        key = (step, part)
        ctx.require(not self.complaints.has(key, peer), "already complained")
        self.complaints.add(key, peer)
        ctx.emit(self.name, "Complaint", step=step, part=part, peer=peer)
        if 2 * self.complaints.read(key).bit_count() > self.ledger.contributors_of(step).bit_count():
            self._open(ctx, Kind.AGGREGATION, step, part, None)

    @external
    def challenge_sum(
        self,
        ctx: Context,
        step: Uint,
        part: Uint,
        position: Uint,
        size: Uint,
        leaves: BytesList,
        roots: Bytes32s,
        paths: BytesList,
        signatures: BytesList,
    ) -> None:
        """V2: show by signed reports that the projections on a part do not sum to zero.

        Reports list one entry per part, `size` in all, this part's at `position`. One leaf, root, path (its
        32-byte hashes joined) and signature per contributor, in index order. Pure arithmetic: nobody is
        accused, the part's aggregation is recomputed.
        """
        self.registry.index_of(ctx)
        self._require_recent(ctx, step)
        ctx.require(part < self.terms.n_peers and size <= self.terms.n_peers, "more parts than peers")
        reporters = self._reporters(step)
        counts = {len(leaves), len(roots), len(paths), len(signatures)}
        ctx.require(counts == {len(reporters)}, "one report per contributor")
        sums = [0] * self.terms.projections
        for peer, leaf, root, path, signature in zip(reporters, leaves, roots, paths, signatures):
            hashes = [path[at : at + 32] for at in range(0, len(path), 32)]
            self.hand_on("entry", leaf, path)
            included = ctx.open_path(root, leaf, position, size, hashes)
            ctx.require(included, "the entry is not in the report")
            self._require_signed(ctx, peer, REPORT_TOPIC, step, root, signature)
            sums = [total + number for total, number in zip(sums, self._projections(ctx, part, leaf))]
            self.work("projections read", self.terms.projections)
            self.work("entry words read", self.terms.projections * words(len(leaf)))
        self.work("projections compared", self.terms.projections)
        bound = self.terms.tolerance * len(reporters)
        ctx.require(any(abs(total) > bound for total in sums), "the sum is within tolerance")
        self._open(ctx, Kind.AGGREGATION, step, part, None)

    def _reporters(self, step: int) -> list[int]:
        """Return the contributors of a recent step whose report arrived, ascending."""
        return list(members(self.ledger.contributors_of(step) & ~self.silent.read(step)))

    def _projections(self, ctx: Context, part: int, leaf: bytes) -> list[int]:
        """Return the projections in an entry about `part`."""
        numbers = [
            int.from_bytes(leaf[at : at + ENTRY_BYTES], "little", signed=True)
            for at in range(0, len(leaf), ENTRY_BYTES)
        ]
        has_length = len(leaf) == ENTRY_BYTES * (self.terms.projections + 2)
        self.work("entries of the right length", has_length)
        self.work("entry words read", words(len(leaf)) if has_length else 0)
        fits = has_length and numbers[0] == part
        ctx.require(fits, "not this part's entry")
        return numbers[1:-1]

    def _require_signed(
        self, ctx: Context, peer: int, topic: bytes, step: int, body: bytes, signature: bytes
    ) -> None:
        self.hand_on("signed", topic, signature)
        ctx.require(len(topic) <= TOPIC_BYTES and step < 1 << 64, "no message has this slot")
        digest = message_digest(ctx.sha256, self.terms.job_digest, topic, step, body)
        signer = ctx.recover_signer(digest, signature)
        ctx.require(signer is not None and signer == self.registry.address_of(peer), "not signed by that peer")

    # ---- decided by arithmetic

    @external
    def prove_equivocation(
        self,
        ctx: Context,
        peer: Uint,
        topic: Bytes,
        step: Uint,
        body: Bytes32,
        signature: Bytes,
        other_body: Bytes32,
        other_signature: Bytes,
    ) -> None:
        """Two signatures of one peer for one slot: banned at once."""
        reporter = self.registry.index_of(ctx)
        ctx.require(body != other_body, "the same message twice")
        self._require_signed(ctx, peer, topic, step, body, signature)
        self._require_signed(ctx, peer, topic, step, other_body, other_signature)
        ctx.require(not self.registry.is_banned(peer), "banned already")
        self.registry.ban(ctx, peer, "equivocation", reporter)

    @external
    def prove_contradiction(self, ctx: Context, peer: Uint, step: Uint, body: Bytes32, signature: Bytes) -> None:
        """Prove that a signed commitment has another root than the posted one: banned at once."""
        reporter = self.registry.index_of(ctx)
        posted = self.ledger.root_of(step, peer)
        self.work("posted roots", posted != 0)
        ctx.require(posted != 0 and posted != body, "no contradiction")
        self._require_signed(ctx, peer, COMMIT_TOPIC, step, body, signature)
        ctx.require(not self.registry.is_banned(peer), "banned already")
        self.registry.ban(ctx, peer, "contradicts its own commitment", reporter)

    @external
    def prove_bad_share(
        self,
        ctx: Context,
        output: Uint,
        dealer: Uint,
        peer: Uint,
        share: Bytes,
        signature: Bytes,
        transcript: Bytes,
        commitment: Bytes,
        path: Bytes32s,
    ) -> None:
        """Prove that the decrypted share which `peer` signed for a recovery is wrong: banned at once."""
        reporter = self.registry.index_of(ctx)
        ctx.require(dealer < self.terms.n_peers, "no such peer")
        topic = share_topic(dealer)
        self._require_signed(ctx, peer, topic, output, ctx.sha256(share), signature)
        valid = self.beacon.share_is_valid(ctx, output, dealer, peer, share, transcript, commitment, path)
        ctx.require(not valid, "the share is valid")
        ctx.require(not self.registry.is_banned(peer), "banned already")
        self.registry.ban(ctx, peer, "invalid share", reporter)

    # ---- absence: a majority did not receive it; nobody can prove why, so nobody is slashed

    @external
    def report_absence(self, ctx: Context, kind: Uint, step: Uint, peer: Uint) -> None:
        """Say that nothing arrived from `peer`; more than half of the active peers eject it.

        ``step`` is the epoch where a dealing is missing.
        """
        voter = self.registry.index_of(ctx)
        ctx.require(kind in list(Absence), "unknown kind of absence")
        self.work(f"absences of kind {kind}")
        if kind == Absence.AGGREGATE:
            ctx.require(step == self.ledger.step(), "not the current step")
        elif kind == Absence.REPORT:
            self._require_recent(ctx, step)
        ctx.require(peer < self.terms.n_peers, "no such peer")
        key = (kind, step, peer)
        ctx.require(not self.absences.has(key, voter), "already reported")
        self.absences.add(key, voter)
        active = self.registry.active_mask()
        count = (self.absences.read(key) & active).bit_count()
        if 2 * count <= active.bit_count() or self.found_absent[key]:
            return
        self.found_absent[key] = 1
        names = {Absence.AGGREGATE: "AggregateAbsent", Absence.REPORT: "Absent", Absence.DEALING: "DealingAbsent"}
        ctx.emit(self.name, names[Absence(kind)], step=step, peer=peer)
        if kind == Absence.AGGREGATE:
            self.ledger.void_part(ctx, peer)
        else:
            if kind == Absence.DEALING:
                self.beacon.void_dealing(ctx, step, peer)
            else:
                self.silent.add(step, peer)
                self.blind[step] = 1
            self.registry.eject(ctx, peer, ABSENCE_REASONS[Absence(kind)])

    @external
    def check_part(self, ctx: Context, step: Uint, owner: Uint) -> None:
        """Have an aggregation recomputed because a report of its step is missing: V2's sums prove nothing then.

        Otherwise a coalition could trade one silent member, unslashed, for a shift that nobody checks.
        """
        self.registry.index_of(ctx)
        self._require_recent(ctx, step)
        ctx.require(owner < self.terms.n_peers, "no such peer")
        ctx.require(self.blind[step], "no report of this step is missing")
        self._open(ctx, Kind.AGGREGATION, step, owner, None)

    # ---- voting

    @external
    def vote(self, ctx: Context, case: Uint, guilty: Bytes, suspects: Bytes, absent: Bytes) -> None:
        """Vote a verdict: who is guilty, whose aggregation is to be checked next, who failed to answer.

        Each is a bit mask in little-endian bytes without trailing zeros. Peers that recompute the same bytes
        vote the same verdict; more than half of the eligible decide.
        """
        masks = [int.from_bytes(mask, "little") for mask in (guilty, suspects, absent)]
        ctx.require(not any(mask >> self.terms.n_peers for mask in masks), "no such peer")
        voter = self._enter_vote(ctx, case)
        verdict = ctx.sha256(
            len(guilty).to_bytes(4, "little") + guilty + len(suspects).to_bytes(4, "little") + suspects + absent
        )
        count = self.tally[(case, verdict)] + 1
        self.tally[(case, verdict)] = count
        shown = {"guilty": Mask(guilty), "suspects": Mask(suspects), "absent": Mask(absent)}
        ctx.emit(self.name, "Voted", case=case, voter=voter, **shown)
        if 2 * count > self.eligible.read(case).bit_count():
            self._conclude(ctx, case, *masks)

    def _enter_vote(self, ctx: Context, case: int) -> int:
        voter = self.registry.known_index(ctx)
        ctx.require(self.parties[case], "no such case")
        ctx.require(self.closed[case] == 0, "the case is closed")
        ctx.require(ctx.timestamp_s <= self.deadlines[case], "the vote is over")
        ctx.require(self.eligible.has(case, voter), "not eligible")
        ctx.require(not self.voted.has(case, voter), "already voted")
        self.voted.add(case, voter)
        return voter

    @external
    def vote_void(self, ctx: Context, case: Uint) -> None:
        """Vote that neither side is to blame: honest arithmetic differs, or the error was a planted canary."""
        voter = self._enter_vote(ctx, case)
        count = self.void_votes[case] + 1
        self.void_votes[case] = count
        ctx.emit(self.name, "VotedVoid", case=case, voter=voter)
        if 2 * count > self.eligible.read(case).bit_count():
            self._void(ctx, case)

    def _void(self, ctx: Context, case: int) -> None:
        self.closed[case] = 1
        ctx.emit(self.name, "Void", case=case)

    def _conclude(self, ctx: Context, case: int, guilty: int, suspects: int, absent: int) -> None:
        kind, step, target, accuser = unpack_parties(self.parties[case])
        self.closed[case] = 1
        reporter = accuser if accuser >= 0 else None
        ctx.emit(
            self.name,
            "Verdict",
            case=case,
            guilty=mask_bytes(guilty),
            suspects=mask_bytes(suspects),
            absent=mask_bytes(absent),
        )
        self.work("cases with an accuser", reporter is not None)
        refuted = reporter is not None and not guilty and not suspects and not absent
        if refuted and reporter is not None:
            self.registry.ban(ctx, reporter, "false accusation", None)
        for what, mask in (("guilty", guilty), ("suspects", suspects), ("silent in court", absent)):
            self.rounds(what, mask.bit_count())
        for peer in members(guilty):
            reason = offence(Kind(kind), peer == target)
            self.work(f"guilty: {reason}")
            self.work("guilty targets", peer == target)
            self.registry.ban(ctx, peer, reason, reporter if peer == target else None)
        for part in members(suspects):
            self._open(ctx, Kind.AGGREGATION, step, part, None)
        for peer in members(absent):
            self.registry.eject(ctx, peer, "did not open the parts in court")

    @external
    def close_case(self, ctx: Context, case: Uint) -> None:
        """End a case without a majority after its deadline: void, nobody is punished."""
        ctx.require(self.parties[case], "no such case")
        ctx.require(self.closed[case] == 0, "the case is closed")
        ctx.require(self.deadlines[case], "the jury is not drawn yet")
        ctx.require(ctx.timestamp_s > self.deadlines[case], "the vote is going on")
        self._void(ctx, case)


def offence(kind: Kind, is_target: bool) -> str:
    """Return the reason recorded with a ban."""
    if kind == Kind.COMPUTATION:
        return "failed validation"
    if kind == Kind.CANARY:
        return "missed a canary"
    if kind == Kind.REPORT:
        return "V1: false report"
    return "CheckAveraging: wrong aggregate" if is_target else "CheckAveraging: false report"
