"""What an outsider gets: levels 1 and 2, certificates, honest gaps; and that nothing malicious is swallowed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audited_run import Forger, audit, first_of, publish
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts_model.terms import Terms
from simdfl.audit import main
from simdfl.auditing import parts, published, reading
from simdfl.auditing.certificate import STATEMENT_FIELDS
from simdfl.auditing.findings import CHECKS, Unusable
from simdfl.auditing.inspection import detection_probability
from simdfl.protocols import parts as peers_parts
from simdfl.world import manifest as world_manifest

ROOT = Path(__file__).resolve().parents[2]
UNCHECKED = """
name: unchecked
protocol: {steps: 4, validators: 0}
peers: {count: 6}
topology: {name: ring}
beacon: {group: ideal, epoch_outputs: 5}
contracts: {deal_s: 22}
learning: {model: {name: logistic}, dataset: {name: synthetic}}
adversaries:
- {name: wrong_batch, count: 1, start_step: 1}
- {name: sign_flip, count: 1, start_step: 2, params: {scale: 2.0}}
"""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("outsider") / "run", UNCHECKED)


@pytest.fixture
def forger(run_folder: Path, tmp_path: Path) -> Forger:
    return Forger(run_folder, tmp_path / "forged")


# ---- levels 1 and 2


def test_a_wrong_batch_and_a_wrong_gradient_are_found_by_level_1_only(run_folder: Path) -> None:
    """Nobody validated in this run, so nobody was banned: only recomputation tells."""
    assert audit(run_folder).exit_status == 0
    outcome = audit(run_folder, 1)
    assert outcome.exit_status == 1
    assert first_of(outcome) == ("gradients", 1)
    found = outcome.findings.checks["gradients"].violations
    assert {violation.step for violation in found} == {1, 2, 3}
    assert outcome.sample["wrong"] == len(found) == 3 + 2


def test_level_2_says_where_it_could_not_aggregate_again(run_folder: Path) -> None:
    outcome = audit(run_folder, 2)
    assert first_of(outcome) == ("gradients", 1)
    assert (outcome.sample["steps_aggregated"], outcome.sample["steps_unknown"]) == (1, 3)
    assert outcome.findings.checks["final model"].held == 1


def test_an_audit_goes_on_where_it_was(run_folder: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    whole = audit(run_folder, 2, resume=journal)
    again = audit(run_folder, 2, resume=journal)
    assert again.sample["checked"] == whole.sample["checked"] == whole.sample["eligible"]
    assert again.findings.checks["gradients"] == whole.findings.checks["gradients"]
    other = audit(run_folder, 1, resume=journal)
    assert "belongs to another audit" in other.unusable


@given(st.integers(1, 200), st.data())
def test_the_probability_is_that_of_drawing_without_replacement(eligible: int, data: st.DataObject) -> None:
    from math import comb

    wrong, samples = (data.draw(st.integers(0, eligible)) for _ in range(2))
    exact = 1 - comb(eligible - wrong, samples) / comb(eligible, samples)
    assert detection_probability(eligible, wrong, samples) == pytest.approx(exact, abs=1e-12)


# ---- a second implementation


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 12), st.integers(0, 2**31))
def test_parts_are_those_of_the_peers(d: int, n_parts: int, seed: int) -> None:
    from simdfl.rng import Rng

    stream = Rng(seed).stream("gradient")
    gradient = (stream.standard_normal(d) * 10.0 ** stream.integers(-3, 11)).astype(np.float32)
    gradient[stream.integers(d)] = np.nan
    theirs = peers_parts.admissible(gradient)
    assert np.array_equal(parts.committed(gradient), theirs)
    assert np.array_equal(parts.as_parts(theirs, n_parts), peers_parts.split_parts(theirs, n_parts))
    assert parts.commitment_root(theirs, n_parts) == peers_parts.commit_gradient(theirs, n_parts).root
    assert parts.padded_length(d) == peers_parts.bucket(d)
    randomness = Rng(seed).key("randomness")
    ours = parts.direction(randomness, 3, 1, d)
    assert np.array_equal(ours, peers_parts.random_vector(randomness, 3, 1, d))


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 200), st.integers(2, 6), st.integers(0, 2**31))
def test_reports_are_those_of_the_peers(d: int, n: int, seed: int) -> None:
    from simdfl.rng import Rng

    stream = Rng(seed).stream("gradients")
    gradients = [stream.standard_normal(d).astype(np.float32) for _ in range(n)]
    roster, void = list(range(n)), {1}
    clip = peers_parts.ClipSettings(0.3, 1e-6, 500, 2, 5.0)
    math = peers_parts.PartMath(clip, n)
    commitments = [peers_parts.commit_gradient(gradient, n) for gradient in gradients]
    made = math.aggregate(commitments)
    protocol = {"clip_radius": 0.3, "clip_tolerance": 1e-6, "clip_iterations": 500}
    ours = parts.aggregate_parts(gradients, n, n, protocol)
    assert [parts.part_hash(row) for row in ours] == [aggregate.hash for aggregate in made]
    whole = ours.copy()
    whole[1] = 0.0
    shown = [None if owner in void else aggregate for owner, aggregate in enumerate(made)]
    s, norms = math.true_reports(b"r" * 32, roster, commitments, shown)
    report = peers_parts.Report(tuple(roster), s[0], norms[0])
    maker = parts.ReportMaker(0.3, 2)
    assert maker.root(b"r" * 32, roster, void, gradients[0], whole.reshape(-1)[:d]) == report.root


def test_constants_are_those_of_the_world() -> None:
    from simdfl.auditing import chain, declared
    from simdfl.chain import execution

    assert (declared.PEER_BALANCE_WEI, declared.OWNER_BALANCE_WEI) == (
        world_manifest.PEER_BALANCE_WEI,
        world_manifest.OWNER_BALANCE_WEI,
    )
    assert world_manifest.WITHHELD == declared.POLICIES
    assert (chain.TIPS, chain.BURNT_FEES) == (execution.PROPOSER, execution.FEE_BURN)


def test_the_auditor_loads_nothing_that_the_peers_live_in() -> None:
    """Not even indirectly."""
    code = (
        "import sys, simdfl.audit, simdfl.auditing.inspection, simdfl.auditing.recompute, "
        "simdfl.auditing.certificate\n"
        "rooms = ('protocols', 'peers', 'world', 'records', 'network', 'kernel', 'scenario')\n"
        "print([name for name in sys.modules if name.startswith(tuple('simdfl.' + room for room in rooms))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- the page


def test_the_format_page_names_every_field() -> None:
    page = (ROOT / "docs" / "published-format.md").read_text(encoding="utf-8")
    names = [
        *(published.INDEX_FIELDS + published.MANIFEST_FIELDS + published.DEPLOYMENT_FIELDS),
        *(
            published.CHAIN_FIELDS
            + published.LED_BLOCK_FIELDS
            + published.RECEIPT_FIELDS
            + published.EVENT_FIELDS
        ),
        *(published.MESSAGE_FIELDS + STATEMENT_FIELDS),
        *(field.name for field in fields(Terms)),
    ]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_audit_page_names_every_check() -> None:
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    assert [name for name in CHECKS if name not in page] == []


# ---- the door


def test_reports_and_certificate(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate.json"
    key.write_text("11" * 32 + "\n")
    outputs = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    signing = ["--certify", str(key), "--certificate", str(certificate)]
    assert main([str(run_folder), "--coin", "3", *outputs, *signing]) == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert (record["verdict"], record["level_reached"], record["coin"]) == ("clean", 0, 3)
    assert "gradients" in record["not_made"]
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http" not in page
    assert "<script" not in page
    assert main(["verify-certificate", str(certificate), "--folder", str(run_folder)]) == 0
    assert "The folder is the certified one." in capsys.readouterr().out
    changed = json.loads(certificate.read_text())
    changed["statement"]["level"] = 2
    certificate.write_text(json.dumps(changed))
    assert main(["verify-certificate", str(certificate)]) == 1


def test_a_violation_is_not_certified(run_folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("22" * 32)
    assert main([str(run_folder), "--level", "1", "--coin", "1", "--certify", str(key)]) == 2


def test_a_mistake_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "is no folder; give the folder of a run" in capsys.readouterr().err


# ---- malice


def test_names_that_leave_the_folder(forger: Forger) -> None:
    def change(index: dict[str, Any]) -> None:
        index["files"]["../secret"] = {"bytes": 0, "sha256": "00" * 32}

    index = json.loads((forger.folder / "published.json").read_text())
    change(index)
    (forger.folder / "published.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    outcome = audit(forger.folder)
    assert outcome.exit_status == 2
    assert "not a name that a published file can have" in outcome.unusable


def test_symbolic_links(forger: Forger) -> None:
    (forger.folder / "model.npy").rename(forger.folder / "real.npy")
    (forger.folder / "model.npy").symlink_to("real.npy")
    assert "model.npy: cannot be read" in audit(forger.folder).unusable


def test_a_pipe_does_not_hang(forger: Forger) -> None:
    (forger.folder / "model.npy").unlink()
    os.mkfifo(forger.folder / "model.npy")
    assert "model.npy: not a regular file" in audit(forger.folder).unusable


def test_a_decompression_bomb(forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 1 << 20)
    with (forger.folder / "messages.jsonl.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as packed:
        packed.write(bytes(1 << 22))
    forger.reindex()
    assert "a line is longer than" in audit(forger.folder).unusable


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(forger: Forger, value: float) -> None:
    def change(data: bytearray) -> None:
        data[-4:] = np.array([value], dtype="<f4").tobytes()

    assert "holds NaN or infinities" in audit(forger.bytes_of("model.npy", change)).unusable


def test_a_pickle_in_place_of_weights(forger: Forger) -> None:
    def change(data: bytearray) -> None:
        at = data.index(b"<f4")
        data[at : at + 3] = b"|O8"

    assert "its header is not that of" in audit(forger.bytes_of("model.npy", change)).unusable


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.integers(41, 5000).map(lambda depth: b"[" * depth)))
def test_bytes_that_are_no_json_are_refused_safely(data: bytes) -> None:
    with suppress(Unusable):
        reading.parse_json("text", data)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_streams_of_any_bytes_are_refused_safely(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "x.gz").write_bytes(reading.GZIP_HEADER + tail)
    with pytest.raises(Unusable):
        list(reading.read_lines(tmp_path, "x.gz"))
