# pragma version ~=0.4.3
"""
Court: accusations, votes, verdicts, and what arithmetic alone can decide. Twin of contracts_model/court.py. Sums can
be challenged where a step has up to 64 contributors.
"""

import bits

interface Registry:
    def index_of(account: address) -> uint256: view
    def known_index(account: address) -> uint256: view
    def address_of(peer: uint256) -> address: view
    def active_mask() -> uint256: view
    def is_banned(peer: uint256) -> bool: view
    def eject(peer: uint256, reason: bytes32): nonpayable
    def ban(peer: uint256, reason: bytes32, reporter: uint256): nonpayable

interface Ledger:
    def step() -> uint256: view
    def is_contributor(step: uint256, peer: uint256) -> bool: view
    def contributors_of(step: uint256) -> uint256: view
    def root_of(step: uint256, peer: uint256) -> bytes32: view
    def has_attested(step: uint256, validator: uint256, target: uint256) -> bool: view
    def void_part(part: uint256): nonpayable

interface Beacon:
    def void_dealing(epoch: uint256, dealer: uint256): nonpayable
    def share_is_valid(
        output: uint256,
        dealer: uint256,
        peer: uint256,
        share: Bytes[112],
        transcript: Bytes[16384],
        commitment: Bytes[48],
        path: DynArray[bytes32, 32],
    ) -> bool: view

event CaseOpened:
    case: uint256
    kind: uint256
    step: uint256
    target: uint256
    accuser: int256
    jury: uint256
    deadline: uint256

event Complaint:
    step: uint256
    part: uint256
    peer: uint256

event AggregateAbsent:
    step: uint256
    peer: uint256

event Absent:
    step: uint256
    peer: uint256

event DealingAbsent:
    step: uint256
    peer: uint256

event Voted:
    case: uint256
    voter: uint256
    guilty: uint256
    suspects: uint256
    absent: uint256

event VotedVoid:
    case: uint256
    voter: uint256

event Void:
    case: uint256

event Verdict:
    case: uint256
    guilty: uint256
    suspects: uint256
    absent: uint256

struct Terms:
    job_digest: bytes32
    n_peers: uint256
    steps: uint256
    projections: uint256
    tolerance: uint256
    dispute_window: uint256
    jury_size: uint256
    canary_permille: uint256
    vote_s: uint256

COMPUTATION: constant(uint256) = 1
REPORT: constant(uint256) = 2
AGGREGATION: constant(uint256) = 3
CANARY: constant(uint256) = 4

NO_AGGREGATE: constant(uint256) = 1
NO_REPORT: constant(uint256) = 2
NO_DEALING: constant(uint256) = 3

EQUIVOCATION: constant(bytes32) = 0x65717569766f636174696f6e0000000000000000000000000000000000000000
CONTRADICTION: constant(bytes32) = 0x636f6e747261646963747320697473206f776e20636f6d6d69746d656e740000
INVALID_SHARE: constant(bytes32) = 0x696e76616c696420736861726500000000000000000000000000000000000000
WITHHELD_REPORT: constant(bytes32) = 0x7769746868656c6420746865207265706f727400000000000000000000000000
WITHHELD_DEALING: constant(bytes32) = 0x7769746868656c6420746865206465616c696e67000000000000000000000000
NOT_OPENED: constant(bytes32) = 0x646964206e6f74206f70656e2074686520706172747320696e20636f75727400
FALSE_ACCUSATION: constant(bytes32) = 0x66616c73652061636375736174696f6e00000000000000000000000000000000
FAILED_VALIDATION: constant(bytes32) = 0x6661696c65642076616c69646174696f6e000000000000000000000000000000
MISSED_CANARY: constant(bytes32) = 0x6d697373656420612063616e6172790000000000000000000000000000000000
FALSE_REPORT: constant(bytes32) = 0x56313a2066616c7365207265706f727400000000000000000000000000000000
WRONG_AGGREGATE: constant(bytes32) = 0x436865636b417665726167696e673a2077726f6e672061676772656761746500
CHECKED_FALSE_REPORT: constant(bytes32) = 0x436865636b417665726167696e673a2066616c7365207265706f727400000000

