"""Anchor: what a job puts on a base chain when its steps run among the peers themselves (PROTOCOL section 9).

The peers' own channel executes the job's contracts; the base chain holds the stakes and, once an epoch, the
hash of the channel's block with the peers banned so far. In the last epoch the anchor also says who gets how
much.

Two policies. *Quorum*: an anchor carries the signatures of more than half of the members. *Optimistic* (EthDKG's
pattern): one member posts it alone, and more than half of the members can replace it within the challenge window;
then the poster loses its stake. What the channel decided wrongly with a majority, no policy repairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts_model.abi import Bytes, Bytes32, BytesList, Uint, Uints
from contracts_model.court import message_digest
from contracts_model.deployment import Deployment
from contracts_model.runtime import Context, Contract, Mask, external, payable
from contracts_model.storage import Slots
from contracts_model.terms import Terms
from contracts_model.treasury import Treasury

ANCHOR_TOPIC = b"ANCHOR"
WORD_BYTES = 32


def anchor_body(sha256, root: bytes, bans: bytes, amounts: list[int]) -> bytes:  # type: ignore[no-untyped-def]
    """Return what members sign: the channel's block hash, who is banned, and the payouts of the last epoch."""
    listed = b"".join(amount.to_bytes(WORD_BYTES, "big") for amount in amounts)
    digest: bytes = sha256(root + len(bans).to_bytes(4, "little") + bans + listed)
    return digest


