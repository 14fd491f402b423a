"""The order of phases and every check, each switched off here in turn: the attack it stops then gets through."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import order_attacks
import pytest
from small_runs import attack, build_small, reasons, removed, run_small

import contracts_model.ledger as ledger_module
from contracts_model.draw import draw, draw_validators
from simdfl.protocols.evidence_duty import EvidenceDuty
from simdfl.protocols.exchange_duty import ExchangeDuty
from simdfl.protocols.verification_duty import VerificationDuty
from simdfl.world import RunResult, World

UNVALIDATED = "protocol.validators=0"


def own(name: str, count: int = 1, **params: Any) -> str:
    return attack(f"order_attacks:{name}", count, **params)


def harm(world: World, result: RunResult) -> tuple[set[int], set[int]]:
    """Return which Byzantine peers got away, and which honest peers lost their deposit."""
    got_away = set(range(10)) - world.honest - removed(result, "banned", True)
    return got_away, removed(result, "banned", False)


@pytest.fixture
def skip(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, str], None]:
    """Switch a method off for one test."""

    def switch_off(owner: type, name: str) -> None:
        monkeypatch.setattr(owner, name, lambda self, *args, **kwargs: None)

    return switch_off


# ---- aggregates are fixed before the beacon opens


def run_orthogonal_shift() -> tuple[World, RunResult]:
    world = build_small(UNVALIDATED, own("OrthogonalShift"))
    order_attacks.OrthogonalShift.oracle = lambda step: world.chain.history.randomness[step]  # type: ignore
    return world, world.run()


def test_a_shift_is_caught_when_the_beacon_opens_after_the_aggregates() -> None:
    world, result = run_orthogonal_shift()
    assert harm(world, result) == (set(), set())
    assert reasons(result) == {"CheckAveraging: wrong aggregate"}


def test_with_projections_known_before_the_aggregates_the_shift_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order = VerificationDuty.project

    def project_on_known_directions(self: VerificationDuty, step: int, randomness: bytes) -> Any:
        return in_order(self, step, self.peer.records[step].randomness)

    monkeypatch.setattr(VerificationDuty, "project", project_on_known_directions)
    world, result = run_orthogonal_shift()
    assert len(harm(world, result)[0]) == 1
    assert result.removals == []


# ---- gradients are fixed before the validators are drawn


def foreseeable(step: int) -> bytes:
    return hashlib.sha256(b"known in advance" + bytes([step])).digest()


def run_unchecked_flip() -> tuple[World, RunResult]:
    world = build_small(own("UncheckedFlip", 3), "protocol.steps=60")
    assert world.chain is not None
    history = world.chain.history

    def will_be_checked(turn: Any, coalition: frozenset[int]) -> bool:
        pairs = draw_validators(foreseeable(turn.step + 1), turn.roster, turn.contributors, 2)
        return order_attacks.honest_catch(pairs, turn.peer, coalition)

    order_attacks.UncheckedFlip.oracle = will_be_checked
    assert history is not None
    return world, world.run()


def test_who_flips_unforeseeably_drawn_gradients_is_caught() -> None:
    world, result = run_unchecked_flip()
    assert harm(world, result) == (set(), set())


def test_with_validators_known_before_the_commitments_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw_early(randomness: bytes, active: list[int], checkable: list[int], count: int) -> Any:
        steps.append(len(steps))
        return draw(foreseeable(steps[-1]), active, checkable, count)

    steps: list[int] = []
    monkeypatch.setattr(ledger_module, "draw", draw_early)
    world, result = run_unchecked_flip()
    assert len(harm(world, result)[0]) == 3
    assert result.removals == []


# ---- part hashes are fixed before parts are sent, and compared


def test_a_part_that_contradicts_its_hash_counts_as_not_sent() -> None:
    world, result = run_small(UNVALIDATED, attack("wrong_part", 1))
    assert removed(result, "banned", False) == set()
    assert removed(result, "ejected", True) == set(range(10)) - world.honest


def test_without_comparing_hashes_a_gradient_that_nobody_committed_to_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def accept_anything(self: ExchangeDuty, record: Any) -> list[int]:
        arrived = self.peer.inbox.peek("PART", record.step)
        record.commitments.update(
            (peer, arrived[peer].content[0]) for peer in record.contributors if peer in arrived
        )
        return [peer for peer in record.contributors if peer not in arrived]

    monkeypatch.setattr(ExchangeDuty, "_missing_parts", accept_anything)
    world, result = run_small(UNVALIDATED, attack("wrong_part", 1))
    assert len(harm(world, result)[0]) == 1
    assert result.removals == []


# ---- V1, V2, V3, validators, equivocation


def test_v1_catches_lies_that_cancel() -> None:
    world, result = run_small(UNVALIDATED, own("CancellingLies", 2))
    assert harm(world, result) == (set(), set())
    assert reasons(result) == {"V1: false report"}


def test_without_v1_lies_that_cancel_pass(skip: Any) -> None:
    skip(VerificationDuty, "_check_reports_on_own_part")
    world, result = run_small(UNVALIDATED, own("CancellingLies", 2))
    assert len(harm(world, result)[0]) == 2


def test_v2_catches_a_shift() -> None:
    world, result = run_small(UNVALIDATED, own("PlainShift"))
    assert harm(world, result) == (set(), set())


def test_without_v2_a_shift_passes(skip: Any) -> None:
    skip(VerificationDuty, "_check_sums")
    world, result = run_small(UNVALIDATED, own("PlainShift"))
    assert len(harm(world, result)[0]) == 1


COVERED = attack("aggregation_shift", 2, size=50, relative="false")


def test_v3_catches_a_covered_shift_beyond_its_bound() -> None:
    _, result = run_small(UNVALIDATED, COVERED)
    assert "CheckAveraging: wrong aggregate" in reasons(result)
    assert removed(result, "banned", False) == set()


def test_without_v3_a_covered_shift_of_any_size_passes(skip: Any) -> None:
    skip(VerificationDuty, "_check_own_distances")
    world, result = run_small(UNVALIDATED, COVERED)
    assert len(harm(world, result)[0]) == 2


def test_validators_catch_a_false_gradient() -> None:
    world, result = run_small("protocol.steps=30", attack("sign_flip", 2))
    assert harm(world, result) == (set(), set())


def test_without_validators_a_false_gradient_passes() -> None:
    world, result = run_small("protocol.steps=30", UNVALIDATED, attack("sign_flip", 2))
    assert len(harm(world, result)[0]) == 2
    assert result.removals == []


def test_without_comparing_signed_messages_equivocation_passes(skip: Any) -> None:
    caught_world, caught = run_small(UNVALIDATED, attack("equivocate", 1))
    assert harm(caught_world, caught) == (set(), set())
    skip(EvidenceDuty, "_keep_conflict")
    world, result = run_small(UNVALIDATED, attack("equivocate", 1))
    assert len(harm(world, result)[0]) == 1


def test_a_silent_reporter_cannot_blind_the_sums() -> None:
    """Without its report V2 proves nothing, so every aggregation of the step is recomputed."""
    groups = (
        "adversaries=[{name: 'order_attacks:PlainShift', count: 1, start_step: 2}, "
        "{name: withhold_report, count: 1, start_step: 2}]"
    )
    _, result = run_small(UNVALIDATED, groups)
    assert {"withheld the report", "CheckAveraging: wrong aggregate"} <= reasons(result)
    assert removed(result, "banned", False) == set()