FIELD: constant(uint256) = 18446744073709551615  # 64 bits
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

TERMS: immutable(Terms)
REGISTRY: immutable(address)
BEACON: immutable(address)
LEDGER: immutable(address)

n_cases: public(uint256)
waiting: uint256
waiting_from: uint256
about: HashMap[uint256, HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]]]
parties: HashMap[uint256, uint256]
deadlines: public(HashMap[uint256, uint256])
closed: HashMap[uint256, uint256]
void_votes: HashMap[uint256, uint256]
blind: HashMap[uint256, uint256]
tally: HashMap[uint256, HashMap[bytes32, uint256]]
found_absent: HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]]
eligible: HashMap[uint256, uint256]
voted: HashMap[uint256, uint256]
silent: HashMap[uint256, uint256]
complaints: HashMap[uint256, HashMap[uint256, uint256]]
absences: HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]]


@deploy
def __init__(terms: Terms, registry: address, beacon: address, ledger: address):
    """No case is open."""
    TERMS = terms
    REGISTRY = registry
    BEACON = beacon
    LEDGER = ledger


# ---- opening


@internal
def _open(kind: uint256, step: uint256, target: uint256, accuser: uint256):
    """Open a case, once; `accuser` counts from 1, 0 is nobody."""
    if self.about[kind][step][target][accuser] != 0:
        return
    number: uint256 = self.n_cases + 1
    self.n_cases = number
    self.about[kind][step][target][accuser] = number
    self.parties[number] = (kind << 192) | (step << 128) | (target << 64) | accuser
    if TERMS.jury_size != 0 and staticcall Ledger(LEDGER).step() < TERMS.steps:
        self.waiting = number
        if self.waiting_from == 0:
            self.waiting_from = number
    else:
        self._hear(number, staticcall Registry(REGISTRY).active_mask())


@internal
def _hear(number: uint256, eligible: uint256):
    """Begin the vote of a case."""
    parties: uint256 = self.parties[number]
    deadline: uint256 = block.timestamp + TERMS.vote_s
    self.deadlines[number] = deadline
    self.eligible[number] = eligible
    log CaseOpened(
        case=number,
        kind=parties >> 192,
        step=(parties >> 128) & FIELD,
        target=(parties >> 64) & FIELD,
        accuser=convert(parties & FIELD, int256) - 1,
        jury=eligible,
        deadline=deadline,
    )


@external
def draw_juries(randomness: bytes32):
    """Draw the jurors of all cases that were opened before this output was known."""
    assert msg.sender == LEDGER
    first: uint256 = self.waiting_from
    if first == 0:
        return
    active: uint256 = staticcall Registry(REGISTRY).active_mask()
    last: uint256 = self.waiting
    for place: uint256 in range(256):
        number: uint256 = unsafe_add(first, place)
        if number > last:
            break
        parties: uint256 = self.parties[number]
        peers: uint256 = active & ~(1 << ((parties >> 64) & 255))
        accuser: uint256 = parties & FIELD
        if accuser != 0:
            peers &= ~(1 << unsafe_sub(accuser, 1))
        self._hear(number, self._draw_jury(randomness, number, peers))
    self.waiting_from = 0


@internal
@view
def _draw_jury(randomness: bytes32, number: uint256, peers: uint256) -> uint256:
    pool: uint256[256] = empty(uint256[256])
    size: uint256 = 0
    rest: uint256 = peers
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        pool[size] = bits.position(low)
        size = unsafe_add(size, 1)
    jury: uint256 = 0
    for place: uint256 in range(min(TERMS.jury_size, size), bound=256):
        word: bytes32 = sha256(concat(randomness, b"jury", bits.little(number), bits.little(place)))
        other: uint256 = place + bits.reverse(convert(word, uint256)) % (size - place)
        drawn: uint256 = pool[other]
        pool[other] = pool[place]
        pool[place] = drawn
        jury |= 1 << drawn
    return jury


