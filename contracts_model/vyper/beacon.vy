# pragma version ~=0.4.3
"""
Beacon: deal, lock, reveal, recover, output. Twin of contracts_model/beacon.py. Proofs are checked by a verifier
contract; up to 64 receivers a dealing.
"""

import bits

interface Registry:
    def dealer_index(account: address) -> uint256: view
    def index_of(account: address) -> uint256: view
    def known_index(account: address) -> uint256: view
    def active_mask() -> uint256: view
    def admit() -> uint256: nonpayable
    def seat(dealt: uint256) -> uint256: nonpayable
    def eject(peer: uint256, reason: bytes32): nonpayable
    def ban(peer: uint256, reason: bytes32, reporter: uint256): nonpayable
    def keys_digest(mask: uint256) -> (uint256, bytes32): view

interface Ledger:
    def phase() -> uint256: view
    def after_opening(): nonpayable
    def after_recommitment(): nonpayable
    def after_publication(output: uint256, randomness: bytes32): nonpayable

interface Verifier:
    def check_opening(context: Bytes[52], commitment: Bytes[48], secret: uint256) -> bool: view
    def verify_dealing(
        context: Bytes[52],
        keys: bytes32,
        n_keys: uint256,
        threshold: uint256,
        transcript: Bytes[16384],
        commitment: Bytes[48],
        coordinate: uint256,
    ) -> bool: view
    def verify_share(
        context: Bytes[52],
        keys: bytes32,
        n_keys: uint256,
        threshold: uint256,
        transcript: Bytes[16384],
        place: uint256,
        share: Bytes[112],
    ) -> bool: view
    def recover_secret(
        context: Bytes[52],
        keys: bytes32,
        n_keys: uint256,
        threshold: uint256,
        transcript: Bytes[16384],
        receivers: DynArray[uint256, 64],
        shares: DynArray[Bytes[112], 64],
        coordinate: uint256,
    ) -> (bytes32, bytes32): view
    def beacon_output(
        job_digest: bytes32, output: uint256, secret_sum: uint256, recovered: DynArray[bytes32, 128]
    ) -> bytes32: view

event EpochOpened:
    epoch: uint256
    receivers: uint256

event Dealt:
    epoch: uint256
    dealer: uint256
    root: bytes32

event Locked:
    output: uint256
    dealers: uint256

event Revealed:
    output: uint256
    dealer: uint256
    secret: uint256

event Canary:
    step: uint256
    peer: uint256

event Recovered:
    output: uint256
    dealer: uint256

event Withheld:
    output: uint256
    dealers: uint256

event Skipped:
    output: uint256
    dealers: uint256

event Restarted:
    output: uint256
    attempt: uint256
    dealers: uint256

event Recommitted:
    output: uint256
    dealer: uint256
    root: bytes32

event Output:
    output: uint256
    value: bytes32

struct Terms:
    job_digest: bytes32
    owner: address
    n_peers: uint256
    steps: uint256
    epoch_outputs: uint256
    threshold_percent: uint256
    tolerated_percent: uint256
    canary_permille: uint256
    probation_steps: uint256
    withheld: uint256
    order: uint256
    deal_s: uint256

REVEAL: constant(uint256) = 4
RECOVER: constant(uint256) = 5

BY_SHARES: constant(uint256) = 0
BY_RESTART: constant(uint256) = 1
BY_TRUST: constant(uint256) = 3

MISSED_DEALING: constant(bytes32) = 0x6d697373656420646561646c696e653a206465616c696e670000000000000000
MISSED_FRESH: constant(bytes32) = 0x6d697373656420646561646c696e653a20667265736820636f6d6d6974000000
INVALID: constant(bytes32) = 0x696e76616c6964206465616c696e670000000000000000000000000000000000
NOT_REVEALED: constant(bytes32) = 0x7769746868656c642072657665616c0000000000000000000000000000000000
ABORTED: constant(bytes32) = 0x61626f727465642074686520636f696e20746f73730000000000000000000000

TERMS: immutable(Terms)
REGISTRY: immutable(address)
LEDGER: immutable(address)
COURT: immutable(address)
VERIFIER: immutable(address)

dealing: public(uint256)
deal_until: uint256
next: public(uint256)
tosses: uint256
sum: uint256
n_recovered: uint256
opening: uint256
tossing: uint256
roots: HashMap[uint256, HashMap[uint256, bytes32]]
fresh_roots: HashMap[uint256, HashMap[uint256, HashMap[uint256, bytes32]]]
outputs: public(HashMap[uint256, bytes32])
recovered: HashMap[uint256, HashMap[uint256, HashMap[uint256, bytes32]]]
receivers: HashMap[uint256, uint256]
dealt: HashMap[uint256, uint256]


