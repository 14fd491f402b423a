"""Every beacon in a whole run: what withholding, bias and early decryption do to it."""

from __future__ import annotations

import pytest
from small_runs import attack, build_small, reasons, removed, run_small

from simdfl.errors import UserError
from simdfl.testing import assert_rate
from simdfl.world import RunResult, World

SCHEMES = ("pvss_ldei", "albatross", "commit_reveal", "randao", "ideal")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_honest_run_needs_nothing_but_its_steps(scheme: str) -> None:
    world, result = run_small(f"beacon.scheme={scheme}")
    assert result.completed
    assert result.removals == []
    assert result.summary["step_s"] == pytest.approx(6.0, abs=0.05)
    assert world.chain is not None
    assert sorted(world.chain.history.randomness) == list(range(13))
    assert len(set(world.chain.history.randomness.values())) == 13


def outputs(world: World) -> dict[int, bytes]:
    assert world.chain is not None
    return world.chain.history.randomness


@pytest.mark.parametrize("scheme", ["pvss_ldei", "albatross"])
def test_withheld_secrets_are_recovered_and_the_output_is_unchanged(scheme: str) -> None:
    calm, _ = run_small(f"beacon.scheme={scheme}", "protocol.steps=4", "protocol.validators=0")
    world, result = run_small(
        f"beacon.scheme={scheme}", "protocol.steps=4", "protocol.validators=0", attack("withhold_reveal", 3)
    )
    assert reasons(result) == {"withheld reveal"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    # the dealings of steps 0 to 3 were made before anybody was banned; output 3 closes the attacked step 2
    assert {k: outputs(world)[k] for k in range(4)} == {k: outputs(calm)[k] for k in range(4)}


def test_a_commit_reveal_toss_starts_again_without_the_withholder_and_comes_out_differently() -> None:
    scheme = ("beacon.scheme=commit_reveal", "protocol.steps=4", "protocol.validators=0")
    fewer = "contracts.minimum_peers=3"
    calm, _ = run_small(*scheme, fewer)
    world, result = run_small(*scheme, fewer, attack("withhold_reveal", 3))
    assert result.completed
    assert reasons(result) == {"aborted the coin toss"}
    assert outputs(world)[2] == outputs(calm)[2]
    assert outputs(world)[3] != outputs(calm)[3]
    assert removed(result, "banned", False) == set()


def test_a_randao_beacon_skips_what_is_withheld_and_punishes_nobody() -> None:
    scheme = ("beacon.scheme=randao", "protocol.steps=4", "protocol.validators=0")
    calm, _ = run_small(*scheme)
    world, result = run_small(*scheme, attack("withhold_reveal", 3))
    assert result.removals == []
    assert outputs(world)[3] != outputs(calm)[3]
    assert result.summary["step_s"] > 50.0  # every step waits for the deadline


def caught(world: World) -> tuple[int, int]:
    """Return in how many attacked steps an honest validator was drawn for a Byzantine target, and of how many."""
    assert world.chain is not None
    history, byzantine = world.chain.history, set(range(10)) - world.honest
    steps = [step for step in history.pairs if step > 0 and byzantine & set(history.rosters[step])]
    hits = sum(any(u in byzantine and v not in byzantine for v, u in history.pairs[step]) for step in steps)
    return hits, len(steps)


def run_biased(scheme: str, seed: int) -> tuple[World, RunResult]:
    biased = "adversaries=[{name: bias_beacon, count: 4, params: {scale: 1}}]"
    return run_small(f"beacon.scheme={scheme}", "protocol.steps=20", "protocol.validators=1", biased, seed=seed)


def test_who_opens_last_steers_a_randao_beacon_and_is_never_caught() -> None:
    world, result = run_biased("randao", 1)
    assert removed(result, "banned", True) == set()
    hits, steps = caught(world)
    assert steps == 20
    assert hits <= 1  # 2^4 outcomes to choose from, of which each exposes nobody with probability 0.73


def test_who_opens_last_gains_nothing_with_verifiable_sharings() -> None:
    """The outputs are those of a coalition that just opens, until the first ban changes who deals."""
    biased, _ = run_biased("pvss_ldei", 2)
    plain = "adversaries=[{name: sign_flip, count: 4, params: {scale: 1}}]"
    same = ("beacon.scheme=pvss_ldei", "protocol.steps=20", "protocol.validators=1", plain)
    open_handed, _ = run_small(*same, seed=2)
    assert outputs(biased) == outputs(open_handed)
    assert biased.chain.history.banned == open_handed.chain.history.banned  # type: ignore[union-attr]


def test_early_decryption_knows_nothing_below_the_threshold() -> None:
    early = "adversaries=[{name: early_decryption, count: 4}]"
    _, result = run_small("protocol.steps=20", early)
    assert result.removals == []
    assert result.accuracy > 0.7


@pytest.mark.parametrize("beacon", ["beacon.threshold_percent=40", "beacon.scheme=albatross"])
def test_early_decryption_succeeds_outside_the_model(beacon: str) -> None:
    """Four of ten hold t = 4 shares (or more than albatross tolerates): they cheat where nobody looks."""
    early = "adversaries=[{name: early_decryption, count: 4}]"
    tolerated = ("beacon.tolerated_percent=10",) if "albatross" in beacon else ()
    world, result = run_small("protocol.steps=20", early, beacon, *tolerated)
    if "albatross" in beacon:
        assert result.removals == []  # four colluders do not reach t = n - 1: still nothing
        return
    assert removed(result, "banned", True) == set()
    assert result.accuracy < 0.7
    hits, steps = caught(world)
    assert_rate(hits, steps, 1 - (1 - 0.4 * 0.6) ** 2, alpha=1e-6)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("high_degree_dealing", "invalid dealing"),
        ("replayed_dealing", "invalid dealing"),
        ("copied_dealing", "invalid dealing"),
        ("invalid_dealing", "invalid dealing"),
    ],
)
@pytest.mark.parametrize("scheme", ["pvss_ldei", "pvss_scrape", "pvss_schoenmakers", "albatross"])
def test_a_cheating_dealer_is_banned(name: str, reason: str, scheme: str) -> None:
    world, result = run_small("protocol.steps=6", f"beacon.scheme={scheme}", attack(name, 3))
    assert reasons(result) == {reason}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == removed(result, "ejected", False) == set()


