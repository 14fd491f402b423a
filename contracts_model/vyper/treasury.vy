# pragma version ~=0.4.3
"""
Treasury: deposits, the pot for rewards, slashing, payouts. Twin of contracts_model/treasury.py.
"""

event Funded:
    amount: uint256

REGISTRY: immutable(address)
LEDGER: immutable(address)
REWARDS: immutable(address)

deposits: public(HashMap[uint256, uint256])
pot: public(uint256)
burned: public(uint256)
rewarded: public(uint256)


@deploy
def __init__(registry: address, ledger: address, rewards: address):
    """The contracts that may book; one may be named more than once."""
    REGISTRY = registry
    LEDGER = ledger
    REWARDS = rewards


@external
@payable
def fund():
    """Add the sent value to the pot; anybody may."""
    self.pot += msg.value
    log Funded(amount=msg.value)


@external
@payable
def take_deposit(peer: uint256):
    """Book the sent value as the deposit of a peer."""
    assert msg.sender == REGISTRY
    self.deposits[peer] = msg.value


@external
@view
def deposit_of(peer: uint256) -> uint256:
    """What a peer has deposited, wei."""
    return self.deposits[peer]


@external
def slash(peer: uint256, reporter: address, percent: uint256) -> uint256:
    """Take the whole deposit of a peer: so many percent to the reporter, if there is one, the rest is burned."""
    assert msg.sender == REGISTRY
    amount: uint256 = self.deposits[peer]
    self.deposits[peer] = 0
    reward: uint256 = 0
    if reporter != empty(address):
        reward = amount * percent // 100
    if reward != 0:
        send(reporter, reward)
    if amount != reward:
        send(empty(address), amount - reward)
        self.burned += amount - reward
    self.rewarded += reward
    return amount


@external
def pay_out(peer: uint256, account: address, reward_due: uint256) -> uint256:
    """Return the deposit of a peer and as much of its reward as the pot holds."""
    assert msg.sender == LEDGER
    reward: uint256 = min(reward_due, self.pot)
    amount: uint256 = self.deposits[peer] + reward
    self.deposits[peer] = 0
    self.pot -= reward
    self.rewarded += reward
    if amount != 0:
        send(account, amount)
    return amount


@external
def pay_from_pot(account: address, amount: uint256):
    """Pay a reward out of the pot; reverts if it holds less."""
    assert msg.sender == REWARDS
    assert self.pot >= amount, "the pot is short"
    self.pot -= amount
    self.rewarded += amount
    send(account, amount)


@external
def pay_settled(peer: uint256, account: address, settled: uint256) -> uint256:
    """Close the books of a peer at an amount settled elsewhere; what it lost is burned."""
    assert msg.sender == LEDGER
    deposit: uint256 = self.deposits[peer]
    gain: uint256 = 0
    lost: uint256 = 0
    if settled > deposit:
        gain = settled - deposit
    else:
        lost = deposit - settled
    reward: uint256 = min(gain, self.pot)
    self.deposits[peer] = 0
    self.pot -= reward
    self.rewarded += reward
    if lost != 0:
        send(empty(address), lost)
        self.burned += lost
    amount: uint256 = deposit - lost + reward
    if amount != 0:
        send(account, amount)
    return amount
