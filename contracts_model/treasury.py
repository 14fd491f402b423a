"""Treasury: holds deposits and the reward pot, slashes, pays out. Money is conserved by construction.

What comes in (deposits, funding) is at any time = deposits held + pot + burned + paid out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts_model.runtime import BURN, Context, Contract, Revert, Wallets, linked, payable
from contracts_model.storage import Slots

VAULT = b"simdfl-treasury-vlt!"


@dataclass
class Treasury(Contract):
    """Deposits by peer index, and three totals."""

    wallets: Wallets
    deposits: Slots = field(init=False)
    totals: Slots = field(init=False)

    def __post_init__(self) -> None:
        self.deposits = self.slots("deposits")
        self.totals = self.slots("totals", depth=0)

    @payable
    def fund(self, ctx: Context) -> None:
        """Add the sent value to the pot from which rewards are paid; anybody may."""
        self.wallets.move(ctx.sender, VAULT, ctx.value_wei)
        self.totals["pot"] += ctx.value_wei
        ctx.emit(self.name, "Funded", amount=ctx.value_wei)

    @linked
    def take_deposit(self, ctx: Context, peer: int) -> None:
        """Book the sent value as the deposit of `peer` (called by the registry)."""
        if ctx.value_wei:
            ctx.meter.send_value(is_new=False)
        self.wallets.move(ctx.sender, VAULT, ctx.value_wei)
        self.deposits[peer] = ctx.value_wei

    @linked
    def deposit_of(self, peer: int) -> int:
        """Return what a peer has deposited, wei."""
        return int(self.deposits[peer])

    @linked
    def slash(self, ctx: Context, peer: int, reporter: bytes | None, percent: int) -> int:
        """Take the whole deposit of `peer`: `percent` of it to the reporter, the rest is burned.

        The share is at most half (see :class:`~contracts_model.terms.Terms`), so a colluding pair of
        culprit and reporter always loses.
        """
        amount = self.deposits[peer]
        self.deposits[peer] = 0
        reward = amount * percent // 100 if reporter is not None else 0
        self.work("slashed for a reporter", reporter is not None)
        self.work("reporter rewarded", reward > 0)
        if reporter is not None and reward:
            self.wallets.send(VAULT, reporter, reward)
        if amount - reward:
            self.wallets.send(VAULT, BURN, amount - reward)
            self.totals["burned"] += amount - reward
        self.totals["rewarded"] += reward
        return int(amount)

    @linked
    def pay_out(self, peer: int, account: bytes, reward_wei: int) -> int:
        """Return the deposit of `peer` and as much of its reward as the pot holds."""
        reward = min(reward_wei, self.totals["pot"])
        amount = self.deposits[peer] + reward
        self.deposits[peer] = 0
        self.totals["pot"] -= reward
        self.totals["rewarded"] += reward
        self.work("paid out", amount > 0)
        if amount:
            self.wallets.send(VAULT, account, amount)
        return int(amount)

    @linked
    def pay_from_pot(self, account: bytes, amount_wei: int) -> None:
        """Pay a reward out of the pot; reverts if it holds less."""
        if self.totals["pot"] < amount_wei:
            raise Revert("the pot is short")
        self.totals["pot"] -= amount_wei
        self.totals["rewarded"] += amount_wei
        self.wallets.send(VAULT, account, amount_wei)

    @linked
    def pay_settled(self, peer: int, account: bytes, amount_wei: int) -> int:
        """Close the books of `peer` at an amount settled elsewhere; what it lost is burned.

        Above its deposit it gets as much as the pot holds.
        """
        deposit = self.deposits[peer]
        reward = min(max(0, amount_wei - deposit), self.totals["pot"])
        lost = max(0, deposit - amount_wei)
        self.deposits[peer] = 0
        self.totals["pot"] -= reward
        self.totals["rewarded"] += reward
        if lost:
            self.wallets.send(VAULT, BURN, lost)
            self.totals["burned"] += lost
        amount = deposit - lost + reward
        self.work("settled above the deposit", amount_wei > deposit)
        self.work("paid out", amount > 0)
        if amount:
            self.wallets.send(VAULT, account, amount)
        return int(amount)

    def held_wei(self) -> int:
        """Return what the vault must hold: all deposits and the pot (a view, for the conservation check)."""
        return sum(value for _, value in self.deposits.items()) + int(self.totals.data.get("pot", 0))
