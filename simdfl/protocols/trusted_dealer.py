"""The ``ideal`` beacon: a trusted dealer publishes every output when it is locked. For teaching and comparison.

It is what all other beacons replace: nobody can bias or foresee its outputs, as long as it is honest, alive and
trusted by everybody. It is the owner of the job and sits where the chain's entry point is.
"""

from __future__ import annotations

from dataclasses import replace

from contracts_model import Call
from simdfl.chain.blockchain import Block, Blockchain
from simdfl.chain.transaction import Transaction
from simdfl.crypto.signatures import Keypair
from simdfl.rng import Rng

PUBLISH_GAS_LIMIT = 5_000_000
"""Covers an output that opens a step and draws its validators."""


class TrustedDealer:
    """Publishes the output of every lock in the next block.

    Parameters
    ----------
    chain : Blockchain
        Whose blocks it watches.
    owner : Keypair
        Signs its transactions.
    rng : Rng
        Where its secrets come from.
    first_nonce : int
        How many transactions the owner has sent before.
    """

    def __init__(self, chain: Blockchain, owner: Keypair, rng: Rng, first_nonce: int) -> None:
        self._chain = chain
        self._owner = owner
        self._rng = rng
        self._nonce = first_nonce
        chain.on_block.append(self._watch)

    def _watch(self, block: Block) -> None:
        for event in block.events:
            if event.name == "Locked":
                self._publish(event.fields["output"])

    def _publish(self, output: int) -> None:
        chain = self._chain
        value = self._rng.key("trusted-dealer", output)
        call = Call(self._owner.address, "beacon", "publish", (output, value))
        tip_wei = chain.profile.priority_fee_wei
        fee_wei = 2 * max(chain.base_fee_wei, chain.profile.base_fee_wei) + tip_wei
        gas_limit = min(PUBLISH_GAS_LIMIT, chain.profile.tx_gas_cap)
        unsigned = Transaction(call, chain.job.calldata(call), self._nonce, gas_limit, fee_wei, tip_wei)
        self._nonce += 1
        chain.admit(replace(unsigned, signature=self._owner.sign(unsigned.signing_digest(chain.chain_id))))
