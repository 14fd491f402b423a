"""The anchor contract: stakes, quorums, optimistic posts, challenges, settlement."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from contract_stage import DEPOSIT, POT, h, make_terms
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts_model import Call, Outcome
from contracts_model.anchor import ANCHOR_TOPIC, AnchorJob, anchor_body
from contracts_model.court import message_digest
from simdfl.chain.host import ChainHost
from simdfl.crypto.beacon import make_beacon
from simdfl.crypto.signatures import Keypair

N, WINDOW_S, GAS_LIMIT = 5, 100, 8_000_000
ROOT, OTHER = h("root"), h("other root")


class Base:
    """A base chain with the anchor contract and five members."""

    def __init__(self, optimistic: bool = False) -> None:
        self.keys = [Keypair.from_seed(h("peer", peer)) for peer in range(N)]
        terms = make_terms(self.keys)
        balances = {key.address: 10 * DEPOSIT for key in self.keys} | {terms.owner: POT}
        self.job = AnchorJob(
            terms, ChainHost(make_beacon("pvss_ldei", "ideal")), balances, 0, optimistic, WINDOW_S
        )
        self.now = 0
        self.call(terms.owner, "treasury", "fund", value=POT)

    def call(self, who: int | bytes, contract: str, function: str, *args: Any, value: int = 0) -> Outcome:
        sender = who if isinstance(who, bytes) else self.keys[who].address
        outcome = self.job.execute(Call(sender, contract, function, args, value), 0, self.now, GAS_LIMIT)
        self.job.check_conservation()
        return outcome

    def do(self, who: int, function: str, *args: Any, value: int = 0) -> list[str]:
        outcome = self.call(who, "anchor", function, *args, value=value)
        assert outcome.succeeded, outcome.reason
        return [event.name for event in outcome.events]

    def refuse(self, reason: str, who: int | bytes, function: str, *args: Any, value: int = 0) -> None:
        assert reason in self.call(who, "anchor", function, *args, value=value).reason

    def stake(self) -> Base:
        for peer in range(N):
            self.do(peer, "register", value=DEPOSIT)
        return self

    def signed(
        self, epoch: int, root: bytes, signers: list[int], amounts: tuple[int, ...] = (), bans: bytes = b""
    ) -> tuple[Any, ...]:
        def digest(data: bytes) -> bytes:
            return sha256(data).digest()

        body = anchor_body(digest, root, bans, list(amounts))
        signed = message_digest(digest, self.job.terms.job_digest, ANCHOR_TOPIC, epoch, body)
        return epoch, root, bans, list(amounts), signers, [self.keys[peer].sign(signed) for peer in signers]

    def balance(self, peer: int) -> int:
        return self.job.wallets.of(self.keys[peer].address)


def test_more_than_half_anchor_an_epoch_once():
    base = Base().stake()
    base.refuse("no quorum", 0, "anchor", *base.signed(0, ROOT, [0, 1]))
    assert base.do(0, "anchor", *base.signed(0, ROOT, [0, 2, 4])) == ["Anchored"]
    base.refuse("already anchored", 1, "anchor", *base.signed(0, OTHER, [0, 1, 3]))
    assert base.job.anchor.roots[0] == ROOT


def test_signatures_count_once_and_for_this_epoch_only():
    base = Base().stake()
    doubled = base.signed(0, ROOT, [0, 0, 2])
    base.refuse("one signature a signer", 0, "anchor", *doubled)
    epoch, *rest = base.signed(0, ROOT, [0, 1, 2])
    base.refuse("not signed by that member", 0, "anchor", epoch + 1, *rest)
    forged = base.signed(0, ROOT, [0, 1, 2])
    base.refuse("not signed by that member", 0, "anchor", *forged[:4], [0, 1, 3], forged[5])
    base.refuse("anchors need a quorum", 0, "post", 0, ROOT, b"", [])


def test_strangers_do_nothing():
    base = Base().stake()
    stranger = Keypair.from_seed(h("stranger")).address
    base.refuse("not invited", stranger, "anchor", *base.signed(0, ROOT, [0, 1, 2]))
    base.refuse("already registered", 0, "register", value=DEPOSIT)
    base.refuse("exact", 0, "register", value=DEPOSIT - 1)


def test_a_posted_anchor_stands_unless_a_quorum_shows_another():
    base = Base(optimistic=True).stake()
    assert base.do(1, "post", 0, OTHER, b"", []) == ["Anchored"]
    base.refuse("the same anchor", 0, "challenge", *base.signed(0, OTHER, [0, 2, 3]))
    before = base.balance(0)
    assert base.do(0, "challenge", *base.signed(0, ROOT, [0, 2, 3])) == ["Anchored", "Challenged"]
    assert base.job.anchor.roots[0] == ROOT
    assert base.job.treasury.deposits[1] == 0
    assert base.balance(0) - before == DEPOSIT // 2  # the reporter's share
    base.refuse("nothing was posted alone", 0, "challenge", *base.signed(0, OTHER, [0, 2, 3]))
    base.refuse("no stake is behind it", 1, "post", 1, ROOT, b"", [])


def test_a_late_challenge_is_too_late():
    base = Base(optimistic=True).stake()
    base.do(1, "post", 0, OTHER, b"", [])
    base.now += WINDOW_S + 1
    base.refuse("window is over", 0, "challenge", *base.signed(0, ROOT, [0, 2, 3]))


@pytest.mark.parametrize("optimistic", [False, True])
def test_the_last_anchor_settles(optimistic):
    base = Base(optimistic).stake()
    amounts = (DEPOSIT + 500, DEPOSIT, 0, DEPOSIT // 2, DEPOSIT + 1)
    if optimistic:
        base.do(0, "post", 7, ROOT, b"\x04", list(amounts))
        base.refuse("not settled", 0, "withdraw")
        base.now += WINDOW_S + 1
    else:
        base.do(0, "anchor", *base.signed(7, ROOT, [0, 1, 4], amounts, b"\x04"))
        base.now += 1
    for peer, amount in enumerate(amounts):
        before = base.balance(peer)
        base.do(peer, "withdraw")
        assert base.balance(peer) - before == amount
        base.refuse("already paid", peer, "withdraw")
    assert base.job.treasury.totals["burned"] == DEPOSIT + DEPOSIT // 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2 * DEPOSIT + POT), min_size=N, max_size=N))
def test_whatever_is_settled_money_is_conserved(amounts):
    base = Base().stake()
    base.do(0, "anchor", *base.signed(0, ROOT, [0, 1, 2], tuple(amounts)))
    base.now += 1
    for peer in range(N):
        base.do(peer, "withdraw")
    assert base.job.treasury.held_wei() >= 0
