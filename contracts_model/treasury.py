"""Treasury: holds deposits and the reward pot, slashes, pays out. Money is conserved by construction.

What comes in (deposits, funding) is at any time = deposits held + pot + burned + paid out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts_model.runtime import Context, Contract, Revert, Wallets, payable
from contracts_model.storage import Slots

VAULT = b"simdfl-treasury-vlt!"
BURN = bytes(20)


@dataclass
class Treasury(Contract):
    """Deposits by peer index, and three totals."""

    wallets: Wallets
    deposits: Slots = field(init=False)
    totals: Slots = field(init=False)

    def __post_init__(self) -> None:
        self.deposits = self.slots("deposits")
        self.totals = self.slots("totals")

    @payable
    def fund(self, ctx: Context) -> None:
        """Add the sent value to the pot from which rewards are paid; anybody may."""
        self._receive(ctx)
        self.totals["pot"] += ctx.value_wei
        ctx.emit(self.name, "Funded", amount=ctx.value_wei)

    def _receive(self, ctx: Context) -> None:
        self.wallets.move(ctx.sender, VAULT, ctx.value_wei)

    def take_deposit(self, ctx: Context, peer: int) -> None:
        """Book the sent value as the deposit of `peer` (called by the registry)."""
        self.enter()
        self._receive(ctx)
        self.deposits[peer] = ctx.value_wei

    def slash(self, ctx: Context, peer: int, reporter: bytes | None, percent: int) -> int:
        """Take the whole deposit of `peer`: `percent` of it to the reporter, the rest is burned.

        The share is at most half (see :class:`~contracts_model.terms.Terms`), so a colluding pair of
        culprit and reporter always loses.
        """
        self.enter()
        amount = self.deposits[peer]
        self.deposits[peer] = 0
        reward = amount * percent // 100 if reporter is not None else 0
        if reporter is not None and reward:
            self.wallets.move(VAULT, reporter, reward)
        if amount - reward:
            self.wallets.move(VAULT, BURN, amount - reward)
            self.totals["burned"] += amount - reward
        self.totals["rewarded"] += reward
        return int(amount)

    def pay_out(self, peer: int, account: bytes, reward_wei: int) -> int:
        """Return the deposit of `peer` and as much of its reward as the pot holds."""
        self.enter()
        reward = min(reward_wei, self.totals["pot"])
        amount = self.deposits[peer] + reward
        self.deposits[peer] = 0
        self.totals["pot"] -= reward
        self.totals["rewarded"] += reward
        if amount:
            self.wallets.move(VAULT, account, amount)
        return int(amount)

    def pay_from_pot(self, account: bytes, amount_wei: int) -> None:
        """Pay a reward out of the pot; reverts if it holds less."""
        self.enter()
        if self.totals["pot"] < amount_wei:
            raise Revert("the pot is short")
        self.totals["pot"] -= amount_wei
        self.totals["rewarded"] += amount_wei
        self.wallets.move(VAULT, account, amount_wei)

    def pay_settled(self, peer: int, account: bytes, amount_wei: int) -> int:
        """Close the books of `peer` at an amount settled elsewhere; what it lost is burned.

        Above its deposit it gets as much as the pot holds.
        """
        self.enter()
        deposit = self.deposits[peer]
        reward = min(max(0, amount_wei - deposit), self.totals["pot"])
        lost = max(0, deposit - amount_wei)
        self.deposits[peer] = 0
        self.totals["pot"] -= reward
        self.totals["rewarded"] += reward
        if lost:
            self.wallets.move(VAULT, BURN, lost)
            self.totals["burned"] += lost
        amount = deposit - lost + reward
        if amount:
            self.wallets.move(VAULT, account, amount)
        return int(amount)

    def held_wei(self) -> int:
        """Return what the vault must hold: all deposits and the pot (a view, for the conservation check)."""
        return sum(value for _, value in self.deposits.items()) + int(self.totals.data.get("pot", 0))
