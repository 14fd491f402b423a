"""Rewards for contribution: a majority agrees, one call pays all or nobody, and money is conserved."""

from __future__ import annotations

from hashlib import sha256

import pytest
from contract_stage import POT, REWARD, Stage, h, make_terms

from contracts_model.rewards import payout_digest
from simdfl.crypto.signatures import Keypair

BUDGET = REWARD * 6 * 50 // 100
AMOUNTS = [BUDGET // 2, 0, BUDGET // 4, 0, 1, 2]


def body(round: int, amounts: list[int]) -> bytes:
    return payout_digest(lambda data: sha256(data).digest(), round, amounts)


def stage(**changed: int) -> Stage:
    return Stage(contribution_percent=50, contribution_every=1, **changed).until_step(1)


def agree(made: Stage, amounts: list[int]) -> None:
    for peer in range(4):
        made.do(peer, "rewards.post", 0, body(0, amounts))
    assert made.last("ContributionAgreed")["digest"] == body(0, amounts)


def test_what_a_majority_posts_is_paid_at_once_and_once() -> None:
    made = stage()
    before = [made.job.wallets.of(key.address) for key in made.keys]
    made.do(5, "rewards.post", 0, body(0, [BUDGET] + [0] * 5))  # a liar
    for peer in range(3):
        assert made.do(peer, "rewards.post", 0, body(0, AMOUNTS)) == []
    made.refuse("nothing is agreed", 0, "rewards.pay", 0, AMOUNTS)
    assert made.do(3, "rewards.post", 0, body(0, AMOUNTS)) == ["ContributionAgreed"]
    made.refuse("not the agreed amounts", 5, "rewards.pay", 0, [BUDGET] + [0] * 5)
    made.refuse("one amount a member", 5, "rewards.pay", 0, AMOUNTS[:5])
    assert made.do(4, "rewards.pay", 0, AMOUNTS) == ["Contributed"] * 4 + ["ContributionPaid"]
    after = [made.job.wallets.of(key.address) for key in made.keys]
    assert [new - old for new, old in zip(after, before, strict=True)] == AMOUNTS
    assert made.job.treasury.totals.data["pot"] == POT - sum(AMOUNTS)
    made.refuse("already paid", 0, "rewards.pay", 0, AMOUNTS)


def test_each_active_peer_posts_once_for_a_round_that_is_over() -> None:
    made = stage()
    made.do(0, "rewards.post", 0, h("a"))
    made.refuse("already posted", 0, "rewards.post", 0, h("b"))
    made.refuse("the round is not over", 0, "rewards.post", 1, h("a"))
    made.refuse("no such round", 0, "rewards.post", 3, h("a"))
    made.refuse("not registered", made.terms.owner, "rewards.post", 0, h("a"))


def test_a_short_pot_pays_nobody() -> None:
    made, dear = stage(reward_wei=POT), [1, POT, 0, 0, 0, 0]
    agree(made, dear)
    made.refuse("the pot is short", 0, "rewards.pay", 0, dear)
    made.do(3, "treasury.fund", value=1)
    made.do(0, "rewards.pay", 0, dear)


def test_no_majority_can_pay_more_than_the_budget() -> None:
    made = stage()
    greedy = [BUDGET, 1, 0, 0, 0, 0]
    agree(made, greedy)
    made.refuse("above the budget", 0, "rewards.pay", 0, greedy)


def test_who_was_banned_meanwhile_gets_nothing() -> None:
    made = stage()
    agree(made, AMOUNTS)
    signatures = [made.sign(0, b"COMMIT", 1, h(word)) for word in "xy"]
    made.do(1, "court.prove_equivocation", 0, b"COMMIT", 1, h("x"), signatures[0], h("y"), signatures[1])
    rich = made.job.wallets.of(made.keys[0].address)
    made.do(1, "rewards.pay", 0, AMOUNTS)
    assert made.job.wallets.of(made.keys[0].address) == rich
    made.refuse("not an active peer", 0, "rewards.post", 0, h("a"))


def test_without_the_option_there_is_no_such_contract() -> None:
    made = Stage()
    assert "rewards" not in made.job.contracts
    assert (made.terms.contribution_rounds, made.terms.contribution_wei) == (0, 0)


@pytest.mark.parametrize("changes", [{"contribution_percent": 1001}, {"contribution_every": 4}])
def test_impossible_terms_are_refused(changes: dict[str, int]) -> None:
    keys = [Keypair.from_seed(h("peer", peer)) for peer in range(6)]
    with pytest.raises(ValueError, match=next(iter(changes))):
        make_terms(keys, **changes)
