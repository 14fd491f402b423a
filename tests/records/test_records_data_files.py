"""A published run whose data lie in files: the manifest names their root, an auditor brings its own copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from audited_run import audit

from simdfl.errors import UserError
from simdfl.records.publication import write_publication
from simdfl.scenario import loads
from simdfl.world import build

TEXT = """
name: text
protocol: {{steps: 2, validators: 1}}
peers: {{count: 4}}
topology: {{name: complete}}
beacon: {{group: ideal}}
learning:
  dataset: {{name: text, folder: '{folder}', params: {{file: some.txt, context: 8, n_test: 9}}}}
  model: {{name: transformer, params: {{width: 8, depth: 1, heads: 2}}}}
  batch_size: 4
  precision: {precision}
"""


def write_text(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "some.txt").write_text(text * 40, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("text")
    folder = write_text(root / "peers", "the quick brown fox. ")
    result = build(loads(TEXT.format(folder=folder, precision="bfloat16"), "small").scenario).run()
    (root / "run").mkdir()
    write_publication(root / "run", result)
    return root / "run"


def test_the_manifest_says_what_was_learned_and_not_where_it_lay(published):
    text = (published / "manifest.json").read_text()
    learning = json.loads(text)["configuration"]["learning"]
    assert learning["precision"] == "bfloat16"
    assert learning["dataset"]["params"]["file"] == "some.txt"
    assert str(published.parent) not in text


def test_an_auditor_recomputes_with_its_own_copy(published, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMDFL_DATA", str(write_text(tmp_path / "auditor", "the quick brown fox. ")))
    outcome = audit(published, 2)
    assert outcome.findings.first() is None
    assert not outcome.unusable


def test_another_text_is_found_out_and_none_is_said(published, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMDFL_DATA", str(write_text(tmp_path / "other", "the brown quick fox. ")))
    assert audit(published, 1).findings.checks["dataset"].failed == 1
    monkeypatch.setenv("SIMDFL_DATA", str(write_text(tmp_path / "alphabet", "the quick brown cat. ")))
    assert "give a model of 1208 parameters here, declared are 1224" in str(audit(published, 1).unusable)
    monkeypatch.setenv("SIMDFL_DATA", str(tmp_path))
    assert "some.txt cannot be read" in str(audit(published, 1).unusable)


def test_another_precision_is_another_job(published):
    folder = published.parent / "peers"
    other = build(loads(TEXT.format(folder=folder, precision="float32"), "small").scenario)
    mine = json.loads((published / "manifest.json").read_text())
    assert other.manifest["dataset_root"] == mine["dataset_root"]
    assert "precision" not in other.manifest["configuration"]["learning"]
    assert other.manifest != mine


def test_a_missing_file_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"params.file: .*some.txt cannot be read"):
        build(loads(TEXT.format(folder=tmp_path, precision="float32"), "small").scenario)