@internal
@view
def _require_recent(step: uint256):
    """Revert unless the step is over and in the dispute window."""
    current: uint256 = staticcall Ledger(LEDGER).step()
    assert step < current and current - step < TERMS.dispute_window - 1, "outside the dispute window"


@external
def accuse_computation(step: uint256, target: uint256, accuser: uint256):
    """Open the case that follows a validator's bad result."""
    assert msg.sender == LEDGER
    self._open(COMPUTATION, step, target, accuser + 1)


@external
def demand_opening(step: uint256, target: uint256):
    """Open the case of a target that showed its validator nothing."""
    assert msg.sender == LEDGER
    self._open(COMPUTATION, step, target, 0)


@external
def accuse_canary(step: uint256, validator: uint256):
    """Say that a validator attested the caller's planted error to be right, without looking."""
    canary: uint256 = staticcall Registry(REGISTRY).known_index(msg.sender)
    self._require_recent(step)
    assert TERMS.canary_permille > 0, "this job plants no canaries"
    assert staticcall Ledger(LEDGER).has_attested(step, validator, canary), "no such attestation"
    self._open(CANARY, step, validator, canary + 1)


@external
def accuse_report(step: uint256, target: uint256):
    """V1: the calling aggregator says that the target's projection or norm on its part is false."""
    accuser: uint256 = staticcall Registry(REGISTRY).index_of(msg.sender)
    self._require_recent(step)
    assert staticcall Ledger(LEDGER).is_contributor(step, target), "the target did not contribute"
    self._open(REPORT, step, target, accuser + 1)


@external
def complain(step: uint256, part: uint256):
    """V3: the caller's norm on this part exceeds Delta_max; more than half open CheckAveraging."""
    peer: uint256 = staticcall Registry(REGISTRY).index_of(msg.sender)
    self._require_recent(step)
    assert part < TERMS.n_peers, "no such peer"
    assert staticcall Ledger(LEDGER).is_contributor(step, peer), "only a contributor may complain"
    assert self.complaints[step][part] & (1 << peer) == 0, "already complained"
    self.complaints[step][part] = self.complaints[step][part] | (1 << peer)
    log Complaint(step=step, part=part, peer=peer)
    complaints: uint256 = bits.count(self.complaints[step][part])
    if 2 * complaints > bits.count(staticcall Ledger(LEDGER).contributors_of(step)):
        self._open(AGGREGATION, step, part, 0)


@external
def challenge_sum(
    step: uint256,
    part: uint256,
    place: uint256,
    size: uint256,
    leaves: DynArray[Bytes[144], 64],
    roots: DynArray[bytes32, 64],
    paths: DynArray[Bytes[256], 64],
    signatures: DynArray[Bytes[65], 64],
):
    """V2: show by signed reports that the projections on a part do not sum to zero."""
    caller: address = msg.sender
    index: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    self._require_recent(step)
    assert part < TERMS.n_peers and size <= TERMS.n_peers, "more parts than peers"
    rest: uint256 = staticcall Ledger(LEDGER).contributors_of(step) & ~self.silent[step]
    count: uint256 = bits.count(rest)
    assert len(leaves) == count and len(roots) == count, "one report per contributor"
    assert len(paths) == count and len(signatures) == count, "one report per contributor"
    sums: int256[16] = empty(int256[16])
    for at: uint256 in range(count, bound=64):
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        assert self._opens(roots[at], leaves[at], place, size, paths[at]), "the entry is not in the report"
        self._require_signed(bits.position(low), b"REPORT", step, roots[at], signatures[at])
        assert len(leaves[at]) == 8 * (TERMS.projections + 2), "not this part's entry"
        assert self._number(leaves[at], 0) == convert(part, int256), "not this part's entry"
        for k: uint256 in range(TERMS.projections, bound=16):
            sums[k] += self._number(leaves[at], 8 * (k + 1))
    bound: int256 = convert(TERMS.tolerance * count, int256)
    beyond: uint256 = 0
    for k: uint256 in range(TERMS.projections, bound=16):
        beyond |= convert(sums[k] * sums[k] > bound * bound, uint256)
    assert beyond != 0, "the sum is within tolerance"
    self._open(AGGREGATION, step, part, 0)


