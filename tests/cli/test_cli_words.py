"""What the command line says without running anything: help, the whole scenario, the schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, ROOT, environment

from simdfl import run
from simdfl.scenario import load, schema_text

HEAVY = ["jax", "pandas", "numpy", "networkx", "scipy", "pydantic", "yaml", "rich", "simpy"]
LOADED = """
import sys
from simdfl.run import main
try:
    status = main({arguments!r})
except SystemExit as end:
    status = end.code
assert status == 0, status
print("LOADED", *[name for name in {heavy!r} if name in sys.modules])
"""


def loaded_by(*arguments: str) -> list[str]:
    """Return which heavy libraries a command loads."""
    program = LOADED.format(arguments=list(arguments), heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()[1:]


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("--help") == []


def test_show_and_schema_load_no_compute_library() -> None:
    for arguments in ([QUICK, "--show"], ["--json-schema"]):
        assert not {"jax", "pandas", "networkx", "scipy", "simpy"} & set(loaded_by(*arguments))


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    options = ["--set", "--seed", "--out", "--protocol", "--no-baselines", "--show", "--json-schema"]
    assert all(option in text for option in options)


@pytest.mark.parametrize("scenario", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_show_loads_again_to_the_same_digest(capsys: Any, tmp_path: Path, scenario: Path) -> None:
    changes = ["--set", "chain.block_time_s=3", "--seed", "7"]
    assert run.main([str(scenario), "--show", *changes]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    expected = load(scenario, ["chain.block_time_s=3"], seed=7)
    again = load(tmp_path / "shown.yaml")
    assert (again.digest, again.scenario, again.baselines) == (
        expected.digest,
        expected.scenario,
        expected.baselines,
    )
    assert run.main([str(tmp_path / "shown.yaml"), "--show"]) == 0
    assert capsys.readouterr().out == (tmp_path / "shown.yaml").read_text()


def test_schema_is_json_and_the_one_in_the_scenarios_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--json-schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == json.loads(schema_text())
    assert schema == json.loads((ROOT / "scenarios" / "scenario.schema.json").read_text())
    assert schema["$schema"].endswith("2020-12/schema")
