# pragma version ~=0.4.3
"""
Anchor: what a job puts on a base chain when its steps run among the peers themselves. Twin of
contracts_model/anchor.py. Up to 64 members.
"""

import bits

interface Treasury:
    def take_deposit(peer: uint256): payable
    def deposit_of(peer: uint256) -> uint256: view
    def slash(peer: uint256, reporter: address, percent: uint256) -> uint256: nonpayable
    def pay_settled(peer: uint256, account: address, settled: uint256) -> uint256: nonpayable

event Staked:
    peer: uint256

event Anchored:
    epoch: uint256
    root: bytes32
    bans: uint256
    poster: int256

event Challenged:
    epoch: uint256
    peer: uint256

event Withdrawn:
    peer: uint256
    amount: uint256

struct Terms:
    job_digest: bytes32
    n_peers: uint256
    founders: uint256
    deposit: uint256
    reporter_percent: uint256
    is_optimistic: bool
    window_s: uint256

HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

TERMS: immutable(Terms)
TREASURY: immutable(address)

settled: uint256
settled_until: uint256
members: HashMap[address, uint256]
staked: HashMap[uint256, uint256]
done: HashMap[uint256, uint256]
roots: public(HashMap[uint256, bytes32])
bodies: HashMap[uint256, bytes32]
posters: HashMap[uint256, uint256]
until: HashMap[uint256, uint256]
payouts: public(HashMap[uint256, uint256])


@deploy
def __init__(terms: Terms, members: DynArray[address, 64], treasury: address):
    """Invite the members; a peer's index is its place in their list."""
    TERMS = terms
    TREASURY = treasury
    number: uint256 = 0
    for member: address in members:
        number += 1
        self.members[member] = number


@internal
@view
def _member(account: address) -> uint256:
    number: uint256 = self.members[account]
    assert number != 0, "the sender is not invited"
    return unsafe_sub(number, 1)


@external
@payable
def register():
    """Pay one's stake, once."""
    caller: address = msg.sender
    index: uint256 = self._member(caller)
    assert msg.value == TERMS.deposit, "the deposit must be exact"
    assert self.staked[index] == 0, "already registered"
    self.staked[index] = 1
    extcall Treasury(TREASURY).take_deposit(index, value=msg.value, skip_contract_check=True)
    log Staked(peer=index)


@external
def anchor(
    epoch: uint256,
    root: bytes32,
    bans: Bytes[32],
    amounts: DynArray[uint256, 64],
    signers: DynArray[uint256, 64],
    proofs: DynArray[Bytes[65], 64],
):
    """Anchor an epoch with the signatures of more than half of the members."""
    caller: address = msg.sender
    index: uint256 = self._member(caller)
    assert self.roots[epoch] == empty(bytes32), "already anchored"
    self._require_quorum(epoch, root, bans, amounts, signers, proofs)
    self._store(epoch, root, bans, amounts, 0)


@external
def post(epoch: uint256, root: bytes32, bans: Bytes[32], amounts: DynArray[uint256, 64]):
    """Anchor an epoch alone, with one's stake behind it."""
    caller: address = msg.sender
    index: uint256 = self._member(caller)
    assert TERMS.is_optimistic, "anchors need a quorum here"
    assert self.roots[epoch] == empty(bytes32), "already anchored"
    assert staticcall Treasury(TREASURY).deposit_of(index) == TERMS.deposit, "no stake is behind it"
    self._store(epoch, root, bans, amounts, index + 1)


@external
def challenge(
    epoch: uint256,
    root: bytes32,
    bans: Bytes[32],
    amounts: DynArray[uint256, 64],
    signers: DynArray[uint256, 64],
    proofs: DynArray[Bytes[65], 64],
):
    """Replace what one member posted by what more than half of the members sign; the poster is slashed."""
    caller: address = msg.sender
    index: uint256 = self._member(caller)
    poster: uint256 = self.posters[epoch]
    assert poster != 0, "nothing was posted alone"
    assert block.timestamp <= self.until[epoch], "the challenge window is over"
    assert self._body(root, bans, amounts) != self.bodies[epoch], "the same anchor"
    self._require_quorum(epoch, root, bans, amounts, signers, proofs)
    taken: uint256 = extcall Treasury(TREASURY).slash(poster - 1, caller, TERMS.reporter_percent)
    self._store(epoch, root, bans, amounts, 0)
    log Challenged(epoch=epoch, peer=poster - 1)


