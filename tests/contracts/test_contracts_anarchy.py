"""Anarchy: arbitrary calls by arbitrary senders as time goes by. Nothing breaks, no money moves unlawfully."""

from __future__ import annotations

from contract_stage import DEPOSIT, PHASE_S, Stage, h
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts_model import Call, Phase
from contracts_model.court import Absence
from simdfl.crypto.signatures import Keypair

STRANGER = Keypair.from_seed(h("stranger")).address
N = 6
peers = st.integers(0, N - 1)
edges = st.sampled_from([0, 1, 2, 3, 5, 6, 7, 255, 256, 2**32, 2**63, 2**64 - 1, 2**64, 2**255, 2**256 - 1])
uints = st.one_of(st.integers(0, 8), edges)
blobs = st.one_of(st.binary(max_size=4), st.sampled_from([b"\x3f", b"\x01", bytes(65), b"\xff" * 40, h("x")]))
words = st.sampled_from([bytes(32), h("x"), h("y"), b"\xff" * 32])
VALUES = {
    "uint256": uints,
    "bool": st.booleans(),
    "bytes32": words,
    "bytes": blobs,
    "uint256[]": st.lists(uints, max_size=3),
    "bytes32[]": st.lists(words, max_size=3),
    "bytes[]": st.lists(blobs, max_size=3),
}


def interface(job):
    return sorted(
        (contract.name, name, getattr(type(contract), name).abi_types)
        for contract in job.contracts.values()
        for name in dir(type(contract))
        if hasattr(getattr(type(contract), name), "abi_types")
    )


