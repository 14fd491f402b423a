# pragma version ~=0.4.3
"""
Beacon that verifies every sharing before it counts. Twin of contracts_model/proving_beacon.py; all but the dealing is
the code of beacon.vy.
"""

import beacon

initializes: beacon

exports: (
    beacon.open_epoch,
    beacon.void_dealing,
    beacon.eject_missing_dealers,
    beacon.dispute_dealing,
    beacon.lock,
    beacon.reveal,
    beacon.recover,
    beacon.report_withheld,
    beacon.skip_withheld,
    beacon.restart,
    beacon.recommit,
    beacon.toss_again,
    beacon.attempt,
    beacon.publish,
    beacon.awaited,
    beacon.finish,
    beacon.share_is_valid,
    beacon.dealing,
    beacon.next,
    beacon.outputs,
)

event Proven:
    output: uint256
    dealer: uint256

proven: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__(terms: beacon.Terms, registry: address, ledger: address, court: address, verifier: address):
    """Nothing is dealt until the ledger opens an epoch."""
    beacon.__init__(terms, registry, ledger, court, verifier)


@external
def deal(epoch: uint256, root: bytes32):
    """Post the Merkle root of one's dealings for an epoch, once, in the first half of the dealing time."""
    dealer: uint256 = staticcall beacon.Registry(beacon.REGISTRY).dealer_index(msg.sender)
    assert beacon._follows(beacon.dealing, epoch), "this epoch is not open for dealing"
    assert block.timestamp <= beacon.deal_until, "too late: dealings are being checked"
    assert root != empty(bytes32), "an empty root"
    assert beacon.roots[epoch][dealer] == empty(bytes32), "already dealt"
    beacon.roots[epoch][dealer] = root
    log beacon.Dealt(epoch=epoch, dealer=dealer, root=root)


@external
def prove(output: uint256, transcript: Bytes[16384], commitment: Bytes[48], path: DynArray[bytes32, 32]):
    """Prove one's next dealing; an invalid one bans its dealer, the last valid one lets all of the epoch count."""
    dealer: uint256 = staticcall beacon.Registry(beacon.REGISTRY).dealer_index(msg.sender)
    assert output >= beacon.next, "this output is open already"
    epoch: uint256 = output // beacon.TERMS.epoch_outputs
    place: uint256 = self.proven[epoch][dealer]
    assert output % beacon.TERMS.epoch_outputs == place, "not the next dealing to prove"
    beacon._require_leaf(output, dealer, sha256(transcript), commitment, path)
    n_keys: uint256 = 0
    keys: bytes32 = empty(bytes32)
    n_keys, keys = staticcall beacon.Registry(beacon.REGISTRY).keys_digest(beacon.receivers[epoch])
    valid: bool = staticcall beacon.Verifier(beacon.VERIFIER).verify_dealing(
        beacon._context(output, dealer), keys, n_keys, beacon._threshold(n_keys), transcript, commitment, 0
    )
    if not valid:
        extcall beacon.Registry(beacon.REGISTRY).ban(dealer, beacon.INVALID, 0, skip_contract_check=True)
        return
    self.proven[epoch][dealer] = place + 1
    log Proven(output=output, dealer=dealer)
    if place + 1 == min(beacon.TERMS.epoch_outputs, beacon.TERMS.steps + 1 - epoch * beacon.TERMS.epoch_outputs):
        beacon.dealt[epoch] = beacon.dealt[epoch] | (1 << dealer)