@internal
@view
def _body(root: bytes32, bans: Bytes[32], amounts: DynArray[uint256, 64]) -> bytes32:
    """What members sign: the channel's block hash, who is banned, and the payouts of the last epoch."""
    listed: Bytes[2112] = abi_encode(amounts)
    return sha256(concat(root, bits.little4(len(bans)), bans, slice(listed, 64, 32 * len(amounts))))


@internal
@view
def _require_quorum(
    epoch: uint256,
    root: bytes32,
    bans: Bytes[32],
    amounts: DynArray[uint256, 64],
    signers: DynArray[uint256, 64],
    proofs: DynArray[Bytes[65], 64],
):
    assert len(signers) == len(proofs) and self._are_distinct(signers), "one signature a signer"
    assert 2 * len(signers) > TERMS.founders, "no quorum"
    assert epoch < 1 << 64, "no such anchor"
    body: bytes32 = self._body(root, bans, amounts)
    digest: bytes32 = sha256(
        concat(b"simdfl.message", TERMS.job_digest, b"\x06", b"ANCHOR", bits.little(epoch), body)
    )
    for at: uint256 in range(len(signers), bound=64):
        assert len(proofs[at]) == 65, "not signed by that member"
        s: uint256 = convert(slice(proofs[at], 32, 32), uint256)
        v: uint256 = convert(slice(proofs[at], 64, 1), uint256)
        assert v <= 1 and s <= HALF_ORDER, "not signed by that member"
        signer: address = ecrecover(digest, v + 27, convert(slice(proofs[at], 0, 32), uint256), s)
        assert signer != empty(address), "not signed by that member"
        assert self.members[signer] == signers[at] + 1, "not signed by that member"


@internal
@view
def _are_distinct(signers: DynArray[uint256, 64]) -> bool:
    """Whether all are members and none is named twice."""
    seen: uint256 = 0
    for signer: uint256 in signers:
        if signer >= TERMS.n_peers or seen & (1 << signer) != 0:
            return False
        seen |= 1 << signer
    return True


@internal
def _store(epoch: uint256, root: bytes32, bans: Bytes[32], amounts: DynArray[uint256, 64], poster: uint256):
    assert epoch < 1 << 64 and root != empty(bytes32), "no such anchor"
    assert len(amounts) == 0 or len(amounts) == TERMS.n_peers, "one payout a member, or none"
    self.roots[epoch] = root
    self.bodies[epoch] = self._body(root, bans, amounts)
    self.posters[epoch] = poster
    self.until[epoch] = block.timestamp + TERMS.window_s
    if len(amounts) != 0:
        self.settled = 1
        if poster != 0:
            self.settled_until = block.timestamp + TERMS.window_s
        else:
            self.settled_until = block.timestamp
        for peer: uint256 in range(len(amounts), bound=64):
            self.payouts[peer] = amounts[peer]
    mask: uint256 = bits.reverse(convert(convert(bans, bytes32), uint256))
    log Anchored(epoch=epoch, root=root, bans=mask, poster=convert(poster, int256) - 1)


@external
def withdraw():
    """Take what the last anchor gives one, when it cannot be challenged any more."""
    caller: address = msg.sender
    index: uint256 = self._member(caller)
    assert self.settled != 0 and block.timestamp > self.settled_until, "not settled yet"
    assert self.done[index] == 0, "already paid"
    self.done[index] = 1
    amount: uint256 = extcall Treasury(TREASURY).pay_settled(index, caller, self.payouts[index])
    log Withdrawn(peer=index, amount=amount)
