"""Every guard of the contracts: what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import pytest
from contract_stage import DEPOSIT, Stage, h

from contracts_model import Call, Phase, Terms
from simdfl.crypto.signatures import Keypair

STRANGER = Keypair.from_seed(h("stranger")).address


# ---- registration


def test_registration_is_by_invitation_with_the_exact_deposit_and_a_proof():
    stage = Stage()
    public, proof = stage.registration(0)
    for value in (0, DEPOSIT - 1, DEPOSIT + 1):
        stage.refuse("deposit must be exact", 0, "registry.register", public, proof, value=value)
    stage.refuse("no proof of possession", 1, "registry.register", public, proof, value=DEPOSIT)
    stage.refuse("no proof of possession", 0, "registry.register", public, proof[:-1], value=DEPOSIT)
    stage.refuse("no proof of possession", 0, "registry.register", b"", b"", value=DEPOSIT)
    stage.register(0)
    stage.refuse("already registered", 0, "registry.register", *stage.registration(1), value=DEPOSIT)
    stage.refuse("this key is registered", 1, "registry.register", public, proof, value=DEPOSIT)


def test_a_stranger_cannot_join():
    stage = Stage(deposit_wei=0)
    stage.refuse("not invited", STRANGER, "registry.register", *stage.registration(0))


def test_a_poor_peer_cannot_join():
    stage = Stage()
    stage.job.wallets.balances[stage.keys[0].address] = DEPOSIT - 1
    stage.job.minted_wei -= 9 * DEPOSIT + 1
    stage.refuse("insufficient balance", 0, "registry.register", *stage.registration(0), value=DEPOSIT)


# ---- the dealing


def test_dealing_once_in_time_by_the_active():
    stage = Stage().until_deal()
    root = stage.prepare(0, 0)
    stage.refuse("not open for dealing", 0, "beacon.deal", 1, root)
    stage.refuse("an empty root", 0, "beacon.deal", 0, bytes(32))
    stage.refuse("not registered", STRANGER, "beacon.deal", 0, root)
    stage.deal(0, 0)
    stage.refuse("already dealt", 0, "beacon.deal", 0, root)
    stage.now = 51
    stage.refuse("too late", 1, "beacon.deal", 0, stage.prepare(1, 0))


def test_nothing_opens_before_the_lock():
    """A reveal before LOCK would let the last dealers choose their secrets by the first."""
    stage = Stage().until_deal()
    stage.deal(0)
    stage.refuse("not in the reveal phase", 0, "beacon.reveal", *stage.reveal_args(0, 0))
    stage.deadline()
    stage.refuse("not the output being opened", 0, "beacon.reveal", *stage.reveal_args(0, 1))
    stage.reveal(0)
    for scene in (lambda: None, stage.deal_ahead, stage.commit):
        scene()
        stage.refuse("not in the reveal phase", 0, "beacon.reveal", *stage.reveal_args(0, 1))
    stage.aggregate()
    stage.reveal(1, 0)


def test_only_ones_own_secret_opens_and_only_once():
    stage = Stage().until_reveal()
    output, secret, *rest = stage.reveal_args(0, 0)
    stage.refuse("does not open", 0, "beacon.reveal", output, secret + 1, *rest)
    stage.refuse("does not open", 0, "beacon.reveal", output, secret + stage.scheme.group.order, *rest)
    stage.refuse("not in the posted root", 1, "beacon.reveal", output, secret, *rest)
    stage.refuse("not in the posted root", 0, "beacon.reveal", *stage.reveal_args(1, 0))
    digest, commitment, path = rest
    stage.refuse("not in the posted root", 0, "beacon.reveal", output, secret, h(), commitment, path)
    stage.refuse("not in the posted root", 0, "beacon.reveal", output, secret, digest, b"", path)
    stage.refuse("not in the posted root", 0, "beacon.reveal", output, secret, digest, commitment, [])
    stage.reveal(0, 0)
    stage.refuse("not an awaited dealer", 0, "beacon.reveal", output, secret, *rest)
    stage.refuse("not registered", STRANGER, "beacon.reveal", output, secret, *rest)


def test_recovery_takes_t_right_shares_from_distinct_receivers():
    stage = Stage().until_reveal()
    stage.reveal(0, 0, 1, 2, 3, 4)
    args = stage.recover_args(5, 0, [0, 1, 2])
    stage.refuse("not in the recover phase", 0, "beacon.recover", *args)
    stage.deadline()
    stage.refuse("not in the reveal phase", 5, "beacon.reveal", *stage.reveal_args(5, 0))
    head, numbers, shares = args[:-2], args[-2], args[-1]
    bad = [
        ("t distinct shares", numbers[:2], shares[:2]),
        ("t distinct shares", [1, 1, 2], [shares[0], shares[0], shares[1]]),
        ("t distinct shares", numbers, shares[:2]),
        ("t distinct shares", [], []),
        ("a share is wrong", numbers, [shares[1], shares[0], shares[2]]),
        ("t distinct shares", [1, 2, 7], shares),
        ("t distinct shares", [0, 1, 2], shares),
        ("t distinct shares", [1, 2, 2**256 - 1], shares),
        ("a share is wrong", numbers, [shares[0], shares[1], b""]),
        ("a share is wrong", numbers, [shares[0], shares[1], shares[2][:-1] + b"\0"]),
    ]
    for reason, given, pieces in bad:
        stage.refuse(reason, 0, "beacon.recover", *head, given, pieces)
    stage.refuse("not an awaited dealer", 0, "beacon.recover", *stage.recover_args(4, 0, [0, 1, 2]))
    stage.do(0, "beacon.recover", *args)
    assert stage.standing(5) == "banned"
    stage.refuse("not in the recover phase", 0, "beacon.recover", *args)


# ---- committing


def test_commit_once_in_the_right_step_by_the_roster():
    stage = Stage().until_step(1)
    stage.deal_ahead()
    validator, target = stage.pairs()[0]
    peer = next(p for p in range(6) if p != validator)
    line = (h("root"), stage.state(1), h("reports"))
    stage.refuse("not the current step", peer, "ledger.commit", 0, *line)
    stage.refuse("not the current step", peer, "ledger.commit", 2**256 - 1, *line)
    stage.refuse("an empty root", peer, "ledger.commit", 1, bytes(32), stage.state(1), h())
    stage.refuse("a validator does not contribute", validator, "ledger.commit", 1, *line)
    stage.refuse("not registered", STRANGER, "ledger.commit", 1, *line)
    stage.refuse("not in the aggregate phase", peer, "ledger.aggregate", 1, 0, h())
    stage.refuse("not in the aggregate phase", peer, "ledger.eliminate", 1, target)
    stage.commit(peer)
    stage.refuse("already acted", peer, "ledger.commit", 1, *line)


def test_attestations_are_the_drawn_validators():
    stage = Stage().until_step(1)
    validator, target = stage.pairs()[0]
    other = next(p for p in range(6) if p not in (validator, target))
    line = (True, h("evidence"), stage.state(1))
    stage.refuse("not drawn", other, "ledger.attest", 1, target, *line)
    stage.refuse("not drawn", validator, "ledger.attest", 1, other, *line)
    stage.refuse("not the current step", validator, "ledger.attest", 0, target, *line)
    alias = (1 << 64) | (validator << 32) | target
    stage.refuse("no such peer", validator, "ledger.attest", 1, alias, *line)
    stage.attest(validator)
    stage.refuse("already acted", validator, "ledger.attest", 1, target, *line)


def test_a_removed_peer_is_not_in_the_next_roster():
    stage = Stage().until_step(0)
    stage.commit(0, 1, 2, 3, 4)
    stage.deadline()
    stage.aggregate(0, 1, 2, 3, 4)  # peer 5 missed its commitment; its part is void and not waited for
    stage.reveal(1)
    stage.refuse("not in the roster", 5, "ledger.commit", 1, h(), h(), h())
    stage.refuse("not an active peer", 5, "beacon.deal", 1, stage.prepare(5, 1))


def test_aggregates_belong_to_the_current_attempt():
    stage = Stage().until_aggregate(0)
    stage.refuse("contributors have changed", 0, "ledger.aggregate", 0, 1, h())
    stage.refuse("not the current step", 0, "ledger.aggregate", 1, 0, h())
    stage.aggregate(0)
    stage.refuse("already aggregated", 0, "ledger.aggregate", 0, 0, h())
    stage.refuse("not in the commit phase", 0, "ledger.commit", 0, h(), h(), h())


# ---- the end


def test_nobody_withdraws_from_a_running_job_or_twice():
    stage = Stage(steps=1).until_step(0)
    stage.refuse("the job is running", 0, "ledger.withdraw")
    stage.until_step(1).commit()
    stage.refuse("cases may still be decided", 0, "ledger.withdraw")
    stage.now = stage.job.ledger.state["deadline"] + 1
    stage.refuse("not registered", STRANGER, "ledger.withdraw")
    stage.do(0, "ledger.withdraw")
    stage.refuse("already paid", 0, "ledger.withdraw")


def test_phases_end_only_when_their_time_is_over():
    stage = Stage()
    for _ in range(2):
        stage.now = stage.job.ledger.state["deadline"]
        stage.refuse("the deadline has not passed", 0, "ledger.advance", 0, int(stage.phase))
        stage.now += 1
        stage.refuse("this phase is over", 0, "ledger.advance", 1, int(stage.phase))
        stage.refuse("this phase is over", 0, "ledger.advance", 0, int(stage.phase) + 1)
        if stage.phase == Phase.REGISTER:
            stage.now = 0
            stage.register()


# ---- calls as such


@pytest.mark.parametrize(
    "where, args",
    [
        ("nowhere.deal", ()),
        ("beacon.nothing", ()),
        ("beacon.lock", (0, 0)),
        ("beacon.__init__", ()),
        ("registry.terms", ()),
        ("registry.ban", (0, "x", 1)),
        ("treasury.slash", (0, None, 50)),
        ("ledger.withdraw", (1,)),
        ("beacon.deal", (-1, bytes(32))),
        ("beacon.deal", (2**256, bytes(32))),
        ("beacon.deal", (0.5, bytes(32))),
        ("beacon.deal", ("1", bytes(32))),
        ("beacon.deal", (0, bytes(31))),
        ("beacon.deal", (0, "x" * 32)),
        ("beacon.deal", (0, [300] * 32)),
        ("beacon.deal", (0, None)),
        ("registry.register", (5, b"")),
        ("registry.register", (b"", "text")),
        ("court.vote", (0, None, b"", b"")),
        ("ledger.attest", (0, 0, 2, bytes(32), bytes(32))),
        ("beacon.dispute_dealing", (0, 0, b"", b"", 7)),
        ("beacon.dispute_dealing", (0, 0, b"", b"", [b"short"])),
        ("beacon.recover", (0, 0, b"", b"", [], [-1], [])),
    ],
)
def test_malformed_calls_fail_and_cost_the_base_price(where, args):
    stage = Stage().until_deal()
    stage.refuse("", 0, where, *args)
    contract, function = where.split(".")
    outcome = stage.job.execute(Call(stage.keys[0].address, contract, function, args), 0, 0, 5_000)
    assert not outcome.succeeded
    assert outcome.gas_used == 5_000


def test_value_goes_to_payable_functions_only():
    stage = Stage().until_deal()
    stage.refuse("takes no value", 0, "beacon.deal", 0, h(), value=1)
    stage.refuse("insufficient balance", 0, "treasury.fund", value=10**9)
    stage.refuse("insufficient balance", 0, "treasury.fund", value=-1)
    stage.do(0, "treasury.fund", value=5)


@pytest.mark.parametrize(
    "changed",
    [
        {"job_digest": b"short"},
        {"minimum_peers": 2},
        {"minimum_peers": 7},
        {"members": (STRANGER,) * 6},
        {"steps": 0},
        {"epoch_outputs": 1},
        {"reporter_percent": 51},
        {"reporter_percent": -1},
        {"dispute_window": 2},
        {"validators": -1},
        {"projections": 0},
        {"deposit_wei": -1},
        {"vote_s": 0},
    ],
    ids=str,
)
def test_terms_that_cannot_work_are_refused(changed):
    with pytest.raises(ValueError):
        Terms(**{**vars(Stage().terms), **changed})
