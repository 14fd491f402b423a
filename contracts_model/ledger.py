"""Step ledger: the phases of training, what was committed in them, and who missed a deadline.

The order is the security argument (BTARD, Gorbunov et al. 2022, section 3; PROTOCOL section 3): part hashes
before any part is seen (COMMIT), aggregates fixed before the beacon opens (AGGREGATE → lock → REVEAL), and
gradients fixed before the validators are drawn. A phase ends when all have acted or at its deadline.

Step t opens with output t of the beacon and is locked before output t+1; step T (= ``terms.steps``) is the
closing step, in which the last step is still validated and the final state is agreed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from contracts_model.abi import Bool, Bytes32, Uint
from contracts_model.beacon import Beacon, mask_bytes
from contracts_model.draw import draw
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, Logged, Pairs, external, linked, sha256_gas
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import WRONG_PHASE, Phase, Terms, Withheld
from contracts_model.treasury import Treasury

DRAW_INPUT_BYTES = 32 + len(b"validators") + 8


class Accusations(Protocol):
    """The contract that opens cases (the court)."""

    def accuse_computation(self, ctx: Context, step: int, target: int, accuser: int) -> None:
        """Open the case that follows a validator's bad result."""
        ...

    def demand_opening(self, ctx: Context, step: int, target: int) -> None:
        """Open the case of a target that showed its validator nothing: nobody accuses it, it must answer."""
        ...

    def draw_juries(self, ctx: Context, randomness: bytes) -> None:
        """Draw the jurors of all cases that wait for them."""
        ...