@deploy
def __init__(terms: Terms, registry: address, ledger: address, court: address, verifier: address):
    """Nothing is dealt until the ledger opens an epoch."""
    TERMS = terms
    REGISTRY = registry
    LEDGER = ledger
    COURT = court
    VERIFIER = verifier


# ---- dealing


@external
def open_epoch(epoch: uint256):
    """Fix the receivers and threshold of an epoch and let everybody deal for it."""
    assert msg.sender == LEDGER
    receivers: uint256 = staticcall Registry(REGISTRY).active_mask()
    if TERMS.probation_steps != 0:
        receivers |= extcall Registry(REGISTRY).admit()
    self.receivers[epoch] = receivers
    self.dealing = epoch + 1
    self.deal_until = block.timestamp + TERMS.deal_s // 2
    log EpochOpened(epoch=epoch, receivers=receivers)


@external
def deal(epoch: uint256, root: bytes32):
    """Post the Merkle root of one's dealings for an epoch, once, in the first half of the dealing time."""
    dealer: uint256 = staticcall Registry(REGISTRY).dealer_index(msg.sender)
    assert self._follows(self.dealing, epoch), "this epoch is not open for dealing"
    assert block.timestamp <= self.deal_until, "too late: dealings are being checked"
    assert root != empty(bytes32), "an empty root"
    assert self.dealt[epoch] & (1 << dealer) == 0, "already dealt"
    self.dealt[epoch] = self.dealt[epoch] | (1 << dealer)
    self.roots[epoch][dealer] = root
    log Dealt(epoch=epoch, dealer=dealer, root=root)


@external
def void_dealing(epoch: uint256, dealer: uint256):
    """Take out a dealing that nobody received, while it is not needed yet."""
    assert msg.sender == COURT
    is_far: uint256 = convert(epoch >= 1 << 64, uint256)
    is_ahead: uint256 = convert(unsafe_mul(epoch, TERMS.epoch_outputs) >= self.next, uint256)
    assert is_far | is_ahead != 0, "this epoch has begun"
    self.dealt[epoch] = self.dealt[epoch] & ~(1 << dealer)


@internal
@pure
def _follows(number: uint256, before: uint256) -> bool:
    """Whether one number is the other plus one."""
    return (number ^ unsafe_add(before, 1)) | convert(before == max_value(uint256), uint256) == 0


@internal
def _eject_all(mask: uint256, reason: bytes32):
    rest: uint256 = mask
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        extcall Registry(REGISTRY).eject(bits.position(low), reason, skip_contract_check=True)


@external
def eject_missing_dealers(epoch: uint256) -> uint256:
    """Eject the active peers that have no dealing for an epoch; return who is seated instead."""
    assert msg.sender == LEDGER
    dealt: uint256 = self.dealt[epoch]
    self._eject_all(staticcall Registry(REGISTRY).active_mask() & ~dealt, MISSED_DEALING)
    if TERMS.probation_steps == 0:
        return 0
    return extcall Registry(REGISTRY).seat(dealt)


@external
def dispute_dealing(
    output: uint256,
    dealer: uint256,
    transcript: Bytes[16384],
    commitment: Bytes[48],
    path: DynArray[bytes32, 32],
):
    """Prove that a posted dealing is invalid: the dealer is banned. Reverts if it is valid."""
    caller: address = msg.sender
    reporter: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    assert output >= self.next, "this output is open already"
    self._require_leaf(output, dealer, sha256(transcript), commitment, path)
    epoch: uint256 = output // TERMS.epoch_outputs
    n_keys: uint256 = 0
    keys: bytes32 = empty(bytes32)
    n_keys, keys = staticcall Registry(REGISTRY).keys_digest(self.receivers[epoch])
    coordinate: uint256 = self._coordinate(output)
    valid: bool = staticcall Verifier(VERIFIER).verify_dealing(
        self._context(output - coordinate, dealer),
        keys,
        n_keys,
        self._threshold(n_keys),
        transcript,
        commitment,
        coordinate,
    )
    assert not valid, "the dealing is valid"
    self.dealt[epoch] = self.dealt[epoch] & ~(1 << dealer)
    extcall Registry(REGISTRY).ban(dealer, INVALID, reporter + 1, skip_contract_check=True)


