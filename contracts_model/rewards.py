"""Rewards for contribution: all peers are paid what a majority of them computes, at once or not at all.

After every so many steps a round ends. Each active peer posts the digest of the amounts that it computed; when
more than half of the active peers have posted the same one, anybody shows the amounts, and one call pays all of
them out of the pot. The contract cannot compute the values, it counts who agrees; who is not active any more
gets nothing.

References
----------
After the idea of rewards by sampled Shapley values, agreed on by the peers and paid atomically (piFL).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from contracts_model.abi import Bytes32, Uint, Uints
from contracts_model.ledger import StepLedger
from contracts_model.registry import Registry
from contracts_model.runtime import Context, Contract, external
from contracts_model.storage import Slots
from contracts_model.terms import Terms
from contracts_model.treasury import Treasury

WORD_BYTES = 32


def payout_digest(sha256: Callable[[bytes], bytes], round: int, amounts: Sequence[int]) -> bytes:
    """Return the digest of a round's amounts in wei, one a member."""
    return sha256(b"".join(value.to_bytes(WORD_BYTES, "big") for value in (round, *amounts)))


@dataclass
class Rewards(Contract):
    """Posted digests by round, and what a majority agreed on."""

    terms: Terms
    registry: Registry
    ledger: StepLedger
    treasury: Treasury
    posted: Slots = field(init=False)
    votes: Slots = field(init=False)
    agreed: Slots = field(init=False)
    paid: Slots = field(init=False)

    def __post_init__(self) -> None:
        for label, depth in (("posted", 2), ("votes", 2), ("agreed", 1), ("paid", 1)):
            setattr(self, label, self.slots(label, depth))

    def _require_over(self, ctx: Context, round: int) -> None:
        ctx.require(round < self.terms.contribution_rounds, "no such round")
        last = (round + 1) * self.terms.contribution_every
        ctx.require(self.ledger.opened() > last, "the round is not over")

    @external
    def post(self, ctx: Context, round: Uint, digest: Bytes32) -> None:
        """Post the digest of the amounts that one computed for a round, once."""
        peer = self.registry.index_of(ctx)
        self._require_over(ctx, round)
        ctx.require(self.posted[(round, peer)] == 0, "already posted")
        self.posted[(round, peer)] = 1
        self.votes[(round, digest)] += 1
        agree = self.votes[(round, digest)]
        if self.agreed[round] == 0 and 2 * agree > self.registry.active_mask().bit_count():
            self.agreed[round] = digest
            ctx.emit(self.name, "ContributionAgreed", round=round, digest=digest)

    @external
    def pay(self, ctx: Context, round: Uint, amounts: Uints) -> None:
        """Pay everybody the agreed amounts of a round, once; who is not active gets nothing.

        Reverts as a whole, so that nobody is paid, where they are not the agreed ones, exceed the round's budget,
        or the pot is short.
        """
        self.registry.index_of(ctx)
        ctx.require(self.agreed[round] != 0, "nothing is agreed")
        ctx.require(self.paid[round] == 0, "already paid")
        ctx.require(len(amounts) == self.terms.n_peers, "one amount a member")
        self.hand_on("digest", amounts)
        ctx.require(payout_digest(ctx.sha256, round, amounts) == self.agreed[round], "not the agreed amounts")
        self._require_within_budget(ctx, amounts)
        self.paid[round] = 1
        active = self.registry.active_mask()
        for peer, amount in enumerate(amounts):
            self.work("amounts looked at")
            self.work("amounts above zero", amount > 0)
            if amount and active >> peer & 1:
                self.treasury.pay_from_pot(self.registry.address_of(peer), amount)
                ctx.emit(self.name, "Contributed", peer=peer, round=round, amount=amount)
        ctx.emit(self.name, "ContributionPaid", round=round)

    def _require_within_budget(self, ctx: Context, amounts: Uints) -> None:
        total = 0
        for amount in amounts:
            self.work("amounts added")
            ctx.require(amount <= self.terms.contribution_wei, "above the budget")
            total += amount
        self.work("amounts added up")
        ctx.require(total <= self.terms.contribution_wei, "above the budget")
