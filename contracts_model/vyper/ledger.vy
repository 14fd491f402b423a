# pragma version ~=0.4.3
"""
Step ledger: the phases of training, what was committed in them, who missed a deadline. Twin of
contracts_model/ledger.py. Up to 256 peers and 32 validators a step.
"""

import bits

interface Registry:
    def close(): nonpayable
    def census() -> (uint256, uint256): view
    def active_mask() -> uint256: view
    def candidates() -> uint256: view
    def known_index(account: address) -> uint256: view
    def count_probe(account: address) -> uint256: nonpayable
    def eject(peer: uint256, reason: bytes32): nonpayable
    def may_withdraw(peer: uint256, step: uint256) -> bool: view
    def is_banned(peer: uint256) -> bool: view

interface Beacon:
    def open_epoch(epoch: uint256): nonpayable
    def eject_missing_dealers(epoch: uint256) -> uint256: nonpayable
    def lock(output: uint256, roster: uint256): nonpayable
    def attempt() -> uint256: view
    def awaited() -> uint256: view
    def toss_again() -> bool: nonpayable
    def report_withheld(): nonpayable
    def skip_withheld() -> bool: nonpayable
    def restart() -> uint256: nonpayable
    def finish() -> (uint256, bytes32): nonpayable

interface Court:
    def accuse_computation(step: uint256, target: uint256, accuser: uint256): nonpayable
    def demand_opening(step: uint256, target: uint256): nonpayable
    def draw_juries(randomness: bytes32): nonpayable

interface Treasury:
    def pay_out(peer: uint256, account: address, reward_due: uint256) -> uint256: nonpayable

event Phase:
    phase: uint256
    entry: uint256
    round: uint256
    deadline: uint256

event Aborted:
    reason: String[64]

event StepOpened:
    step: uint256
    roster: uint256
    randomness: bytes32
    pairs: DynArray[uint256, 32]

event Committed:
    step: uint256
    peer: uint256
    root: bytes32
    state: bytes32
    reports: bytes32

event Attested:
    step: uint256
    validator: uint256
    target: uint256
    honest: bool
    evidence: bytes32

event Probed:
    step: uint256
    peer: uint256
    root: bytes32

event StateAgreed:
    step: uint256
    state: bytes32

event Exchange:
    step: uint256
    attempt: uint256
    contributors: uint256
    dropped: uint256

event Aggregated:
    step: uint256
    part: uint256
    attempt: uint256
    digest: bytes32

event Eliminated:
    step: uint256
    by: uint256
    other: uint256

event Final:
    step: uint256
    void: uint256

event PartVoided:
    step: uint256
    part: uint256

event Withdrawn:
    peer: uint256
    amount: uint256

struct Terms:
    n_peers: uint256
    minimum_peers: uint256
    steps: uint256
    validators: uint256
    epoch_outputs: uint256
    dispute_window: uint256
    reward: uint256
    withheld: uint256
    jury_size: uint256
    canary_permille: uint256
    probation_steps: uint256
    shows: bool
    assumed_byzantine: uint256  # counted from 1; 0: the job does not watch that
    register_s: uint256
    deal_s: uint256
    commit_s: uint256
    aggregate_s: uint256
    reveal_s: uint256
    recover_s: uint256
    vote_s: uint256

REGISTER: constant(uint256) = 0
DEAL: constant(uint256) = 1
COMMIT: constant(uint256) = 2
AGGREGATE: constant(uint256) = 3
REVEAL: constant(uint256) = 4
RECOVER: constant(uint256) = 5
DONE: constant(uint256) = 6
ABORTED: constant(uint256) = 7
PHASES: constant(uint256) = 8

BY_SHARES: constant(uint256) = 0
BY_RESTART: constant(uint256) = 1
BY_SKIP: constant(uint256) = 2
BY_TRUST: constant(uint256) = 3