@internal
@pure
def _number(entry: Bytes[144], start: uint256) -> int256:
    """A signed little-endian number of 8 bytes."""
    raw: uint256 = bits.reverse(convert(convert(slice(entry, start, 8), bytes8), uint256))
    return convert(convert(raw, bytes32), int256) >> 192


@internal
@view
def _opens(root: bytes32, entry: Bytes[144], place: uint256, size: uint256, path: Bytes[256]) -> bool:
    """Check a Merkle opening whose path is joined (RFC 6962 with the size bound in)."""
    if place >= size:
        return False
    given: uint256 = (len(path) + 31) // 32
    vertex: bytes32 = sha256(concat(b"\x00", entry))
    index: uint256 = place
    width: uint256 = size
    used: uint256 = 0
    for _: uint256 in range(64):
        if width <= 1:
            break
        if index ^ 1 < width:
            if used == given:
                return False
            sibling: bytes32 = convert(slice(path, 32 * used, 32), bytes32)
            own: uint256 = convert(vertex, uint256)
            other: uint256 = convert(sibling, uint256)
            swap: uint256 = unsafe_mul(own ^ other, index & 1)
            vertex = sha256(concat(b"\x01", convert(own ^ swap, bytes32), convert(other ^ swap, bytes32)))
            used = unsafe_add(used, 1)
        index >>= 1
        width = (width + 1) >> 1
    if used != given:
        return False
    return sha256(concat(b"\x02", bits.little(size), vertex)) == root


@internal
@view
def _require_signed(peer: uint256, topic: Bytes[31], step: uint256, body: bytes32, signature: Bytes[65]):
    """Revert unless a peer signed this body for its slot (run, topic, step)."""
    assert step < 1 << 64, "no message has this slot"
    size: bytes1 = convert(slice(convert(len(topic) << 248, bytes32), 0, 1), bytes1)
    digest: bytes32 = sha256(
        concat(b"simdfl.message", TERMS.job_digest, size, topic, bits.little(step), body)
    )
    assert len(signature) == 65, "not signed by that peer"
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    assert v <= 1 and s <= HALF_ORDER, "not signed by that peer"
    signer: address = ecrecover(digest, v + 27, convert(slice(signature, 0, 32), uint256), s)
    assert signer != empty(address), "not signed by that peer"
    assert signer == staticcall Registry(REGISTRY).address_of(peer), "not signed by that peer"


# ---- decided by arithmetic


@external
def prove_equivocation(
    peer: uint256,
    topic: Bytes[31],
    step: uint256,
    body: bytes32,
    signature: Bytes[65],
    other_body: bytes32,
    other_signature: Bytes[65],
):
    """Two signatures of one peer for one slot: banned at once."""
    caller: address = msg.sender
    reporter: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    assert body != other_body, "the same message twice"
    self._require_signed(peer, topic, step, body, signature)
    self._require_signed(peer, topic, step, other_body, other_signature)
    self._ban_once(peer, EQUIVOCATION, reporter)


@internal
def _ban_once(peer: uint256, reason: bytes32, reporter: uint256):
    assert not staticcall Registry(REGISTRY).is_banned(peer), "banned already"
    extcall Registry(REGISTRY).ban(peer, reason, reporter + 1, skip_contract_check=True)


