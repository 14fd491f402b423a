"""Court: accusations, votes, verdicts, and what arithmetic alone can decide (BTARD section 3; PROTOCOL §8).

Decided without a vote: two signatures for one slot, a signed commitment that contradicts the posted root.
Opened without an accuser, by arithmetic or by majority: a V2 sum beyond the tolerance, V3 complaints of more
than half. Everything else is a case: all peers recompute and vote, and a majority on one verdict decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from contracts_model.abi import Bytes, Bytes32, Bytes32s, BytesList, Uint
from contracts_model.beacon import mask_bytes
from contracts_model.gas import ECRECOVER_GAS
from contracts_model.ledger import StepLedger
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, external
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import Terms

COMMIT_TOPIC = b"COMMIT"
REPORT_TOPIC = b"REPORT"
ENTRY_BYTES = 8


class Kind(IntEnum):
    """What a case is about."""

    COMPUTATION = 1
    """A validator says: the target's gradient or report is not what its public seed gives."""
    REPORT = 2
    """An aggregator says: the target misreported its projection or norm on my part (V1)."""
    AGGREGATION = 3
    """The target's aggregated part is to be recomputed from the opened parts (CheckAveraging)."""


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


def entry_leaf(part: int, projections: list[int], norm: int) -> bytes:
    """Return one report entry: what contributor i says of part j, in units of 2^-40."""
    numbers = [part, *projections, norm]
    return b"".join(number.to_bytes(ENTRY_BYTES, "little", signed=True) for number in numbers)


