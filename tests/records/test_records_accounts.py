"""Who earned and lost what: the table adds up with the contracts, and an outsider makes the same one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from audited_run import audit
from hypothesis import given
from hypothesis import strategies as st

from contracts_model import Event, Terms
from contracts_model.accounts import Accounts, total
from simdfl.auditing.report import as_record
from simdfl.records.publication import write_publication
from simdfl.records.summary import accounts_sentence
from simdfl.scenario import loads
from simdfl.units import ETHER, format_wei
from simdfl.world import RunResult, build
from simdfl.world.accounts import keep_accounts
from simdfl.world.build import World

TEXT = """
name: books
protocol: {steps: 6, validators: 2, anchoring: {policy: POLICY}}
peers: {count: 10}
beacon: {group: ideal, epoch_outputs: 40}
contracts: {deal_s: 60}
learning: {model: {name: logistic}, evaluate_every: 2}
adversaries: [{name: sign_flip, count: 3}]
chain: {source: {name: rollup, params: {l1_fee_wei_per_byte: 1000}}}
"""


@cache
def lived(policy: str) -> tuple[World, RunResult]:
    """Return a run that has ended."""
    world = build(loads(TEXT.replace("POLICY", policy), "books").scenario)
    return world, world.run()


@pytest.mark.parametrize("policy", ["step", "epoch", "dispute"])
def test_the_books_give_the_balances_and_the_treasury_s_totals(policy: str) -> None:
    world, _ = lived(policy)
    assert world.chains is not None
    for chain in world.chains.all:
        chain.job.check_conservation()
        accounts, totals = keep_accounts(chain), chain.job.treasury.totals.data
        for peer, account in enumerate(accounts.peers):
            before = chain.job.balances[chain.job.terms.members[peer]]
            assert chain.job.wallets.of(chain.job.terms.members[peer]) == before + account.paid_wei
            assert account.held_wei == chain.job.treasury.deposits.data.get(peer, 0)
        sums = total(accounts.peers)
        assert sums.burned_wei == totals.get("burned", 0)
        assert sums.reward_wei + sums.reporter_wei == totals.get("rewarded", 0)
        assert sums.slashed_wei >= sums.burned_wei + sums.reporter_wei
        funded = sum(r.value_wei for b in chain.blocks for r in b.receipts if r.function == "fund")
        pot = totals.get("pot", 0)
        assert sums.deposit_in_wei + funded == (
            sums.deposit_out_wei + sums.reward_wei + sums.reporter_wei + sums.burned_wei + sums.held_wei + pot
        )
        if chain is world.chains.paid:
            own = {chain.job.terms.owner}
            owner_wei = sum(r.fee_wei for b in chain.blocks for r in b.receipts if r.sender in own)
            assert sums.gas_fee_wei + sums.data_fee_wei + owner_wei == chain.fees_wei


def test_who_lied_has_lost_its_deposit_and_who_proved_it_has_the_share() -> None:
    _, result = lived("step")
    rows = {row["peer"]: row for row in result.accounts}
    banned = {row["peer"] for row in result.removals if row["kind"] == "banned"}
    assert banned
    for peer in banned:
        row = rows[peer]
        assert row["byzantine"]
        assert row["role"] == "sign_flip"
        assert row["standing"] == "banned"
        assert int(row["slashed_wei"]) == 32 * ETHER
        assert int(row["net_wei"]) < -32 * ETHER + int(row["reporter_wei"]) + 1
    for removal in result.removals:
        if removal["reporter"] >= 0:
            assert int(rows[removal["reporter"]]["reporter_wei"]) >= 8 * ETHER
    honest = [row for row in rows.values() if not row["byzantine"]]
    assert {row["role"] for row in honest} == {"honest"}
    assert all(int(row["reward_wei"]) > 0 for row in honest)
    assert all(int(row["data_fee_wei"]) > 0 for row in honest)
    assert "Burned " + format_wei(24 * ETHER * len(banned)) in accounts_sentence(result)


@pytest.mark.parametrize("policy", ["step", "epoch"])
def test_an_outsider_makes_the_same_table_from_the_published_chain(policy: str, tmp_path: Path) -> None:
    _, result = lived(policy)
    write_publication(tmp_path, result)
    outcome = audit(tmp_path)
    assert outcome.exit_status == 0
    known = ("byzantine", "role", "standing")  # what no chain tells, and what the audit lists beside it
    ours = [{key: value for key, value in row.items() if key not in known} for row in result.accounts]
    assert outcome.accounts == ours
    assert as_record(outcome)["accounts"] == ours


# ---- the books by themselves

SEATS = tuple(bytes([seat + 1]) * 20 for seat in range(4))


def terms(percent: int) -> Terms:
    seconds = ("register_s", "deal_s", "commit_s", "aggregate_s", "reveal_s", "recover_s", "vote_s")
    rest: dict[str, Any] = dict.fromkeys(seconds, 10)
    numbers = {"minimum_peers": 3, "steps": 2, "validators": 1, "projections": 1, "tolerance": 0}
    rest |= numbers | {"epoch_outputs": 2, "dispute_window": 3, "deposit_wei": 100, "reward_wei": 1}
    return Terms(bytes(32), bytes(20), SEATS, reporter_percent=percent, **rest)


BANS = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), max_size=4, unique_by=lambda ban: ban[0])


@given(bans=BANS, percent=st.integers(0, 50), rewards=st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_nothing_appears_or_vanishes_in_the_books(
    bans: list[tuple[int, int]], percent: int, rewards: list[int]
) -> None:
    accounts = Accounts(terms(percent))
    for peer, seat in enumerate(SEATS):
        joined = Event("registry", "Registered", {"peer": peer, "account": seat})
        accounts.record(seat, 100, 7, 1, [joined])
    for peer, reporter in bans:
        fields = {"peer": peer, "reason": "", "slashed": 100, "reporter": reporter}
        accounts.record(SEATS[0], 0, 3, 0, [Event("registry", "Banned", fields)])
    stays = [peer for peer in range(4) if peer not in {banned for banned, _ in bans}]
    for peer in stays:
        out = Event("ledger", "Withdrawn", {"peer": peer, "amount": 100 + rewards[peer]})
        accounts.record(SEATS[peer], 0, 2, 0, [out])
    sums = total(accounts.peers)
    paid = sum(rewards[peer] for peer in stays)
    fees = 8 * 4 + 3 * len(bans) + 2 * len(stays)
    assert sums.net_wei == paid - sums.burned_wei - fees
    assert sums.burned_wei + sums.reporter_wei == sums.slashed_wei == 100 * len(bans)
    assert sums.held_wei == 0


def test_an_anchored_settlement_burns_what_was_lost() -> None:
    accounts = Accounts(terms(25))
    for peer, amount in ((0, 130), (1, 0)):
        accounts.record(SEATS[peer], 100, 0, 0, [Event("anchor", "Staked", {"peer": peer})])
        accounts.record(SEATS[peer], 0, 0, 0, [Event("anchor", "Withdrawn", {"peer": peer, "amount": amount})])
    accounts.record(SEATS[2], 100, 0, 0, [Event("anchor", "Staked", {"peer": 2})])
    accounts.record(SEATS[3], 0, 5, 0, [Event("anchor", "Challenged", {"epoch": 0, "peer": 2})])
    nets = [account.net_wei for account in accounts.peers]
    assert nets == [30, -100, -100, 20]
    assert [account.burned_wei for account in accounts.peers] == [0, 100, 75, 0]