@external
def prove_contradiction(peer: uint256, step: uint256, body: bytes32, signature: Bytes[65]):
    """A signed commitment has another root than the posted one: banned at once."""
    caller: address = msg.sender
    reporter: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    posted: bytes32 = staticcall Ledger(LEDGER).root_of(step, peer)
    assert posted != empty(bytes32) and posted != body, "no contradiction"
    self._require_signed(peer, b"COMMIT", step, body, signature)
    self._ban_once(peer, CONTRADICTION, reporter)


@external
def prove_bad_share(
    output: uint256,
    dealer: uint256,
    peer: uint256,
    share: Bytes[112],
    signature: Bytes[65],
    transcript: Bytes[16384],
    commitment: Bytes[48],
    path: DynArray[bytes32, 32],
):
    """The decrypted share which a peer signed for a recovery is wrong: banned at once."""
    caller: address = msg.sender
    reporter: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    assert dealer < TERMS.n_peers, "no such peer"
    number: String[3] = slice(uint2str(dealer + 1000), 1, 3)
    topic: Bytes[8] = concat(b"SHARE", convert(number, Bytes[3]))
    self._require_signed(peer, topic, output, sha256(share), signature)
    valid: bool = staticcall Beacon(BEACON).share_is_valid(
        output, dealer, peer, share, transcript, commitment, path
    )
    assert not valid, "the share is valid"
    self._ban_once(peer, INVALID_SHARE, reporter)


# ---- absence


@external
def report_absence(kind: uint256, step: uint256, peer: uint256):
    """Say that nothing arrived from a peer; more than half of the active peers eject it."""
    voter: uint256 = staticcall Registry(REGISTRY).index_of(msg.sender)
    assert unsafe_sub(kind, NO_AGGREGATE) <= NO_DEALING - NO_AGGREGATE, "unknown kind of absence"
    if kind == NO_AGGREGATE:
        assert step == staticcall Ledger(LEDGER).step(), "not the current step"
    elif kind == NO_REPORT:
        self._require_recent(step)
    assert peer < TERMS.n_peers, "no such peer"
    assert self.absences[kind][step][peer] & (1 << voter) == 0, "already reported"
    self.absences[kind][step][peer] = self.absences[kind][step][peer] | (1 << voter)
    active: uint256 = staticcall Registry(REGISTRY).active_mask()
    count: uint256 = bits.count(self.absences[kind][step][peer] & active)
    if 2 * count <= bits.count(active) or self.found_absent[kind][step][peer] != 0:
        return
    self.found_absent[kind][step][peer] = 1
    if kind == NO_AGGREGATE:
        log AggregateAbsent(step=step, peer=peer)
        extcall Ledger(LEDGER).void_part(peer, skip_contract_check=True)
    elif kind == NO_DEALING:
        log DealingAbsent(step=step, peer=peer)
        extcall Beacon(BEACON).void_dealing(step, peer, skip_contract_check=True)
        extcall Registry(REGISTRY).eject(peer, WITHHELD_DEALING, skip_contract_check=True)
    else:
        log Absent(step=step, peer=peer)
        self.silent[step] = self.silent[step] | (1 << peer)
        self.blind[step] = 1
        extcall Registry(REGISTRY).eject(peer, WITHHELD_REPORT, skip_contract_check=True)


@external
def check_part(step: uint256, owner: uint256):
    """Have an aggregation recomputed because a report of its step is missing."""
    index: uint256 = staticcall Registry(REGISTRY).index_of(msg.sender)
    self._require_recent(step)
    assert owner < TERMS.n_peers, "no such peer"
    assert self.blind[step] != 0, "no report of this step is missing"
    self._open(AGGREGATION, step, owner, 0)


# ---- voting


@internal
@pure
def _mask(little_endian: Bytes[32]) -> uint256:
    """A bit mask from its bytes, the lowest first."""
    word: bytes32 = convert(little_endian, bytes32)
    return bits.reverse(convert(word, uint256))


