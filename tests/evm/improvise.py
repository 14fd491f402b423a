"""Random plays: peers that mostly know their lines, some that do not, and strangers; time goes by."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any

from double import DEPOSIT, STRANGER, Double, h

from contracts_model import Phase
from contracts_model.court import Absence, share_topic
from contracts_model.merkle import merkle_root
from contracts_model.rewards import payout_digest
from contracts_model.storage import members
from contracts_model.terms import Withheld

BIG = (2**64 - 1, 2**64, 2**255, 2**256 - 1)

SETTINGS: tuple[dict[str, Any], ...] = (
    {"n": 5, "threshold_percent": 34},
    {"n": 7, "validators": 2, "assumed_byzantine": 2, "threshold_percent": 60},
    {"n": 6, "jury_size": 3, "canary_permille": 400},
    {"n": 6, "probation_steps": 1, "founders": 4},
    {"n": 6, "withheld": Withheld.RESTART, "shows": True},
    {"n": 5, "withheld": Withheld.SKIP, "steps": 5},
    {"n": 5, "withheld": Withheld.TRUSTED, "reporter_percent": 0},
    {"n": 9, "jury_size": 4, "shows": True, "validators": 3, "steps": 4},
    {"n": 8, "probation_steps": 2, "founders": 6, "canary_permille": 1000, "epoch_outputs": 3, "steps": 6},
    {"n": 6, "tolerated_percent": 33, "projections": 3},
    {"n": 12, "epoch_outputs": 5, "steps": 4, "validators": 2},
    {"n": 30, "validators": 4, "steps": 2},
    {"n": 7, "projections": 7, "steps": 3, "threshold_percent": 80},
    {"n": 8, "projections": 1, "steps": 3, "threshold_percent": 25},
    {"n": 6, "contribution_percent": 50, "contribution_every": 1, "steps": 4},
    {"n": 9, "contribution_percent": 100, "contribution_every": 2, "steps": 5, "jury_size": 3},
    {"n": 5, "proves_dealings": True, "steps": 4},
    {"n": 9, "proves_dealings": True, "epoch_outputs": 4, "steps": 5, "probation_steps": 1, "founders": 7},
    {"n": 20, "jury_size": 9, "projections": 4, "shows": True, "canary_permille": 300, "steps": 2},
)
"""Jobs of all kinds."""


class Play:
    """Improvises on a double stage."""

    def __init__(self, double: Double, random: Random) -> None:
        self.d = double
        self.random = random
        self.is_calm = random.random() < 0.6
        self.withholding = random.choice([0, 0, 0.1])
        self.fresh: dict[tuple[int, int, int], tuple[int, bytes, bytes]] = {}

    def run(self, calls: int) -> None:
        """Make so many calls."""
        for _ in range(self.random.choice([0, 1, 1, 1, 30])):
            self.d.call(self.random.choice([self.d.terms.owner, STRANGER]), "treasury.fund", value=10**5)
        made = after = 0
        while made < calls and after < 30:
            if self.random.random() < 0.25:
                self.d.now += self.random.choice([0, 1, 3, 10])
            done = self.scene()
            made += done
            after += done * (self.d.phase in (Phase.DONE, Phase.ABORTED))

    def scene(self) -> int:
        """Play one call, by chance; return how many were made."""
        wild = [self.line] * 40 + [self.wrong] * 3 + [self.accuse] * 6 + [self.judge] * 4 + [self.wait] * 2
        calm = [self.line] * 80 + [self.wrong] + [self.accuse] * 6 + [self.judge] * 6
        moves = (calm if self.is_calm else wild) + [self.contribute] * (
            8 if "rewards" in self.d.job.contracts else 0
        )
        before = len(self.d.made)
        self.random.choice(moves)()
        return len(self.d.made) - before

    # ---- who and what

    def peer(self) -> int:
        return self.random.randrange(self.d.terms.n_peers)

    def uint(self) -> int:
        return self.random.choice([self.random.randrange(8), self.random.randrange(3), self.random.choice(BIG)])

    def near(self, value: int) -> int:
        return max(0, value + self.random.choice([0] * 12 + [1, -1, 2, 64]))

    def word(self) -> bytes:
        return self.random.choice([bytes(32), h("x"), h("y"), b"\xff" * 32])

    def any_of(self, mask_members: list[int]) -> int:
        return self.random.choice(mask_members) if mask_members and self.random.random() < 0.93 else self.peer()

    # ---- lines of the play

    def line(self) -> None:
        """Do what the phase asks for."""
        phase = self.d.phase
        late = [p for p in range(self.d.terms.n_peers) if not self.d.job.registry.standings[p]]
        if phase == Phase.REGISTER or (late and self.random.random() < 0.15):
            self.register(self.any_of(late))
        elif self.d.terms.probation_steps and self.random.random() < 0.12:
            self.probation()
        elif phase == Phase.DEAL and not self.can_deal():
            self.wait()
        elif phase == Phase.DEAL or (self.can_deal() and self.random.random() < 0.3):
            self.deal()
        elif phase == Phase.COMMIT:
            self.commit()
        elif phase == Phase.AGGREGATE:
            self.aggregate()
        elif phase == Phase.REVEAL and self.random.random() < self.withholding:
            self.wait()
        elif phase in (Phase.REVEAL, Phase.RECOVER):
            self.open()
        else:
            self.d.call(self.peer(), "ledger.withdraw")

    def register(self, peer: int) -> None:
        key, proof = self.d.registration(peer)
        if self.random.random() < 0.05:
            proof = h("wrong")
        value = self.random.choice([DEPOSIT] * 12 + [0, 1])
        self.d.call(peer, "registry.register", key, proof, value=value)

    def probation(self) -> None:
        peer = self.peer()
        move = self.random.randrange(4)
        if move == 0:
            self.d.call(peer, "registry.rejoin")
        elif move == 1:
            self.d.call(peer, "registry.leave")
        else:
            waiting = list(members(self.d.job.registry.candidates()))
            root = h("probe") if self.random.random() < 0.9 else bytes(32)
            self.d.call(self.any_of(waiting), "ledger.probe", self.near(self.d.current), root)

    def dealers(self) -> list[int]:
        epoch = self.d.job.beacon.state["dealing"] - 1
        if epoch < 0:
            return []
        return [p for p in self.d.receivers(epoch) if not self.d.job.beacon.dealt.has(epoch, p)]

    def can_deal(self) -> bool:
        in_time = self.d.now <= self.d.job.beacon.state["deal_until"] or self.d.terms.proves_dealings
        return bool(self.dealers()) and in_time

    def deal(self) -> None:
        epoch = self.d.job.beacon.state["dealing"] - 1
        waiting = self.dealers()
        if epoch < 0 or not waiting or self.random.random() < 0.05:
            self.d.call(self.peer(), "beacon.deal", self.near(max(epoch, 0)), self.word())
            return
        dealer = self.random.choice(waiting)
        root = self.d.prepare(dealer, epoch)
        if (
            self.d.terms.proves_dealings
            and self.d.job.beacon.roots[epoch, dealer]
            and self.random.random() < 0.95
        ):
            self.prove(dealer, epoch)
            return
        if self.random.random() < 0.07:
            self.spoil(dealer, epoch)
            root = merkle_root(self.d.leaves(dealer, epoch))
        self.d.call(dealer, "beacon.deal", self.near(epoch), root)

    def prove(self, dealer: int, epoch: int) -> None:
        """Prove the next dealing, or something else."""
        count = self.d.job.beacon.proven[epoch, dealer]
        output = epoch * self.d.terms.epoch_outputs + (count if self.random.random() < 0.9 else self.near(count))
        if output not in self.d.outputs(epoch):
            self.d.call(dealer, "beacon.prove", output, bytes(96), bytes(48), [])
            return
        args = list(self.d.proof_args(dealer, output))
        if self.random.random() < 0.05:
            args[1] = args[1][:-1] + b"\0"
        self.d.call(dealer if self.random.random() < 0.97 else self.peer(), "beacon.prove", *args)

    def spoil(self, dealer: int, epoch: int) -> None:
        for output in self.d.outputs(epoch):
            made = self.d.transcripts[dealer, output]
            self.d.transcripts[dealer, output] = h("spoilt") + made[32:]

    def commit(self) -> None:
        waiting = [p for p in self.d.peers("roster") if p not in self.d.peers("committed")]
        peer, step = self.any_of(waiting), self.d.current
        validators = dict(self.d.pairs())
        state = self.random.choice([self.d.state(step)] * 9 + [h("lie")])
        if peer in validators or self.random.random() < 0.05:
            target = validators.get(peer, self.peer())
            target = self.random.choice([target] * 12 + [self.peer(), 300])
            evidence = self.random.choice([h("evidence"), h("evidence"), bytes(32)])
            args = (self.near(step), target, self.random.random() < 0.75, evidence, state)
            self.d.call(peer, "ledger.attest", *args)
        else:
            root = self.random.choice([self.d.root(step, peer)] * 15 + [bytes(32), h("other")])
            self.d.call(peer, "ledger.commit", self.near(step), root, state, h("reports"))

    def aggregate(self) -> None:
        gone = self.d.peers("dropped") + self.d.peers("aggregated")
        peer = self.any_of([p for p in self.d.peers("roster") if p not in gone])
        attempt = self.d.job.ledger.state["attempt"]
        if self.random.random() < 0.06:
            self.d.call(peer, "ledger.eliminate", self.near(self.d.current), self.near(self.peer()))
        else:
            self.d.call(peer, "ledger.aggregate", self.near(self.d.current), self.near(attempt), h("part", peer))

    def open(self) -> None:
        beacon = self.d.job.beacon
        output, awaited = beacon.state["next"] - 1, list(members(beacon.awaited()))
        if self.d.terms.withheld == Withheld.TRUSTED:
            who = self.random.choice([self.d.terms.owner] * 5 + [STRANGER])
            self.d.call(who, "beacon.publish", self.near(output), h("output", output))
            return
        if not awaited:
            return
        dealer = self.any_of(awaited)
        if self.d.phase == Phase.RECOVER and self.d.terms.withheld == Withheld.RECOVER:
            self.recover(dealer, output)
        elif self.d.phase == Phase.RECOVER:
            self.recommit(dealer, output)
        else:
            self.reveal(dealer, output)

    def reveal(self, dealer: int, output: int) -> None:
        again = self.fresh.get((dealer, output, self.d.job.beacon.attempt()))
        if again and self.d.job.beacon.attempt():
            secret, digest, commitment = again
            args: tuple[Any, ...] = (output, secret, digest, commitment, [])
        elif (dealer, output) in self.d.secrets:
            args = self.d.reveal_args(dealer, output)
        else:
            args = (output, 7, h("x"), bytes(48), [])
        chance = self.random.random()
        if chance < 0.04:
            args = (args[0], args[1] ^ 1, *args[2:])
        elif chance < 0.08:
            args = (*args[:4], [*args[4], h("long")])
        elif chance < 0.12:
            args = (*args[:4], args[4][:-1])
        elif chance < 0.16:
            args = (*args[:2], h("another"), *args[3:])
        self.d.call(dealer, "beacon.reveal", *args)

    def recover(self, dealer: int, output: int) -> None:
        if (dealer, output) not in self.d.transcripts:
            return
        receivers = self.d.receivers(output // self.d.terms.epoch_outputs)
        threshold = self.d.terms.threshold(len(receivers))
        givers = self.random.sample(receivers, min(len(receivers), self.near(threshold)))
        args = list(self.d.recover_args(dealer, output, givers))
        if args[6] and self.random.random() < 0.1:
            args[6][0] = h("false share")
        if args[5] and self.random.random() < 0.1:
            args[5][-1] = self.random.choice([args[5][0], 0, 99])
        if self.random.random() < 0.05:
            args[3] = bytes(48)
        self.d.call(self.peer(), "beacon.recover", *args)

    def recommit(self, dealer: int, output: int) -> None:
        attempt = self.d.job.beacon.attempt()
        bound = self.d.job.beacon.place_of(output, dealer)[0]
        secret = self.random.getrandbits(200)
        commitment = self.d.scheme.commit(bound, secret)
        digest = h("fresh", dealer, output, attempt)
        self.fresh[dealer, output, attempt] = (secret, digest, commitment)
        root = merkle_root([sha256(digest + commitment).digest()])
        root = root if self.random.random() < 0.95 else bytes(32)
        self.d.call(dealer, "beacon.recommit", self.near(output), root)

    # ---- deadlines

    def wait(self) -> None:
        """Let the deadline pass and say so."""
        if self.random.random() < 0.3:
            self.d.call(self.peer(), "ledger.advance", self.near(self.d.job.ledger.round()), int(self.d.phase))
            return
        if self.d.phase in (Phase.DONE, Phase.ABORTED) and self.random.random() < 0.5:
            self.d.call(self.peer(), "ledger.withdraw")
            return
        self.d.now = max(self.d.now, self.d.job.ledger.state["deadline"] + self.random.choice([0, 1, 1, 1]))
        phase = self.random.choice([int(self.d.phase)] * 8 + [self.uint()])
        self.d.call(
            self.random.choice([self.peer(), STRANGER]), "ledger.advance", self.d.job.ledger.round(), phase
        )

    # ---- accusations

    def recent(self) -> int:
        return self.random.choice([max(0, self.d.current - 1)] * 6 + [self.near(self.d.current), self.uint()])

    def accuse(self) -> None:
        """Accuse somebody of something."""
        moves = [self.report, self.complain, self.absence, self.check, self.canary, self.sign_twice]
        moves += [self.contradict, self.dispute, self.bad_share, self.sums, self.data, self.leave_early]
        self.random.choice(moves + [self.sums] * 4 + [self.complain] * 2)()

    def report(self) -> None:
        self.d.call(self.peer(), "court.accuse_report", self.recent(), self.near(self.peer()))

    def complain(self) -> None:
        step, part = self.recent(), self.near(self.random.randrange(2))
        for peer in self.random.sample(range(self.d.terms.n_peers), self.random.choice([1, 4])):
            self.d.call(peer, "court.complain", step, part)

    def absence(self) -> None:
        kind = self.random.choice([*Absence, *Absence, 0, 4])
        step = {1: self.near(self.d.current), 3: self.near(self.d.current // 2)}.get(int(kind), self.recent())
        absent = self.random.choice([0, 1, self.peer(), 2**255])
        for peer in self.random.sample(range(self.d.terms.n_peers), self.random.choice([1, 1, 1, 4, 5])):
            self.d.call(peer, "court.report_absence", int(kind), step, absent)

    def check(self) -> None:
        self.d.call(self.peer(), "court.check_part", self.recent(), self.near(self.peer()))

    def canary(self) -> None:
        self.d.call(self.peer(), "court.accuse_canary", self.recent(), self.near(self.peer()))

    def sign_twice(self) -> None:
        peer, step = self.peer(), self.uint()
        topic = self.random.choice([b"COMMIT", b"REPORT", b"", b"T" * 31])
        signed = [(body, self.signature(peer, topic, step, body)) for body in (h("x"), h("y"))]
        if self.random.random() < 0.1:
            signed[1] = signed[0]
        (body, signature), (other, other_signature) = signed
        args = (self.near(peer), topic, step, body, signature, other, other_signature)
        self.d.call(self.peer(), "court.prove_equivocation", *args)

    def signature(self, peer: int, topic: bytes, step: int, body: bytes) -> bytes:
        if step >= 1 << 64:
            return bytes(65)
        made = bytearray(self.d.sign(peer, topic, step, body))
        chance = self.random.random()
        if chance < 0.04:
            made[0] ^= 1
        elif chance < 0.07:
            made[64] = 5
        elif chance < 0.10:
            made = made[:64]
        elif chance < 0.12:
            made[32:64] = b"\xf0" * 32
        return bytes(made)

    def contradict(self) -> None:
        peer = self.peer()
        step = self.random.choice([self.d.current, max(0, self.d.current - 1)])
        body = self.random.choice([h("false"), self.d.root(step, peer)])
        signature = self.signature(peer, b"COMMIT", step, body)
        self.d.call(self.peer(), "court.prove_contradiction", self.near(peer), step, body, signature)

    def dispute(self) -> None:
        known = [key for key in self.d.transcripts if key[1] >= self.d.job.beacon.state["next"]]
        if not known:
            return
        dealer, output = self.random.choice(known)
        args = (self.d.transcripts[dealer, output], *self.d.opened_leaf(dealer, output))
        self.d.call(self.peer(), "beacon.dispute_dealing", output, self.near(dealer), *args)

    def bad_share(self) -> None:
        if not self.d.transcripts:
            return
        dealer, output = self.random.choice(sorted(self.d.transcripts))
        giver = self.peer()
        if giver not in self.d.receivers(output // self.d.terms.epoch_outputs):
            return
        share = h("false share")
        if self.random.random() < 0.5:
            share = self.d.share(giver, dealer, output)[1]
        body = sha256(share).digest()
        signature = self.signature(giver, share_topic(dealer), output, body)
        opened = (self.d.transcripts[dealer, output], *self.d.opened_leaf(dealer, output))
        giver = self.random.choice([giver] * 8 + [self.peer()])
        self.d.call(self.peer(), "court.prove_bad_share", output, dealer, giver, share, signature, *opened)

    def sums(self) -> None:
        step = self.recent()
        if step >= self.d.current:
            return
        reporters = list(members(self.d.job.ledger.contributors_of(step)))
        if self.random.random() < 0.1:
            reporters = reporters[1:]
        k = self.d.terms.projections
        shift = self.random.choice([0, 0, 50, -50])
        chosen = {peer: [shift] * k for peer in reporters}
        args = list(self.d.challenge_args(step, self.random.randrange(3), chosen))
        chance = self.random.random()
        if args[7] and chance < 0.1:
            args[7][-1] = bytes(65)
        elif args[6] and chance < 0.2:
            args[6][0] = args[6][0][:-32]
        elif args[4] and chance < 0.3:
            args[4][0] = args[4][0] + b"\x01"
        elif chance < 0.35:
            args[3] += 1
        self.d.call(self.peer(), "court.challenge_sum", *args)

    def data(self) -> None:
        self.d.call(self.peer(), "registry.commit_data", self.word())

    def leave_early(self) -> None:
        if self.random.random() < 0.3:
            self.d.call(self.peer(), "registry.leave")

    # ---- contributions

    def contribute(self) -> None:
        """Post digests of what contributions are worth, and have them paid."""
        every, n = self.d.terms.contribution_every, self.d.terms.n_peers
        round = self.random.choice([max(0, self.d.job.ledger.round() // every - 1)] * 6 + [self.uint()])
        share = self.d.terms.contribution_wei // n
        amounts = [share * (peer % 3 > 0) for peer in range(n)]
        if round % 3 == 2:
            amounts[0] = self.random.choice([share * n, 2**255, 1])
        sha = self.d.job.host.sha256
        digest = payout_digest(sha, round, amounts) if self.random.random() < 0.9 else h("other")
        if self.random.random() < 0.6:
            for peer in self.random.sample(range(n), self.random.choice([1, n // 2 + 1])):
                self.d.call(peer, "rewards.post", round, digest)
        if self.random.random() < 0.15:
            amounts = self.random.choice([amounts[1:], [1] * n, []])
        self.d.call(self.peer(), "rewards.pay", round, amounts)

    # ---- court

    def judge(self) -> None:
        """Vote in an open case, or close one."""
        court = self.d.job.court
        count = court.state["count"]
        if not count:
            return
        case = self.random.randint(max(1, count - 3), count)
        if self.random.random() < 0.05:
            case = self.uint()
        chance = self.random.random()
        if chance < 0.1:
            self.d.call(self.peer(), "court.close_case", case)
            return
        eligible = list(members(court.eligible.read(case)))
        voters = self.random.sample(eligible, self.random.randint(0, len(eligible))) or [self.peer()]
        masks = [self.verdict() for _ in range(3)]
        for voter in voters:
            if chance < 0.25:
                self.d.call(voter, "court.vote_void", case)
            else:
                self.d.call(voter, "court.vote", case, *masks)

    def verdict(self) -> bytes:
        n = self.d.terms.n_peers
        choices = [b""] * 6 + [(1 << self.peer()).to_bytes(8, "little").rstrip(b"\0")] * 3
        choices += [self.random.getrandbits(n).to_bytes(-(-n // 8), "little"), b"\xff" * 9, b"\x01\x00"]
        return self.random.choice(choices)

    # ---- nonsense

    def wrong_proofs(self) -> list[Any]:
        if not self.d.terms.proves_dealings:
            return []
        return [lambda: self.d.call(self.peer(), "beacon.prove", self.uint(), bytes(96), bytes(48), [])]

    def wrong(self) -> None:
        """Call something at a wrong time, or with nonsense."""
        n = self.d.terms.n_peers
        moves: list[Any] = [
            lambda: self.d.call(STRANGER, "registry.leave"),
            lambda: self.d.call(self.peer(), "ledger.withdraw"),
            lambda: self.d.call(self.peer(), "ledger.commit", self.uint(), self.word(), self.word(), self.word()),
            lambda: self.d.call(self.peer(), "ledger.attest", self.uint(), self.uint(), True, h("e"), h("s")),
            lambda: self.d.call(self.peer(), "ledger.aggregate", self.uint(), self.uint(), self.word()),
            lambda: self.d.call(self.peer(), "ledger.eliminate", self.uint(), self.uint()),
            lambda: self.d.call(self.peer(), "ledger.probe", self.uint(), self.word()),
            lambda: self.d.call(self.peer(), "ledger.advance", self.uint(), self.uint()),
            lambda: self.d.call(self.peer(), "beacon.deal", self.uint(), self.word()),
            lambda: self.d.call(self.peer(), "beacon.reveal", self.uint(), 5, h("x"), bytes(48), []),
            lambda: self.d.call(self.peer(), "beacon.recommit", self.uint(), self.word()),
            *self.wrong_proofs(),
            lambda: self.d.call(self.peer(), "beacon.publish", self.uint(), self.word()),
            lambda: self.d.call(self.peer(), "registry.rejoin"),
            lambda: self.d.call(STRANGER, "court.vote_void", self.uint()),
            lambda: self.d.call(self.peer(), "court.close_case", self.uint()),
            lambda: self.register(self.random.randrange(n)),
            lambda: self.d.call(self.d.terms.owner, "treasury.fund", value=self.random.choice([0, 10**6])),
            lambda: self.d.call(self.peer(), "registry.leave", value=3),
            lambda: self.d.call(self.peer(), "ledger.withdraw", value=1),
        ]
        self.random.choice(moves)()
