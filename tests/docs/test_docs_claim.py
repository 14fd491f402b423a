"""The committed results are those of the shipped sweeps, and the page quotes them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from simdfl.scenario.points import load_plan

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "docs" / "results").glob("*.csv"))


@pytest.mark.parametrize("result", RESULTS, ids=lambda path: path.stem)
def test_a_result_has_the_points_of_its_sweep(result: Path) -> None:
    plan = load_plan(ROOT / "scenarios" / "sweeps" / f"{result.stem}.yaml")
    with result.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = {(run.point, run.run): run.varied for run in plan.runs}
    assert {(int(row["point"]), row["run"]) for row in rows} == set(expected)
    assert {int(row["seeds"]) for row in rows} == {len({run.seed for run in plan.runs})}
    for row in rows:
        for key, value in expected[int(row["point"]), row["run"]].items():
            if isinstance(value, (int, float)):
                assert float(row[key]) == float(value)
            else:
                assert row[key] == (value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def test_every_sweep_that_the_page_names_is_shipped_with_its_result() -> None:
    text = (ROOT / "docs" / "claim.md").read_text(encoding="utf-8")
    named = set(re.findall(r"simdfl\.sweep scenarios/sweeps/(\w+)\.yaml", text))
    assert named == {result.stem for result in RESULTS}
