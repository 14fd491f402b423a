"""Overrides, baselines, digests and the way back to YAML."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdfl.errors import UserError
from simdfl.scenario import Scenario, load, loads, scenario_digest, show

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SHIPPED = sorted(SCENARIOS.glob("*.yaml"))
ATTACK = (SCENARIOS / "byzantine_30pct.yaml").read_text(encoding="utf-8")
BASE = """\
name: x
learning: {model: {name: mlp, params: {hidden: [8], activation: tanh}}}
adversaries: [{name: sign_flip, fraction: 0.25, params: {scale: 10}}]
"""

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_load_and_say_what_they_show(path):
    loaded = load(path)
    assert loaded.scenario.name == path.stem
    assert len(loaded.scenario.description) > 40
    assert path.read_text().startswith("# yaml-language-server: $schema=scenario.schema.json\n")


def test_thirty_percent_is_what_it_says():
    loaded = load(SCENARIOS / "byzantine_30pct.yaml")
    assert loaded.path == SCENARIOS / "byzantine_30pct.yaml"
    assert loaded.scenario.byzantine_count == 6
    assert list(loaded.baselines) == ["attack_free", "unprotected", "unverified"]
    free, open_, both = loaded.baselines.values()
    assert (free.protocol.name, free.byzantine_count) == ("verified", 0)
    assert (open_.protocol.name, open_.byzantine_count) == ("all_reduce", 6)
    assert (both.protocol.name, both.byzantine_count) == ("all_reduce", 0)
    assert all(baseline.baselines == {} for baseline in loaded.baselines.values())
    assert free.model_copy(update={"adversaries": loaded.scenario.adversaries}).topology == open_.topology


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shown_loads_again(path):
    loaded = load(path)
    again = loads(show(loaded.scenario))
    assert again.scenario == loaded.scenario
    assert again.baselines == loaded.baselines
    assert again.digest == loaded.digest
    assert "validate_ms:" in show(loaded.scenario)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), plain), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_parameters_and_words_survive_being_shown(params, words):
    try:
        scenario = Scenario.model_validate({"name": "x", "description": words, "topology": {"params": params}})
    except ValueError:
        return  # a random degree
    assert loads(show(scenario)).scenario == scenario


def test_digest_ignores_spelling():
    one = loads("name: x\nseed: 2\npeers: {count: 8, speed_spread: 0}\n")
    two = loads("# the same\npeers:\n  speed_spread: 0.0\n  count: 0x8\nseed: 2\nname: 'x'\n")
    assert one.digest == two.digest == scenario_digest(one.scenario)
    assert loads("name: x\nseed: 3\npeers: {count: 8}\n").digest != one.digest


def test_digest_ignores_what_changes_no_run():
    plain_run = load(SCENARIOS / "byzantine_30pct.yaml")
    elsewhere = load(SCENARIOS / "byzantine_30pct.yaml", ["baselines={}", "description=other"], out="there")
    assert elsewhere.digest == plain_run.digest
    free = load(SCENARIOS / "byzantine_30pct.yaml", ["adversaries=[]"])
    assert free.digest == scenario_digest(plain_run.baselines["attack_free"]) != plain_run.digest


@pytest.mark.parametrize("hash_seed", ["0", "1", "77"])
def test_digest_is_the_same_in_every_process(hash_seed):
    path = SCENARIOS / "byzantine_30pct.yaml"
    program = "import sys; from simdfl.scenario import load; print(load(sys.argv[1]).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program, str(path)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == load(path).digest


def test_overrides_reach_every_depth():
    overrides = [
        "protocol.steps=7",
        "adversaries.0.params.scale=-3.5",
        "protocol={clip_radius: .inf, validators: 1}",
    ]
    scenario = loads(BASE, overrides=overrides).scenario
    assert (scenario.protocol.steps, scenario.protocol.validators) == (7, 1)
    assert scenario.adversaries[0].params == {"scale": -3.5}
    assert scenario.adversaries[0].fraction == 0.25


def test_overrides_append_and_replace_groups():
    grown = loads(BASE, overrides=["adversaries.1={name: alie, count: 2}"]).scenario
    assert [group.name for group in grown.adversaries] == ["sign_flip", "alie"]
    sized = loads(BASE, overrides=["adversaries.0.fraction=null", "adversaries.0.count=3"]).scenario
    assert sized.byzantine_count == 3
    begun = loads("name: x", overrides=["adversaries.0.name=alie", "adversaries.0.count=2"]).scenario
    assert begun.byzantine_count == 2


def test_a_new_name_starts_with_fresh_params():
    assert loads(BASE, overrides=["adversaries.0.name=alie"]).scenario.adversaries[0].params == {}
    assert loads(BASE, overrides=["adversaries.0.name=sign_flip"]).scenario.adversaries[0].params == {"scale": 10}
    pair = ["learning.model.params.channels=[4]", "learning.model.name=cnn"]
    for overrides in (pair, pair[::-1], ["learning.model={params: {channels: [4]}, name: cnn}"]):
        assert loads(BASE, overrides=overrides).scenario.learning.model.params == {"channels": [4]}
    same = loads("name: x\nlearning: {model: {params: {hidden: [8]}}}", overrides=["learning.model.name=mlp"])
    assert same.scenario.learning.model.params == {"hidden": [8]}


def test_options_of_their_own_win_and_reach_the_baselines():
    loaded = load(SCENARIOS / "byzantine_30pct.yaml", ["seed=5"], seed=9, out=Path("a/b"), protocol="other")
    assert (loaded.scenario.seed, loaded.scenario.output.folder) == (9, "a/b")
    assert loaded.scenario.protocol.name == loaded.baselines["attack_free"].protocol.name == "other"
    assert {baseline.seed for baseline in loaded.baselines.values()} == {9}


def test_baselines_are_written_dotted_or_nested():
    block = "baselines:\n  a: {protocol.rule.name: median, peers: {count: 8}}\n  b: {adversaries.0.count: 1,"
    loaded = loads(BASE + block + " adversaries.0.fraction: null}\n  c: {}\n")
    assert loaded.baselines["a"].protocol.rule.name == "median"
    assert loaded.baselines["a"].byzantine_count == 2
    assert loaded.baselines["b"].byzantine_count == 1
    assert scenario_digest(loaded.baselines["c"]) == loaded.digest


LINES = ATTACK.splitlines()
ODD = [
    "\t",
    "- ",
    ": ",
    "{",
    "[",
    "&a ",
    "*a",
    "!!int ",
    '"',
    "'",
    "|",
    ">",
    "#",
    "%",
    "? ",
    "\0",
    "\ud7ff",
    ".nan",
]
ODD += [
    "-1",
    "0.5",
    "1e999",
    "null",
    "true",
    "[]",
    "{}",
    "9" * 5000,
    "---",
    "<<: ",
    "baselines: ",
    "\ufeff",
    "\x85",
]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insert", "delete", "swap", "replace", "indent"]),
            st.integers(0, len(ATTACK) - 1),
            st.integers(0, len(LINES) - 1),
            st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_spoilt_file_gives_a_scenario_or_a_sentence(spoils):
    text = ATTACK
    for kind, at, line, piece in spoils:
        lines = text.split("\n")
        row = line % len(lines)
        if kind == "insert":
            text = text[:at] + piece + text[at:]
        elif kind == "delete":
            text = text[:at] + text[at + 1 + len(piece) :]
        elif kind == "swap":
            lines[row], lines[-1 - row] = lines[-1 - row], lines[row]
            text = "\n".join(lines)
        elif kind == "replace":
            key = lines[row].partition(":")[0]
            text = "\n".join([*lines[:row], f"{key}: {piece}", *lines[row + 1 :]])
        else:
            text = "\n".join([*lines[:row], f"  {lines[row]}", *lines[row + 1 :]])
    try:
        loaded = loads(text)
    except UserError:
        return
    assert loads(show(loaded.scenario)).digest == loaded.digest


@settings(deadline=None)
@given(st.sampled_from(["seed", "peers", "adversaries.0", "topology.params", "baselines.attack_free"]), plain)
def test_a_wild_override_gives_a_scenario_or_a_sentence(key, value):
    with contextlib.suppress(UserError):
        loads(ATTACK, overrides=[f"{key}={value!r}"])
