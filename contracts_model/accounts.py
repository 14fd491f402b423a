"""Who earned and lost what: one account a peer, kept from the calls and events of a chain.

It needs nothing but what is published: senders, values, fees and events. So an outsider keeps the same books as
the run, and compares them with the balances that executing the calls gives. Amounts are whole wei.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from contracts_model.runtime import Event
from contracts_model.terms import Terms


@dataclass
class PeerAccount:
    """One peer's sums, all at least 0.

    ``deposit_in_wei`` paid in and ``deposit_out_wei`` got back; ``slashed_wei`` taken of it, of which
    ``burned_wei`` was destroyed and the rest is somebody's ``reporter_wei``. ``reward_wei`` for steps worked,
    ``contribution_wei`` for what updates added.
    ``gas_fee_wei`` and ``data_fee_wei`` paid for calls, ``funded_wei`` put into the pot.
    """

    deposit_in_wei: int = 0
    deposit_out_wei: int = 0
    reward_wei: int = 0
    reporter_wei: int = 0
    slashed_wei: int = 0
    burned_wei: int = 0
    contribution_wei: int = 0
    gas_fee_wei: int = 0
    data_fee_wei: int = 0
    funded_wei: int = 0

    @property
    def held_wei(self) -> int:
        """What the treasury still holds of its deposit."""
        return self.deposit_in_wei - self.deposit_out_wei - self.slashed_wei

    @property
    def paid_wei(self) -> int:
        """What its balance has grown by, negative if it shrank."""
        got = self.deposit_out_wei + self.reward_wei + self.reporter_wei + self.contribution_wei
        return got - self.deposit_in_wei - self.gas_fee_wei - self.data_fee_wei - self.funded_wei

    @property
    def net_wei(self) -> int:
        """What it is richer by, the deposit that is still held counted as its own; negative for a loss."""
        return self.paid_wei + self.held_wei


def total(accounts: Iterable[PeerAccount]) -> PeerAccount:
    """Return the sums over accounts.

    >>> total([PeerAccount(deposit_in_wei=5), PeerAccount(deposit_in_wei=2, slashed_wei=1)]).held_wei
    6
    """
    rows = list(accounts)
    sums = {column.name: sum(getattr(row, column.name) for row in rows) for column in fields(PeerAccount)}
    return PeerAccount(**sums)


@dataclass
class Accounts:
    """The books of one chain, of a job's contracts or of its anchors.

    Parameters
    ----------
    terms : Terms
        Members, and the reporter's percentage.
    """

    terms: Terms
    peers: list[PeerAccount] = field(init=False)

    def __post_init__(self) -> None:
        self.peers = [PeerAccount() for _ in self.terms.members]
        self._index = {member: peer for peer, member in enumerate(self.terms.members)}

    def record(
        self, sender: bytes, value_wei: int, gas_fee_wei: int, data_fee_wei: int, events: Iterable[Event]
    ) -> None:
        """Book one call.

        Parameters
        ----------
        sender : bytes
            Who called.
        value_wei : int
            What was sent with it; events say what became of it.
        gas_fee_wei, data_fee_wei : int
            Paid for gas, and for bytes on the chain below.
        events : iterable of Event
            What the call logged; nothing if it failed.
        """
        caller = self._index.get(sender)
        if caller is not None:
            self.peers[caller].gas_fee_wei += gas_fee_wei
            self.peers[caller].data_fee_wei += data_fee_wei
        for event in events:
            if event.name in ("Registered", "Staked"):
                self.peers[event.fields["peer"]].deposit_in_wei += value_wei
            elif event.name == "Funded" and caller is not None:
                self.peers[caller].funded_wei += event.fields["amount"]
            elif event.name == "Withdrawn":
                self._withdraw(self.peers[event.fields["peer"]], event)
            elif event.name == "Contributed":
                self.peers[event.fields["peer"]].contribution_wei += event.fields["amount"]
            elif event.name == "Banned":
                self._slash(event.fields["peer"], event.fields["slashed"], event.fields["reporter"])
            elif event.name == "Challenged":
                poster = event.fields["peer"]
                self._slash(poster, self.peers[poster].held_wei, -1 if caller is None else caller)

    def _withdraw(self, account: PeerAccount, event: Event) -> None:
        """Split what was paid out into deposit and reward; of an anchored settlement the rest is burned."""
        deposit = account.held_wei
        returned = min(event.fields["amount"], deposit)
        account.deposit_out_wei += returned
        account.reward_wei += event.fields["amount"] - returned
        account.slashed_wei += deposit - returned
        account.burned_wei += deposit - returned

    def _slash(self, peer: int, slashed_wei: int, reporter: int) -> None:
        share = slashed_wei * self.terms.reporter_percent // 100 if reporter >= 0 else 0
        self.peers[peer].slashed_wei += slashed_wei
        self.peers[peer].burned_wei += slashed_wei - share
        if reporter >= 0:
            self.peers[reporter].reporter_wei += share
