# pragma version ~=0.4.3
"""
Rewards for contribution: all peers are paid what a majority of them computes, at once or not at all. Twin of
contracts_model/rewards.py. Up to 64 members.
"""

import bits

interface Registry:
    def index_of(account: address) -> uint256: view
    def active_mask() -> uint256: view
    def address_of(peer: uint256) -> address: view

interface Ledger:
    def round() -> uint256: view

interface Treasury:
    def pay_from_pot(account: address, amount: uint256): nonpayable

event ContributionAgreed:
    round: uint256
    digest: bytes32

event Contributed:
    peer: uint256
    round: uint256
    amount: uint256

event ContributionPaid:
    round: uint256

struct Terms:
    n_peers: uint256
    rounds: uint256
    steps_a_round: uint256
    budget: uint256

TERMS: immutable(Terms)
TREASURY: immutable(address)
REGISTRY: immutable(address)
LEDGER: immutable(address)

posted: HashMap[uint256, HashMap[uint256, uint256]]
votes: HashMap[uint256, HashMap[bytes32, uint256]]
agreed: public(HashMap[uint256, bytes32])
paid: HashMap[uint256, uint256]


@deploy
def __init__(terms: Terms, treasury: address, registry: address, ledger: address):
    """Nothing is agreed."""
    TERMS = terms
    TREASURY = treasury
    REGISTRY = registry
    LEDGER = ledger


@external
def post(round: uint256, digest: bytes32):
    """Post the digest of the amounts that one computed for a round, once."""
    peer: uint256 = staticcall Registry(REGISTRY).index_of(msg.sender)
    assert round < TERMS.rounds, "no such round"
    opened: uint256 = staticcall Ledger(LEDGER).round()
    assert opened > (round + 1) * TERMS.steps_a_round, "the round is not over"
    assert self.posted[round][peer] == 0, "already posted"
    self.posted[round][peer] = 1
    self.votes[round][digest] += 1
    agree: uint256 = self.votes[round][digest]
    if self.agreed[round] == empty(bytes32):
        if 2 * agree > bits.count(staticcall Registry(REGISTRY).active_mask()):
            self.agreed[round] = digest
            log ContributionAgreed(round=round, digest=digest)


@external
def pay(round: uint256, amounts: DynArray[uint256, 64]):
    """Pay everybody the agreed amounts of a round, once; who is not active gets nothing."""
    caller: address = msg.sender
    index: uint256 = staticcall Registry(REGISTRY).index_of(caller)
    assert self.agreed[round] != empty(bytes32), "nothing is agreed"
    assert self.paid[round] == 0, "already paid"
    assert len(amounts) == TERMS.n_peers, "one amount a member"
    assert self._digest(round, amounts) == self.agreed[round], "not the agreed amounts"
    total: uint256 = 0
    for amount: uint256 in amounts:
        assert amount <= TERMS.budget, "above the budget"
        total += amount
    assert total <= TERMS.budget, "above the budget"
    self.paid[round] = 1
    active: uint256 = staticcall Registry(REGISTRY).active_mask()
    for peer: uint256 in range(len(amounts), bound=64):
        if amounts[peer] != 0 and active & (1 << peer) != 0:
            account: address = staticcall Registry(REGISTRY).address_of(peer)
            extcall Treasury(TREASURY).pay_from_pot(account, amounts[peer], skip_contract_check=True)
            log Contributed(peer=peer, round=round, amount=amounts[peer])
    log ContributionPaid(round=round)


@internal
@view
def _digest(round: uint256, amounts: DynArray[uint256, 64]) -> bytes32:
    """What peers post: the round and all amounts, a word each."""
    listed: Bytes[2112] = abi_encode(amounts)
    return sha256(concat(convert(round, bytes32), slice(listed, 64, 32 * len(amounts))))