@dataclass
class Court(Contract):
    """Cases by number; for each the parties, the eligible voters and the tally by verdict."""

    terms: Terms
    registry: Registry
    ledger: StepLedger
    cases: Slots = field(init=False)
    tally: Slots = field(init=False)
    sets: BitSet = field(init=False)

    def __post_init__(self) -> None:
        self.cases = self.slots("cases")
        self.tally = self.slots("tally")
        self.sets = BitSet(self.slots("sets"), -(-self.terms.n_peers // 256))

    # ---- opening

    def _open(self, ctx: Context, kind: Kind, step: int, target: int, accuser: int | None) -> None:
        if self.cases[("about", kind, step, target, -1 if accuser is None else accuser)]:
            return
        number = self.cases["count"] + 1
        self.cases["count"] = number
        self.cases[("about", kind, step, target, -1 if accuser is None else accuser)] = number
        self.cases[(number, "parties")] = (int(kind), step, target, -1 if accuser is None else accuser)
        self.cases[(number, "deadline")] = ctx.timestamp_s + self.terms.vote_s
        self.sets.write(("eligible", number), self.registry.active_mask())
        ctx.emit(
            self.name,
            "CaseOpened",
            case=number,
            kind=int(kind),
            step=step,
            target=target,
            accuser=-1 if accuser is None else accuser,
            deadline=ctx.timestamp_s + self.terms.vote_s,
        )

    def _require_recent(self, ctx: Context, step: int) -> None:
        """Revert unless `step` is over (only then are there reports on it) and in the dispute window."""
        age = self.ledger.step() - step
        ctx.require(1 <= age < self.terms.dispute_window - 1, "outside the dispute window")

    def accuse_computation(self, ctx: Context, step: int, target: int, accuser: int) -> None:
        """Open the case that follows a validator's bad result (called by the ledger)."""
        self.enter()
        self._open(ctx, Kind.COMPUTATION, step, target, accuser)

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
        ctx.require(self.ledger.is_contributor(step, peer), "only a contributor may complain")
        key = ("complaints", step, part)
        ctx.require(not self.sets.has(key, peer), "already complained")
        self.sets.add(key, peer)
        ctx.emit(self.name, "Complaint", step=step, part=part, peer=peer)
        if 2 * self.sets.read(key).bit_count() > self.ledger.contributors_of(step).bit_count():
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
        ctx.require(size <= self.terms.n_peers, "more parts than peers")
        reporters = self._reporters(step)
        counts = {len(leaves), len(roots), len(paths), len(signatures)}
        ctx.require(counts == {len(reporters)}, "one report per contributor")
        sums = [0] * self.terms.projections
        for peer, leaf, root, path, signature in zip(reporters, leaves, roots, paths, signatures):
            hashes = [path[at : at + 32] for at in range(0, len(path), 32)]
            for _ in hashes:
                ctx.sha256(bytes(65))
            included = ctx.host.verify_path(root, leaf, position, size, hashes)
            ctx.require(included, "the entry is not in the report")
            self._require_signed(ctx, peer, REPORT_TOPIC, step, root, signature)
            sums = [total + number for total, number in zip(sums, self._projections(ctx, part, leaf))]
        bound = self.terms.tolerance * len(reporters)
        ctx.require(any(abs(total) > bound for total in sums), "the sum is within tolerance")
        self._open(ctx, Kind.AGGREGATION, step, part, None)

    def _reporters(self, step: int) -> list[int]:
        """Return the contributors of a recent step whose report arrived, ascending."""
        return list(members(self.ledger.contributors_of(step) & ~self.sets.read(("silent", step))))

    def _projections(self, ctx: Context, part: int, leaf: bytes) -> list[int]:
        """Return the projections in an entry about `part`."""
        numbers = [
            int.from_bytes(leaf[at : at + ENTRY_BYTES], "little", signed=True)
            for at in range(0, len(leaf), ENTRY_BYTES)
        ]
        fits = len(numbers) == self.terms.projections + 2 and numbers[0] == part
        ctx.require(fits, "not this part's entry")
        return numbers[1:-1]

    def _require_signed(
        self, ctx: Context, peer: int, topic: bytes, step: int, body: bytes, signature: bytes
    ) -> None:
        ctx.meter.charge(ECRECOVER_GAS)
        ctx.require(len(topic) < 1 << 8 and step < 1 << 64, "no message has this slot")
        digest = message_digest(ctx.sha256, self.terms.job_digest, topic, step, body)
        signer = ctx.host.recover_signer(digest, signature)
        ctx.require(signer == self.registry.addresses[peer], "not signed by that peer")

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
        ctx.require(posted != 0 and posted != body, "no contradiction")
        self._require_signed(ctx, peer, COMMIT_TOPIC, step, body, signature)
        ctx.require(not self.registry.is_banned(peer), "banned already")
        self.registry.ban(ctx, peer, "contradicts its posted commitment", reporter)

    # ---- absence: a majority did not receive it; nobody can prove why, so nobody is slashed

    @external
    def report_absence(self, ctx: Context, kind: Uint, step: Uint, peer: Uint) -> None:
        """Say that nothing arrived from `peer`; more than half of the active peers eject it.

        ``step`` is the epoch where a dealing is missing.
        """
        voter = self.registry.index_of(ctx)
        ctx.require(kind in list(Absence), "unknown kind of absence")
        if kind == Absence.AGGREGATE:
            ctx.require(step == self.ledger.step(), "not the current step")
        elif kind == Absence.REPORT:
            self._require_recent(ctx, step)
        key = ("absence", kind, step, peer)
        ctx.require(not self.sets.has(key, voter), "already reported")
        self.sets.add(key, voter)
        active = self.registry.active_mask()
        count = (self.sets.read(key) & active).bit_count()
        if 2 * count <= active.bit_count() or self.cases[key]:
            return
        self.cases[key] = 1
        names = {Absence.AGGREGATE: "AggregateAbsent", Absence.REPORT: "Absent", Absence.DEALING: "DealingAbsent"}
        ctx.emit(self.name, names[Absence(kind)], step=step, peer=peer)
        if kind == Absence.AGGREGATE:
            self.ledger.void_part(ctx, peer)
        else:
            if kind == Absence.DEALING:
                self.ledger.beacon.void_dealing(ctx, step, peer)
            else:
                self.sets.add(("silent", step), peer)
                self.cases[("blind", step)] = 1
            self.registry.eject(ctx, peer, ABSENCE_REASONS[Absence(kind)])

    @external
    def check_part(self, ctx: Context, step: Uint, owner: Uint) -> None:
        """Have an aggregation recomputed because a report of its step is missing: V2's sums prove nothing then.

        Otherwise a coalition could trade one silent member, unslashed, for a shift that nobody checks.
        """
        self.registry.index_of(ctx)
        self._require_recent(ctx, step)
        ctx.require(owner < self.terms.n_peers, "no such peer")
        ctx.require(self.cases[("blind", step)], "no report of this step is missing")
        self._open(ctx, Kind.AGGREGATION, step, owner, None)

    # ---- voting

    @external
    def vote(self, ctx: Context, case: Uint, guilty: Bytes, suspects: Bytes, absent: Bytes) -> None:
        """Vote a verdict: who is guilty, whose aggregation is to be checked next, who failed to answer.

        Each is a bit mask in little-endian bytes without trailing zeros. Peers that recompute the same bytes
        vote the same verdict; more than half of the eligible decide.
        """
        voter = self.registry.known_index(ctx)
        ctx.require(self.cases[(case, "parties")], "no such case")
        ctx.require(self.cases[(case, "closed")] == 0, "the case is closed")
        ctx.require(ctx.timestamp_s <= self.cases[(case, "deadline")], "the vote is over")
        ctx.require(self.sets.has(("eligible", case), voter), "not eligible")
        ctx.require(not self.sets.has(("voted", case), voter), "already voted")
        self.sets.add(("voted", case), voter)
        verdict = ctx.sha256(
            len(guilty).to_bytes(4, "little") + guilty + len(suspects).to_bytes(4, "little") + suspects + absent
        )
        count = self.tally[(case, verdict)] + 1
        self.tally[(case, verdict)] = count
        ctx.emit(self.name, "Voted", case=case, voter=voter, guilty=guilty, suspects=suspects, absent=absent)
        if 2 * count > self.sets.read(("eligible", case)).bit_count():
            masks = [int.from_bytes(mask, "little") for mask in (guilty, suspects, absent)]
            self._conclude(ctx, case, *masks)

    def _conclude(self, ctx: Context, case: int, guilty: int, suspects: int, absent: int) -> None:
        kind, step, target, accuser = self.cases[(case, "parties")]
        self.cases[(case, "closed")] = 1
        reporter = accuser if accuser >= 0 else None
        ctx.emit(
            self.name,
            "Verdict",
            case=case,
            guilty=mask_bytes(guilty),
            suspects=mask_bytes(suspects),
            absent=mask_bytes(absent),
        )
        refuted = reporter is not None and not guilty and not suspects and not absent
        if refuted and reporter is not None:
            self.registry.ban(ctx, reporter, "false accusation", None)
        for peer in members(guilty):
            self.registry.ban(
                ctx, peer, offence(Kind(kind), peer == target), reporter if peer == target else None
            )
        for part in members(suspects):
            self._open(ctx, Kind.AGGREGATION, step, part, None)
        for peer in members(absent):
            self.registry.eject(ctx, peer, "did not open the parts in court")

    @external
    def close_case(self, ctx: Context, case: Uint) -> None:
        """End a case without a majority after its deadline: void, nobody is punished."""
        ctx.require(self.cases[(case, "parties")], "no such case")
        ctx.require(self.cases[(case, "closed")] == 0, "the case is closed")
        ctx.require(ctx.timestamp_s > self.cases[(case, "deadline")], "the vote is going on")
        self.cases[(case, "closed")] = 1
        ctx.emit(self.name, "Void", case=case)


def offence(kind: Kind, is_target: bool) -> str:
    """Return the reason recorded with a ban."""
    if kind == Kind.COMPUTATION:
        return "failed validation"
    if kind == Kind.REPORT:
        return "V1: false report"
    return "CheckAveraging: wrong aggregate" if is_target else "CheckAveraging: false report"
