"""A stage for plays with the contracts: honest peers that know their lines, a clock, and a log of events."""

from __future__ import annotations

import copy
from hashlib import sha256

from contracts_model import Call, Event, Job, Outcome, Phase, Terms
from contracts_model.beacon import dealing_context
from contracts_model.court import entry_leaf, message_digest
from contracts_model.merkle import merkle_path, merkle_root
from contracts_model.storage import BitSet, Slots, members
from simdfl.chain.host import ChainHost
from simdfl.crypto.beacon import BeaconScheme
from simdfl.crypto.signatures import Keypair

DEPOSIT, REWARD, POT = 1_000_000, 10_000, 10_000_000
GAS_LIMIT = 16_000_000
PHASE_S = 100


def h(*words: object) -> bytes:
    return sha256(repr(words).encode()).digest()


def make_terms(keys: list[Keypair], **changed) -> Terms:
    fixed = {
        "job_digest": h("job"),
        "owner": Keypair.from_seed(h("owner")).address,
        "members": tuple(key.address for key in keys),
        "minimum_peers": 3,
        "steps": 3,
        "validators": 1,
        "projections": 2,
        "tolerance": 10,
        "epoch_outputs": 2,
        "dispute_window": 4,
        "deposit_wei": DEPOSIT,
        "reward_wei": REWARD,
        "reporter_percent": 50,
    }
    seconds = ("register_s", "deal_s", "commit_s", "aggregate_s", "reveal_s", "recover_s", "vote_s")
    return Terms(**{**fixed, **dict.fromkeys(seconds, PHASE_S), **changed})


