"""Random worlds: whatever is attacked, fails, comes or goes, what must hold holds.

``tests/security/invariants.py`` states what; ``random_worlds.py`` draws the scenarios and runs one by its number.
"""

from __future__ import annotations

import pytest
from found import FOUND, found_scenario
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import examine
from random_worlds import draw_overrides, draw_scenario

QUICK = 15
WORLDS = 2000
CHUNK = 50


def violations(seed: int) -> list[str]:
    """Return what is wrong in one world, with what draws it again."""
    wrong, outcome = examine(draw_scenario(seed))
    return [f"world {seed} ({outcome}): {line}" for line in wrong]


@pytest.mark.parametrize("seed", range(10_000, 10_000 + QUICK))
def test_a_few_random_worlds(seed: int) -> None:
    assert violations(seed) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_two_thousand_random_worlds(first: int) -> None:
    assert [line for seed in range(first, first + CHUNK) for line in violations(seed)] == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_every_drawn_scenario_is_one_that_a_user_could_write(seed: int) -> None:
    scenario = draw_scenario(seed)
    assert scenario == draw_scenario(seed)
    failing = sum(group.size(scenario.peers.count) for group in scenario.faults)
    assert 2 * (scenario.byzantine_count + failing) < scenario.peers.count


def test_the_worlds_cover_what_a_job_can_be() -> None:
    drawn = [" ".join(draw_overrides(seed)) for seed in range(300)]
    for words in (
        *(
            "btard",
            "policy: epoch",
            "policy: dispute",
            "tolerant",
            "private",
            "jury_size=3",
            "join_step",
            "leave_step",
        ),
        *("crash", "late", "straggler", "loss=0.3", "latency_ms=400", "albatross", "randao", "block_time_s=12"),
    ):
        assert any(words in overrides for overrides in drawn), words


# ---- what random worlds have found


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_once_stays_away(what: str) -> None:
    assert examine(found_scenario(what))[0] == []