MISSED_COMMIT: constant(bytes32) = 0x6d697373656420646561646c696e653a20636f6d6d6974000000000000000000
MISSED_AGGREGATE: constant(bytes32) = 0x6d697373656420646561646c696e653a20616767726567617465000000000000
ELIMINATED: constant(bytes32) = 0x656c696d696e6174656400000000000000000000000000000000000000000000
WITHHELD_PART: constant(bytes32) = 0x7769746868656c64207468652061676772656761746564207061727400000000

TERMS: immutable(Terms)
TREASURY: immutable(address)
REGISTRY: immutable(address)
BEACON: immutable(address)
COURT: immutable(address)

phase: public(uint256)
step: public(uint256)
round: public(uint256)
deadline: public(uint256)
attempt: uint256
n_pairs: uint256
pairs_eliminated: uint256
roster: public(uint256)
validators: public(uint256)
committed: public(uint256)
aggregated: public(uint256)
dropped: public(uint256)
void: public(uint256)
contributing: public(uint256)
probes: uint256
roots: HashMap[uint256, HashMap[uint256, bytes32]]
root_rounds: HashMap[uint256, HashMap[uint256, uint256]]
hashes: HashMap[uint256, HashMap[uint256, bytes32]]
digests: public(HashMap[uint256, bytes32])
votes: HashMap[uint256, HashMap[bytes32, uint256]]
attested: HashMap[uint256, HashMap[uint256, uint256]]
earned: public(HashMap[uint256, uint256])
paid: HashMap[uint256, uint256]
pairs: HashMap[uint256, uint256]
contributors: HashMap[uint256, uint256]


@deploy
def __init__(terms: Terms, treasury: address, registry: address, beacon: address, court: address):
    """Open the registration."""
    TERMS = terms
    TREASURY = treasury
    REGISTRY = registry
    BEACON = beacon
    COURT = court
    self.deadline = block.timestamp + terms.register_s
    log Phase(phase=REGISTER, entry=REGISTER, round=0, deadline=self.deadline)


# ---- views


@external
@view
def is_contributor(step: uint256, peer: uint256) -> bool:
    """Whether a peer has a commitment in a step, within the dispute window."""
    return self._root_of(step, peer) != empty(bytes32)


@external
@view
def is_running() -> bool:
    """Whether steps are being made."""
    return self._is_running()


@internal
@view
def _is_running() -> bool:
    return unsafe_sub(self.phase, COMMIT) <= RECOVER - COMMIT and self.round != 0


@external
@view
def contributors_of(step: uint256) -> uint256:
    """The contributors of a recent step that is over."""
    return self.contributors[step % TERMS.dispute_window]


@external
@view
def root_of(step: uint256, peer: uint256) -> bytes32:
    """The commitment root of a peer in a recent step, or 0."""
    return self._root_of(step, peer)


@internal
@view
def _root_of(step: uint256, peer: uint256) -> bytes32:
    slot: uint256 = step % TERMS.dispute_window
    stored: bytes32 = self.roots[slot][peer]
    if stored == empty(bytes32) or self.root_rounds[slot][peer] != unsafe_add(step, 1):
        return empty(bytes32)
    return stored


# ---- phases


@internal
def _enter_phase(phase: uint256, seconds: uint256):
    self.phase = phase
    self.deadline = block.timestamp + seconds
    entry: uint256 = phase
    if TERMS.withheld == BY_RESTART and unsafe_sub(phase, REVEAL) <= RECOVER - REVEAL:
        entry += PHASES * staticcall Beacon(BEACON).attempt()
    log Phase(phase=phase, entry=entry, round=self.round, deadline=self.deadline)


@external
def after_registration():
    """Open the dealing: all founders have joined."""
    assert msg.sender == REGISTRY
    self._open_dealing()


@internal
def _open_dealing():
    extcall Registry(REGISTRY).close(skip_contract_check=True)
    if self._abort_if_too_few():
        return
    if TERMS.withheld == BY_TRUST:
        self._lock(0, staticcall Registry(REGISTRY).active_mask())
    else:
        extcall Beacon(BEACON).open_epoch(0, skip_contract_check=True)
        self._enter_phase(DEAL, TERMS.deal_s)