@dataclass
class Anchor(Contract):
    """Stakes by member, anchors by epoch."""

    terms: Terms
    treasury: Treasury
    is_optimistic: bool
    window_s: int
    state: Slots = field(init=False)
    members: Slots = field(init=False)
    staked: Slots = field(init=False)
    done: Slots = field(init=False)
    roots: Slots = field(init=False)
    bodies: Slots = field(init=False)
    posters: Slots = field(init=False)
    until: Slots = field(init=False)
    payouts: Slots = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.slots("state", depth=0)
        for label in ("members", "staked", "done", "roots", "bodies", "posters", "until", "payouts"):
            setattr(self, label, self.slots(label))
        for index, address in enumerate(self.terms.members):
            self.members[address] = index + 1

    def _member(self, ctx: Context) -> int:
        index = self.members[ctx.sender] - 1
        ctx.require(index >= 0, "the sender is not invited")
        return int(index)

    @payable
    def register(self, ctx: Context) -> None:
        """Pay one's stake, once."""
        index = self._member(ctx)
        ctx.require(ctx.value_wei == self.terms.deposit_wei, "the deposit must be exact")
        ctx.require(self.staked[index] == 0, "already registered")
        self.staked[index] = 1
        self.treasury.take_deposit(ctx, index)
        ctx.emit(self.name, "Staked", peer=index)

    @external
    def anchor(
        self,
        ctx: Context,
        epoch: Uint,
        root: Bytes32,
        bans: Bytes,
        amounts: Uints,
        signers: Uints,
        proofs: BytesList,
    ) -> None:
        """Anchor an epoch with the signatures of more than half of the members."""
        self._member(ctx)
        ctx.require(self.roots[epoch] == 0, "already anchored")
        self._require_quorum(ctx, epoch, root, bans, amounts, signers, proofs)
        self._store(ctx, epoch, root, bans, amounts, 0)

    @external
    def post(self, ctx: Context, epoch: Uint, root: Bytes32, bans: Bytes, amounts: Uints) -> None:
        """Anchor an epoch alone, with one's stake behind it."""
        index = self._member(ctx)
        ctx.require(self.is_optimistic, "anchors need a quorum here")
        ctx.require(self.roots[epoch] == 0, "already anchored")
        ctx.require(self.treasury.deposit_of(index) == self.terms.deposit_wei, "no stake is behind it")
        self._store(ctx, epoch, root, bans, amounts, index + 1)

    @external
    def challenge(
        self,
        ctx: Context,
        epoch: Uint,
        root: Bytes32,
        bans: Bytes,
        amounts: Uints,
        signers: Uints,
        proofs: BytesList,
    ) -> None:
        """Replace what one member posted by what more than half of the members sign; the poster is slashed."""
        self._member(ctx)
        poster = self.posters[epoch] - 1
        ctx.require(poster >= 0, "nothing was posted alone")
        ctx.require(ctx.timestamp_s <= self.until[epoch], "the challenge window is over")
        self.hand_on("body", bans, amounts)
        body = anchor_body(ctx.sha256, root, bans, list(amounts))
        ctx.require(body != self.bodies[epoch], "the same anchor")
        self._require_quorum(ctx, epoch, root, bans, amounts, signers, proofs)
        self.treasury.slash(ctx, poster, ctx.sender, self.terms.reporter_percent)
        self._store(ctx, epoch, root, bans, amounts, 0)
        ctx.emit(self.name, "Challenged", epoch=epoch, peer=poster)

    def _require_quorum(
        self,
        ctx: Context,
        epoch: int,
        root: bytes,
        bans: bytes,
        amounts: Uints,
        signers: Uints,
        proofs: BytesList,
    ) -> None:
        self.hand_on("quorum", bans, amounts, signers, proofs)
        self.hand_on("distinct", signers if len(signers) == len(proofs) else ())
        distinct = len(signers) == len(proofs) and self._are_distinct(signers)
        ctx.require(distinct, "one signature a signer")
        ctx.require(2 * len(signers) > self.terms.n_founders, "no quorum")
        ctx.require(epoch < 1 << 64, "no such anchor")
        self.hand_on("body", bans, amounts)
        body = anchor_body(ctx.sha256, root, bans, list(amounts))
        digest = message_digest(ctx.sha256, self.terms.job_digest, ANCHOR_TOPIC, epoch, body)
        for signer, proof in zip(signers, proofs):
            address = ctx.recover_signer(digest, proof)
            ctx.require(address is not None and self.members[address] == signer + 1, "not signed by that member")

    def _are_distinct(self, signers: Uints) -> bool:
        """Return whether all are members and none is named twice."""
        self.work("lists of signers")
        self.work("lists with any signer", len(signers) > 0)
        seen: set[int] = set()
        for signer in signers:
            self.work("signers looked at")
            if signer >= self.terms.n_peers or signer in seen:
                self.work("signer out of line")
                self.work("signer among the members", signer < self.terms.n_peers)
                return False
            seen.add(signer)
        return True

    def _store(self, ctx: Context, epoch: int, root: bytes, bans: bytes, amounts: Uints, poster: int) -> None:
        self.hand_on("store", bans, amounts)
        self.work("epochs in range", epoch < 1 << 64)
        ctx.require(epoch < 1 << 64 and root != bytes(WORD_BYTES), "no such anchor")
        ctx.require(len(amounts) in (0, self.terms.n_peers), "one payout a member, or none")
        self.roots[epoch] = root
        self.hand_on("body", bans, amounts)
        self.bodies[epoch] = anchor_body(ctx.sha256, root, bans, list(amounts))
        self.posters[epoch] = poster
        self.until[epoch] = ctx.timestamp_s + self.window_s
        self.work("no payouts named", not amounts)
        if amounts:
            self.work("settled by one alone", poster != 0)
            self.state["settled"] = 1
            self.state["until"] = ctx.timestamp_s + self.window_s * bool(poster)
            for peer, amount in enumerate(amounts):
                self.payouts[peer] = amount
        ctx.emit(self.name, "Anchored", epoch=epoch, root=root, bans=Mask(bans), poster=poster - 1)

    @external
    def withdraw(self, ctx: Context) -> None:
        """Take what the last anchor gives one, when it cannot be challenged any more."""
        index = self._member(ctx)
        ctx.require(self.state["settled"] and ctx.timestamp_s > self.state["until"], "not settled yet")
        ctx.require(self.done[index] == 0, "already paid")
        self.done[index] = 1
        amount = self.treasury.pay_settled(index, ctx.sender, self.payouts[index])
        ctx.emit(self.name, "Withdrawn", peer=index, amount=amount)


@dataclass
class AnchorJob(Deployment):
    """The deployment on the base chain: treasury and anchor."""

    is_optimistic: bool = False
    window_s: int = 600

    def deploy(self) -> tuple[Contract, ...]:
        """Make the anchor contract."""
        self.anchor = Anchor("anchor", self.machine, self.terms, self.treasury, self.is_optimistic, self.window_s)
        return (self.anchor,)
