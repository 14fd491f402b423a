"""The examples in the documents run as they stand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from adversaries import ADVERSARIES, FAULTS
from simdfl.aggregation import RULES
from simdfl.chain.profiles import PROFILES
from simdfl.chain.sources import SOURCES
from simdfl.testing import check_adversary
from topologies import TOPOLOGIES
from topologies.regions import LATENCIES

ROOT = Path(__file__).parents[2]


def python_blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.S)


def test_the_contracts_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(python_blocks("contracts_model/README.md")[0], {})
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "pot 10.00 ETH, burned 24.00 ETH"
    assert sum("banned" in line for line in told) == 1


def test_the_attack_of_the_contributing_guide_passes_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_attacks.py").write_text(python_blocks("CONTRIBUTING.md")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_attacks", raising=False)
    check_adversary("my_attacks:Opposite")


def test_every_attack_and_fault_has_its_line_in_the_shelf_s_page() -> None:
    text = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    assert set(ADVERSARIES) <= set(re.findall(r"`([\w]+)`", text))
    assert all(f"name: {name}" in text for name in FAULTS)


@pytest.mark.parametrize(
    ("shelf", "names"),
    [
        ("attacks", ADVERSARIES),
        ("faults", FAULTS),
        ("rules", RULES),
        ("chains", PROFILES),
        ("block sources", SOURCES),
        ("topologies", TOPOLOGIES),
        ("latencies", LATENCIES),
    ],
)
def test_the_readme_lists_every_entry_of_a_shelf(shelf: str, names: dict[str, object]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [row] = [line for line in text.splitlines() if line.startswith(f"| {shelf} |")]
    assert set(names) <= set(re.findall(r"`([\w]+)`", row))
