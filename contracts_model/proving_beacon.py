"""Beacon contract that verifies every sharing before it counts: full verification on chain.

:mod:`contracts_model.beacon` keeps a hash and lets everybody check, with a proof of fraud in a dispute (EthDKG's
pattern). Here nobody has to: a dealer posts its root as there, then proves its sharings one after the other,
each in a call that carries the transcript. The contract verifies it whole. An invalid one bans its dealer at
once, by its own signed call; who has not proven all when their epoch begins has not dealt. Peers need no gossip
of transcripts: they read them from the calls.

It pays where few could watch or a late dispute would hurt; ``python -m contracts_model.gas_table`` has the price.
Sharings are LDEI's, which the contracts ``vyper/pvss_bls12381.vy`` and ``vyper/pvss_bn254.vy`` verify.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from contracts_model.abi import Bytes, Bytes32, Bytes32s, Uint
from contracts_model.beacon import Beacon
from contracts_model.runtime import Context, external
from contracts_model.storage import Slots


@dataclass
class ProvingBeacon(Beacon):
    """The beacon of jobs whose terms have ``proves_dealings``; all but the dealing is :class:`Beacon`'s."""

    source: ClassVar[str] = "proving_beacon"
    proven: Slots = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.proven = self.slots("proven", depth=2)

    @external
    def deal(self, ctx: Context, epoch: Uint, root: Bytes32) -> None:
        """Post the Merkle root of one's dealings for `epoch`, once, in the first half of the dealing time.

        They count when all are proven; the second half leaves time for that.
        """
        dealer = self._require_dealing(ctx, epoch, root)
        ctx.require(not self.roots[(epoch, dealer)], "already dealt")
        self.roots[(epoch, dealer)] = root
        ctx.emit(self.name, "Dealt", epoch=epoch, dealer=dealer, root=root)

    @external
    def prove(self, ctx: Context, output: Uint, transcript: Bytes, commitment: Bytes, path: Bytes32s) -> None:
        """Prove one's next dealing of an epoch, in their order, until the epoch begins.

        An invalid one bans its dealer; the last valid one lets all of the epoch count.
        """
        dealer = self.registry.dealer_index(ctx)
        ctx.require(output >= self.state["next"], "this output is open already")
        epoch, position = divmod(output, self.terms.epoch_outputs)
        ctx.require(self.proven[(epoch, dealer)] == position, "not the next dealing to prove")
        self._require_leaf(ctx, output, dealer, ctx.sha256(transcript), commitment, path)
        if not self._verify(ctx, output, dealer, transcript, commitment):
            self.registry.ban(ctx, dealer, "invalid dealing", None)
            return
        self.proven[(epoch, dealer)] = position + 1
        ctx.emit(self.name, "Proven", output=output, dealer=dealer)
        if position + 1 == len(self.outputs_of(epoch)):
            self.dealt.add(epoch, dealer)
