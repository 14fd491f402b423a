"""Registry: peers, their beacon keys, their standing.

A peer is addressed by its index in the manifest's list of members. It leaves by its own will, by ejection (a
missed deadline or an elimination: nobody can prove malice, the deposit stays its own) or by a ban (a proof or a
verdict: the deposit is slashed). Removal takes effect when the next step opens.

Who joins late, or comes back after an ejection, is on *probation*: it must compute gradients that are checked and
not used, so that a Sybil pays in computation. When it has made enough of them it is admitted to the next epoch,
deals for it, and is seated when that epoch begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from contracts_model.abi import Bytes, Bytes32
from contracts_model.gas import KECCAK_BASE_GAS, KECCAK_WORD_GAS
from contracts_model.runtime import Context, Contract, Revert, external, linked, payable
from contracts_model.storage import BitSet, Slots, members
from contracts_model.terms import Terms
from contracts_model.treasury import Treasury


class Standing(IntEnum):
    """What a registered peer is."""

    UNKNOWN = 0
    ACTIVE = 1
    EJECTED = 2
    BANNED = 3
    LEFT = 4
    PROBATION = 5


OUT_UNPUNISHED = (Standing.EJECTED, Standing.LEFT, Standing.PROBATION)
"""Not active, but with a deposit that can still be slashed for what is proven later."""


class RegistrationDriver(Protocol):
    """The contract that owns the phases (the step ledger)."""

    def after_registration(self, ctx: Context) -> None:
        """React to the last founder's registration."""
        ...

    def is_running(self) -> bool:
        """Return whether steps are being made."""
        ...

    def step(self) -> int:
        """Return the current step."""
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
    tenure: Slots = field(init=False)
    left_in: Slots = field(init=False)
    shards: Slots = field(init=False)
    sets: BitSet = field(init=False)

    def __post_init__(self) -> None:
        for label in ("standings", "indices", "addresses", "tenure", "left_in", "shards"):
            setattr(self, label, self.slots(label))
        self.keys = self.slots("keys", depth=2)
        self.key_owners = self.slots("key_owners", depth=2)  # the first hash is that of the key's bytes
        self.counters = self.slots("counters", depth=0)
        self.sets = self.bits("sets", self.terms.n_peers, depth=0)
        for index, address in enumerate(self.terms.members):
            self.indices[address] = index + 1
            self.addresses[index] = address

    @payable
    def register(self, ctx: Context, public_key: Bytes, possession: Bytes) -> None:
        """Join with a beacon key, its proof of possession and the deposit.

        Reverts when registration is over, the deposit is not exact, the sender is not invited or registered
        already, the key is known or the proof fails. The dealing opens when the last founder has registered.
        Where the job has a probation, members may also register while it runs.
        """
        is_late = self.counters["closed"] != 0
        can_join = not is_late or self._takes_late_peers()
        ctx.require(can_join, "registration is closed")
        ctx.require(ctx.value_wei == self.terms.deposit_wei, "the deposit must be exact")
        index = self.indices[ctx.sender] - 1
        ctx.require(index >= 0, "the sender is not invited")
        ctx.require(self.standings[index] == Standing.UNKNOWN, "already registered")
        ctx.require(self.key_owners[public_key] == 0, "this key is registered")
        self.hand_on("possession", public_key, possession)
        ctx.consult("verify_possession", ctx.host.possession_gas())
        bound = self.terms.job_digest + ctx.sender
        ctx.require(ctx.host.verify_possession(bound, public_key, possession), "no proof of possession")
        self.key_owners[public_key] = index + 1
        self._store_key(index, public_key)
        self.treasury.take_deposit(ctx, index)
        ctx.emit(self.name, "Registered", peer=index, account=ctx.sender)
        if is_late:
            self._begin_probation(ctx, index)
            return
        self._activate(index)
        if self.counters["active"] == self.terms.n_founders:
            self.driver.after_registration(ctx)

    def _activate(self, index: int) -> None:
        self.standings[index] = Standing.ACTIVE
        self.sets.add("active", index)
        self.counters["active"] += 1

    def _takes_late_peers(self) -> bool:
        return bool(self.terms.probation_steps) and self.driver.is_running()

    @external
    def commit_data(self, ctx: Context, root: Bytes32) -> None:
        """Commit to the Merkle root of one's private records, once, before one takes part."""
        index = self._known_index(ctx)
        ctx.require(not self.driver.is_running() or self.standings[index] == Standing.PROBATION, "too late")
        ctx.require(root != bytes(32) and self.shards[index] == 0, "committed already, or an empty root")
        self.shards[index] = root
        ctx.emit(self.name, "DataCommitted", peer=index, root=root)

    # ---- joining late, leaving, coming back

    def _begin_probation(self, ctx: Context, index: int) -> None:
        self.standings[index] = Standing.PROBATION
        self.tenure[index] = 0
        self.sets.add("candidates", index)
        ctx.emit(self.name, "ProbationBegun", peer=index)

    @external
    def rejoin(self, ctx: Context) -> None:
        """Come back after an ejection or a leave whose deposit was not taken back, by way of probation."""
        ctx.require(self._takes_late_peers(), "nobody can join now")
        index = self._known_index(ctx)
        ctx.require(self.standings[index] in (Standing.EJECTED, Standing.LEFT), "not out, or not for a fault")
        ctx.require(self.treasury.deposit_of(index) == self.terms.deposit_wei, "the deposit is gone")
        self._begin_probation(ctx, index)

    @external
    def leave(self, ctx: Context) -> None:
        """Leave with the next step; the deposit can be taken back after the dispute window."""
        index = self._active_index(ctx)
        self._leave(index, Standing.LEFT)
        self.left_in[index] = self.driver.step() + 1
        ctx.emit(self.name, "Left", peer=index)

    @linked
    def may_withdraw(self, peer: int, step: int) -> bool:
        """Return whether a peer left so long ago that nothing it did can be disputed any more."""
        left = self.left_in[peer]
        self.work("may withdraw", bool(left))
        if left == 0 or left + self.terms.dispute_window > step:
            return False
        return bool(self.standings[peer] == Standing.LEFT)

    @linked
    def candidates(self) -> int:
        """Return who is on probation, as a bit mask."""
        return self.sets.read("candidates")

    @linked
    def count_probe(self, ctx: Context) -> int:
        """Count one gradient of the calling candidate; return its index."""
        index = self._known_index(ctx)
        ctx.require(self.standings[index] == Standing.PROBATION, "not on probation")
        self.tenure[index] += 1
        return index

    @linked
    def admit(self, ctx: Context) -> int:
        """Admit candidates whose probation is over to the epoch that is being dealt.

        Return them as a bit mask.
        """
        mask, candidates = 0, self.sets.read("candidates")
        self.work("candidates to admit", candidates > 0)
        for peer in members(candidates):
            if self.tenure[peer] >= self.terms.probation_steps:
                self.work("admitted")
                mask |= 1 << peer
        self.sets.write("admitted", mask)
        return mask

    @linked
    def dealer_index(self, ctx: Context) -> int:
        """Return the index of the calling peer, active or admitted to the epoch being dealt."""
        index = self._known_index(ctx)
        standing = self.standings[index]
        if standing == Standing.PROBATION:
            ctx.require(self.sets.has("admitted", index), "not admitted to this epoch")
        elif standing != Standing.ACTIVE:
            raise Revert("the sender is not an active peer")
        return index

    @linked
    def seat(self, ctx: Context, dealt: int) -> int:
        """Make those admitted who dealt active, as their epoch begins; return them as a bit mask."""
        seated = self.sets.read("admitted") & self.sets.read("candidates") & dealt
        self.work("peers to seat", seated > 0)
        for peer in members(seated):
            self.sets.discard("candidates", peer)
            self._activate(peer)
            ctx.emit(self.name, "Joined", peer=peer)
        self.sets.write("admitted", 0)
        return seated

    # ---- keys and indices

    def _store_key(self, index: int, public_key: bytes) -> None:
        """Store a 48-byte key in two slots."""
        self.keys[(index, 0)] = public_key[:32]
        self.keys[(index, 1)] = public_key[32:]

    def key_of(self, index: int) -> bytes:
        """Return a peer's beacon key."""
        return bytes(self.keys[(index, 0)]) + bytes(self.keys[(index, 1)])

    @linked
    def close(self) -> None:
        """Take no more registrations."""
        self.counters["closed"] = 1

    @linked
    def index_of(self, ctx: Context) -> int:
        """Return the index of the calling peer; reverts unless it is active."""
        return self._active_index(ctx)

    def _active_index(self, ctx: Context) -> int:
        index = self._known_index(ctx)
        if self.standings[index] != Standing.ACTIVE:
            raise Revert("the sender is not an active peer")
        return index

    @linked
    def known_index(self, ctx: Context) -> int:
        """Return the index of the caller, active or not; reverts if it never registered.

        Whoever is removed in mid-step may still open its secrets: the beacon of that step counts on them.
        """
        return self._known_index(ctx)

    def _known_index(self, ctx: Context) -> int:
        index: int = self.indices[ctx.sender] - 1
        if index < 0 or self.standings[index] == Standing.UNKNOWN:
            raise Revert("the sender is not registered")
        return index

    def is_active(self, peer: int) -> bool:
        """Return whether `peer` is registered and neither ejected nor banned."""
        return bool(self.standings[peer] == Standing.ACTIVE)

    @linked
    def is_banned(self, peer: int) -> bool:
        """Return whether `peer` lost its deposit for a proven offence."""
        return bool(self.standings[peer] == Standing.BANNED)

    @linked
    def address_of(self, peer: int) -> bytes:
        """Return a member's address, or 0."""
        return bytes(self.addresses[peer] or b"")

    @linked
    def active_mask(self) -> int:
        """Return the active peers as a bit mask."""
        return self.sets.read("active")

    @linked
    def census(self) -> tuple[int, int]:
        """Return how many peers are active and how many were banned."""
        return int(self.counters["active"]), int(self.counters["banned"])

    def _leave(self, peer: int, standing: Standing) -> bool:
        if not self.is_active(peer):
            return False
        self.standings[peer] = standing
        self.sets.discard("active", peer)
        self.counters["active"] -= 1
        return True

    @linked
    def eject(self, ctx: Context, peer: int, reason: str) -> None:
        """Remove a peer without slashing it."""
        if self._leave(peer, Standing.EJECTED):
            ctx.emit(self.name, "Ejected", peer=peer, reason=reason)

    @linked
    def ban(self, ctx: Context, peer: int, reason: str, reporter: int | None) -> None:
        """Remove a peer and slash its deposit; also one ejected before, for what is proven later."""
        if self.standings[peer] in OUT_UNPUNISHED:
            self.work("bans who is out")
            self.standings[peer] = Standing.BANNED
            if self.terms.probation_steps:
                self.sets.discard("candidates", peer)
        elif not self._leave(peer, Standing.BANNED):
            return
        self.counters["banned"] += 1
        account = bytes(self.addresses[reporter]) if reporter is not None else None
        amount = self.treasury.slash(ctx, peer, account, self.terms.reporter_percent)
        reported_by = -1 if reporter is None else reporter
        ctx.emit(self.name, "Banned", peer=peer, reason=reason, slashed=amount, reporter=reported_by)

    @linked
    def keys_of(self, mask: int) -> list[bytes]:
        """Return the beacon keys of the peers in `mask`, in index order.

        On chain their chained hash, which a verifier compares with the points that it is given.
        """
        self._charge_hashes(mask.bit_count())
        return [self.key_of(index) for index in members(mask)]

    def _charge_hashes(self, keys: int) -> None:
        """Charge keccak256 over the hash so far and the two words of a key, for each."""
        if self.machine.meter is not None:
            self.machine.meter.charge(keys * (KECCAK_BASE_GAS + 3 * KECCAK_WORD_GAS))