@internal
def _end_dealing():
    seated: uint256 = extcall Beacon(BEACON).eject_missing_dealers(0)
    if not self._abort_if_too_few():
        self._lock(0, staticcall Registry(REGISTRY).active_mask())


@internal
def _lock(output: uint256, roster: uint256):
    extcall Beacon(BEACON).lock(output, roster, skip_contract_check=True)
    self._enter_phase(REVEAL, TERMS.reveal_s)


@internal
def _abort_if_too_few() -> bool:
    active: uint256 = 0
    banned: uint256 = 0
    active, banned = staticcall Registry(REGISTRY).census()
    if active < TERMS.minimum_peers:
        self._abort("fewer active peers than the job's minimum")
        return True
    if TERMS.assumed_byzantine != 0:
        gone: uint256 = banned + self.pairs_eliminated
        left: uint256 = TERMS.assumed_byzantine - 1
        left -= min(left, gone)
        if 2 * left >= active:
            self._abort("the liars that are assumed to be left could be a majority")
            return True
    return False


@internal
def _abort(reason: String[64]):
    self._enter_phase(ABORTED, TERMS.vote_s)
    log Aborted(reason=reason)


@internal
def _open_step(step: uint256, randomness: bytes32):
    epoch: uint256 = step // TERMS.epoch_outputs
    begins: bool = step % TERMS.epoch_outputs == 0 and TERMS.withheld != BY_TRUST
    seated: uint256 = 0
    if begins and epoch != 0:
        seated = extcall Beacon(BEACON).eject_missing_dealers(epoch)
    if self._abort_if_too_few():
        return
    roster: uint256 = staticcall Registry(REGISTRY).active_mask()
    checkable: uint256 = 0
    if step != 0:
        checkable = self.contributing & roster
    if TERMS.probation_steps != 0:
        checkable |= self.probes & staticcall Registry(REGISTRY).candidates()
        self.probes = 0
    self.step = step
    self.round = step + 1
    self._draw(step, randomness, roster, roster & ~seated, checkable)
    if begins and (epoch + 1) * TERMS.epoch_outputs <= TERMS.steps:
        extcall Beacon(BEACON).open_epoch(epoch + 1, skip_contract_check=True)
    if TERMS.jury_size != 0:
        extcall Court(COURT).draw_juries(randomness, skip_contract_check=True)
    self.roster = roster
    self.committed = 0
    self.aggregated = 0
    self.dropped = 0
    self.void = 0
    self.attempt = 0
    self._enter_phase(COMMIT, TERMS.commit_s)


@internal
@view
def _word(randomness: bytes32, counter: uint256) -> uint256:
    return bits.reverse(
        convert(sha256(concat(randomness, b"validators", convert(convert(counter << 248, bytes32), bytes8))), uint256)
    )