@dataclass
class StepLedger(Contract):
    """The state machine of one job: sets of the current step, roots of the last ``dispute_window`` steps."""

    terms: Terms
    registry: Registry
    beacon: Beacon
    treasury: Treasury
    court: Accusations = field(init=False)
    state: Slots = field(init=False)
    roots: Slots = field(init=False)
    root_rounds: Slots = field(init=False)
    hashes: Slots = field(init=False)
    digests: Slots = field(init=False)
    votes: Slots = field(init=False)
    attested: Slots = field(init=False)
    earned: Slots = field(init=False)
    paid: Slots = field(init=False)
    pairs: Slots = field(init=False)
    sets: BitSet = field(init=False)
    contributors: BitSet = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.slots("state", depth=0)
        for label in ("digests", "earned", "paid", "pairs"):
            setattr(self, label, self.slots(label))
        for label in ("roots", "root_rounds", "hashes", "votes", "attested"):
            setattr(self, label, self.slots(label, depth=2))
        self.sets = self.bits("sets", self.terms.n_peers, depth=0)
        self.contributors = self.bits("contributors", self.terms.n_peers)

    # ---- views

    @linked
    def phase(self) -> Phase:
        """Return the current phase."""
        return Phase(self._phase())

    def _phase(self) -> int:
        return int(self.state["phase"])

    @linked
    def step(self) -> int:
        """Return the current step; 0 also before the first one opened."""
        return self._step()

    def _step(self) -> int:
        return int(self.state["step"])

    def round(self) -> int:
        """Return the number of steps opened so far: 0 during setup, step + 1 afterwards."""
        return int(self.state["round"])

    @linked
    def opened(self) -> int:
        """Return the number of steps opened so far, to another contract."""
        return self.round()

    def mask(self, name: str) -> int:
        """Return one of this step's sets: roster, validators, committed, aggregated, dropped, void."""
        return self.sets.read(name)

    @linked
    def is_contributor(self, step: int, peer: int) -> bool:
        """Return whether `peer` has a commitment in `step`, within the dispute window."""
        return self._root_of(step, peer) != 0

    @linked
    def is_running(self) -> bool:
        """Return whether steps are being made."""
        return self._is_running()

    def _is_running(self) -> bool:
        is_of_steps = Phase.COMMIT <= self._phase() <= Phase.RECOVER
        running = is_of_steps and self.round() > 0
        self.work("found in a step's phase", is_of_steps)
        self.work("found running", running)
        return running

    @linked
    def contributors_of(self, step: int) -> int:
        """Return the contributors of a recent step that is over, as a bit mask."""
        return self.contributors.read(step % self.terms.dispute_window)

    @linked
    def root_of(self, step: int, peer: int) -> bytes | int:
        """Return the commitment root of a peer in a recent step, or 0."""
        return self._root_of(step, peer)

    def _root_of(self, step: int, peer: int) -> bytes | int:
        slot = (step % self.terms.dispute_window, peer)
        stored = self.roots[slot]
        return stored if stored and self.root_rounds[slot] == step + 1 else 0

    # ---- phases

    def _enter_phase(self, ctx: Context, phase: Phase, seconds: int) -> None:
        """Begin a phase; `entry` tells apart the phases of a toss that starts again."""
        self.state["phase"] = phase
        self.state["deadline"] = ctx.timestamp_s + seconds
        attempt = 0
        if self.terms.withheld == Withheld.RESTART:
            self.work("phases under restart")
            attempt = self.beacon.attempt() if phase in (Phase.REVEAL, Phase.RECOVER) else 0
        entry = int(phase) + len(Phase) * attempt
        deadline = self.state["deadline"]
        ctx.emit(self.name, "Phase", phase=int(phase), entry=entry, round=self.round(), deadline=deadline)

    def open_registration(self, ctx: Context) -> None:
        """Start the clock for registrations (deployment)."""
        self._enter_phase(ctx, Phase.REGISTER, self.terms.register_s)

    @linked
    def after_registration(self, ctx: Context) -> None:
        """Open the dealing: all members have joined."""
        self._open_dealing(ctx)

    def _open_dealing(self, ctx: Context) -> None:
        self.registry.close()
        if self._abort_if_too_few(ctx):
            return
        if self.terms.withheld == Withheld.TRUSTED:
            self.work("dealings by trust")
            self._lock(ctx, 0, self.registry.active_mask())
        else:
            self.beacon.open_epoch(ctx, 0)
            self._enter_phase(ctx, Phase.DEAL, self.terms.deal_s)

    def _end_dealing(self, ctx: Context) -> None:
        """Lock output 0 after the whole dealing phase: the dealings must have been checked by then."""
        self.beacon.eject_missing_dealers(ctx, 0)
        if not self._abort_if_too_few(ctx):
            self._lock(ctx, 0, self.registry.active_mask())

    def _lock(self, ctx: Context, output: int, roster: int) -> None:
        self.beacon.lock(ctx, output, roster)
        self._enter_phase(ctx, Phase.REVEAL, self.terms.reveal_s)

    def _abort_if_too_few(self, ctx: Context) -> bool:
        active, banned = self.registry.census()
        if active < self.terms.minimum_peers:
            self._abort(ctx, "fewer active peers than the job's minimum")
            return True
        if self.terms.assumed_byzantine is not None and 2 * self._liars_left(banned) >= active:
            self._abort(ctx, "the liars that are assumed to be left could be a majority")
            return True
        return False

    def _liars_left(self, banned: int) -> int:
        """Return how many of the assumed liars can still be there: each ban and each eliminated pair took one."""
        gone = banned + self.state["pairs_eliminated"]
        return max(0, (self.terms.assumed_byzantine or 0) - int(gone))

    def _abort(self, ctx: Context, reason: str) -> None:
        self.work(f"aborts: {reason}")
        self._enter_phase(ctx, Phase.ABORTED, self.terms.vote_s)
        ctx.emit(self.name, "Aborted", reason=Logged(reason.encode()))

    def _open_step(self, ctx: Context, step: int, randomness: bytes) -> None:
        """Membership changes here and only here: the roster is who is active now."""
        epoch, position = divmod(step, self.terms.epoch_outputs)
        begins = not position and self.terms.withheld != Withheld.TRUSTED
        self.work("outputs that begin an epoch", not position)
        self.work("epochs that begin", begins)
        seated = 0
        if begins and epoch:
            seated = self.beacon.eject_missing_dealers(ctx, epoch)
        if self._abort_if_too_few(ctx):
            return
        roster = self.registry.active_mask()
        checkable = self.sets.read("contributors") & roster if step else 0
        if self.terms.probation_steps:
            self.work("steps with probation")
            checkable |= self.sets.read("probes") & self.registry.candidates()
            self.sets.write("probes", 0)
        self.state["step"] = step
        self.state["round"] = step + 1
        self._draw(ctx, step, randomness, roster, seated, checkable)
        if self.terms.jury_size:
            self.work("steps with juries")
            self.court.draw_juries(ctx, randomness)
        self.sets.write("roster", roster)
        for name in ("committed", "aggregated", "dropped", "void"):
            self.sets.write(name, 0)
        self.state["attempt"] = 0
        self._enter_phase(ctx, Phase.COMMIT, self.terms.commit_s)

    def _draw(self, ctx: Context, step: int, randomness: bytes, roster: int, seated: int, checkable: int) -> None:
        """Draw who validates whom; who is seated in this very step knows nothing of the one before."""
        eligible = list(members(roster & ~seated))
        drawn = draw(randomness, eligible, list(members(checkable)), self.terms.validators)
        hashes = len(drawn.seats) + len(drawn.pairs)
        ctx.meter.charge(hashes * sha256_gas(DRAW_INPUT_BYTES))
        self.rounds("seats drawn", len(drawn.seats))
        self.rounds("targets drawn", len(drawn.pairs))
        self.work("peers that could validate", len(eligible))
        self.work("peers that could be validated", len(drawn.candidates))
        self.work("steps with targets", len(drawn.candidates) > 0)
        for position, (validator, target) in enumerate(drawn.pairs):
            self.pairs[position] = (step << 64) | (validator << 32) | target
        self.state["pairs"] = len(drawn.pairs)
        self.sets.write("validators", sum(1 << validator for validator, _ in drawn.pairs))
        ctx.emit(
            self.name,
            "StepOpened",
            step=step,
            roster=mask_bytes(roster),
            randomness=randomness,
            pairs=Pairs(b"".join(v.to_bytes(4, "little") + u.to_bytes(4, "little") for v, u in drawn.pairs)),
        )
        self._follow_epochs(ctx, step)

    def _follow_epochs(self, ctx: Context, step: int) -> None:
        """Deal one epoch ahead."""
        epoch, position = divmod(step, self.terms.epoch_outputs)
        if self.terms.withheld == Withheld.TRUSTED:
            return
        self.work("epochs looked ahead from", not position)
        if not position and (epoch + 1) * self.terms.epoch_outputs <= self.terms.steps:
            self.beacon.open_epoch(ctx, epoch + 1)

    # ---- COMMIT

    def _acting_index(self, ctx: Context, step: int, phase: Phase) -> int:
        ctx.require(self._phase() == phase, WRONG_PHASE[phase])
        ctx.require(step == self._step(), "not the current step")
        peer = self.registry.known_index(ctx)
        ctx.require(self.sets.has("roster", peer), "not in the roster of this step")
        return peer

    @external
    def commit(self, ctx: Context, step: Uint, root: Bytes32, state: Bytes32, reports: Bytes32) -> None:
        """Commit to one's gradient parts; chain the state digest and the digest of last step's reports."""
        peer = self._acting_index(ctx, step, Phase.COMMIT)
        ctx.require(not self.sets.has("validators", peer), "a validator does not contribute")
        self._act_once(ctx, peer, step, state)
        if step < self.terms.steps:
            ctx.require(root != bytes(32), "an empty root")
            slot = (step % self.terms.dispute_window, peer)
            self.roots[slot] = root
            self.root_rounds[slot] = step + 1
            self.earned[peer] += 1
        ctx.emit(self.name, "Committed", step=step, peer=peer, root=root, state=state, reports=reports)
        self._end_commit_if_complete(ctx)

    @external
    def attest(
        self, ctx: Context, step: Uint, target: Uint, honest: Bool, evidence: Bytes32, state: Bytes32
    ) -> None:
        """Publish a validator's result on `target`'s previous step: silence is an offence.

        ``evidence`` is H(recomputed gradient ‖ own address): it cannot be copied from the target. The court
        opens a case when ``honest`` is false. Where gradients must be shown, zero evidence says that the target
        showed nothing: then nobody accuses it, but it must answer in court.
        """
        validator = self._acting_index(ctx, step, Phase.COMMIT)
        ctx.require(target < self.terms.n_peers, "no such peer")
        ctx.require(self._is_pair(step, validator, target), "not drawn to validate this peer")
        self._act_once(ctx, validator, step, state)
        self.earned[validator] += 1
        if self.terms.canary_permille:
            slot = ((step - 1) % self.terms.dispute_window, validator)
            self.attested[slot] = step << 64 | target << 1 | int(honest)
        ctx.emit(
            self.name,
            "Attested",
            step=step,
            validator=validator,
            target=target,
            honest=honest,
            evidence=evidence,
        )
        self.work("must show", not honest and self.terms.shows)
        if not honest and self.terms.shows and evidence == bytes(32):
            self.court.demand_opening(ctx, step - 1, target)
        elif not honest:
            self.court.accuse_computation(ctx, step - 1, target, validator)
        self._end_commit_if_complete(ctx)

    @external
    def probe(self, ctx: Context, step: Uint, root: Bytes32) -> None:
        """Commit to a gradient on probation: checked like any other, used by nobody."""
        ctx.require(self._is_running() and step == self._step(), "not the current step")
        ctx.require(step < self.terms.steps and root != bytes(32), "an empty root, or the closing step")
        peer = self.registry.count_probe(ctx)
        ctx.require(not self.sets.has("probes", peer), "already probed in this step")
        self.sets.add("probes", peer)
        ctx.emit(self.name, "Probed", step=step, peer=peer, root=root)

    @linked
    def has_attested(self, step: int, validator: int, target: int) -> bool:
        """Return whether a validator found this target's step right, within the dispute window."""
        found = self.attested[(step % self.terms.dispute_window, validator)]
        return bool(found == (step + 1 << 64 | target << 1 | 1))

    def _is_pair(self, step: int, validator: int, target: int) -> bool:
        wanted = (step << 64) | (validator << 32) | target
        count = self.state["pairs"]
        found = any(self.pairs[position] == wanted for position in range(count))
        self.work("lists of pairs", count > 0)
        self.work("pair found", found)
        return found

    def _act_once(self, ctx: Context, peer: int, step: int, state: bytes) -> None:
        ctx.require(not self.sets.has("committed", peer), "already acted in this step")
        self.sets.add("committed", peer)
        count = self.votes[(step, state)] + 1
        self.votes[(step, state)] = count
        if 2 * count > self.sets.read("roster").bit_count() and self.digests[step] == 0:
            self.digests[step] = state
            ctx.emit(self.name, "StateAgreed", step=step, state=state)

    def _end_commit_if_complete(self, ctx: Context) -> None:
        if self.sets.read("roster") == self.sets.read("committed"):
            self._end_commit(ctx)

    def _end_commit(self, ctx: Context) -> None:
        committed = self.sets.read("committed")
        missing = self.sets.read("roster") & ~committed
        self.rounds("peers without a commitment", missing.bit_count())
        for peer in members(missing):
            self.registry.eject(ctx, peer, "missed deadline: commit")
        contributors = committed & ~self.sets.read("validators")
        self.sets.write("contributors", contributors)
        if self._step() == self.terms.steps:
            self._enter_phase(ctx, Phase.DONE, self.terms.vote_s)
        elif not contributors:
            self._abort(ctx, "nobody committed a gradient")
        else:
            self._open_aggregation(ctx)

    # ---- AGGREGATE

    def _open_aggregation(self, ctx: Context) -> None:
        self._enter_phase(ctx, Phase.AGGREGATE, self.terms.aggregate_s)
        ctx.emit(
            self.name,
            "Exchange",
            step=self._step(),
            attempt=self.state["attempt"],
            contributors=mask_bytes(self.sets.read("contributors")),
            dropped=mask_bytes(self.sets.read("dropped")),
        )

    @external
    def aggregate(self, ctx: Context, step: Uint, attempt: Uint, digest: Bytes32) -> None:
        """Fix the hash of one's own aggregated part for the current set of contributors."""
        peer = self._acting_index(ctx, step, Phase.AGGREGATE)
        ctx.require(attempt == self.state["attempt"], "the contributors have changed")
        ctx.require(not self.sets.has("dropped", peer), "eliminated in this step")
        ctx.require(not self.sets.has("aggregated", peer), "already aggregated")
        self.sets.add("aggregated", peer)
        self.hashes[(step % self.terms.dispute_window, peer)] = digest
        ctx.emit(self.name, "Aggregated", step=step, part=peer, attempt=attempt, digest=digest)
        if self._missing_aggregators() & self.sets.read("committed") == 0:
            self._end_aggregation(ctx)  # who committed nothing in this step is not waited for

    @external
    def eliminate(self, ctx: Context, step: Uint, other: Uint) -> None:
        """Leave together with `other`, whose part did not arrive: nobody can tell who is at fault.

        A Byzantine peer can so trade itself for at most one honest peer, and neither is slashed. What was
        aggregated before counts no more: the aggregation starts again without both.
        """
        peer = self._acting_index(ctx, step, Phase.AGGREGATE)
        dropped = self.sets.read("dropped")
        ctx.require(other != peer, "a pair takes two peers")
        known = other < self.terms.n_peers and self.sets.has("roster", other)
        ctx.require(known, "the other is not in the roster")
        ctx.require(not (dropped >> peer & 1 or dropped >> other & 1), "one of the pair is gone already")
        dropped |= 1 << peer | 1 << other
        self.sets.write("dropped", dropped)
        self.sets.write("contributors", self.sets.read("contributors") & ~dropped)
        self.sets.write("aggregated", 0)
        self.state["attempt"] += 1
        self.state["pairs_eliminated"] += 1
        for member in (peer, other):
            self.roots[(step % self.terms.dispute_window, member)] = 0
            self.registry.eject(ctx, member, "eliminated")
        ctx.emit(self.name, "Eliminated", step=step, by=peer, other=other)
        if not self.sets.read("contributors"):
            self._abort(ctx, "no contributor is left in this step")
        else:
            self._open_aggregation(ctx)

    def _missing_aggregators(self) -> int:
        return self.sets.read("roster") & ~self.sets.read("dropped") & ~self.sets.read("aggregated")

    def _end_aggregation(self, ctx: Context) -> None:
        missing = self._missing_aggregators()
        self.rounds("parts without an aggregate", missing.bit_count())
        for peer in members(missing):
            self.registry.eject(ctx, peer, "missed deadline: aggregate")
        void = missing | self.sets.read("dropped")
        self.sets.write("void", void)
        self.contributors.write(self._step() % self.terms.dispute_window, self.sets.read("contributors"))
        ctx.emit(self.name, "Final", step=self._step(), void=mask_bytes(void))
        # Who is out already need not open its secret: it decided so before anybody's was known.
        self._lock(ctx, self._step() + 1, self.sets.read("roster") & self.registry.active_mask())

    # ---- REVEAL and RECOVER

    @linked
    def void_part(self, ctx: Context, part: int) -> None:
        """Count a part that nobody received as zero (called by the court, before the output)."""
        ctx.require(self._phase() == Phase.REVEAL, "the aggregates are settled")
        self.sets.add("void", part)
        self.state["deadline"] = max(self.state["deadline"], ctx.timestamp_s + self.terms.reveal_s)
        self.registry.eject(ctx, part, "withheld the aggregated part")
        ctx.emit(self.name, "PartVoided", step=self._step(), part=part)

    @linked
    def after_opening(self, ctx: Context) -> None:
        """React to one secret more being open: the output follows when none is awaited any more."""
        if self.beacon.awaited() == 0:
            self._output(ctx)

    @linked
    def after_publication(self, ctx: Context, output: int, value: bytes) -> None:
        """React to the trusted dealer's output."""
        self._open_step(ctx, output, value)

    @linked
    def after_recommitment(self, ctx: Context) -> None:
        """React to a fresh commitment: the toss starts again when all who are left have made one."""
        if self.beacon.awaited() == 0:
            self._toss_again(ctx)

    def _toss_again(self, ctx: Context) -> None:
        if self.beacon.toss_again(ctx):
            self._enter_phase(ctx, Phase.REVEAL, self.terms.reveal_s)
        else:
            self._abort(ctx, "nobody is left to toss the coin")

    def _end_reveal(self, ctx: Context) -> None:
        """Treat what was not opened in time as the job's beacon does."""
        policy = self.terms.withheld
        if policy == Withheld.RECOVER:
            self._enter_phase(ctx, Phase.RECOVER, self.terms.recover_s)
            self.beacon.report_withheld(ctx)
        elif policy == Withheld.SKIP and self.beacon.skip_withheld(ctx):
            self._output(ctx)
        elif policy == Withheld.RESTART and self.beacon.restart(ctx):
            self._enter_phase(ctx, Phase.RECOVER, self.terms.recover_s)
        else:
            self._abort(ctx, "nobody opened a secret of the beacon")

    def _end_recovery(self, ctx: Context) -> None:
        if self.terms.withheld == Withheld.RESTART:
            self._toss_again(ctx)
        else:
            self._abort(ctx, "the beacon cannot be recovered: fewer than t shares arrived")

    def _output(self, ctx: Context) -> None:
        output, randomness = self.beacon.finish(ctx)
        self._open_step(ctx, output, randomness)

    # ---- deadlines

    @external
    def advance(self, ctx: Context, round: Uint, phase: Uint) -> None:
        """End a phase whose deadline has passed; anybody may call."""
        is_named = phase == self._phase()
        self.work("phase named rightly", is_named)
        ctx.require(is_named and round == self.round(), "this phase is over")
        ctx.require(ctx.timestamp_s > self.state["deadline"], "the deadline has not passed")
        self.work(f"ends phase {int(phase)}")
        if phase == Phase.REGISTER:
            self._open_dealing(ctx)
        elif phase == Phase.DEAL:
            self._end_dealing(ctx)
        elif phase == Phase.COMMIT:
            self._end_commit(ctx)
        elif phase == Phase.AGGREGATE:
            self._end_aggregation(ctx)
        elif phase == Phase.REVEAL:
            self._end_reveal(ctx)
        elif phase == Phase.RECOVER:
            self._end_recovery(ctx)
        else:
            ctx.require(False, "nothing to advance")

    # ---- the end

    @external
    def withdraw(self, ctx: Context) -> None:
        """Take back the deposit, with the reward for every step worked; a banned peer gets nothing.

        When the job has ended and its last cases are decided; who left, when the dispute window has passed.
        """
        peer = self.registry.known_index(ctx)
        if not self.registry.may_withdraw(peer, self._step()):
            ctx.require(self._phase() in (Phase.DONE, Phase.ABORTED), "the job is running")
            ctx.require(ctx.timestamp_s > self.state["deadline"], "cases may still be decided")
        ctx.require(not self.registry.is_banned(peer), "banned")
        ctx.require(self.paid[peer] == 0, "already paid")
        self.paid[peer] = 1
        amount = self.treasury.pay_out(peer, ctx.sender, self.earned[peer] * self.terms.reward_wei)
        ctx.emit(self.name, "Withdrawn", peer=peer, amount=amount)
