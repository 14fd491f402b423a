"""Registry: peers, their beacon keys, their standing.

A peer is addressed by its index in the manifest's list of members. It leaves by ejection (a missed deadline or an
elimination: nobody can prove malice, the deposit stays its own) or by a ban (a proof or a verdict: the
deposit is slashed). Removal takes effect when the next step opens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from contracts_model.abi import Bytes
from contracts_model.gas import BLS_G1_MUL_GAS
from contracts_model.runtime import Context, Contract, Revert, payable
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import Terms
from contracts_model.treasury import Treasury


class Standing(IntEnum):
    """What a registered peer is."""

    UNKNOWN = 0
    ACTIVE = 1
    EJECTED = 2
    BANNED = 3


class RegistrationDriver(Protocol):
    """The contract that owns the phases (the step ledger)."""

    def after_registration(self, ctx: Context) -> None:
        """React to the last member's registration."""
        ...


@dataclass
class Registry(Contract):
    """The members' registrations, with the set of active peers."""

    terms: Terms
    treasury: Treasury
    driver: RegistrationDriver = field(init=False)
    standings: Slots = field(init=False)
    indices: Slots = field(init=False)
    addresses: Slots = field(init=False)
    keys: Slots = field(init=False)
    key_owners: Slots = field(init=False)
    counters: Slots = field(init=False)
    active: BitSet = field(init=False)

    def __post_init__(self) -> None:
        self.standings = self.slots("standings")
        self.indices = self.slots("indices")
        self.addresses = self.slots("addresses")
        self.keys = self.slots("keys")
        self.key_owners = self.slots("key_owners")
        self.counters = self.slots("counters")
        self.active = BitSet(self.slots("active"), -(-self.terms.n_peers // 256))
        for index, address in enumerate(self.terms.members):
            self.indices[address] = index + 1
            self.addresses[index] = address

    @payable
    def register(self, ctx: Context, public_key: Bytes, possession: Bytes) -> None:
        """Join with a beacon key, its proof of possession and the deposit.

        Reverts when registration is over, the deposit is not exact, the sender is not invited or registered
        already, the key is known or the proof fails. The dealing opens when the last member has registered.
        """
        ctx.require(self.counters["closed"] == 0, "registration is closed")
        ctx.require(ctx.value_wei == self.terms.deposit_wei, "the deposit must be exact")
        index = self.indices[ctx.sender] - 1
        ctx.require(index >= 0, "the sender is not invited")
        ctx.require(self.standings[index] == Standing.UNKNOWN, "already registered")
        ctx.require(self.key_owners[public_key] == 0, "this key is registered")
        ctx.meter.charge(2 * BLS_G1_MUL_GAS)
        bound = self.terms.job_digest + ctx.sender
        ctx.require(ctx.host.verify_possession(bound, public_key, possession), "no proof of possession")
        self.key_owners[public_key] = index + 1
        self._store_key(index, public_key)
        self.standings[index] = Standing.ACTIVE
        self.active.add(0, index)
        self.counters["active"] += 1
        self.treasury.take_deposit(ctx, index)
        ctx.emit(self.name, "Registered", peer=index, account=ctx.sender)
        if self.counters["active"] == self.terms.n_peers:
            self.driver.after_registration(ctx)

    def _store_key(self, index: int, public_key: bytes) -> None:
        """Store a 48-byte key in two slots."""
        self.keys[(index, 0)] = public_key[:32]
        self.keys[(index, 1)] = public_key[32:]

    def key_of(self, index: int) -> bytes:
        """Return a peer's beacon key."""
        return bytes(self.keys[(index, 0)]) + bytes(self.keys[(index, 1)])

    def close(self) -> None:
        """Take no more registrations."""
        self.enter()
        self.counters["closed"] = 1

    def index_of(self, ctx: Context) -> int:
        """Return the index of the calling peer; reverts unless it is active."""
        self.enter()
        index = self.known_index(ctx)
        if self.standings[index] != Standing.ACTIVE:
            raise Revert("the sender is not an active peer")
        return index

    def known_index(self, ctx: Context) -> int:
        """Return the index of the caller, active or not; reverts if it never registered.

        Whoever is removed in mid-step may still open its secrets: the beacon of that step counts on them.
        """
        self.enter()
        index = self.indices[ctx.sender] - 1
        if index < 0 or self.standings[index] == Standing.UNKNOWN:
            raise Revert("the sender is not registered")
        return int(index)

    def is_active(self, peer: int) -> bool:
        """Return whether `peer` is registered and neither ejected nor banned."""
        return bool(self.standings[peer] == Standing.ACTIVE)

    def is_banned(self, peer: int) -> bool:
        """Return whether `peer` lost its deposit for a proven offence."""
        return bool(self.standings[peer] == Standing.BANNED)

    def active_mask(self) -> int:
        """Return the active peers as a bit mask."""
        return self.active.read(0)

    def _leave(self, peer: int, standing: Standing) -> bool:
        if not self.is_active(peer):
            return False
        self.standings[peer] = standing
        self.active.discard(0, peer)
        self.counters["active"] -= 1
        return True

    def eject(self, ctx: Context, peer: int, reason: str) -> None:
        """Remove a peer without slashing it."""
        self.enter()
        if self._leave(peer, Standing.EJECTED):
            ctx.emit(self.name, "Ejected", peer=peer, reason=reason)

    def ban(self, ctx: Context, peer: int, reason: str, reporter: int | None) -> None:
        """Remove a peer and slash its deposit; also one ejected before, for what is proven later."""
        self.enter()
        if self.standings[peer] == Standing.EJECTED:
            self.standings[peer] = Standing.BANNED
        elif not self._leave(peer, Standing.BANNED):
            return
        account = bytes(self.addresses[reporter]) if reporter is not None else None
        amount = self.treasury.slash(ctx, peer, account, self.terms.reporter_percent)
        reported_by = -1 if reporter is None else reporter
        ctx.emit(self.name, "Banned", peer=peer, reason=reason, slashed=amount, reporter=reported_by)

    def keys_of(self, mask: int) -> list[bytes]:
        """Return the beacon keys of the peers in `mask`, in index order."""
        return [self.key_of(index) for index in members(mask)]