@internal
def _draw(step: uint256, randomness: bytes32, roster: uint256, eligible: uint256, checkable: uint256):
    """Draw who validates whom: partial Fisher-Yates shuffles of both lists."""
    pool: uint256[256] = empty(uint256[256])
    size: uint256 = 0
    rest: uint256 = eligible
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        pool[size] = bits.position(low)
        size = unsafe_add(size, 1)
    seats: uint256 = 0
    if size != 0:
        seats = min(TERMS.validators, (size - 1) // 2)
    seated: uint256 = 0
    counter: uint256 = 0
    for place: uint256 in range(seats, bound=32):
        other: uint256 = place + self._word(randomness, counter) % (size - place)
        counter = unsafe_add(counter, 1)
        drawn: uint256 = pool[other]
        pool[other] = pool[place]
        pool[place] = drawn
        seated |= 1 << drawn
    targets: uint256[256] = empty(uint256[256])
    size = 0
    rest = checkable & ~seated
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        targets[size] = bits.position(low)
        size = unsafe_add(size, 1)
    pairs: DynArray[uint256, 32] = []
    validators: uint256 = 0
    for place: uint256 in range(min(seats, size), bound=32):
        other: uint256 = place + self._word(randomness, counter) % (size - place)
        counter = unsafe_add(counter, 1)
        drawn: uint256 = targets[other]
        targets[other] = targets[place]
        targets[place] = drawn
        validator: uint256 = pool[place]
        validators |= 1 << validator
        pair: uint256 = (validator << 32) | drawn
        self.pairs[place] = (step << 64) | pair
        pairs.append(pair)
    self.n_pairs = len(pairs)
    self.validators = validators
    log StepOpened(step=step, roster=roster, randomness=randomness, pairs=pairs)


# ---- COMMIT


@internal
@view
def _acting_index(step: uint256) -> uint256:
    assert step == self.step, "not the current step"
    peer: uint256 = staticcall Registry(REGISTRY).known_index(msg.sender)
    assert self.roster & (1 << peer) != 0, "not in the roster of this step"
    return peer


@external
def commit(step: uint256, root: bytes32, state: bytes32, reports: bytes32):
    """Commit to one's gradient parts; chain the state digest and the digest of last step's reports."""
    assert self.phase == COMMIT, "not in the commit phase"
    peer: uint256 = self._acting_index(step)
    assert self.validators & (1 << peer) == 0, "a validator does not contribute"
    self._act_once(peer, step, state)
    if step < TERMS.steps:
        assert root != empty(bytes32), "an empty root"
        slot: uint256 = step % TERMS.dispute_window
        self.roots[slot][peer] = root
        self.root_rounds[slot][peer] = step + 1
        self.earned[peer] += 1
    log Committed(step=step, peer=peer, root=root, state=state, reports=reports)
    self._end_commit_if_complete()


@external
def attest(step: uint256, target: uint256, honest: bool, evidence: bytes32, state: bytes32):
    """Publish a validator's result on the target's previous step."""
    assert self.phase == COMMIT, "not in the commit phase"
    validator: uint256 = self._acting_index(step)
    assert target < TERMS.n_peers, "no such peer"
    assert self._is_pair((step << 64) | (validator << 32) | target), "not drawn to validate this peer"
    self._act_once(validator, step, state)
    self.earned[validator] += 1
    if TERMS.canary_permille != 0:
        found: uint256 = (step << 64) | (target << 1) | convert(honest, uint256)
        self.attested[unsafe_sub(step, 1) % TERMS.dispute_window][validator] = found
    log Attested(step=step, validator=validator, target=target, honest=honest, evidence=evidence)
    if not honest:
        if TERMS.shows and evidence == empty(bytes32):
            extcall Court(COURT).demand_opening(step - 1, target, skip_contract_check=True)
        else:
            extcall Court(COURT).accuse_computation(step - 1, target, validator, skip_contract_check=True)
    self._end_commit_if_complete()


@external
def probe(step: uint256, root: bytes32):
    """Commit to a gradient on probation: checked like any other, used by nobody."""
    assert self._is_running() and step == self.step, "not the current step"
    assert step < TERMS.steps and root != empty(bytes32), "an empty root, or the closing step"
    peer: uint256 = extcall Registry(REGISTRY).count_probe(msg.sender)
    assert self.probes & (1 << peer) == 0, "already probed in this step"
    self.probes = self.probes | (1 << peer)
    log Probed(step=step, peer=peer, root=root)


@external
@view
def has_attested(step: uint256, validator: uint256, target: uint256) -> bool:
    """Whether a validator found this target's step right, within the dispute window."""
    found: uint256 = self.attested[step % TERMS.dispute_window][validator]
    return found == (((step + 1) << 64) | (target << 1) | 1)


@internal
@view
def _is_pair(wanted: uint256) -> bool:
    for place: uint256 in range(self.n_pairs, bound=32):
        if self.pairs[place] == wanted:
            return True
    return False


@internal
def _act_once(peer: uint256, step: uint256, state: bytes32):
    assert self.committed & (1 << peer) == 0, "already acted in this step"
    self.committed = self.committed | (1 << peer)
    count: uint256 = self.votes[step][state] + 1
    self.votes[step][state] = count
    if 2 * count > bits.count(self.roster) and self.digests[step] == empty(bytes32):
        self.digests[step] = state
        log StateAgreed(step=step, state=state)


@internal
def _end_commit_if_complete():
    if self.roster == self.committed:
        self._end_commit()


@internal
def _eject_all(mask: uint256, reason: bytes32):
    rest: uint256 = mask
    for _: uint256 in range(256):
        if rest == 0:
            break
        low: uint256 = rest & unsafe_sub(0, rest)
        rest ^= low
        extcall Registry(REGISTRY).eject(bits.position(low), reason, skip_contract_check=True)


@internal
def _end_commit():
    committed: uint256 = self.committed
    self._eject_all(self.roster & ~committed, MISSED_COMMIT)
    contributors: uint256 = committed & ~self.validators
    self.contributing = contributors
    if self.step == TERMS.steps:
        self._enter_phase(DONE, TERMS.vote_s)
    elif contributors == 0:
        self._abort("nobody committed a gradient")
    else:
        self._open_aggregation()


# ---- AGGREGATE


@internal
def _open_aggregation():
    self._enter_phase(AGGREGATE, TERMS.aggregate_s)
    log Exchange(step=self.step, attempt=self.attempt, contributors=self.contributing, dropped=self.dropped)


@external
def aggregate(step: uint256, attempt: uint256, digest: bytes32):
    """Fix the hash of one's own aggregated part for the current set of contributors."""
    assert self.phase == AGGREGATE, "not in the aggregate phase"
    peer: uint256 = self._acting_index(step)
    assert attempt == self.attempt, "the contributors have changed"
    assert self.dropped & (1 << peer) == 0, "eliminated in this step"
    assert self.aggregated & (1 << peer) == 0, "already aggregated"
    self.aggregated = self.aggregated | (1 << peer)
    self.hashes[step % TERMS.dispute_window][peer] = digest
    log Aggregated(step=step, part=peer, attempt=attempt, digest=digest)
    if self._missing_aggregators() & self.committed == 0:
        self._end_aggregation()


@external
def eliminate(step: uint256, other: uint256):
    """Leave together with another, whose part did not arrive: nobody can tell who is at fault."""
    assert self.phase == AGGREGATE, "not in the aggregate phase"
    peer: uint256 = self._acting_index(step)
    dropped: uint256 = self.dropped
    assert other != peer, "a pair takes two peers"
    assert other < TERMS.n_peers and self.roster & (1 << other) != 0, "the other is not in the roster"
    pair: uint256 = (1 << peer) | (1 << other)
    assert dropped & pair == 0, "one of the pair is gone already"
    dropped |= pair
    self.dropped = dropped
    self.contributing = self.contributing & ~dropped
    self.aggregated = 0
    self.attempt += 1
    self.pairs_eliminated += 1
    slot: uint256 = step % TERMS.dispute_window
    self.roots[slot][peer] = empty(bytes32)
    extcall Registry(REGISTRY).eject(peer, ELIMINATED, skip_contract_check=True)
    self.roots[slot][other] = empty(bytes32)
    extcall Registry(REGISTRY).eject(other, ELIMINATED, skip_contract_check=True)
    log Eliminated(step=step, by=peer, other=other)
    if self.contributing == 0:
        self._abort("no contributor is left in this step")
    else:
        self._open_aggregation()


@internal
@view
def _missing_aggregators() -> uint256:
    return self.roster & ~self.dropped & ~self.aggregated


@internal
def _end_aggregation():
    missing: uint256 = self._missing_aggregators()
    self._eject_all(missing, MISSED_AGGREGATE)
    void: uint256 = missing | self.dropped
    self.void = void
    self.contributors[self.step % TERMS.dispute_window] = self.contributing
    log Final(step=self.step, void=void)
    self._lock(self.step + 1, self.roster & staticcall Registry(REGISTRY).active_mask())


# ---- REVEAL and RECOVER


@external
def void_part(part: uint256):
    """Count a part that nobody received as zero."""
    assert msg.sender == COURT
    assert self.phase == REVEAL, "the aggregates are settled"
    self.void = self.void | (1 << part)
    self.deadline = max(self.deadline, block.timestamp + TERMS.reveal_s)
    extcall Registry(REGISTRY).eject(part, WITHHELD_PART, skip_contract_check=True)
    log PartVoided(step=self.step, part=part)


@external
def after_opening():
    """React to one secret more being open: the output follows when none is awaited any more."""
    assert msg.sender == BEACON
    if staticcall Beacon(BEACON).awaited() == 0:
        self._output()


@external
def after_publication(output: uint256, randomness: bytes32):
    """React to the trusted dealer's output."""
    assert msg.sender == BEACON
    self._open_step(output, randomness)


@external
def after_recommitment():
    """React to a fresh commitment: the toss starts again when all who are left have made one."""
    assert msg.sender == BEACON
    if staticcall Beacon(BEACON).awaited() == 0:
        self._toss_again()


@internal
def _toss_again():
    if extcall Beacon(BEACON).toss_again():
        self._enter_phase(REVEAL, TERMS.reveal_s)
    else:
        self._abort("nobody is left to toss the coin")


@internal
def _end_reveal():
    if TERMS.withheld == BY_SHARES:
        self._enter_phase(RECOVER, TERMS.recover_s)
        extcall Beacon(BEACON).report_withheld(skip_contract_check=True)
        return
    if TERMS.withheld == BY_SKIP:
        if extcall Beacon(BEACON).skip_withheld():
            self._output()
            return
    elif TERMS.withheld == BY_RESTART:
        if extcall Beacon(BEACON).restart() != 0:
            self._enter_phase(RECOVER, TERMS.recover_s)
            return
    self._abort("nobody opened a secret of the beacon")


@internal
def _end_recovery():
    if TERMS.withheld == BY_RESTART:
        self._toss_again()
    else:
        self._abort("the beacon cannot be recovered: fewer than t shares arrived")


@internal
def _output():
    output: uint256 = 0
    randomness: bytes32 = empty(bytes32)
    output, randomness = extcall Beacon(BEACON).finish()
    self._open_step(output, randomness)


# ---- deadlines


@external
def advance(round: uint256, phase: uint256):
    """End a phase whose deadline has passed; anybody may call."""
    assert phase == self.phase and round == self.round, "this phase is over"
    assert block.timestamp > self.deadline, "the deadline has not passed"
    if phase == REGISTER:
        self._open_dealing()
    elif phase == DEAL:
        self._end_dealing()
    elif phase == COMMIT:
        self._end_commit()
    elif phase == AGGREGATE:
        self._end_aggregation()
    elif phase == REVEAL:
        self._end_reveal()
    elif phase == RECOVER:
        self._end_recovery()
    else:
        raise "nothing to advance"


# ---- the end


@external
def withdraw():
    """Take back the deposit, with the reward for every step worked; a banned peer gets nothing."""
    peer: uint256 = staticcall Registry(REGISTRY).known_index(msg.sender)
    if not staticcall Registry(REGISTRY).may_withdraw(peer, self.step):
        assert self.phase >= DONE, "the job is running"
        assert block.timestamp > self.deadline, "cases may still be decided"
    assert not staticcall Registry(REGISTRY).is_banned(peer), "banned"
    assert self.paid[peer] == 0, "already paid"
    self.paid[peer] = 1
    amount: uint256 = extcall Treasury(TREASURY).pay_out(peer, msg.sender, self.earned[peer] * TERMS.reward)
    log Withdrawn(peer=peer, amount=amount)