@external
def vote(case: uint256, guilty: Bytes[32], suspects: Bytes[32], absent: Bytes[32]):
    """Vote a verdict: who is guilty, whose aggregation is to be checked next, who failed to answer."""
    caller: address = msg.sender
    blamed: uint256 = self._mask(guilty)
    suspected: uint256 = self._mask(suspects)
    missing: uint256 = self._mask(absent)
    assert (blamed | suspected | missing) >> TERMS.n_peers == 0, "no such peer"
    voter: uint256 = self._enter_vote(case, caller)
    verdict: bytes32 = sha256(
        concat(bits.little4(len(guilty)), guilty, bits.little4(len(suspects)), suspects, absent)
    )
    count: uint256 = self.tally[case][verdict] + 1
    self.tally[case][verdict] = count
    log Voted(case=case, voter=voter, guilty=blamed, suspects=suspected, absent=missing)
    if 2 * count > bits.count(self.eligible[case]):
        self._conclude(case, blamed, suspected, missing)


@internal
def _enter_vote(case: uint256, account: address) -> uint256:
    voter: uint256 = staticcall Registry(REGISTRY).known_index(account)
    assert self.parties[case] != 0, "no such case"
    assert self.closed[case] == 0, "the case is closed"
    assert block.timestamp <= self.deadlines[case], "the vote is over"
    assert self.eligible[case] & (1 << voter) != 0, "not eligible"
    assert self.voted[case] & (1 << voter) == 0, "already voted"
    self.voted[case] = self.voted[case] | (1 << voter)
    return voter


@external
def vote_void(case: uint256):
    """Vote that neither side is to blame."""
    voter: uint256 = self._enter_vote(case, msg.sender)
    count: uint256 = self.void_votes[case] + 1
    self.void_votes[case] = count
    log VotedVoid(case=case, voter=voter)
    if 2 * count > bits.count(self.eligible[case]):
        self._void(case)


@internal
def _void(case: uint256):
    self.closed[case] = 1
    log Void(case=case)


@internal
@pure
def _offence(kind: uint256, is_target: bool) -> bytes32:
    if kind == COMPUTATION:
        return FAILED_VALIDATION
    if kind == CANARY:
        return MISSED_CANARY
    if kind == REPORT:
        return FALSE_REPORT
    if is_target:
        return WRONG_AGGREGATE
    return CHECKED_FALSE_REPORT


@internal
def _conclude(case: uint256, guilty: uint256, suspects: uint256, absent: uint256):
    parties: uint256 = self.parties[case]
    kind: uint256 = parties >> 192
    target: uint256 = (parties >> 64) & FIELD
    accuser: uint256 = parties & FIELD
    self.closed[case] = 1
    log Verdict(case=case, guilty=guilty, suspects=suspects, absent=absent)
    if accuser != 0 and guilty | suspects | absent == 0:
        extcall Registry(REGISTRY).ban(accuser - 1, FALSE_ACCUSATION, 0, skip_contract_check=True)
    rest: uint256 = guilty
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        peer: uint256 = bits.position(low)
        reporter: uint256 = 0
        if peer == target:
            reporter = accuser
        extcall Registry(REGISTRY).ban(peer, self._offence(kind, peer == target), reporter, skip_contract_check=True)
    rest = suspects
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        self._open(AGGREGATION, (parties >> 128) & FIELD, bits.position(low), 0)
    rest = absent
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        extcall Registry(REGISTRY).eject(bits.position(low), NOT_OPENED, skip_contract_check=True)


@external
def close_case(case: uint256):
    """End a case without a majority after its deadline: void, nobody is punished."""
    assert self.parties[case] != 0, "no such case"
    assert self.closed[case] == 0, "the case is closed"
    assert self.deadlines[case] != 0, "the jury is not drawn yet"
    assert block.timestamp > self.deadlines[case], "the vote is going on"
    self._void(case)
