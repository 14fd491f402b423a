"""Every kind of tampering by name: caught, at the stated level, with the first bad step.

The forger makes hashes and index fit again wherever that takes no key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audited_run import Forger, Lines, audit, first_of, publish, receipts

from simdfl.auditing.findings import Unusable


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("audit") / "run")


@pytest.fixture
def forger(run_folder: Path, tmp_path: Path) -> Forger:
    return Forger(run_folder, tmp_path / "forged")


def test_the_untouched_run_is_clean_at_level_0(run_folder: Path) -> None:
    outcome = audit(run_folder)
    assert (outcome.exit_status, outcome.level, outcome.unusable) == (0, 0, "")
    assert [row[2:] for row in outcome.removed] == [("banned", "failed validation")] * 3


def test_the_untouched_run_is_clean_at_level_2(run_folder: Path) -> None:
    outcome = audit(run_folder, 2)
    assert (outcome.exit_status, outcome.level) == (0, 2)
    sample = outcome.sample
    assert sample["checked"] == sample["eligible"] > 40
    assert sample["wrong"] == sample["punished"] > 0
    assert (sample["steps_aggregated"], sample["steps_unknown"]) == (6, 0)


def test_a_forged_copy_without_changes_is_clean(forger: Forger) -> None:
    """The forger's tools change nothing by themselves."""
    forger.messages(lambda lines: None)
    assert audit(forger.blocks(lambda lines: None)).exit_status == 0


def test_a_changed_file_does_not_have_its_address(forger: Forger) -> None:
    path = forger.folder / "optimiser.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    failed = audit(forger.folder).findings.checks["content addresses"].violations
    assert [violation.place for violation in failed] == ["optimiser.bin"]


def test_an_aggregate(forger: Forger) -> None:
    def change(data: bytearray) -> None:
        row = np.frombuffer(data, dtype="<f4").reshape(6, -1)
        row[3, 7] += 1.0

    assert first_of(audit(forger.bytes_of("aggregates.f32", change))) == ("aggregates", 3)


@pytest.mark.parametrize("is_signed_over", [False, True])
def test_a_projection(forger: Forger, is_signed_over: bool) -> None:
    """A number in a report; the digest beside it can be made to fit, the signature cannot."""

    def change(lines: Lines) -> None:
        from contracts_model.merkle import merkle_root

        report = next(m for m in lines if m["topic"] == "REPORT" and m["step"] == 2)
        entries = report["content"]["entries"]
        entries[0] = entries[0][:16] + "ff" + entries[0][18:]
        if is_signed_over:
            report["digest"] = merkle_root([bytes.fromhex(entry) for entry in entries]).hex()

    outcome = audit(forger.messages(change))
    assert outcome.findings.checks["message signatures"].failed == 1
    assert first_of(outcome)[1] == 2


def set_event(function: str, name: str, key: str, value: Any, step: int) -> Callable[[Lines], None]:
    """Return a change of one field of the first such event of a step."""

    def change(blocks: Lines) -> None:
        events = [event for call in receipts(blocks, function) for event in call["events"]]
        found = next(e for e in events if e["name"] == name and e["fields"].get("step", step) == step)
        found["fields"][key] = value

    return change


def test_a_beacon_value(forger: Forger) -> None:
    """The value that ends step 2 is replaced where it is announced: it is not what the secrets give."""
    change = set_event("reveal", "StepOpened", "randomness", "00" * 32, 3)
    assert first_of(audit(forger.blocks(change))) == ("receipts", 2)


def test_a_withheld_reveal_rewritten(forger: Forger) -> None:
    """Somebody's opening is replaced by another secret, in calldata and event."""

    def change(blocks: Lines) -> None:
        call = next(c for c in receipts(blocks, "reveal") if c["events"][0]["fields"]["output"] == 2)
        secret = 12345
        call["calldata"] = call["calldata"][: 8 + 64] + f"{secret:064x}" + call["calldata"][8 + 128 :]
        call["events"][0]["fields"]["secret"] = secret

    outcome = audit(forger.blocks(change))
    assert first_of(outcome)[1] == 1  # output 2 is opened at the end of step 1
    assert outcome.findings.checks["transaction signatures"].failed == 1
    assert outcome.findings.checks["receipts"].failed >= 1


def test_a_missing_ban(forger: Forger) -> None:
    """The event of a ban is struck out: the step of the first removal does not execute as published."""
    step_of_first = min(row[1] for row in audit(forger.folder).removed)

    def change(blocks: Lines) -> None:
        call = next(c for c in receipts(blocks, "vote") if any(e["name"] == "Banned" for e in c["events"]))
        call["events"] = [event for event in call["events"] if event["name"] != "Banned"]

    check, step = first_of(audit(forger.blocks(change)))
    assert (check, step) == ("receipts", step_of_first)