@internal
@view
def _threshold(n_receivers: uint256) -> uint256:
    """How many shares recover a secret dealt to so many receivers."""
    if TERMS.tolerated_percent != 0:
        return n_receivers - n_receivers * TERMS.tolerated_percent // 100
    return max(1, (n_receivers * TERMS.threshold_percent + 99) // 100)


@internal
@view
def _coordinate(output: uint256) -> uint256:
    """Which secret of its sharing serves an output."""
    if TERMS.tolerated_percent == 0:
        return 0
    n_receivers: uint256 = bits.count(self.receivers[output // TERMS.epoch_outputs])
    packing: uint256 = n_receivers - 2 * (n_receivers * TERMS.tolerated_percent // 100)
    return (output % TERMS.epoch_outputs) % packing


@internal
@view
def _context(output: uint256, dealer: uint256) -> Bytes[52]:
    """The bytes that bind a dealing to job, first output, dealer and toss."""
    place: bytes4 = bits.little4(dealer)
    if TERMS.withheld == BY_RESTART:
        toss: uint256 = self.tosses
        if toss != 0:
            again: bytes4 = bits.little4(toss)
            return concat(TERMS.job_digest, b"deal", bits.little(output), place, again)
    return concat(TERMS.job_digest, b"deal", bits.little(output), place)


@internal
@view
def _require_leaf(
    output: uint256, dealer: uint256, digest: bytes32, commitment: Bytes[48], path: DynArray[bytes32, 32]
):
    """Revert unless the dealing with this digest and commitment is what the dealer posted for an output."""
    leaf: bytes32 = sha256(concat(digest, commitment))
    epoch: uint256 = output // TERMS.epoch_outputs
    place: uint256 = output % TERMS.epoch_outputs
    size: uint256 = 0
    if output <= TERMS.steps:
        size = min((epoch + 1) * TERMS.epoch_outputs, TERMS.steps + 1) - epoch * TERMS.epoch_outputs
    toss: uint256 = 0
    if TERMS.withheld == BY_RESTART:
        toss = self.tosses
    root: bytes32 = empty(bytes32)
    if toss != 0:
        place = 0
        size = 1
        root = self.fresh_roots[output][toss][dealer]
    else:
        root = self.roots[epoch][dealer]
    assert root != empty(bytes32) and self._opens(root, leaf, place, size, path), "not in the posted root"


@internal
@view
def _opens(root: bytes32, leaf: bytes32, place: uint256, size: uint256, path: DynArray[bytes32, 32]) -> bool:
    """Check a Merkle opening (RFC 6962 with the size bound in)."""
    if place >= size:
        return False
    vertex: bytes32 = sha256(concat(b"\x00", leaf))
    index: uint256 = place
    width: uint256 = size
    used: uint256 = 0
    for _: uint256 in range(64):
        if width <= 1:
            break
        if index ^ 1 < width:
            if used == len(path):
                return False
            own: uint256 = convert(vertex, uint256)
            other: uint256 = convert(path[used], uint256)
            swap: uint256 = unsafe_mul(own ^ other, index & 1)
            vertex = sha256(concat(b"\x01", convert(own ^ swap, bytes32), convert(other ^ swap, bytes32)))
            used = unsafe_add(used, 1)
        index >>= 1
        width = (width + 1) >> 1
    if used != len(path):
        return False
    return sha256(concat(b"\x02", bits.little(size), vertex)) == root


# ---- opening


@external
def lock(output: uint256, roster: uint256):
    """Fix the dealers of an output: who dealt and is in the roster. From now on reveals count."""
    assert msg.sender == LEDGER
    qualified: uint256 = self.dealt[output // TERMS.epoch_outputs] & roster
    if TERMS.withheld == BY_RESTART:
        self.tossing = qualified
        self.tosses = 0
    self.next = output + 1
    self.n_recovered = 0
    self._await(output, qualified)


@internal
def _await(output: uint256, qualified: uint256):
    self.opening = qualified
    self.sum = 0
    log Locked(output=output, dealers=qualified)


@internal
@view
def _require_awaited(output: uint256, dealer: uint256):
    assert self._follows(self.next, output), "not the output being opened"
    assert dealer < TERMS.n_peers and self.opening & (1 << dealer) != 0, "not an awaited dealer"


@external
def reveal(
    output: uint256,
    secret: uint256,
    transcript_digest: bytes32,
    commitment: Bytes[48],
    path: DynArray[bytes32, 32],
):
    """Open one's sharing of an output with the secret; checked against the dealt commitment."""
    caller: address = msg.sender
    dealer: uint256 = staticcall Registry(REGISTRY).known_index(caller)
    assert staticcall Ledger(LEDGER).phase() == REVEAL, "not in the reveal phase"
    self._require_awaited(output, dealer)
    self._require_leaf(output, dealer, transcript_digest, commitment, path)
    bound: Bytes[52] = self._context(output - self._coordinate(output), dealer)
    opens: bool = staticcall Verifier(VERIFIER).check_opening(bound, commitment, secret)
    assert opens, "the secret does not open the commitment"
    self.opening = self.opening & ~(1 << dealer)
    self.sum = uint256_addmod(self.sum, secret, TERMS.order)
    log Revealed(output=output, dealer=dealer, secret=secret)
    if TERMS.canary_permille != 0 and output >= 2:
        if self._is_canary(output, secret):
            log Canary(step=output - 2, peer=dealer)
    extcall Ledger(LEDGER).after_opening(skip_contract_check=True)


@internal
@view
def _is_canary(output: uint256, secret: uint256) -> bool:
    """Whether the dealer of this secret had to plant a canary two steps before."""
    swapped: bytes32 = convert(bits.reverse(secret), bytes32)
    word: bytes32 = sha256(concat(b"canary", TERMS.job_digest, bits.little(output), swapped))
    return bits.reverse(convert(word, uint256)) % 1000 < TERMS.canary_permille


@external
def recover(
    output: uint256,
    dealer: uint256,
    transcript: Bytes[16384],
    commitment: Bytes[48],
    path: DynArray[bytes32, 32],
    receivers: DynArray[uint256, 64],
    shares: DynArray[Bytes[112], 64],
):
    """Open a withheld secret with t proven shares; the withholder is slashed, the output is unchanged."""
    caller: address = msg.sender
    reporter: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    assert staticcall Ledger(LEDGER).phase() == RECOVER, "not in the recover phase"
    self._require_awaited(output, dealer)
    assert TERMS.withheld == BY_SHARES, "nothing can be recovered from a commitment"
    self._require_leaf(output, dealer, sha256(transcript), commitment, path)
    everybody: uint256 = self.receivers[output // TERMS.epoch_outputs]
    n_keys: uint256 = 0
    keys: bytes32 = empty(bytes32)
    n_keys, keys = staticcall Registry(REGISTRY).keys_digest(everybody)
    threshold: uint256 = self._threshold(n_keys)
    assert len(shares) == threshold and self._are_distinct(receivers, threshold, n_keys), (
        "t distinct shares needed"
    )
    coordinate: uint256 = self._coordinate(output)
    high: bytes32 = empty(bytes32)
    low: bytes32 = empty(bytes32)
    high, low = staticcall Verifier(VERIFIER).recover_secret(
        self._context(output - coordinate, dealer), keys, n_keys, threshold, transcript, receivers, shares, coordinate
    )
    assert high != empty(bytes32), "a share is wrong"
    count: uint256 = self.n_recovered
    self.recovered[output][count][0] = high
    self.recovered[output][count][1] = low
    self.n_recovered = count + 1
    self.opening = self.opening & ~(1 << dealer)
    extcall Registry(REGISTRY).ban(dealer, NOT_REVEALED, reporter + 1, skip_contract_check=True)
    log Recovered(output=output, dealer=dealer)
    extcall Ledger(LEDGER).after_opening(skip_contract_check=True)


@internal
@pure
def _are_distinct(receivers: DynArray[uint256, 64], threshold: uint256, n_receivers: uint256) -> bool:
    """Whether there are so many receivers, numbered from 1, and none twice."""
    if len(receivers) != threshold:
        return False
    seen: uint256 = 0
    for receiver: uint256 in receivers:
        if receiver == 0 or receiver > n_receivers or seen & (1 << receiver) != 0:
            return False
        seen |= 1 << receiver
    return True


@external
def report_withheld():
    """Name the dealers whose secrets must be recovered."""
    assert msg.sender == LEDGER
    log Withheld(output=self.next - 1, dealers=self.opening)


# ---- other policies for what is withheld


@external
def skip_withheld() -> bool:
    """Leave out what was not opened; return whether anything was."""
    assert msg.sender == LEDGER
    output: uint256 = self.next - 1
    left: uint256 = self.opening
    log Skipped(output=output, dealers=left)
    self.opening = 0
    return self.dealt[output // TERMS.epoch_outputs] & ~left != 0


@external
def restart() -> uint256:
    """Remove who did not open its secret and ask the others for fresh commitments; return who they are."""
    assert msg.sender == LEDGER
    output: uint256 = self.next - 1
    left: uint256 = self.opening
    rest: uint256 = left
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        extcall Registry(REGISTRY).ban(bits.position(low), ABORTED, 0, skip_contract_check=True)
    tossing: uint256 = self.tossing & ~left
    self.tossing = 0
    self.opening = tossing
    self.tosses += 1
    log Restarted(output=output, attempt=self.tosses, dealers=tossing)
    return tossing


@external
def recommit(output: uint256, root: bytes32):
    """Post a fresh commitment, as the root of a single leaf, for a toss that starts again."""
    dealer: uint256 = staticcall Registry(REGISTRY).known_index(msg.sender)
    assert staticcall Ledger(LEDGER).phase() == RECOVER, "not in the recover phase"
    self._require_awaited(output, dealer)
    assert TERMS.withheld == BY_RESTART, "no toss starts again here"
    assert root != empty(bytes32), "an empty root"
    self.opening = self.opening & ~(1 << dealer)
    self.tossing = self.tossing | (1 << dealer)
    self.fresh_roots[output][self.tosses][dealer] = root
    log Recommitted(output=output, dealer=dealer, root=root)
    extcall Ledger(LEDGER).after_recommitment(skip_contract_check=True)


@external
def toss_again() -> bool:
    """Await the fresh secrets; eject who posted no commitment; return whether anybody is left."""
    assert msg.sender == LEDGER
    self._eject_all(self.opening, MISSED_FRESH)
    tossing: uint256 = self.tossing
    self._await(self.next - 1, tossing)
    return tossing != 0


@external
@view
def attempt() -> uint256:
    """How often the current toss has started again."""
    return self.tosses


@external
def publish(output: uint256, randomness: bytes32):
    """Publish an output as the trusted dealer."""
    assert TERMS.withheld == BY_TRUST, "this job has no trusted dealer"
    assert msg.sender == TERMS.owner, "not the trusted dealer"
    assert staticcall Ledger(LEDGER).phase() == REVEAL, "not in the reveal phase"
    assert self._follows(self.next, output), "not the output being opened"
    self.outputs[output] = randomness
    log Output(output=output, value=randomness)
    extcall Ledger(LEDGER).after_publication(output, randomness, skip_contract_check=True)


# ---- output


@external
@view
def awaited() -> uint256:
    """The dealers whose secrets of the current output are still closed."""
    return self.opening


@external
def finish() -> (uint256, bytes32):
    """Combine all opened secrets into the output; store it, return its number and value."""
    assert msg.sender == LEDGER
    output: uint256 = self.next - 1
    pieces: DynArray[bytes32, 128] = []
    for place: uint256 in range(self.n_recovered, bound=64):
        pieces.append(self.recovered[output][place][0])
        pieces.append(self.recovered[output][place][1])
    randomness: bytes32 = staticcall Verifier(VERIFIER).beacon_output(TERMS.job_digest, output, self.sum, pieces)
    self.outputs[output] = randomness
    log Output(output=output, value=randomness)
    return output, randomness


# ---- for the court


@external
@view
def share_is_valid(
    output: uint256,
    dealer: uint256,
    peer: uint256,
    share: Bytes[112],
    transcript: Bytes[16384],
    commitment: Bytes[48],
    path: DynArray[bytes32, 32],
) -> bool:
    """Whether a peer decrypted rightly what a posted dealing holds for it."""
    place: uint256 = 0
    receivers: uint256 = self.receivers[output // TERMS.epoch_outputs]
    assert peer < TERMS.n_peers and receivers & (1 << peer) != 0, "not a receiver of this dealing"
    self._require_leaf(output, dealer, sha256(transcript), commitment, path)
    n_keys: uint256 = 0
    keys: bytes32 = empty(bytes32)
    n_keys, keys = staticcall Registry(REGISTRY).keys_digest(receivers)
    place = bits.count(receivers & ((1 << peer) - 1)) + 1
    bound: Bytes[52] = self._context(output - self._coordinate(output), dealer)
    threshold: uint256 = self._threshold(n_keys)
    return staticcall Verifier(VERIFIER).verify_share(bound, keys, n_keys, threshold, transcript, place, share)
