"""Statistics of the protocol's security: beacon bias, ban times, and the shipped scenario over seeds."""

from __future__ import annotations

import hashlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from contracts_model.draw import draw_validators
from simdfl.scenario import load, loads
from simdfl.testing import assert_rate
from simdfl.world import build

SCENARIOS = Path(__file__).parents[2] / "scenarios"
N, B = 16, 7
BYZANTINE = frozenset(range(B))
FAIR = B / N * (N - B) / (N - 1)


def is_honest_catch(randomness: bytes) -> bool:
    [(validator, target)] = draw_validators(randomness, range(N), range(N), 1)
    return validator not in BYZANTINE and target in BYZANTINE


def outcome(trial: int, reveals: tuple[int, ...]) -> bytes:
    return hashlib.sha256(f"{trial}/{reveals}".encode()).digest()


def test_a_fair_beacon_lets_an_honest_validator_look_at_a_byzantine_peer_in_26_percent_of_steps() -> None:
    assert pytest.approx(0.2625) == FAIR
    hits = sum(is_honest_catch(outcome(trial, ())) for trial in range(4000))
    assert_rate(hits, 4000, FAIR)


def test_one_re_roll_brings_it_to_7_percent() -> None:
    """A coalition that may abort once keeps the better of two outcomes."""
    hits = sum(all(is_honest_catch(outcome(trial, (roll,))) for roll in range(2)) for trial in range(4000))
    assert_rate(hits, 4000, FAIR**2)


def test_skipping_withheld_reveals_leaves_nothing() -> None:
    """With skipping, the last revealers choose among 2^7 outcomes; the chance that all are bad is below 1e-70."""
    subsets = list(itertools.product((0, 1), repeat=B))
    hits = sum(all(is_honest_catch(outcome(trial, subset)) for subset in subsets) for trial in range(300))
    assert hits == 0


def mean_last_ban(validators: int, runs: int) -> tuple[float, float]:
    """Return the mean number of attacked steps until the last ban took effect, and its standard error."""
    text = f"""
name: bans
protocol: {{steps: 260, validators: {validators}}}
peers: {{count: {N}}}
adversaries: [{{name: label_flip, count: {B}}}]
topology: {{name: random_regular, params: {{degree: 4}}}}
beacon: {{group: ideal, epoch_outputs: 64}}
learning: {{model: {{name: logistic}}, batch_size: 1, evaluate_every: 1000}}
output: {{messages: false}}
"""
    times = []
    for seed in range(runs):
        world = build(loads(text, "bans", seed=seed).scenario)
        world.env.process(stop_when_clean(world))
        result = world.run()
        bans = {row["peer"]: row["step"] for row in result.removals}
        assert set(bans) == set(range(N)) - world.honest
        assert all(row["byzantine"] for row in result.removals)
        times.append(max(bans.values()) + 1)
    return float(np.mean(times)), float(np.std(times, ddof=1) / math.sqrt(runs))


class Clean(Exception):
    """All attackers are banned: the rest of the run is not needed."""


def stop_when_clean(world):  # type: ignore[no-untyped-def]
    from simdfl.errors import ProtocolAborted

    while len(world.observer.removals) < B:
        yield world.env.sleep(20.0)
    raise ProtocolAborted("all attackers are banned", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("validators", "expected"), [(1, 37.0), (2, 18.0)])
def test_steps_until_the_last_ban(validators: int, expected: float) -> None:
    """The mean lies in the 99 % band around the derived value plus the step that validation lags behind.

    False-alarm rate 1 % by the normal approximation of the mean over 120 runs; power above 99 % against a mean
    that is wrong by a third.
    """
    mean, error = mean_last_ban(validators, 120)
    print(f"m={validators}: {mean:.1f} ± {error:.1f}")
    assert abs(mean - (expected + 1.0)) <= 2.576 * error + 1.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_the_shipped_byzantine_scenario_over_ten_seeds(seed: int) -> None:
    loaded = load(SCENARIOS / "byzantine_30pct.yaml", ["beacon.group=ideal"], seed=seed)
    runs = {"main": loaded.scenario, **loaded.baselines}
    worlds = {name: build(runs[name]) for name in ("main", "attack_free", "unprotected")}
    results = {name: world.run() for name, world in worlds.items()}
    main = results["main"]
    banned = {row["peer"] for row in main.removals if row["kind"] == "banned"}
    assert banned == set(range(20)) - worlds["main"].honest
    assert len(main.removals) == 6
    assert main.summary["distinct_models"] == 1
    assert main.accuracy >= results["attack_free"].accuracy - 0.01
    assert results["unprotected"].accuracy < 0.3
