"""The matrix as a command: a small one, resumed, and what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from simdfl.matrix.__main__ import main
from simdfl.matrix.cells import key_of, plan
from simdfl.world.jobs import write_whole

TINY = """
name: tiny
protocol: {steps: 6, validators: 2}
peers: {count: 6}
topology: {name: complete}
adversaries: [{name: sign_flip, count: 1, start_step: 1}]
beacon: {group: ideal}
learning: {model: {name: logistic}, batch_size: 4, evaluate_every: 3}
baselines: {mean: {protocol.name: all_reduce}}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_cells_are_what_concerns_each_other_and_twins_are_shared(scenario: Path) -> None:
    cells = plan(scenario, ["sign_flip", "equivocate", "late"], [])
    assert [(cell.attack, cell.column) for cell in cells] == [
        ("sign_flip", "verified"),
        ("sign_flip", "mean"),
        ("equivocate", "verified"),
        ("late", "verified"),
        ("late", "mean"),
    ]
    assert cells[0].scenario.adversaries[0].start_step == 1
    assert cells[0].twin.adversaries == ()
    assert (cells[3].scenario.adversaries, cells[3].scenario.faults[0].name) == ((), "late")
    assert len({key_of(cell.twin) for cell in cells}) == 2


def test_a_matrix_is_written_and_a_second_one_runs_nothing(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [str(scenario), "--attacks", "equivocate", "late", "--out", str(out), "--workers", "1"]
    assert main(arguments) == 0
    first = pd.read_parquet(out / "matrix.parquet").set_index(["attack", "protocol"])
    caught = first.loc["equivocate", "verified"]
    assert caught["caught_by"] == "equivocation 1"
    assert (caught["last_removed_after"], caught["byzantine_left"], caught["honest_banned"]) == (1, 0, 0)
    assert first.loc[("late", "mean"), "extra_step_s"] > 1.0
    assert "`equivocate` | equivocation 1" in (out / "matrix.md").read_text()
    assert (out / "matrix.png").read_bytes().startswith(b"\x89PNG")
    cells = sorted((out / "cells").iterdir())
    marked = json.loads(cells[0].read_text()) | {"outcome": "from the folder"}
    cells[0].write_text(json.dumps(marked))
    assert main(arguments) == 0  # resumed: the marked result is taken, not computed again
    second = pd.read_parquet(out / "matrix.parquet")
    assert cells == sorted((out / "cells").iterdir())
    in_table = "from the folder" in set(second["outcome"])
    assert in_table or marked["byzantine"] == 0  # a twin's outcome is not shown


def test_whole_files_only(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", b"1")
    write_whole(tmp_path / "a.json", b"22")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"22"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--attacks", "sign_flop"], "sign_flip"),
        (["--protocols", "meann"], "mean"),
        (["--attacks", "equivocate", "--protocols", "mean"], "concerns"),
    ],
)
def test_mistakes_are_one_sentence(scenario: Path, arguments: list[str], says: str, capsys) -> None:
    assert main([str(scenario), *arguments]) == 2
    assert says in capsys.readouterr().err
