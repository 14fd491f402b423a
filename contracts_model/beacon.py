"""Beacon contract: deal → lock → reveal → recover → output (Pavlova et al. 2025; SCRAPE and ALBATROSS).

An *epoch* is a batch of ``epoch_outputs`` outputs dealt together. A dealer posts one Merkle root per epoch; a
leaf is H(H(transcript) ‖ commitment) and the transcripts travel off chain: hash on chain, one fraud proof in
a dispute (EthDKG's pattern). Sharings stay bound to the key set and the threshold they were dealt under. A packed
sharing (ALBATROSS) serves several outputs in a row, one leaf each.

What becomes of a secret that is not opened is the job's policy, :class:`~contracts_model.terms.Withheld`: it is
recovered from the shares; or the toss starts again without the withholder; or it is left out; or a trusted
dealer speaks alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from contracts_model.abi import Bytes, Bytes32, Bytes32s, BytesList, Uint, Uints
from contracts_model.draw import is_canary
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, Mask, external, linked, sha256_gas
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import WRONG_PHASE, Phase, Terms, Withheld

CANARY_INPUT_BYTES = len(b"canary") + 32 + 8 + 32


def dealing_context(job_digest: bytes, output: int, dealer: int, attempt: int = 0) -> bytes:
    """Return the bytes that bind a dealing to job, (first) output, dealer and toss: it verifies nowhere else."""
    place = output.to_bytes(8, "little") + dealer.to_bytes(4, "little")
    return job_digest + b"deal" + place + attempt.to_bytes(4, "little") * bool(attempt)


def first_of_pack(position: int, packing: int) -> int:
    """Return where, in its epoch, the sharing begins that serves the output at `position`.

    >>> [first_of_pack(position, 3) for position in range(5)]
    [0, 0, 0, 3, 3]
    """
    return position - position % packing


class PhaseDriver(Protocol):
    """The contract that owns the phases (the step ledger)."""

    def phase(self) -> Phase:
        """Return the current phase."""
        ...

    def after_opening(self, ctx: Context) -> None:
        """React to one secret more being open."""
        ...

    def after_recommitment(self, ctx: Context) -> None:
        """React to one fresh commitment more of a toss that starts again."""
        ...

    def after_publication(self, ctx: Context, output: int, value: bytes) -> None:
        """React to the trusted dealer's output."""
        ...