def test_a_ban_that_never_came_to_the_vote(forger: Forger) -> None:
    """The votes themselves are struck out: nonces have a gap, and everything after comes out differently."""

    def change(blocks: Lines) -> None:
        for block in blocks:
            block["transactions"] = [c for c in block["transactions"] if c["function"] != "vote"]
            for position, call in enumerate(block["transactions"]):
                call["position"] = position
            block["gas_used"] = sum(call["gas_used"] for call in block["transactions"])

    outcome = audit(forger.blocks(change))
    assert first_of(outcome)[1] in (1, 2)
    assert outcome.findings.checks["block rules"].failed
    assert outcome.findings.checks["contract state"].failed


def test_a_forged_signature(forger: Forger) -> None:
    def change(blocks: Lines) -> None:
        calls = [c for c in receipts(blocks, "commit") if c["events"][0]["fields"]["step"] == 4]
        calls[0]["signature"] = calls[1]["signature"]

    outcome = audit(forger.blocks(change))
    assert first_of(outcome) == ("transaction signatures", 4)
    assert outcome.findings.checks["transaction signatures"].failed == 1


def swap(block: dict[str, Any], at: int) -> None:
    """Exchange a call with the one before it."""
    calls = block["transactions"]
    calls[at], calls[at - 1] = calls[at - 1], calls[at]
    for position, call in enumerate(calls):
        call["position"] = position


def test_reordered_calls(forger: Forger) -> None:
    """The last two commitments of a step change places: the other one ends the phase now."""

    def change(blocks: Lines) -> None:
        for block in blocks:
            names = [[event["name"] for event in call["events"]] for call in block["transactions"]]
            ends = [at for at, found in enumerate(names) if at and "Exchange" in found]
            if ends:
                return swap(block, ends[0])
        raise AssertionError("no block ends a phase")

    outcome = audit(forger.blocks(change))
    assert first_of(outcome)[1] == 0
    assert outcome.findings.checks["receipts"].failed


def test_reordered_calls_that_commute_have_another_head(run_folder: Path, forger: Forger) -> None:
    """Where order changes no outcome, only the chain's head tells, which an auditor compares with the chain."""
    right = audit(run_folder).index["heads"]["chain"]

    def change(blocks: Lines) -> None:
        for block in blocks:
            names = [call["function"] for call in block["transactions"]]
            if names.count("register") > 2:
                return swap(block, names.index("register") + 1)
        raise AssertionError("no block has registrations")

    forged = forger.blocks(change)
    assert audit(forged).index["heads"]["chain"] != right
    assert audit(forged, expected=audit(run_folder).address).exit_status == 1


def test_swapped_weights(forger: Forger) -> None:
    def change(data: bytearray) -> None:
        data[128:] = np.zeros(650, dtype="<f4").tobytes()

    assert first_of(audit(forger.bytes_of("model.npy", change))) == ("state digests", 6)


def test_a_changed_manifest(forger: Forger) -> None:
    """Nobody can declare another radius afterwards: the digest is in the terms and in every signature."""
    forger.json_of("manifest.json", lambda m: m["configuration"]["protocol"].update(clip_radius=9.0))
    outcome = audit(forger.folder)
    assert outcome.exit_status == 1
    assert outcome.findings.checks["manifest"].failed
    assert outcome.findings.checks["message signatures"].held == 0


def test_changed_terms(forger: Forger) -> None:
    forger.json_of("deployment.json", lambda d: d["terms"].update(validators=0))
    outcome = audit(forger.folder)
    assert outcome.findings.checks["manifest"].violations[0].what == "terms.validators is 0, declared is 1" or (
        outcome.findings.checks["manifest"].failed == 1
    )
    assert outcome.findings.checks["receipts"].failed


@pytest.mark.parametrize(
    "name", ["chain.jsonl.gz", "messages.jsonl.gz", "aggregates.f32", "model.npy", "optimiser.bin"]
)
def test_truncated_files(forger: Forger, name: str) -> None:
    def change(data: bytearray) -> None:
        del data[len(data) // 2 :]

    outcome = audit(forger.bytes_of(name, change))
    assert outcome.exit_status in (1, 2)
    assert name in outcome.unusable or outcome.findings.checks["state digests"].violations[0].place == "model.npy"


def test_a_chain_that_ends_too_early(forger: Forger) -> None:
    outcome = audit(forger.blocks(lambda blocks: blocks.__delitem__(slice(-12, None))))
    assert outcome.exit_status == 1
    assert outcome.findings.checks["contract state"].failed


def test_another_run_than_expected(run_folder: Path) -> None:
    right = audit(run_folder).address
    assert audit(run_folder, expected=right).exit_status == 0
    assert audit(run_folder, expected="00" * 32).exit_status == 1


def test_a_missing_index_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"published\.json: cannot be read"):
        audit(tmp_path)
