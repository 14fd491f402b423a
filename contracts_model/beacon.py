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
from contracts_model.gas import BLS_G1_ADD_GAS, BLS_G1_MUL_GAS, BLS_MAP_FP_TO_G1_GAS
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, external
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import Phase, Terms, Withheld

DLEQ_MULTIPLICATIONS = 4


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
    outputs: Slots = field(init=False)
    recovered: Slots = field(init=False)
    sets: BitSet = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.slots("state")
        self.roots = self.slots("roots")
        self.outputs = self.slots("outputs")
        self.recovered = self.slots("recovered")
        self.sets = BitSet(self.slots("sets"), -(-self.terms.n_peers // 256))

    # ---- dealing

    def epoch_of(self, output: int) -> int:
        """Return the epoch in which an output was dealt."""
        return output // self.terms.epoch_outputs

    def outputs_of(self, epoch: int) -> range:
        """Return the outputs dealt in an epoch; the last one ends with the job."""
        count = self.terms.epoch_outputs
        return range(epoch * count, min((epoch + 1) * count, self.terms.steps + 1))

    def open_epoch(self, ctx: Context, epoch: int) -> None:
        """Fix the receivers and threshold of an epoch and let everybody deal for it."""
        self.enter()
        receivers = self.registry.active_mask() | self.registry.admit(ctx)
        self.sets.write(("receivers", epoch), receivers)
        self.state["dealing"] = epoch + 1
        self.state["deal_until"] = ctx.timestamp_s + self.terms.deal_s // 2
        ctx.emit(self.name, "EpochOpened", epoch=epoch, receivers=mask_bytes(receivers))

    @external
    def deal(self, ctx: Context, epoch: Uint, root: Bytes32) -> None:
        """Post the Merkle root of one's dealings for `epoch`, once, in the first half of the dealing time.

        The second half is for checking: a root posted just before the lock could neither be disputed nor
        voted absent, and its dealer could later stop the job by withholding what nobody can recover.
        """
        dealer = self.registry.dealer_index(ctx)
        ctx.require(self.state["dealing"] == epoch + 1, "this epoch is not open for dealing")
        ctx.require(ctx.timestamp_s <= self.state["deal_until"], "too late: dealings are being checked")
        ctx.require(root != bytes(32), "an empty root")
        ctx.require(not self.sets.has(("dealt", epoch), dealer), "already dealt")
        self.sets.add(("dealt", epoch), dealer)
        self.roots[(epoch, dealer)] = root
        ctx.emit(self.name, "Dealt", epoch=epoch, dealer=dealer, root=root)

    def void_dealing(self, ctx: Context, epoch: int, dealer: int) -> None:
        """Take out a dealing that nobody received, while it is not needed yet (called by the court)."""
        self.enter()
        ctx.require(epoch * self.terms.epoch_outputs >= self.state["next"], "this epoch has begun")
        self.sets.discard(("dealt", epoch), dealer)

    def eject_missing_dealers(self, ctx: Context, epoch: int) -> int:
        """Eject the active peers that have no dealing for an epoch: a missed deadline.

        Returns who is seated instead, on probation so far, as a bit mask.
        """
        dealt = self.sets.read(("dealt", epoch))
        for peer in members(self.registry.active_mask() & ~dealt):
            self.registry.eject(ctx, peer, "missed deadline: dealing")
        return self.registry.seat(ctx, dealt)

    @external
    def dispute_dealing(
        self, ctx: Context, output: Uint, dealer: Uint, transcript: Bytes, commitment: Bytes, path: Bytes32s
    ) -> None:
        """Prove that a posted dealing is invalid: the dealer is banned. Reverts if it is valid."""
        reporter = self.registry.index_of(ctx)
        epoch = self.epoch_of(output)
        ctx.require(output >= self.state["next"], "this output is open already")
        self.require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        receivers, threshold = self.receivers_of(output)
        ctx.meter.charge(BLS_G1_MUL_GAS * ctx.host.dealing_exponentiations(len(receivers), threshold))
        bound, coordinate = self.place_of(output, dealer)
        valid = ctx.host.verify_dealing(bound, receivers, threshold, transcript, commitment, coordinate)
        ctx.require(not valid, "the dealing is valid")
        self.sets.discard(("dealt", epoch), dealer)
        self.registry.ban(ctx, dealer, "invalid dealing", reporter)

    def receivers_of(self, output: int) -> tuple[list[bytes], int]:
        """Return the keys to which an output's secrets are dealt, and the threshold."""
        keys = self.registry.keys_of(self.sets.read(("receivers", self.epoch_of(output))))
        return keys, self.terms.threshold(len(keys))

    def place_of(self, output: int, dealer: int) -> tuple[bytes, int]:
        """Return the context of the dealing that serves an output, and which of its secrets does."""
        coordinate, attempt = 0, 0
        if self.terms.tolerated_percent:
            count = self.sets.read(("receivers", self.epoch_of(output))).bit_count()
            position = output % self.terms.epoch_outputs
            coordinate = position - first_of_pack(position, self.terms.packing(count))
        if self.terms.withheld == Withheld.RESTART:
            attempt = self.state["attempt"]
        return dealing_context(self.terms.job_digest, output - coordinate, dealer, attempt), coordinate

    def require_leaf(
        self, ctx: Context, output: int, dealer: int, digest: bytes, commitment: bytes, path: Bytes32s
    ) -> None:
        """Revert unless the dealing with this digest and commitment is what the dealer posted for an output."""
        epoch, position = divmod(output, self.terms.epoch_outputs)
        leaf = ctx.sha256(digest + commitment)
        for _ in path:
            ctx.sha256(bytes(65))
        size = len(self.outputs_of(epoch))
        attempt = self.state["attempt"] if self.terms.withheld == Withheld.RESTART else 0
        if attempt:
            position, size = 0, 1
        root = self.roots[("again", output, attempt, dealer) if attempt else (epoch, dealer)]
        ctx.require(root and ctx.host.verify_path(root, leaf, position, size, path), "not in the posted root")

    # ---- opening

    def lock(self, ctx: Context, output: int, roster: int) -> None:
        """Fix Q_k, the dealers of `output`: who dealt and is in the roster. From now on reveals count."""
        self.enter()
        qualified = self.sets.read(("dealt", self.epoch_of(output))) & roster
        if self.terms.withheld == Withheld.RESTART:
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
        ctx.require(self.driver.phase() == phase, f"not in the {phase.name.lower()} phase")
        ctx.require(output + 1 == self.state["next"], "not the output being opened")
        ctx.require(self.sets.has("awaited", dealer), "not an awaited dealer")

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
        self.require_leaf(ctx, output, dealer, transcript_digest, commitment, path)
        if self.terms.withheld == Withheld.RECOVER:
            ctx.meter.charge(BLS_G1_MUL_GAS)
        bound, _ = self.place_of(output, dealer)
        opens = ctx.host.check_opening(bound, commitment, secret)
        ctx.require(opens, "the secret does not open the commitment")
        self.sets.discard("awaited", dealer)
        self.state["sum"] = ctx.host.add_secrets(self.state["sum"], secret)
        ctx.emit(self.name, "Revealed", output=output, dealer=dealer, secret=secret)
        rate = self.terms.canary_permille
        if rate and output >= 2 and is_canary(self.terms.job_digest, output, secret, rate):
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
        self.require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        keys, threshold = self.receivers_of(output)
        ctx.require(len(shares) == len(receivers) == len(set(receivers)) == threshold, "t distinct shares needed")
        ctx.meter.charge(threshold * (DLEQ_MULTIPLICATIONS + 1) * (BLS_G1_MUL_GAS + BLS_G1_ADD_GAS))
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

    def report_withheld(self, ctx: Context) -> None:
        """Name the dealers whose secrets must be recovered (called when the reveal's deadline passes)."""
        self.enter()
        output = self.state["next"] - 1
        ctx.emit(self.name, "Withheld", output=output, dealers=mask_bytes(self.awaited()))

    # ---- other policies for what is withheld

    def skip_withheld(self, ctx: Context) -> bool:
        """Leave out what was not opened (RANDAO); return whether anything was."""
        self.enter()
        output = self.state["next"] - 1
        left = self.awaited()
        ctx.emit(self.name, "Skipped", output=output, dealers=mask_bytes(left))
        self.sets.write("awaited", 0)
        return self.sets.read(("dealt", self.epoch_of(output))) & ~left != 0

    def restart(self, ctx: Context) -> int:
        """Remove who did not open its secret and ask the others for fresh commitments; return who they are."""
        self.enter()
        output, left = self.state["next"] - 1, self.awaited()
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
        self.roots[("again", output, self.state["attempt"], dealer)] = root
        ctx.emit(self.name, "Recommitted", output=output, dealer=dealer, root=root)
        self.driver.after_recommitment(ctx)

    def toss_again(self, ctx: Context) -> bool:
        """Await the fresh secrets; eject who posted no commitment; return whether anybody is left."""
        self.enter()
        for peer in members(self.awaited()):
            self.registry.eject(ctx, peer, "missed deadline: fresh commitment")
        tossing = self.sets.read("tossing")
        self._await(ctx, self.state["next"] - 1, tossing)
        return tossing != 0

    def attempt(self) -> int:
        """Return how often the current toss has started again."""
        return int(self.state["attempt"]) if self.terms.withheld == Withheld.RESTART else 0

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

    def awaited(self) -> int:
        """Return the dealers whose secrets of the current output are still closed."""
        return self.sets.read("awaited")

    def finish(self, ctx: Context, output: int) -> bytes:
        """Combine all opened secrets into the output and store it."""
        self.enter()
        count = self.state["recovered"]
        pieces = [
            bytes(self.recovered[(output, i, 0)]) + bytes(self.recovered[(output, i, 1)]) for i in range(count)
        ]
        if self.terms.withheld == Withheld.RECOVER:
            ctx.meter.charge(BLS_G1_MUL_GAS + count * (BLS_G1_ADD_GAS + BLS_MAP_FP_TO_G1_GAS))
        value = ctx.host.beacon_output(self.terms.job_digest, output, self.state["sum"], pieces)
        self.outputs[output] = value
        ctx.emit(self.name, "Output", output=output, value=value)
        return value


def mask_bytes(mask: int) -> bytes:
    """Return a bit mask as little-endian bytes without trailing zeros, for events and verdicts.

    >>> mask_bytes(0b100000001).hex()
    '0101'
    """
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")