@dataclass
class Beacon(Contract):
    """Dealings by epoch and the randomness opened so far. The ledger drives the phases."""

    terms: Terms
    registry: Registry
    driver: PhaseDriver = field(init=False)
    state: Slots = field(init=False)
    roots: Slots = field(init=False)
    fresh_roots: Slots = field(init=False)
    outputs: Slots = field(init=False)
    recovered: Slots = field(init=False)
    sets: BitSet = field(init=False)
    receivers: BitSet = field(init=False)
    dealt: BitSet = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.slots("state", depth=0)
        self.roots = self.slots("roots", depth=2)
        self.fresh_roots = self.slots("fresh_roots", depth=3)
        self.outputs = self.slots("outputs")
        self.recovered = self.slots("recovered", depth=3)
        self.sets = self.bits("sets", self.terms.n_peers, depth=0)
        self.receivers = self.bits("receivers", self.terms.n_peers)
        self.dealt = self.bits("dealt", self.terms.n_peers)

    # ---- dealing

    def epoch_of(self, output: int) -> int:
        """Return the epoch in which an output was dealt."""
        return output // self.terms.epoch_outputs

    def outputs_of(self, epoch: int) -> range:
        """Return the outputs dealt in an epoch; the last one ends with the job."""
        count = self.terms.epoch_outputs
        return range(epoch * count, min((epoch + 1) * count, self.terms.steps + 1))

    @linked
    def open_epoch(self, ctx: Context, epoch: int) -> None:
        """Fix the receivers and threshold of an epoch and let everybody deal for it."""
        receivers = self.registry.active_mask()
        if self.terms.probation_steps:
            self.work("epochs with probation")
            receivers |= self.registry.admit(ctx)
        self.receivers.write(epoch, receivers)
        self.state["dealing"] = epoch + 1
        self.state["deal_until"] = ctx.timestamp_s + self.terms.deal_s // 2
        ctx.emit(self.name, "EpochOpened", epoch=epoch, receivers=mask_bytes(receivers))

    @external
    def deal(self, ctx: Context, epoch: Uint, root: Bytes32) -> None:
        """Post the Merkle root of one's dealings for `epoch`, once, in the first half of the dealing time.

        The second half is for checking: a root posted just before the lock could neither be disputed nor
        voted absent, and its dealer could later stop the job by withholding what nobody can recover.
        """
        dealer = self._require_dealing(ctx, epoch, root)
        ctx.require(not self.dealt.has(epoch, dealer), "already dealt")
        self.dealt.add(epoch, dealer)
        self.roots[(epoch, dealer)] = root
        ctx.emit(self.name, "Dealt", epoch=epoch, dealer=dealer, root=root)

    def _require_dealing(self, ctx: Context, epoch: int, root: bytes) -> int:
        """Revert unless the caller may post this root for an epoch now; return its index."""
        dealer = self.registry.dealer_index(ctx)
        ctx.require(self.state["dealing"] == epoch + 1, "this epoch is not open for dealing")
        ctx.require(ctx.timestamp_s <= self.state["deal_until"], "too late: dealings are being checked")
        ctx.require(root != bytes(32), "an empty root")
        return dealer

    @linked
    def void_dealing(self, ctx: Context, epoch: int, dealer: int) -> None:
        """Take out a dealing that nobody received, while it is not needed yet (called by the court)."""
        ctx.require(epoch * self.terms.epoch_outputs >= self.state["next"], "this epoch has begun")
        self.dealt.discard(epoch, dealer)

    @linked
    def eject_missing_dealers(self, ctx: Context, epoch: int) -> int:
        """Eject the active peers that have no dealing for an epoch: a missed deadline.

        Returns who is seated instead, on probation so far, as a bit mask.
        """
        dealt = self.dealt.read(epoch)
        missing = self.registry.active_mask() & ~dealt
        self.rounds("missing dealers", missing.bit_count())
        for peer in members(missing):
            self.registry.eject(ctx, peer, "missed deadline: dealing")
        return self.registry.seat(ctx, dealt) if self.terms.probation_steps else 0

    @external
    def dispute_dealing(
        self, ctx: Context, output: Uint, dealer: Uint, transcript: Bytes, commitment: Bytes, path: Bytes32s
    ) -> None:
        """Prove that a posted dealing is invalid: the dealer is banned. Reverts if it is valid."""
        reporter = self.registry.index_of(ctx)
        epoch = self.epoch_of(output)
        ctx.require(output >= self.state["next"], "this output is open already")
        self._require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        valid = self._verify(ctx, output, dealer, transcript, commitment)
        ctx.require(not valid, "the dealing is valid")
        self.dealt.discard(epoch, dealer)
        self.registry.ban(ctx, dealer, "invalid dealing", reporter)

    def _verify(self, ctx: Context, output: int, dealer: int, transcript: bytes, commitment: bytes) -> bool:
        """Return whether a sharing is valid, as the contract says that verifies proofs."""
        receivers, threshold = self.receivers_of(output)
        self.hand_on("dealing", transcript, commitment)
        ctx.consult("verify_dealing", ctx.host.dealing_gas(len(receivers), threshold))
        bound, coordinate = self.place_of(output, dealer)
        return ctx.host.verify_dealing(bound, receivers, threshold, transcript, commitment, coordinate)

    def receivers_of(self, output: int) -> tuple[list[bytes], int]:
        """Return the keys to which an output's secrets are dealt, and the threshold."""
        keys = self.registry.keys_of(self.receivers.read(self.epoch_of(output)))
        self.work("thresholds of packed sharings", self.terms.tolerated_percent > 0)
        return keys, self.terms.threshold(len(keys))

    def place_of(self, output: int, dealer: int) -> tuple[bytes, int]:
        """Return the context of the dealing that serves an output, and which of its secrets does."""
        coordinate, attempt = 0, 0
        if self.terms.tolerated_percent:
            self.work("places in packed sharings")
            count = self.receivers.read(self.epoch_of(output)).bit_count()
            position = output % self.terms.epoch_outputs
            coordinate = position - first_of_pack(position, self.terms.packing(count))
        if self.terms.withheld == Withheld.RESTART:
            attempt = self.state["attempt"]
            self.work("places under restart")
            self.work("places of tosses again", attempt > 0)
        return dealing_context(self.terms.job_digest, output - coordinate, dealer, attempt), coordinate

    def _require_leaf(
        self, ctx: Context, output: int, dealer: int, digest: bytes, commitment: bytes, path: Bytes32s
    ) -> None:
        """Revert unless the dealing with this digest and commitment is what the dealer posted for an output."""
        self.hand_on("leaf", commitment, path)
        epoch, position = divmod(output, self.terms.epoch_outputs)
        leaf = ctx.sha256(digest + commitment)
        size = len(self.outputs_of(epoch))
        self.work("leaves of known outputs", output <= self.terms.steps)
        attempt = self.state["attempt"] if self.terms.withheld == Withheld.RESTART else 0
        self.work("leaves under restart", self.terms.withheld == Withheld.RESTART)
        if attempt:
            self.work("fresh leaf")
            position, size = 0, 1
            root = self.fresh_roots[(output, attempt, dealer)]
        else:
            root = self.roots[(epoch, dealer)]
        self.hand_on("path", path if root else ())
        ctx.require(root and ctx.open_path(root, leaf, position, size, path), "not in the posted root")

    # ---- opening

    @linked
    def lock(self, ctx: Context, output: int, roster: int) -> None:
        """Fix Q_k, the dealers of `output`: who dealt and is in the roster. From now on reveals count."""
        qualified = self.dealt.read(self.epoch_of(output)) & roster
        if self.terms.withheld == Withheld.RESTART:
            self.work("locks under restart")
            self.sets.write("tossing", qualified)
            self.state["attempt"] = 0
        self.state["next"] = output + 1
        self.state["recovered"] = 0
        self._await(ctx, output, qualified)

    def _await(self, ctx: Context, output: int, qualified: int) -> None:
        self.sets.write("awaited", qualified)
        self.state["sum"] = 0
        ctx.emit(self.name, "Locked", output=output, dealers=mask_bytes(qualified))

    def _require_open(self, ctx: Context, output: int, dealer: int, phase: Phase) -> None:
        ctx.require(self.driver.phase() == phase, WRONG_PHASE[phase])
        ctx.require(output + 1 == self.state["next"], "not the output being opened")
        ctx.require(dealer < self.terms.n_peers and self.sets.has("awaited", dealer), "not an awaited dealer")

    @external
    def reveal(
        self,
        ctx: Context,
        output: Uint,
        secret: Uint,
        transcript_digest: Bytes32,
        commitment: Bytes,
        path: Bytes32s,
    ) -> None:
        """Open one's sharing of `output` with the 32-byte secret; checked against the dealt commitment."""
        dealer = self.registry.known_index(ctx)
        self._require_open(ctx, output, dealer, Phase.REVEAL)
        self._require_leaf(ctx, output, dealer, transcript_digest, commitment, path)
        self.hand_on("opening", commitment)
        ctx.consult("check_opening", ctx.host.opening_gas())
        bound, _ = self.place_of(output, dealer)
        opens = ctx.host.check_opening(bound, commitment, secret)
        ctx.require(opens, "the secret does not open the commitment")
        self.sets.discard("awaited", dealer)
        self.state["sum"] = ctx.host.add_secrets(self.state["sum"], secret)
        ctx.emit(self.name, "Revealed", output=output, dealer=dealer, secret=secret)
        rate = self.terms.canary_permille
        self.work("reveals where canaries are", bool(rate))
        if rate and output >= 2:
            ctx.meter.charge(sha256_gas(CANARY_INPUT_BYTES))
            self.work("canary asked")
            if is_canary(self.terms.job_digest, output, secret, rate):
                ctx.emit(self.name, "Canary", step=output - 2, peer=dealer)
        self.driver.after_opening(ctx)

    @external
    def recover(
        self,
        ctx: Context,
        output: Uint,
        dealer: Uint,
        transcript: Bytes,
        commitment: Bytes,
        path: Bytes32s,
        receivers: Uints,
        shares: BytesList,
    ) -> None:
        """Open a withheld secret with t proven shares; the withholder is slashed, the output is unchanged.

        ``receivers`` are positions 1..n in the epoch's key set, one for each of ``shares``.
        """
        reporter = self.registry.index_of(ctx)
        self._require_open(ctx, output, dealer, Phase.RECOVER)
        ctx.require(self.terms.withheld == Withheld.RECOVER, "nothing can be recovered from a commitment")
        self._require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        keys, threshold = self.receivers_of(output)
        self.hand_on("distinct", receivers if len(shares) == threshold else ())
        right = len(shares) == threshold and self._are_distinct(receivers, threshold, len(keys))
        ctx.require(right, "t distinct shares needed")
        self.hand_on("recovery", transcript, receivers, shares)
        ctx.consult("recover_secret", ctx.host.recovery_gas(len(keys), threshold))
        bound, coordinate = self.place_of(output, dealer)
        numbered = list(zip(receivers, shares))
        secret = ctx.host.recover_secret(bound, keys, threshold, transcript, numbered, coordinate)
        ctx.require(secret is not None, "a share is wrong")
        count = self.state["recovered"]
        self.recovered[(output, count, 0)] = secret[:32] if secret else b""
        self.recovered[(output, count, 1)] = secret[32:] if secret else b""
        self.state["recovered"] = count + 1
        self.sets.discard("awaited", dealer)
        self.registry.ban(ctx, dealer, "withheld reveal", reporter)
        ctx.emit(self.name, "Recovered", output=output, dealer=dealer)
        self.driver.after_opening(ctx)

    def _are_distinct(self, receivers: Uints, threshold: int, n_receivers: int) -> bool:
        """Return whether there are so many receivers, numbered from 1, and none twice."""
        self.work("lists of receivers")
        if len(receivers) != threshold:
            self.work("receivers of the wrong number")
            return False
        self.work("lists with any receiver", threshold > 0)
        seen: set[int] = set()
        for receiver in receivers:
            self.work("receivers looked at")
            if not 1 <= receiver <= n_receivers or receiver in seen:
                self.work("receiver out of line")
                self.work("receiver in 1..n", 1 <= receiver <= n_receivers)
                self.work("receiver is 0", receiver == 0)
                return False
            seen.add(receiver)
        return True

    @linked
    def report_withheld(self, ctx: Context) -> None:
        """Name the dealers whose secrets must be recovered (called when the reveal's deadline passes)."""
        output = self.state["next"] - 1
        ctx.emit(self.name, "Withheld", output=output, dealers=mask_bytes(self.sets.read("awaited")))

    # ---- other policies for what is withheld

    @linked
    def skip_withheld(self, ctx: Context) -> bool:
        """Leave out what was not opened (RANDAO); return whether anything was."""
        output = self.state["next"] - 1
        left = self.sets.read("awaited")
        ctx.emit(self.name, "Skipped", output=output, dealers=mask_bytes(left))
        self.sets.write("awaited", 0)
        return self.dealt.read(self.epoch_of(output)) & ~left != 0

    @linked
    def restart(self, ctx: Context) -> int:
        """Remove who did not open its secret and ask the others for fresh commitments; return who they are."""
        output, left = self.state["next"] - 1, self.sets.read("awaited")
        self.rounds("stopped tosses", left.bit_count())
        for peer in members(left):
            self.registry.ban(ctx, peer, "aborted the coin toss", None)
        tossing = self.sets.read("tossing") & ~left
        self.sets.write("tossing", 0)
        self.sets.write("awaited", tossing)
        self.state["attempt"] += 1
        ctx.emit(
            self.name,
            "Restarted",
            output=output,
            attempt=self.state["attempt"],
            dealers=mask_bytes(tossing),
        )
        return tossing

    @external
    def recommit(self, ctx: Context, output: Uint, root: Bytes32) -> None:
        """Post a fresh commitment, as the root of a single leaf, for a toss that starts again."""
        dealer = self.registry.known_index(ctx)
        self._require_open(ctx, output, dealer, Phase.RECOVER)
        ctx.require(self.terms.withheld == Withheld.RESTART, "no toss starts again here")
        ctx.require(root != bytes(32), "an empty root")
        self.sets.discard("awaited", dealer)
        self.sets.add("tossing", dealer)
        self.fresh_roots[(output, self.state["attempt"], dealer)] = root
        ctx.emit(self.name, "Recommitted", output=output, dealer=dealer, root=root)
        self.driver.after_recommitment(ctx)

    @linked
    def toss_again(self, ctx: Context) -> bool:
        """Await the fresh secrets; eject who posted no commitment; return whether anybody is left."""
        missing = self.sets.read("awaited")
        self.rounds("missing tosses", missing.bit_count())
        for peer in members(missing):
            self.registry.eject(ctx, peer, "missed deadline: fresh commit")
        tossing = self.sets.read("tossing")
        self._await(ctx, self.state["next"] - 1, tossing)
        return tossing != 0

    @linked
    def attempt(self) -> int:
        """Return how often the current toss has started again."""
        return int(self.state["attempt"])

    @external
    def publish(self, ctx: Context, output: Uint, value: Bytes32) -> None:
        """Publish an output as the trusted dealer."""
        ctx.require(self.terms.withheld == Withheld.TRUSTED, "this job has no trusted dealer")
        ctx.require(ctx.sender == self.terms.owner, "not the trusted dealer")
        ctx.require(self.driver.phase() == Phase.REVEAL, "not in the reveal phase")
        ctx.require(output + 1 == self.state["next"], "not the output being opened")
        self.outputs[output] = value
        ctx.emit(self.name, "Output", output=output, value=value)
        self.driver.after_publication(ctx, output, value)

    # ---- output

    @linked
    def awaited(self) -> int:
        """Return the dealers whose secrets of the current output are still closed."""
        return self.sets.read("awaited")

    @linked
    def finish(self, ctx: Context) -> tuple[int, bytes]:
        """Combine all opened secrets into the output; store it, return its number and value."""
        output = self.state["next"] - 1
        count = self.state["recovered"]
        self.rounds("secrets recovered", count)
        pieces = [
            bytes(self.recovered[(output, i, 0)]) + bytes(self.recovered[(output, i, 1)]) for i in range(count)
        ]
        ctx.consult("beacon_output", ctx.host.output_gas(count))
        value = ctx.host.beacon_output(self.terms.job_digest, output, self.state["sum"], pieces)
        self.outputs[output] = value
        ctx.emit(self.name, "Output", output=output, value=value)
        return output, value

    # ---- for the court

    @linked
    def share_is_valid(
        self,
        ctx: Context,
        output: int,
        dealer: int,
        peer: int,
        share: bytes,
        transcript: bytes,
        commitment: bytes,
        path: Bytes32s,
    ) -> bool:
        """Return whether `peer` decrypted rightly what a posted dealing holds for it."""
        self.hand_on("share", share, transcript, commitment, path)
        receivers = self.receivers.read(self.epoch_of(output))
        ctx.require(peer < self.terms.n_peers and receivers >> peer & 1, "not a receiver of this dealing")
        self._require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        keys, threshold = self.receivers_of(output)
        self.hand_on("decryption", share, transcript)
        ctx.consult("verify_share", ctx.host.share_gas(len(keys), threshold))
        bound, _ = self.place_of(output, dealer)
        position = (receivers & (1 << peer) - 1).bit_count() + 1
        return ctx.host.verify_share(bound, keys, threshold, transcript, position, share)


def mask_bytes(mask: int) -> Mask:
    """Return a bit mask as little-endian bytes without trailing zeros, for events and verdicts.

    >>> mask_bytes(0b100000001).hex()
    '0101'
    """
    return Mask(mask.to_bytes((mask.bit_length() + 7) // 8, "little"))
