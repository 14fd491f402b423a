"""Runs that assure less are audited too, and the report says exactly what is missing there."""

from __future__ import annotations

from pathlib import Path

import pytest
from audited_run import audit, publish

from simdfl.auditing.inspection import Outcome
from simdfl.auditing.report import as_html, as_record, as_text

BASE = """
name: lesser
protocol: {steps: 3, validators: 1}
peers: {count: 6}
topology: {name: ring}
beacon: {group: ideal, epoch_outputs: 10}
contracts: {deal_s: 22}
learning: {model: {name: logistic}, dataset: {name: synthetic}}
"""


def audited(folder: Path, level: int, *changes: tuple[str, str]) -> Outcome:
    """Publish the base run with some lines changed, and audit it."""
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return audit(publish(folder / "run", text), level)


def missing(outcome: Outcome) -> str:
    return "; ".join(f"{gap.missing}: {gap.attack}" for gap in outcome.gaps)


def test_blocks_may_share_a_second(tmp_path: Path) -> None:
    outcome = audited(
        tmp_path, 0, ("beacon:", "chain: {block_time_s: 0.5}\nbeacon:"), ("{deal_s: 22}", "{deal_s: 8}")
    )
    assert (outcome.exit_status, outcome.level) == (0, 0)


@pytest.mark.parametrize(
    ("protocol", "who"), [("all_reduce", "any one peer"), ("parameter_server", "the server")]
)
def test_without_a_chain_nothing_is_assured(tmp_path: Path, protocol: str, who: str) -> None:
    outcome = audited(tmp_path, 0, ("{steps: 3, validators: 1}", f"{{name: {protocol}, steps: 3}}"))
    assert (outcome.exit_status, outcome.level) == (2, -1)
    assert f"{who} could have replaced the weights" in missing(outcome)
    text = as_text(as_record(outcome))
    assert text.startswith("UNUSABLE")
    assert "published no chain" in text


def test_btard_stands_on_its_own_majority(tmp_path: Path) -> None:
    outcome = audited(tmp_path, 2, ("{steps: 3,", "{name: btard, steps: 3,"))
    assert (outcome.exit_status, outcome.level) == (0, 2)
    said = missing(outcome)
    assert "a chain" in said
    assert "loses its place and no money" in said
    assert "have the coin tossed again" in said


def test_tolerant_arithmetic_is_judged_at_level_0_only(tmp_path: Path) -> None:
    asked = ("{steps: 3,", "{arithmetic: {name: tolerant}, steps: 3,")
    outcome = audited(tmp_path, 1, asked)
    assert (outcome.exit_status, outcome.level) == (2, 0)
    assert outcome.findings.is_clean
    assert "the sent bytes are not published" in outcome.unusable
    assert "twice the tolerance in every step" in missing(outcome)


def test_private_records_stay_private(tmp_path: Path) -> None:
    private = ("learning: {", "learning: {privacy: {data: private}, ")
    outcome = audited(tmp_path, 2, private)
    assert (outcome.exit_status, outcome.level) == (2, 0)
    assert outcome.findings.is_clean
    assert "only the validators that were drawn saw batches" in missing(outcome)


def test_anchors_bind_the_channel(tmp_path: Path) -> None:
    outcome = audited(tmp_path, 2, ("{steps: 3,", "{anchoring: {policy: epoch}, steps: 3,"))
    assert (outcome.exit_status, outcome.level) == (0, 2)
    assert outcome.findings.checks["anchors"].held >= 1
    assert "between two anchors" in missing(outcome)


@pytest.mark.parametrize("scheme", ["randao", "ideal", "albatross"])
def test_every_beacon_is_executed_again(tmp_path: Path, scheme: str) -> None:
    outcome = audited(tmp_path, 2, ("{group: ideal,", f"{{scheme: {scheme}, group: ideal,"))
    assert (outcome.exit_status, outcome.level) == (0, 2)
    assert ("an unbiased beacon" in missing(outcome)) == (scheme != "albatross")


def test_sharings_proven_on_chain_are_verified_with_the_receipts(tmp_path: Path) -> None:
    outcome = audited(tmp_path, 2, ("{group: ideal,", "{verification: on_chain, group: ideal,"))
    assert (outcome.exit_status, outcome.level) == (0, 2)
    assert any("verified on chain, and again" in note for note in outcome.findings.notes)
    deployment = tmp_path / "run" / "deployment.json"
    deployment.write_text(deployment.read_text().replace('"proves_dealings": true', '"proves_dealings": false'))
    assert audit(tmp_path / "run").exit_status in (1, 2)


def test_the_page_escapes_what_strangers_wrote(tmp_path: Path) -> None:
    outcome = audited(tmp_path, 0)
    outcome.findings.require("receipts", False, 1, "<script>alert(1)</script>", "<b>")
    page = as_html(as_record(outcome))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
