# pragma version ~=0.4.3
"""
Registry: peers, their beacon keys, their standing. Twin of contracts_model/registry.py.
"""

import bits

interface Treasury:
    def take_deposit(peer: uint256): payable
    def deposit_of(peer: uint256) -> uint256: view
    def slash(peer: uint256, reporter: address, percent: uint256) -> uint256: nonpayable

interface Ledger:
    def after_registration(): nonpayable
    def is_running() -> bool: view
    def step() -> uint256: view

interface Verifier:
    def verify_possession(context: Bytes[52], key: Bytes[48], proof: Bytes[64]) -> bool: view

event Registered:
    peer: uint256
    account: address

event DataCommitted:
    peer: uint256
    root: bytes32

event ProbationBegun:
    peer: uint256

event Left:
    peer: uint256

event Joined:
    peer: uint256

event Ejected:
    peer: uint256
    reason: bytes32

event Banned:
    peer: uint256
    reason: bytes32
    slashed: uint256
    reporter: int256

struct Terms:
    job_digest: bytes32
    founders: uint256
    deposit: uint256
    reporter_percent: uint256
    dispute_window: uint256
    probation_steps: uint256

UNKNOWN: constant(uint256) = 0
ACTIVE: constant(uint256) = 1
EJECTED: constant(uint256) = 2
BANNED: constant(uint256) = 3
LEFT: constant(uint256) = 4
PROBATION: constant(uint256) = 5

TERMS: immutable(Terms)
TREASURY: immutable(address)
BEACON: immutable(address)
LEDGER: immutable(address)
COURT: immutable(address)
VERIFIER: immutable(address)

standings: public(HashMap[uint256, uint256])
indices: public(HashMap[address, uint256])
addresses: public(HashMap[uint256, address])
tenure: HashMap[uint256, uint256]
left_in: HashMap[uint256, uint256]
shards: public(HashMap[uint256, bytes32])
keys: HashMap[uint256, HashMap[uint256, bytes32]]
key_owners: HashMap[bytes32, uint256]
closed: uint256
active_count: uint256
banned_count: uint256
active: uint256
in_probation: uint256
admitted: uint256


@deploy
def __init__(
    terms: Terms,
    members: DynArray[address, 256],
    treasury: address,
    beacon: address,
    ledger: address,
    court: address,
    verifier: address,
):
    """Invite the members; a peer's index is its place in their list."""
    TERMS = terms
    TREASURY = treasury
    BEACON = beacon
    LEDGER = ledger
    COURT = court
    VERIFIER = verifier
    index: uint256 = 0
    for member: address in members:
        self.addresses[index] = member
        index += 1
        self.indices[member] = index


@internal
@view
def _only_the_job():
    assert msg.sender == LEDGER or msg.sender == BEACON or msg.sender == COURT


@external
@payable
def register(public_key: Bytes[48], possession: Bytes[64]):
    """Join with a beacon key, its proof of possession and the deposit."""
    caller: address = msg.sender
    is_late: bool = self.closed != 0
    if is_late:
        assert self._takes_late_peers(), "registration is closed"
    assert msg.value == TERMS.deposit, "the deposit must be exact"
    number: uint256 = self.indices[msg.sender]
    assert number != 0, "the sender is not invited"
    index: uint256 = number - 1
    assert self.standings[index] == UNKNOWN, "already registered"
    named: bytes32 = keccak256(public_key)
    assert self.key_owners[named] == 0, "this key is registered"
    bound: Bytes[52] = concat(TERMS.job_digest, convert(caller, bytes20))
    assert staticcall Verifier(VERIFIER).verify_possession(bound, public_key, possession), "no proof of possession"
    self.key_owners[named] = number
    self.keys[index][0] = convert(slice(public_key, 0, 32), bytes32)
    self.keys[index][1] = convert(slice(public_key, 32, 16), bytes32)
    extcall Treasury(TREASURY).take_deposit(index, value=msg.value, skip_contract_check=True)
    log Registered(peer=index, account=caller)
    if is_late:
        self._begin_probation(index)
        return
    self._activate(index)
    if self.active_count == TERMS.founders:
        extcall Ledger(LEDGER).after_registration(skip_contract_check=True)


@internal
def _activate(index: uint256):
    self.standings[index] = ACTIVE
    self.active = self.active | (1 << index)
    self.active_count += 1


@internal
@view
def _takes_late_peers() -> bool:
    return TERMS.probation_steps != 0 and staticcall Ledger(LEDGER).is_running()


@external
def commit_data(root: bytes32):
    """Commit to the Merkle root of one's private records, once, before one takes part."""
    index: uint256 = self._known_index(msg.sender)
    assert not staticcall Ledger(LEDGER).is_running() or self.standings[index] == PROBATION, "too late"
    assert root != empty(bytes32) and self.shards[index] == empty(bytes32), "committed already, or an empty root"
    self.shards[index] = root
    log DataCommitted(peer=index, root=root)


@internal
def _begin_probation(index: uint256):
    self.standings[index] = PROBATION
    self.tenure[index] = 0
    self.in_probation = self.in_probation | (1 << index)
    log ProbationBegun(peer=index)


@external
def rejoin():
    """Come back after an ejection or a leave, by way of probation."""
    assert self._takes_late_peers(), "nobody can join now"
    index: uint256 = self._known_index(msg.sender)
    standing: uint256 = self.standings[index]
    assert (1 << standing) & ((1 << EJECTED) | (1 << LEFT)) != 0, "not out, or not for a fault"
    assert staticcall Treasury(TREASURY).deposit_of(index) == TERMS.deposit, "the deposit is gone"
    self._begin_probation(index)


