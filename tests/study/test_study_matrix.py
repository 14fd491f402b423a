"""The matrix: which attack concerns which protocol, its setting, and that finished cells are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adversaries import ADVERSARIES, FAULTS
from simdfl.matrix import main
from simdfl.study.cells import PROTOCOLS, SETTINGS, concerns
from simdfl.study.matrix import Row, all_cells, calm, compare, make_cell, run_matrix
from simdfl.study.matrix_page import frame_of, markdown

BASE = Path(__file__).parents[2] / "scenarios" / "matrix.yaml"
SHORT = """
name: short
peers: {count: 8}
protocol: {steps: 6}
topology: {name: complete}
beacon: {group: ideal}
learning: {dataset: {name: synthetic, params: {n_train: 200, n_test: 50, dim: 4, n_classes: 2}},
  model: {name: logistic}, batch_size: 4, evaluate_every: 6}
"""


@pytest.mark.parametrize("name", [*ADVERSARIES, *FAULTS])
def test_every_attack_and_fault_concerns_a_protocol(name: str) -> None:
    assert concerns(name)


def test_settings_name_attacks_of_the_shelf() -> None:
    assert set(SETTINGS) <= set(ADVERSARIES)


def test_an_attack_on_gradients_concerns_all_and_one_on_the_beacon_only_where_there_is_one() -> None:
    assert concerns("sign_flip") == PROTOCOLS
    assert concerns("withhold_reveal") == ("verified", "btard")
    assert "parameter_server" not in concerns("withhold_part")


def test_twin_has_the_setting_and_no_attack() -> None:
    cell = make_cell("lazy_validator", "verified")
    assert calm(cell).overrides == ("protocol.name=verified", "protocol.canary_permille=300")
    assert any(o.startswith("adversaries=") and "lazy_validator" in o for o in cell.overrides)


def test_twins_are_run_once_and_first() -> None:
    cells = all_cells(["sign_flip", "ipm"], ["all_reduce"])
    assert [cell.attack for cell in cells] == ["none", "sign_flip", "ipm"]


def test_loss_is_taken_against_the_twin_with_the_same_setting() -> None:
    def row(attack: str, setting: str, accuracy: float) -> Row:
        return {"attack": attack, "protocol": "p", "setting": setting, "accuracy": accuracy, "step_s": 1.0}

    rows = compare([row("none", "", 0.9), row("none", "x=1", 0.5), row("a", "", 0.6), row("b", "x=1", 0.5)])
    assert [round(r["accuracy_loss"], 9) for r in rows] == [0, 0, 0.3, 0]


def test_finished_cells_are_kept_and_the_same_command_gives_the_same_page(tmp_path: Path) -> None:
    path = tmp_path / "base.yaml"
    path.write_text(SHORT, encoding="utf-8")
    cells = all_cells(["sign_flip"], ["all_reduce"])
    seen: list[int] = []
    first = run_matrix(cells, path, 1, tmp_path, 1, seen.append)
    assert seen == [0, 1, 2]
    assert [row["liars"] for row in first] == [0, 3]
    again: list[int] = []
    second = run_matrix(cells, path, 1, tmp_path, 1, again.append)
    assert again == [2]
    assert json.dumps(first) == json.dumps(second)
    page = markdown(frame_of(second), "command")
    assert "| `sign_flip` | 0 of 3 |" in page


def test_other_seed_is_another_cell() -> None:
    cell = make_cell("sign_flip", "verified")
    assert cell.key(BASE, 1) != cell.key(BASE, 2)


def test_unknown_attack_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(BASE), "--attacks", "sign_flipp", "--out", str(tmp_path / "out")]) == 2
    assert "sign_flip" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