def test_wrong_shares_do_not_stop_a_recovery_and_are_proved() -> None:
    world, result = run_small("protocol.steps=5", attack("bad_share", 3))
    assert result.completed
    assert reasons(result) == {"withheld reveal", "invalid share"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()


def test_packed_sharings_cost_a_fraction_of_the_bytes() -> None:
    _, single = run_small("beacon.epoch_outputs=12", "beacon.scheme=pvss_ldei")
    _, packed = run_small("beacon.epoch_outputs=12", "beacon.scheme=albatross", "beacon.tolerated_percent=30")
    assert packed.summary["beacon_bytes"] < 0.45 * single.summary["beacon_bytes"]


ON_CHAIN = ("beacon.verification=on_chain", "contracts.deal_s=60")


def test_dealings_that_are_proven_on_chain_need_no_gossip_and_change_no_output_rule() -> None:
    world, result = run_small(*ON_CHAIN)
    assert result.completed
    assert result.removals == []
    assert result.summary["step_s"] == pytest.approx(6.0, abs=0.05)
    assert world.chain is not None
    assert len(world.chain.history.proven) == 13 * 10
    assert world.network.bytes_by_class()["beacon"].sum() == 0


def test_secrets_withheld_from_a_proven_dealing_are_recovered_from_its_calldata() -> None:
    world, result = run_small(
        *ON_CHAIN, "protocol.steps=4", "protocol.validators=0", attack("withhold_reveal", 3)
    )
    assert result.completed
    assert reasons(result) == {"withheld reveal"}
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert removed(result, "banned", False) == set()


@pytest.mark.parametrize("name", ["invalid_dealing", "high_degree_dealing", "replayed_dealing", "copied_dealing"])
def test_an_invalid_dealing_is_banned_by_its_own_proof(name: str) -> None:
    world, result = run_small(*ON_CHAIN, attack(name, 2))
    assert result.completed
    assert removed(result, "banned", True) == set(range(10)) - world.honest
    assert reasons(result) == {"invalid dealing"}
    assert world.chain is not None
    assert not any(r.function == "dispute_dealing" for block in world.chain.blocks for r in block.receipts)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("beacon.scheme=albatross",), "no contract verifies dealings of albatross"),
        (("protocol.name=btard",), "no contract verifies dealings of commit_reveal"),
        (("contracts.deal_s=22", "beacon.epoch_outputs=16", "chain.block_time_s=4"), "contracts.deal_s: 22 s"),
        (("chain.gas_limit=16000000", "peers.count=30", "contracts.deal_s=400"), "beacon.verification: an epoch"),
    ],
)
def test_verification_on_chain_is_refused_where_it_cannot_be_done_in_time(overrides, sentence) -> None:
    with pytest.raises(UserError, match=sentence):
        build_small(*ON_CHAIN, *overrides)
