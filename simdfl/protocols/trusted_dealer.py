"""The ``ideal`` beacon: a trusted dealer publishes every output. For teaching and comparison.

It is what all other beacons replace: nobody can bias or foresee its outputs, as long as it is honest, alive and
trusted by everybody. It is the owner of the job and sits where the chain's entry point is.

Where secrets are dealt, an honest peer opens its own only when it holds all aggregates, and so the output waits
until those that nobody received are voted absent. Here every peer tells the dealer that it is ready instead; the
dealer publishes when all are, or when the time for opening is over.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from contracts_model import Call
from simdfl.chain.block import Block
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.transaction import Transaction
from simdfl.crypto.signatures import Keypair
from simdfl.kernel import Inbox
from simdfl.network import Message
from simdfl.rng import Rng

PUBLISH_GAS_LIMIT = 5_000_000
"""Covers an output that opens a step and draws its validators."""


class TrustedDealer:
    """Publishes the output of every lock.

    Parameters
    ----------
    chain : Blockchain
        Whose blocks it watches.
    inbox : Inbox
        Of the infrastructure host, where peers tell it that they are ready.
    owner : Keypair
        Signs its transactions.
    rng : Rng
        Where its secrets come from.
    first_nonce : int
        How many transactions the owner has sent before.
    """

    def __init__(self, chain: Blockchain, inbox: Inbox, owner: Keypair, rng: Rng, first_nonce: int) -> None:
        self._chain = chain
        self._owner = owner
        self._rng = rng
        self._nonce = first_nonce
        self._open: int | None = None
        self._ready: dict[int, set[int]] = defaultdict(set)
        chain.on_block.append(self._watch)
        inbox.listen("READY", self._hear)

    def _watch(self, block: Block) -> None:
        for event in block.events:
            if event.name == "Locked":
                self._open = event.fields["output"]
                self._wait(self._open)
        self._publish_if_all_are_ready()

    def _hear(self, output: int, sender: int, message: Message) -> None:
        self._ready[output].add(sender)
        self._publish_if_all_are_ready()

    def _publish_if_all_are_ready(self) -> None:
        history = self._chain.history
        if self._open is None:
            return
        roster = history.rosters.get(self._open - 1, [])
        if set(roster) - self._ready[self._open] <= history.removed.keys() | history.left_in.keys():
            self._publish(self._open)

    def _wait(self, output: int) -> None:
        """Publish when the time for opening is over, which a case about a missing part may prolong."""
        ledger: Any = self._chain.job.contracts["ledger"]
        deadline_s = float(ledger.state["deadline"])
        if self._chain.env.now < deadline_s:
            self._chain.env.at(deadline_s, lambda: self._wait(output))
        elif self._open == output:
            self._publish(output)

    def _publish(self, output: int) -> None:
        self._open = None
        chain = self._chain
        value = self._rng.key("trusted-dealer", output)
        call = Call(self._owner.address, "beacon", "publish", (output, value))
        tip_wei = chain.profile.priority_fee_wei
        fee_wei = 2 * max(chain.base_fee_wei, chain.profile.base_fee_wei) + tip_wei
        gas_limit = min(PUBLISH_GAS_LIMIT, chain.profile.tx_gas_cap)
        unsigned = Transaction(call, chain.job.calldata(call), self._nonce, gas_limit, fee_wei, tip_wei)
        self._nonce += 1
        chain.admit(replace(unsigned, signature=self._owner.sign(unsigned.signing_digest(chain.chain_id))))
