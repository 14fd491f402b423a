"""The page of columns is generated, whole and of one mind with the tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import simdfl
from simdfl.errors import UserError
from simdfl.records import columns
from simdfl.records.columns_page import page
from simdfl.records.figures import SUMMARY

PAGE = Path(__file__).parents[2] / "docs" / "columns.md"


def test_the_page_is_up_to_date() -> None:
    cure = "run: python -m simdfl.records.columns_page > docs/columns.md"
    assert PAGE.read_text(encoding="utf-8") == page(), cure


def test_every_figure_of_the_summary_has_its_words() -> None:
    assert set(SUMMARY) <= set(columns.FIGURES)
    assert all(meaning for meaning in {**columns.FIGURES, **columns.OVERHEAD_COLUMNS}.values())


def test_importing_simdfl_loads_nothing_heavy() -> None:
    program = (
        "import sys, simdfl; print([n for n in ('pandas', 'jax', 'numpy', 'distributed') if n in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_folder_without_tables_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no tables; give the folder of a finished run or sweep"):
        simdfl.load(tmp_path)
