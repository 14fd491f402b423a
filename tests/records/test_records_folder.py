"""The run folder: complete, readable in one line, the same bytes for the same run, all or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recorded_run import WALL_S, run_all, small_run, write_small

from simdfl.errors import UserError
from simdfl.records import folder as folder_module
from simdfl.records.columns import RUN_COLUMNS, TABLES
from simdfl.records.folder import check_target, write_run
from simdfl.records.summary import summary_text
from simdfl.scenario import load

FILES = {
    "scenario.yaml",
    "summary.txt",
    "model.npy",
    "manifest.json",
    "chain.jsonl.gz",
    "messages.jsonl.gz",
    "trace.txt",
    "provenance.json",
    *("published.json", "deployment.json", "aggregates.f32", "opened.bin", "optimiser.bin"),
    *(f"{name}.parquet" for name in TABLES),
}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("records") / "run")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_all_files_are_there(run_folder: Path) -> None:
    assert names(run_folder) == FILES
    assert names(run_folder.parent) == {"run"}


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_the_documented_ones(run_folder: Path, table: str) -> None:
    frame = pd.read_parquet(run_folder / f"{table}.parquet")
    assert list(frame.columns) == [*RUN_COLUMNS, *TABLES[table]]


@pytest.mark.parametrize("table", TABLES)
def test_rows_give_every_documented_column_and_no_other(table: str) -> None:
    _, results = small_run()
    for result in results.values():
        for row in getattr(result, table):
            assert set(row) == set(TABLES[table])


def test_tables_hold_every_run(run_folder: Path) -> None:
    _, results = small_run()
    for table in ("steps", "peers", "traffic"):
        frame = pd.read_parquet(run_folder / f"{table}.parquet")
        assert set(frame["run"]) == set(results)
        assert set(frame["seed"]) == {1}
    steps = pd.read_parquet(run_folder / "steps.parquet")
    assert steps.groupby("run")["step"].agg(list).map(lambda found: found == list(range(6))).all()
    peers = pd.read_parquet(run_folder / "peers.parquet")
    assert peers.groupby("run")["byzantine"].sum().to_dict() == {
        "main": 3,
        "verified_honest": 0,
        "unverified_attacked": 3,
        "unverified_honest_all_reduce": 0,
    }


def test_wei_is_exact_in_the_tables(run_folder: Path) -> None:
    peers = pd.read_parquet(run_folder / "peers.parquet").query("run == 'main'")
    _, results = small_run()
    assert [int(value) for value in peers["balance_wei"]] == [
        int(r["balance_wei"]) for r in results["main"].peers
    ]
    assert max(int(value) for value in peers["balance_wei"]) > 2**63


def test_traffic_is_the_sum_over_peers(run_folder: Path) -> None:
    peers = pd.read_parquet(run_folder / "peers.parquet")
    traffic = pd.read_parquet(run_folder / "traffic.parquet")
    for row in traffic.itertuples():
        assert row.sent_bytes == peers.loc[peers["run"] == row.run, f"sent_{row.traffic}_bytes"].sum()


def test_calls_add_up_to_the_chain(run_folder: Path) -> None:
    calls = pd.read_parquet(run_folder / "calls.parquet").query("run == 'main'")
    receipts = [receipt for block in small_run()[1]["main"].blocks for receipt in block.receipts]
    assert calls["calls"].sum() == len(receipts)
    assert calls["gas"].sum() == sum(receipt.gas_used for receipt in receipts)
    assert sum(int(fee) for fee in calls["fee_wei"]) == sum(receipt.fee_wei for receipt in receipts)


def test_scenario_in_the_folder_loads_to_the_same_digest(run_folder: Path) -> None:
    again = load(run_folder / "scenario.yaml")
    provenance = json.loads((run_folder / "provenance.json").read_text())
    assert again.digest == small_run()[0].digest == provenance["scenario_digest"]
    assert again.baselines == small_run()[0].baselines


def test_provenance_ties_the_folder_to_the_run(run_folder: Path) -> None:
    provenance = json.loads((run_folder / "provenance.json").read_text())
    _, results = small_run()
    assert provenance["wall_s"] == WALL_S
    assert {name: run["trace_digest"] for name, run in provenance["runs"].items()} == {
        name: result.trace_digest for name, result in results.items()
    }


def test_provenance_of_a_run_without_a_step_is_json(tmp_path: Path) -> None:
    loaded, results = small_run()
    summary = {**results["main"].summary, "step_s": float("nan")}
    results = {**results, "main": replace(results["main"], accuracy=float("nan"), steps=[], summary=summary)}
    write_run(tmp_path / "run", loaded, results, "", WALL_S)
    text = (tmp_path / "run" / "provenance.json").read_text()
    main = json.loads(text, parse_constant=pytest.fail)["runs"]["main"]
    assert (main["accuracy"], main["summary"]["step_s"]) == (None, None)


def test_model_is_the_final_one(run_folder: Path) -> None:
    assert np.array_equal(np.load(run_folder / "model.npy"), small_run()[1]["main"].params)


def test_trace_gives_the_digest(run_folder: Path) -> None:
    lines = (run_folder / "trace.txt").read_text().splitlines()
    result = small_run()[1]["main"]
    assert len(lines) == result.trace_events
    running = hashlib.sha256()
    for line in lines:
        running.update(line.encode() + b"\n")
    assert running.hexdigest() == result.trace_digest


def test_two_runs_give_the_same_bytes(run_folder: Path, tmp_path: Path) -> None:
    loaded, results = run_all()
    write_run(tmp_path / "again", loaded, results, summary_text(loaded.scenario, results), 7.5)
    for name in sorted(FILES - {"provenance.json"}):
        assert (tmp_path / "again" / name).read_bytes() == (run_folder / name).read_bytes(), name
    first, second = (
        json.loads((folder / "provenance.json").read_text()) for folder in (run_folder, tmp_path / "again")
    )
    assert (first.pop("wall_s"), second.pop("wall_s")) == (WALL_S, 7.5)
    assert first == second


class Killed(BaseException):
    """Stands for whatever may end a process in which ``finally`` still runs."""


@pytest.fixture
def killed_while_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(folder_module, "write_publication", die)


@pytest.mark.usefixtures("killed_while_writing")
def test_killed_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        write_small(tmp_path / "run")
    assert names(tmp_path) == set()


def test_killed_while_writing_leaves_the_old_folder(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write_small(tmp_path / "run", 1.0)
    request.getfixturevalue("killed_while_writing")
    with pytest.raises(Killed):
        write_small(tmp_path / "run", 2.0)
    assert names(tmp_path) == {"run"}
    assert names(tmp_path / "run") == FILES
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["wall_s"] == 1.0


def test_killed_while_replacing_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small(tmp_path / "run", 1.0)
    rename = Path.rename

    def die_at_last(self: Path, target: Path) -> Path:
        if self.name.endswith("partial"):
            raise Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", die_at_last)
    with pytest.raises(Killed):
        write_small(tmp_path / "run", 2.0)
    assert names(tmp_path) == {"run"}
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["wall_s"] == 1.0


def test_second_run_replaces_the_first_and_its_strangers(tmp_path: Path) -> None:
    write_small(tmp_path / "run", 1.0)
    (tmp_path / "run" / "stale.txt").write_text("of the first run")
    write_small(tmp_path / "run", 2.0)
    assert names(tmp_path / "run") == FILES
    assert names(tmp_path) == {"run"}


def test_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "write_publication", full)
    with pytest.raises(UserError, match=r"run: cannot be written \(No space left on device\); choose another"):
        write_small(tmp_path / "run")
    assert names(tmp_path) == set()


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    check_target(tmp_path / "link")
    write_small(tmp_path / "link")
    assert names(tmp_path / "real") == FILES
    assert (tmp_path / "link").is_symlink()


def test_target_check_leaves_no_trace(tmp_path: Path) -> None:
    check_target(tmp_path / "not" / "yet" / "there")
    assert names(tmp_path) == set()