class Stage:
    """One job with n honest peers; tests make some of them misbehave."""

    def __init__(self, n: int = 6, group: str = "ideal", **changed) -> None:
        self.keys = [Keypair.from_seed(h("peer", peer)) for peer in range(n)]
        self.scheme = BeaconScheme("pvss_ldei", group)
        self.terms = make_terms(self.keys, **changed)
        self.beacon_keys = [self.scheme.make_key(h("beacon", peer)) for peer in range(n)]
        balances = {key.address: 10 * DEPOSIT for key in self.keys}
        balances[self.terms.owner] = POT
        self.job = Job(self.terms, ChainHost(self.scheme), balances)
        self.now = 0
        self.log: list[Event] = list(self.job.genesis_events)
        self.transcripts: dict[tuple[int, int], bytes] = {}
        self.secrets: dict[tuple[int, int], int] = {}

    # ---- calling

    def call(self, who: int | bytes, where: str, *args, value: int = 0, gas: int = GAS_LIMIT) -> Outcome:
        contract, function = where.split(".")
        sender = who if isinstance(who, bytes) else self.keys[who].address
        outcome = self.job.execute(Call(sender, contract, function, args, value), 0, self.now, gas)
        self.log.extend(outcome.events)
        self.job.check_conservation()
        return outcome

    def do(self, who: int | bytes, where: str, *args, value: int = 0) -> list[str]:
        """Call, expect success, return the names of the events."""
        outcome = self.call(who, where, *args, value=value)
        assert outcome.succeeded, outcome.reason
        return [event.name for event in outcome.events]

    def refuse(self, reason: str, who: int | bytes, where: str, *args, value: int = 0) -> None:
        """Call, expect this reason and that nothing at all has changed."""
        before = self.snapshot()
        outcome = self.call(who, where, *args, value=value)
        assert reason in outcome.reason, (reason, outcome)
        assert outcome.events == ()
        assert self.snapshot() == before

    def snapshot(self) -> dict[str, object]:
        """Everything that a call could change; zero balances are no balances."""
        slots = {s.name: copy.deepcopy(s.data) for s in self.all_slots()}
        return {**slots, "wallets": {a: w for a, w in self.job.wallets.balances.items() if w}}

    def all_slots(self) -> list[Slots]:
        values = [value for contract in self.job.contracts.values() for value in vars(contract).values()]
        sets = [value.slots for value in values if isinstance(value, BitSet)]
        return sets + [value for value in values if isinstance(value, Slots)]

    # ---- what is on chain

    @property
    def phase(self) -> Phase:
        return self.job.ledger.phase()

    @property
    def current(self) -> int:
        return self.job.ledger.step()

    def peers(self, name: str) -> list[int]:
        return list(members(self.job.ledger.mask(name)))

    def last(self, name: str) -> dict:
        return next(event.fields for event in reversed(self.log) if event.name == name)

    def pairs(self) -> list[tuple[int, int]]:
        raw = self.last("StepOpened")["pairs"]
        numbers = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
        return list(zip(numbers[::2], numbers[1::2]))

    def standing(self, peer: int) -> str:
        name = "active" if self.job.registry.is_active(peer) else "ejected"
        return "banned" if self.job.registry.is_banned(peer) else name

    def deposit(self, peer: int) -> int:
        return self.job.treasury.deposits[peer]

    def balance(self, peer: int) -> int:
        return self.job.wallets.of(self.keys[peer].address)

    # ---- setup

    def registration(self, peer: int) -> tuple[bytes, bytes]:
        secret, public = self.beacon_keys[peer]
        bound = self.terms.job_digest + self.keys[peer].address
        return public, self.scheme.prove_possession(bound, secret, h("possession", peer))

    def register(self, *peers: int) -> None:
        for peer in peers or range(len(self.keys)):
            self.do(peer, "registry.register", *self.registration(peer), value=DEPOSIT)

    def receivers(self, epoch: int) -> list[int]:
        opened = [e.fields for e in self.log if e.name == "EpochOpened" and e.fields["epoch"] == epoch]
        return list(members(int.from_bytes(opened[-1]["receivers"], "little")))

    def receiver_keys(self, epoch: int) -> list[bytes]:
        return [self.beacon_keys[peer][1] for peer in self.receivers(epoch)]

    def outputs(self, epoch: int) -> range:
        return self.job.beacon.outputs_of(epoch)

    def make_dealing(self, dealer: int, output: int) -> bytes:
        keys = self.receiver_keys(output // self.terms.epoch_outputs)
        bound = dealing_context(self.terms.job_digest, output, dealer)
        dealing = self.scheme.deal(bound, keys, self.terms.threshold(len(keys)), h("dealing", dealer, output))
        self.secrets[dealer, output] = dealing.secret
        return dealing.transcript

    def leaves(self, dealer: int, epoch: int) -> list[bytes]:
        own = [
            (self.transcripts[dealer, output], self.commitment(dealer, output)) for output in self.outputs(epoch)
        ]
        return [sha256(sha256(transcript).digest() + commitment).digest() for transcript, commitment in own]

    def commitment(self, dealer: int, output: int) -> bytes:
        n = len(self.receivers(output // self.terms.epoch_outputs))
        return self.scheme.commitment(n, self.terms.threshold(n), self.transcripts[dealer, output])

    def prepare(self, dealer: int, epoch: int) -> bytes:
        for output in self.outputs(epoch):
            self.transcripts.setdefault((dealer, output), self.make_dealing(dealer, output))
        return merkle_root(self.leaves(dealer, epoch))

    def deal(self, epoch: int, *peers: int) -> None:
        for peer in peers or self.receivers(epoch):
            self.do(peer, "beacon.deal", epoch, self.prepare(peer, epoch))
            if self.terms.proves_dealings:
                self.prove(epoch, peer)

    def prove(self, epoch: int, peer: int) -> None:
        for output in self.outputs(epoch):
            self.do(peer, "beacon.prove", *self.proof_args(peer, output))

    def proof_args(self, dealer: int, output: int) -> tuple:
        return output, self.transcripts[dealer, output], *self.opened_leaf(dealer, output)

    def opened_leaf(self, dealer: int, output: int) -> tuple[bytes, list[bytes]]:
        epoch, position = divmod(output, self.terms.epoch_outputs)
        return self.commitment(dealer, output), list(merkle_path(self.leaves(dealer, epoch), position))

    # ---- the beacon

    def reveal_args(self, peer: int, output: int) -> tuple:
        digest = sha256(self.transcripts[peer, output]).digest()
        return output, self.secrets[peer, output], digest, *self.opened_leaf(peer, output)

    def reveal(self, output: int, *peers: int) -> None:
        for peer in peers or list(members(self.job.beacon.awaited())):
            self.do(peer, "beacon.reveal", *self.reveal_args(peer, output))

    def share(self, giver: int, dealer: int, output: int) -> tuple[int, bytes]:
        epoch = output // self.terms.epoch_outputs
        keys, position = self.receiver_keys(epoch), self.receivers(epoch).index(giver) + 1
        bound = dealing_context(self.terms.job_digest, output, dealer)
        setting = (bound, keys, self.terms.threshold(len(keys)), self.transcripts[dealer, output])
        secret = self.beacon_keys[giver][0]
        return position, self.scheme.decrypt_share(*setting, position, secret, h("share", giver))

    def recover_args(self, dealer: int, output: int, givers: list[int]) -> tuple:
        shares = [self.share(giver, dealer, output) for giver in givers]
        opened = self.transcripts[dealer, output], *self.opened_leaf(dealer, output)
        return output, dealer, *opened, [number for number, _ in shares], [share for _, share in shares]

    # ---- a step

    def state(self, step: int) -> bytes:
        return h("state", step)

    def root(self, step: int, peer: int) -> bytes:
        return h("root", step, peer) if step < self.terms.steps else bytes(32)

    def commit(self, *peers: int) -> None:
        validators = dict(self.pairs())
        for peer in peers or self.peers("roster"):
            if peer in validators:
                self.attest(peer)
            else:
                step = self.current
                self.do(peer, "ledger.commit", step, self.root(step, peer), self.state(step), h("reports"))

    def attest(self, validator: int, honest: bool = True) -> None:
        target, step = dict(self.pairs())[validator], self.current
        self.do(validator, "ledger.attest", step, target, honest, h("evidence"), self.state(step))

    def aggregate(self, *peers: int) -> None:
        attempt = self.last("Exchange")["attempt"]
        for peer in peers or [p for p in self.peers("roster") if p not in self.peers("dropped")]:
            self.do(peer, "ledger.aggregate", self.current, attempt, h("part", self.current, peer))

    def deadline(self, who: int = 0) -> list[str]:
        """Let the phase's deadline pass and call it."""
        self.now = self.job.ledger.state["deadline"] + 1
        return self.do(who, "ledger.advance", self.job.ledger.round(), int(self.phase))

    # ---- longer scenes

    def until_deal(self) -> Stage:
        self.do(self.terms.owner, "treasury.fund", value=POT)
        self.register()
        return self

    def until_reveal(self) -> Stage:
        self.until_deal().deal(0)
        self.deadline()
        return self

    def until_step(self, step: int) -> Stage:
        """Play until COMMIT of `step`."""
        if self.phase == Phase.REGISTER:
            self.until_reveal().reveal(0)
        while self.current < step:
            self.deal_ahead()
            self.commit()
            self.aggregate()
            self.reveal(self.current + 1)
        return self

    def until_aggregate(self, step: int) -> Stage:
        self.until_step(step).deal_ahead()
        self.commit()
        return self

    def until_step_reveal(self, step: int) -> Stage:
        self.until_aggregate(step).aggregate()
        return self

    def deal_ahead(self) -> None:
        epoch = self.job.beacon.state["dealing"] - 1
        waiting = [p for p in self.receivers(epoch) if not self.job.beacon.dealt.has(epoch, p)]
        if waiting:
            self.deal(epoch, *[p for p in waiting if self.standing(p) == "active"])

    # ---- evidence

    def sign(self, peer: int, topic: bytes, step: int, body: bytes, job: bytes | None = None) -> bytes:
        run = self.terms.job_digest if job is None else job
        return self.keys[peer].sign(message_digest(lambda data: sha256(data).digest(), run, topic, step, body))

    def challenge_args(self, step: int, part: int, sums: dict[int, list[int]]) -> tuple:
        """Signed reports with these projections on `part` by contributor; zeros on the other parts."""
        leaves, roots, paths, signatures = [], [], [], []
        roster = self.terms.n_peers
        for peer in sorted(sums):
            entries = [
                entry_leaf(p, sums[peer] if p == part else [0] * self.terms.projections, 7) for p in range(roster)
            ]
            leaves.append(entries[part])
            roots.append(merkle_root(entries))
            paths.append(b"".join(merkle_path(entries, part)))
            signatures.append(self.sign(peer, b"REPORT", step, roots[-1]))
        return step, part, part, roster, leaves, roots, paths, signatures