class Anarchy(RuleBasedStateMachine):
    """Honest scenes move the job along; in between, anybody calls anything."""

    @initialize(start=st.sampled_from(["register", "deal", "reveal", "step"]), window=st.integers(3, 4))
    def begin(self, start, window):
        self.stage = Stage(n=N, steps=4, minimum_peers=3, dispute_window=window)
        scenes = {"deal": self.stage.until_deal, "reveal": self.stage.until_reveal}
        scenes.get(start, lambda: self.stage.until_step(1) if start == "step" else None)()
        self.functions = interface(self.stage.job)
        self.paid: set[int] = set()

    def try_call(self, who, where, *args, value=0, gas=16_000_000):
        before = self.stage.snapshot()
        outcome = self.stage.call(who, where, *args, value=value, gas=gas)
        assert 0 < outcome.gas_used <= gas
        if not outcome.succeeded:
            assert outcome.events == ()
            assert self.stage.snapshot() == before
        elif where == "ledger.withdraw":
            assert self.stage.standing(who) != "banned"
            assert who not in self.paid
            self.paid.add(who)
        return outcome

    @rule(seconds=st.sampled_from([0, 1, PHASE_S // 2, PHASE_S + 1]))
    def time_passes(self, seconds):
        self.stage.now += seconds

    @rule(data=st.data(), who=st.one_of(peers, st.just(STRANGER)), value=st.sampled_from([0, 0, 0, 1, DEPOSIT]))
    def anything(self, data, who, value):
        contract, name, types = data.draw(st.sampled_from(self.functions))
        args = [data.draw(VALUES[kind]) for kind in types]
        self.try_call(who, f"{contract}.{name}", *args, value=value)

    @rule(data=st.data(), who=peers, gas=st.integers(21_000, 400_000))
    def little_gas(self, data, who, gas):
        contract, name, types = data.draw(st.sampled_from(self.functions))
        self.try_call(who, f"{contract}.{name}", *[data.draw(VALUES[kind]) for kind in types], gas=gas)

    @rule(who=peers, other=st.one_of(peers, edges), kind=st.sampled_from([int(kind) for kind in Absence]))
    def current_step_mischief(self, who, other, kind):
        step = self.stage.current
        self.try_call(who, "ledger.eliminate", step, other)
        self.try_call(who, "court.report_absence", kind, step, other)
        self.try_call(who, "court.accuse_report", max(step - 1, 0), other)
        self.try_call(who, "court.complain", max(step - 1, 0), other)

    @rule(
        who=st.lists(peers, max_size=N, unique=True),
        case=st.integers(1, 4),
        verdict=st.tuples(blobs, blobs, blobs),
    )
    def votes(self, who, case, verdict):
        for voter in who:
            self.try_call(voter, "court.vote", case, *verdict)

    @rule(who=peers, case=st.integers(0, 5))
    def closing(self, who, case):
        self.try_call(who, "court.close_case", case)

    @rule(who=peers, culprit=peers, topic=st.sampled_from([b"COMMIT", b"", b"x" * 300]), step=uints)
    def equivocation(self, who, culprit, topic, step):
        if len(topic) > 255 or step >= 2**64:
            signatures = [bytes(65)] * 2
        else:
            signatures = [self.stage.sign(culprit, topic, step, h(word)) for word in ("x", "y")]
        proof = (culprit, topic, step, h("x"), signatures[0], h("y"), signatures[1])
        self.try_call(who, "court.prove_equivocation", *proof)

    @rule(who=peers, honest=st.booleans())
    def somebody_acts(self, who, honest):
        stage = self.stage
        if stage.phase == Phase.COMMIT:
            target = dict(stage.pairs()).get(who)
            line = (h("state"), h("reports"))
            if target is None:
                root = stage.root(stage.current, who)
                self.try_call(who, "ledger.commit", stage.current, root, *line)
            else:
                self.try_call(who, "ledger.attest", stage.current, target, honest, *line)
        elif stage.phase == Phase.AGGREGATE:
            attempt = stage.job.ledger.state["attempt"]
            self.try_call(who, "ledger.aggregate", stage.current, attempt, h("part"))

    @precondition(lambda self: self.stage.phase == Phase.REVEAL)
    @rule(who=peers)
    def somebody_reveals(self, who):
        output = self.stage.job.beacon.state["next"] - 1
        if (who, output) in self.stage.secrets:
            self.try_call(who, "beacon.reveal", *self.stage.reveal_args(who, output))

    @precondition(lambda self: self.stage.phase == Phase.RECOVER)
    @rule(who=peers, givers=st.permutations(range(N)))
    def somebody_recovers(self, who, givers):
        output, awaited = self.stage.job.beacon.state["next"] - 1, self.stage.job.beacon.awaited()
        receivers = self.stage.receivers(output // 2)
        dealer = awaited.bit_length() - 1
        chosen = [giver for giver in givers if giver in receivers][: (len(receivers) + 1) // 2]
        if (dealer, output) in self.stage.transcripts:
            self.try_call(who, "beacon.recover", *self.stage.recover_args(dealer, output, chosen))

    @rule(who=peers)
    def advance(self, who):
        if self.stage.phase == Phase.COMMIT:
            epoch = self.stage.job.beacon.state["dealing"] - 1
            for peer in self.stage.receivers(epoch):
                self.try_call(peer, "beacon.deal", epoch, self.stage.prepare(peer, epoch))
        self.try_call(who, "ledger.advance", self.stage.job.ledger.round(), int(self.stage.phase))

    @rule(who=peers)
    def withdraw(self, who):
        self.try_call(who, "ledger.withdraw")

    @rule()
    def views_work(self):
        self.stage.job.ledger.phase()
        self.stage.job.calldata(Call(STRANGER, "ledger", "withdraw"))

    @invariant()
    def money_is_conserved(self):
        if hasattr(self, "stage"):
            self.stage.job.check_conservation()

    @invariant()
    def nobody_loses_a_deposit_without_a_ban(self):
        if not hasattr(self, "stage"):
            return
        banned = {event.fields["peer"] for event in self.stage.log if event.name == "Banned"}
        registered = {event.fields["peer"] for event in self.stage.log if event.name == "Registered"}
        for peer in registered - banned - self.paid:
            assert self.stage.deposit(peer) == DEPOSIT
        for peer in banned:
            assert self.stage.deposit(peer) == 0
            assert self.stage.standing(peer) == "banned"

    @invariant()
    def the_count_of_the_active_is_right(self):
        if hasattr(self, "stage"):
            registry = self.stage.job.registry
            assert registry.counters["active"] == registry.active_mask().bit_count()


Anarchy.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnarchy = Anarchy.TestCase
