"""The contracts in Python and their compiled twins do the same: success, reasons, events, storage, balances.

Random plays on revm; the default tests make some thousand calls, the slow ones at least 3,000 of every contract.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from anchorage import SETTINGS as ANCHORAGES
from anchorage import AnchorDouble, AnchorPlay
from double import Double, Revm
from eels import compile_vyper
from improvise import SETTINGS, Play
from twins import ANCHORED, NAMES, SOURCES

from contracts_model.anchor import Anchor
from contracts_model.beacon import Beacon
from contracts_model.court import Court
from contracts_model.ledger import StepLedger
from contracts_model.proving_beacon import ProvingBeacon
from contracts_model.registry import Registry
from contracts_model.rewards import Rewards
from contracts_model.treasury import Treasury

CALLS = 300
CODE_BYTES_CAP = 24_576
ENOUGH = 3_000


def play(seed: int, calls: int = CALLS) -> Counter[str]:
    """Play once; any difference raises; return how often each function was called."""
    stage = Double(Revm(), **SETTINGS[seed % len(SETTINGS)])
    Play(stage, Random(seed)).run(calls)
    return Counter(stage.made)


def play_anchor(seed: int, calls: int = CALLS) -> Counter[str]:
    """The same for the anchor on a base chain."""
    stage = AnchorDouble(Revm(), **ANCHORAGES[seed % len(ANCHORAGES)])
    AnchorPlay(stage, Random(seed)).run(calls)
    return Counter(stage.made)


@pytest.mark.parametrize("kind", range(len(SETTINGS)))
def test_jobs_of_all_kinds_run_alike(kind: int) -> None:
    assert play(kind).total() > 20


@pytest.mark.parametrize("kind", range(len(ANCHORAGES)))
def test_anchors_run_alike(kind: int) -> None:
    made = play_anchor(kind)
    assert {"anchor.anchor", "anchor.post", "anchor.challenge", "anchor.withdraw"} <= made.keys()


@pytest.mark.slow
def test_three_thousand_random_calls_of_every_contract_run_alike() -> None:
    made: Counter[str] = Counter()
    seed = 1_000
    with_rewards = [kind for kind, settings in enumerate(SETTINGS) if settings.get("contribution_percent")]
    while lacking := [name for name in (*NAMES, "anchor") if calls_of(name, made) < ENOUGH]:
        seed += len(SETTINGS) if lacking == ["rewards"] else 1
        seed += (with_rewards[0] - seed) % len(SETTINGS) if lacking == ["rewards"] else 0
        made += play(seed)
        made += play_anchor(seed) if seed % 20 == 0 else Counter()
    print({name: calls_of(name, made) for name in (*NAMES, "anchor")})
    assert made.keys() >= {f"{name}.{function}" for name, function in interface()}


def calls_of(name: str, made: Counter[str]) -> int:
    """Return how many calls a contract got."""
    return sum(times for function, times in made.items() if function.startswith(name + "."))


def interface() -> list[tuple[str, str]]:
    """Return all external functions of all contracts."""
    kinds = (Treasury, Registry, Beacon, ProvingBeacon, StepLedger, Court, Rewards, Anchor)
    names = ("treasury", "registry", "beacon", "beacon", "ledger", "court", "rewards", "anchor")
    return [(n, f) for n, kind in zip(names, kinds) for f in dir(kind) if hasattr(getattr(kind, f), "abi_types")]


@pytest.mark.parametrize("name", sorted({*NAMES, *ANCHORED, "proving_beacon"}))
def test_every_twin_can_be_deployed(name: str) -> None:
    assert 0 < len(compile_vyper(SOURCES / f"{name}.vy").runtime_code) < CODE_BYTES_CAP


def test_a_difference_is_noticed() -> None:
    """The comparison can fail: one slot changed behind its back on the EVM is found."""
    stage = Double(Revm(), n=5)
    stage.register(0)
    stage.job.registry.counters.data["active"] = 2
    with pytest.raises(AssertionError):
        stage.register(1)