@external
def leave():
    """Leave with the next step; the deposit can be taken back after the dispute window."""
    index: uint256 = self._active_index(msg.sender)
    left: bool = self._leave(index, LEFT)
    self.left_in[index] = staticcall Ledger(LEDGER).step() + 1
    log Left(peer=index)


@external
@view
def may_withdraw(peer: uint256, step: uint256) -> bool:
    """Whether a peer left so long ago that nothing it did can be disputed any more."""
    left: uint256 = self.left_in[peer]
    if left == 0 or left + TERMS.dispute_window > step:
        return False
    return self.standings[peer] == LEFT


@external
@view
def candidates() -> uint256:
    """Who is on probation."""
    return self.in_probation


@external
def count_probe(account: address) -> uint256:
    """Count one gradient of a candidate; return its index."""
    assert msg.sender == LEDGER
    index: uint256 = self._known_index(account)
    assert self.standings[index] == PROBATION, "not on probation"
    self.tenure[index] += 1
    return index


@external
def admit() -> uint256:
    """Admit candidates whose probation is over to the epoch that is being dealt; return them."""
    assert msg.sender == BEACON
    mask: uint256 = 0
    rest: uint256 = self.in_probation
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        if self.tenure[bits.position(low)] >= TERMS.probation_steps:
            mask |= low
    self.admitted = mask
    return mask


@external
@view
def dealer_index(account: address) -> uint256:
    """The index of a peer that is active or admitted to the epoch being dealt."""
    index: uint256 = self._known_index(account)
    standing: uint256 = self.standings[index]
    if standing == PROBATION:
        assert self.admitted & (1 << index) != 0, "not admitted to this epoch"
    else:
        assert standing == ACTIVE, "the sender is not an active peer"
    return index


@external
def seat(dealt: uint256) -> uint256:
    """Make those admitted who dealt active; return them."""
    assert msg.sender == BEACON
    seated: uint256 = self.admitted & self.in_probation & dealt
    rest: uint256 = seated
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        peer: uint256 = bits.position(low)
        self.in_probation = self.in_probation & ~low
        self._activate(peer)
        log Joined(peer=peer)
    self.admitted = 0
    return seated


@external
def close():
    """Take no more registrations."""
    assert msg.sender == LEDGER
    self.closed = 1


@external
@view
def index_of(account: address) -> uint256:
    """The index of a peer; reverts unless it is active."""
    return self._active_index(account)


@internal
@view
def _active_index(account: address) -> uint256:
    index: uint256 = self._known_index(account)
    assert self.standings[index] == ACTIVE, "the sender is not an active peer"
    return index


@external
@view
def known_index(account: address) -> uint256:
    """The index of a peer, active or not; reverts if it never registered."""
    return self._known_index(account)


@internal
@view
def _known_index(account: address) -> uint256:
    number: uint256 = self.indices[account]
    assert number != 0 and self.standings[unsafe_sub(number, 1)] != UNKNOWN, "the sender is not registered"
    return unsafe_sub(number, 1)


@external
@view
def is_banned(peer: uint256) -> bool:
    """Whether a peer lost its deposit for a proven offence."""
    return self.standings[peer] == BANNED


@external
@view
def address_of(peer: uint256) -> address:
    """A member's address, or 0."""
    return self.addresses[peer]


@external
@view
def active_mask() -> uint256:
    """The active peers."""
    return self.active


@external
@view
def census() -> (uint256, uint256):
    """How many peers are active and how many were banned."""
    return self.active_count, self.banned_count


@internal
def _leave(peer: uint256, standing: uint256) -> bool:
    if self.standings[peer] != ACTIVE:
        return False
    self.standings[peer] = standing
    self.active = self.active & ~(1 << peer)
    self.active_count -= 1
    return True


@external
def eject(peer: uint256, reason: bytes32):
    """Remove a peer without slashing it."""
    self._only_the_job()
    if self._leave(peer, EJECTED):
        log Ejected(peer=peer, reason=reason)


@external
def ban(peer: uint256, reason: bytes32, reporter: uint256):
    """Remove a peer and slash its deposit; `reporter` counts from 1, 0 is nobody."""
    self._only_the_job()
    standing: uint256 = self.standings[peer]
    if (1 << standing) & ((1 << EJECTED) | (1 << LEFT) | (1 << PROBATION)) != 0:
        self.standings[peer] = BANNED
        if TERMS.probation_steps != 0:
            self.in_probation = self.in_probation & ~(1 << peer)
    elif not self._leave(peer, BANNED):
        return
    self.banned_count += 1
    account: address = empty(address)
    if reporter != 0:
        account = self.addresses[unsafe_sub(reporter, 1)]
    amount: uint256 = extcall Treasury(TREASURY).slash(peer, account, TERMS.reporter_percent)
    log Banned(peer=peer, reason=reason, slashed=amount, reporter=convert(reporter, int256) - 1)


@external
@view
def keys_digest(mask: uint256) -> (uint256, bytes32):
    """How many peers these are, and a hash over their beacon keys in the order of their indices, one by one."""
    digest: bytes32 = empty(bytes32)
    count: uint256 = 0
    rest: uint256 = mask
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        peer: uint256 = bits.position(low)
        digest = keccak256(concat(digest, self.keys[peer][0], self.keys[peer][1]))
        count = unsafe_add(count, 1)
    return count, digest
