"""A chain with a few funded peers on fast links, and a log of what reaches whom."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import networkx as nx
import numpy as np

from contracts_model import Call, Job, Terms
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.client import ChainClient
from simdfl.chain.host import ChainHost
from simdfl.chain.profiles import ChainProfile
from simdfl.chain.transaction import Transaction
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.signatures import Keypair
from simdfl.kernel import Environment, Inbox
from simdfl.network import Conditions, Message, Network, Traffic
from simdfl.rng import Rng

GWEI = 10**9
RICH = 10**18
PROFILE = ChainProfile("stage", 2.0, 1_000_000, GWEI, GWEI // 10, tx_gas_cap=500_000)


def key(name: object) -> Keypair:
    return Keypair.from_seed(sha256(repr(name).encode()).digest())


class ChainStage:
    """n peers with clients; `send` puts hand-made transactions on the wire."""

    def __init__(self, n: int = 4, deposit_wei: int = 0, **profile) -> None:
        self.keys = [key(peer) for peer in range(n)]
        seconds = ("register_s", "deal_s", "commit_s", "aggregate_s", "reveal_s", "recover_s", "vote_s")
        self.terms = Terms(
            job_digest=bytes(32),
            owner=key("owner").address,
            members=tuple(k.address for k in self.keys),
            minimum_peers=3,
            steps=2,
            validators=1,
            projections=1,
            tolerance=0,
            epoch_outputs=2,
            dispute_window=3,
            deposit_wei=deposit_wei,
            reward_wei=0,
            reporter_percent=50,
            **dict.fromkeys(seconds, 10),
        )
        self.env = Environment()
        self.trace: list[tuple[float, object]] = []
        fast = np.full(n, 1e12)
        conditions = Conditions(np.zeros(n, int), np.zeros((1, 1)), np.zeros((1, 1)), np.full(n, 0.1), fast, fast)
        self.network = Network(self.env, nx.complete_graph(n), conditions, Rng(0), 0.0)
        scheme = BeaconScheme("pvss_ldei", "ideal")
        self.job = Job(self.terms, ChainHost(scheme), {k.address: RICH for k in self.keys})
        profile = replace(PROFILE, **profile)
        self.chain = Blockchain(self.env, self.network, self.job, profile, lambda *line: self.trace.append(line))
        self.chain.start()
        self.inboxes = [Inbox(self.env) for _ in range(n)]
        self.clients = [
            ChainClient(peer, self.keys[peer], self.chain, self.network, self.inboxes[peer]) for peer in range(n)
        ]
        for peer in range(n):
            self.network.attach(peer, self.inboxes[peer])

    def make(self, who: int, nonce: int, amount: int = 1, **fields) -> Transaction:
        """Sign a call of treasury.fund: the simplest call there is."""
        where = fields.pop("call", Call(self.keys[who].address, "treasury", "fund", (), amount))
        calldata = fields.pop("calldata", None)
        calldata = self.job.calldata(where) if calldata is None else calldata
        usual = {"gas_limit": 100_000, "max_fee_wei": 10 * GWEI, "priority_fee_wei": GWEI, **fields}
        unsigned = Transaction(where, calldata, nonce, **usual)
        return replace(unsigned, signature=self.keys[who].sign(unsigned.signing_digest(self.chain.chain_id)))

    def send(self, transaction: Transaction, at_s: float = 0.0) -> Transaction:
        note = Message("TX", transaction.nonce, 0, transaction, transaction.size_bytes, Traffic.CHAIN)
        self.env.at(at_s, lambda: self.network.send(note, self.network.host))
        return transaction

    def run(self, until_s: float) -> list[list[tuple[int, int]]]:
        """Return by block the (sender, nonce) of what was included."""
        self.env.run(until_s)
        self.job.check_conservation()
        members = {k.address: peer for peer, k in enumerate(self.keys)}
        return [[(members[r.sender], r.nonce) for r in block.receipts] for block in self.chain.blocks]
