"""Beacon contract: deal → lock → reveal → recover → output (Pavlova et al. 2025; SCRAPE and ALBATROSS).

An *epoch* is a batch of ``epoch_outputs`` outputs dealt together. A dealer posts one Merkle root per epoch; a
leaf is H(H(transcript) ‖ commitment) and the transcripts travel off chain: hash on chain, one fraud proof in
a dispute (EthDKG's pattern). Sharings stay bound to the key set and the threshold they were dealt under.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from contracts_model.abi import Bytes, Bytes32, Bytes32s, BytesList, Uint, Uints
from contracts_model.gas import BLS_G1_ADD_GAS, BLS_G1_MUL_GAS, BLS_MAP_FP_TO_G1_GAS
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, external
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import Phase, Terms, threshold_for

DLEQ_MULTIPLICATIONS = 4


def dealing_context(job_digest: bytes, output: int, dealer: int) -> bytes:
    """Return the bytes that bind a sharing to job, output and dealer: it verifies nowhere else."""
    return job_digest + b"deal" + output.to_bytes(8, "little") + dealer.to_bytes(4, "little")


class PhaseDriver(Protocol):
    """The contract that owns the phases (the step ledger)."""

    def phase(self) -> Phase:
        """Return the current phase."""
        ...

    def after_opening(self, ctx: Context) -> None:
        """React to one secret more being open."""
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
        receivers = self.registry.active_mask()
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
        dealer = self.registry.index_of(ctx)
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

    def eject_missing_dealers(self, ctx: Context, epoch: int) -> None:
        """Eject the active peers that have no dealing for an epoch: a missed deadline."""
        for peer in members(self.registry.active_mask() & ~self.sets.read(("dealt", epoch))):
            self.registry.eject(ctx, peer, "missed deadline: dealing")

    @external
    def dispute_dealing(
        self, ctx: Context, output: Uint, dealer: Uint, transcript: Bytes, commitment: Bytes, path: Bytes32s
    ) -> None:
        """Prove that a posted dealing is invalid: the dealer is banned. Reverts if it is valid."""
        reporter = self.registry.index_of(ctx)
        epoch = self.epoch_of(output)
        ctx.require(output >= self.state["next"], "this output is open already")
        self._require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        receivers = self.registry.keys_of(self.sets.read(("receivers", epoch)))
        threshold = threshold_for(len(receivers))
        ctx.meter.charge(BLS_G1_MUL_GAS * ctx.host.dealing_exponentiations(len(receivers), threshold))
        bound = dealing_context(self.terms.job_digest, output, dealer)
        valid = ctx.host.verify_dealing(bound, receivers, threshold, transcript, commitment)
        ctx.require(not valid, "the dealing is valid")
        self.sets.discard(("dealt", epoch), dealer)
        self.registry.ban(ctx, dealer, "invalid dealing", reporter)

    def _require_leaf(
        self, ctx: Context, output: int, dealer: int, digest: bytes, commitment: bytes, path: Bytes32s
    ) -> None:
        epoch, position = divmod(output, self.terms.epoch_outputs)
        leaf = ctx.sha256(digest + commitment)
        for _ in path:
            ctx.sha256(bytes(65))
        size = len(self.outputs_of(epoch))
        root = self.roots[(epoch, dealer)]
        ctx.require(root and ctx.host.verify_path(root, leaf, position, size, path), "not in the posted root")

    # ---- opening

    def lock(self, ctx: Context, output: int, roster: int) -> None:
        """Fix Q_k, the dealers of `output`: who dealt and is in the roster. From now on reveals count."""
        self.enter()
        qualified = self.sets.read(("dealt", self.epoch_of(output))) & roster
        self.sets.write("awaited", qualified)
        self.state["next"] = output + 1
        self.state["sum"] = 0
        self.state["recovered"] = 0
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
        self._require_leaf(ctx, output, dealer, transcript_digest, commitment, path)
        ctx.meter.charge(BLS_G1_MUL_GAS)
        ctx.require(ctx.host.check_opening(commitment, secret), "the secret does not open the commitment")
        self.sets.discard("awaited", dealer)
        self.state["sum"] = ctx.host.add_secrets(self.state["sum"], secret)
        ctx.emit(self.name, "Revealed", output=output, dealer=dealer)
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
        self._require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        keys = self.registry.keys_of(self.sets.read(("receivers", self.epoch_of(output))))
        threshold = threshold_for(len(keys))
        ctx.require(len(shares) == len(receivers) == len(set(receivers)) == threshold, "t distinct shares needed")
        ctx.meter.charge(threshold * (DLEQ_MULTIPLICATIONS + 1) * (BLS_G1_MUL_GAS + BLS_G1_ADD_GAS))
        bound = dealing_context(self.terms.job_digest, output, dealer)
        numbered = list(zip(receivers, shares))
        secret = ctx.host.recover_secret(bound, keys, threshold, transcript, numbered)
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
