"""Random plays with the anchor contract: quorums, posts, challenges, payouts, and mistakes."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any

from double import DEPOSIT, START_S, STRANGER, Double, Sampled, h, rehearsal_host
from improvise import BIG
from twins import Twins, deploy_anchor

from contracts_model.anchor import ANCHOR_TOPIC, AnchorJob, anchor_body

WINDOW_S = 50
SETTINGS: tuple[dict[str, Any], ...] = (
    {"n": 4, "is_optimistic": True},
    {"n": 5, "is_optimistic": False},
    {"n": 7, "is_optimistic": True, "founders": 4, "reporter_percent": 0},
)


class Anchorage:
    """The anchor contract in place of a job's (a mixin of :class:`Double`)."""

    is_optimistic = False

    def _deploy(self: Any, balances: dict[bytes, int]) -> tuple[Any, Twins]:
        job = AnchorJob(
            self.terms,
            rehearsal_host(),
            balances,
            timestamp_s=START_S,
            is_optimistic=self.is_optimistic,
            window_s=WINDOW_S,
        )
        return job, deploy_anchor(self.evm, self.terms, self.is_optimistic, WINDOW_S, first_nonce=0)


class AnchorDouble(Anchorage, Double):
    """Both versions of the anchor, call by call."""

    def __init__(self, evm: Any, n: int, is_optimistic: bool, **changed: Any) -> None:
        self.is_optimistic = is_optimistic
        super().__init__(evm, n, **changed)


class AnchorSampled(Anchorage, Sampled):
    """Both versions of the anchor; the EVM sees only what it has not seen often."""

    def __init__(self, seen: Any, often: int, n: int, is_optimistic: bool, **changed: Any) -> None:
        self.is_optimistic = is_optimistic
        super().__init__(seen, often, n, **changed)


class AnchorPlay:
    """Improvises on an anchorage."""

    def __init__(self, double: Any, random: Random) -> None:
        self.d = double
        self.random = random

    def run(self, calls: int) -> None:
        """Make so many calls."""
        self.d.call(self.d.terms.owner, "treasury.fund", value=10**6)
        while len(self.d.made) < calls:
            self.d.now += self.random.choice([0, 0, 1, 30])
            moves = [self.register] * 3 + [self.anchor] * 4 + [self.post] * 3 + [self.challenge] * 3
            moves += [self.withdraw] + [self.quarrel] * 3
            self.random.choice(moves)()

    def who(self) -> int | bytes:
        return self.random.choice([STRANGER] + list(range(self.d.terms.n_peers)) * 2)

    def epoch(self) -> int:
        return self.random.choice([*range(4)] * 3 + [2**64 - 1, *BIG])

    def register(self) -> None:
        self.d.call(self.who(), "anchor.register", value=self.random.choice([DEPOSIT] * 6 + [0, 1]))

    def content(self) -> tuple[bytes, bytes, list[int]]:
        n = self.d.terms.n_peers
        root = self.random.choice([h("root"), h("other root")] * 5 + [bytes(32)])
        bans = self.random.choice([b"", b"\x03", b"\x01\x01"])
        pay = [self.random.choice([0, 5, DEPOSIT, DEPOSIT - 7, DEPOSIT + 9, 10**9]) for _ in range(n)]
        return root, bans, self.random.choice([[], [], pay, pay, pay[1:]])

    def signed(self, epoch: int, content: tuple[bytes, bytes, list[int]]) -> tuple[list[int], list[bytes]]:
        n = self.d.terms.n_peers
        most = self.random.choice([n // 2 + 1] * 6 + [n, 1, 0])
        signers = self.random.sample(range(n), most)
        body = anchor_body(lambda data: sha256(data).digest(), *content)
        proofs = [self.d.sign(peer, ANCHOR_TOPIC, epoch % 2**64, body) for peer in signers]
        chance = self.random.random()
        if signers and chance < 0.06:
            signers[-1] = self.random.choice([signers[0], *BIG])
        elif proofs and chance < 0.12:
            proofs[-1] = self.random.choice([bytes(65), bytes(64), b"\x05" * 65, b"\xff" * 65])
        elif proofs and chance < 0.15:
            proofs.pop()
        return signers, proofs

    def anchor(self) -> None:
        epoch, content = self.epoch(), self.content()
        self.d.call(self.who(), "anchor.anchor", epoch, *content, *self.signed(epoch, content))

    def post(self) -> None:
        self.d.call(self.who(), "anchor.post", self.epoch(), *self.content())

    def challenge(self) -> None:
        epoch, content = self.epoch(), self.content()
        self.d.call(self.who(), "anchor.challenge", epoch, *content, *self.signed(epoch, content))

    def quarrel(self) -> None:
        """Somebody posts alone, and a quorum contradicts at once."""
        peer, epoch = self.random.randrange(self.d.terms.n_peers), self.random.randrange(10**6)
        self.d.call(peer, "anchor.register", value=DEPOSIT)
        self.d.call(peer, "anchor.post", epoch, *self.content())
        content = self.content()
        self.d.call(self.who(), "anchor.challenge", epoch, *content, *self.signed(epoch, content))

    def withdraw(self) -> None:
        self.d.call(self.who(), "anchor.withdraw", value=self.random.choice([0] * 9 + [1]))
