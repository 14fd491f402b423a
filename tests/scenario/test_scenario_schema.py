"""The schema itself: documented, frozen, cheap to import, and the same for editors."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

import simdfl.scenario as room
from simdfl.scenario import AdversaryGroup, Scenario, json_schema, loads, schema_text

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SECTIONS = [
    value for value in vars(room).values() if isinstance(value, type) and issubclass(value, pydantic.BaseModel)
]
HEAVY = ("jax", "pandas", "networkx", "sklearn", "numpy", "scipy", "simdfl.learning", "adversaries", "topologies")


def test_only_names_are_required():
    required = {
        f"{section.__name__}.{key}"
        for section in SECTIONS
        for key, field in section.model_fields.items()
        if field.is_required()
    }
    assert required == {"Scenario.name", "AdversaryGroup.name"}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_is_described(section):
    assert section.__doc__
    for key, field in section.model_fields.items():
        assert field.description, key
        assert field.description.endswith(".")
        units = {"_s": "seconds", "_ms": "ms", "_mbps": "Mbit/s", "_wei": "wei", "_percent": "%"}
        for suffix, unit in units.items():
            if key.endswith(suffix):
                assert unit in field.description or f" {suffix[1:]}." in field.description, key


def test_a_scenario_is_frozen():
    scenario = Scenario(name="x")
    with pytest.raises(pydantic.ValidationError):
        scenario.seed = 2
    with pytest.raises(pydantic.ValidationError):
        scenario.peers.count = 5


def test_defaults_are_those_of_the_design():
    scenario = Scenario(name="x")
    protocol, contracts = scenario.protocol, scenario.contracts
    assert (scenario.seed, protocol.name, protocol.steps, protocol.validators) == (1, "verified", 100, 2)
    assert (protocol.clip_radius, protocol.clip_tolerance, protocol.clip_iterations) == (1.0, 1e-6, 500)
    assert (scenario.peers.count, scenario.beacon.scheme, scenario.chain.profile) == (
        16,
        "pvss_ldei",
        "app_chain",
    )
    assert contracts.deposit_wei == 32 * 10**18
    assert scenario.byzantine_count == 0


@pytest.mark.parametrize("word", ["inf", ".inf", "'inf'"])
def test_no_clipping_has_two_spellings(word):
    loaded = loads(f"name: x\nprotocol: {{clip_radius: {word}}}")
    assert math.isinf(loaded.scenario.protocol.clip_radius)


def test_numbers_are_read_as_people_write_them():
    text = "name: x\ncontracts: {deposit_wei: 5_000}\nprotocol: {clip_tolerance: 1e-6, max_deviation: 7}"
    scenario = loads(text).scenario
    assert scenario.contracts.deposit_wei == 5000
    assert scenario.protocol.clip_tolerance == 1e-6
    assert scenario.protocol.max_deviation == 7.0


def test_group_sizes():
    assert AdversaryGroup(name="a", fraction=0.3).size(20) == 6
    assert AdversaryGroup(name="a", count=7).size(16) == 7
    assert AdversaryGroup(name="a", peers=(2, 5)).size(16) == 2


def test_schema_file_for_editors_is_up_to_date():
    written = (SCENARIOS / "scenario.schema.json").read_text(encoding="utf-8")
    assert written == schema_text(), "write simdfl.scenario.schema_text() to scenarios/scenario.schema.json"
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_loading_imports_nothing_heavy():
    program = (
        "import sys; from simdfl.scenario import load; load(sys.argv[1]); "
        "print([name for name in sys.argv[2:] if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(SCENARIOS / "byzantine_30pct.yaml"), *HEAVY]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
