"""The summary: the main facts, nothing cut off, also in a narrow terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from recorded_run import small_run
from rich.console import Console

from simdfl.records.summary import overhead_sentence, print_summary, summary_text, validation_share
from simdfl.world import RunResult


def text_of(width: int, **changes: RunResult) -> str:
    loaded, results = small_run()
    buffer = io.StringIO()
    print_summary(Console(file=buffer, width=width, no_color=True), loaded.scenario, {**results, **changes})
    return buffer.getvalue()


def test_main_facts_are_told() -> None:
    loaded, results = small_run()
    text = summary_text(loaded.scenario, results)
    main = results["main"]
    assert text.lstrip().startswith("small: 6 steps, 10 peers, 3 of them Byzantine, seed 1; completed")
    assert f"Trace digest {main.trace_digest}" in text
    for name, result in results.items():
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{name} "))
        assert f"{100 * result.accuracy:.1f} %" in line
        assert result.protocol in line
        assert ("yes" in line) == (name in ("main", "unverified_attacked"))


def test_every_removal_is_told_with_its_loss() -> None:
    loaded, results = small_run()
    removals = results["main"].removals
    assert removals, "the attack must be caught for this test to say anything"
    text = " ".join(summary_text(loaded.scenario, results).split())
    for row in removals:
        assert row["reason"] in text
    banned = {row["peer"] for row in removals if row["kind"] == "banned" and row["byzantine"]}
    assert f"Byzantine peers banned: {len(banned)} of 3. Honest peers banned: 0; ejected, not slashed: 0." in text
    assert "lost 32 ETH" in text


@pytest.mark.parametrize("width", [80, 110])
def test_nothing_is_cut(width: int) -> None:
    text = text_of(width)
    assert "…" not in text
    assert "Removed peers" in text
    rows = ("simulated time", "control bytes/peer", "of these to validate", "transactions", "fees, all steps")
    assert all(any(line.strip().startswith(row) for line in text.splitlines()) for row in rows)


def test_all_cells_of_the_cost_table_are_whole() -> None:
    _, results = small_run()
    words = text_of(80).split()
    for result in results.values():
        assert f"{result.summary['step_s']:.3f}" in words
        assert f"{result.summary['gas']:,.0f}" in words


def test_names_with_brackets_are_printed_as_they_are() -> None:
    from dataclasses import replace

    main = small_run()[1]["main"]
    notices = [*main.summary["notices"], "lanes [/bold] and [red]"]
    odd = replace(main, outcome="aborted: lost [/x]", summary={**main.summary, "notices": notices})
    text = text_of(110, main=odd)
    assert "aborted: lost [/x]" in text
    assert "Note: lanes [/bold] and [red]" in text


def test_overhead_compares_the_calm_twins() -> None:
    _, results = small_run()
    ours, twin = results["verified_honest"], results["unverified_honest_all_reduce"]
    sentence = overhead_sentence(results)
    assert f"{ours.summary['step_s'] - twin.summary['step_s']:+.2f} s of waiting a step" in sentence
    assert f"{validation_share(ours):.0%} of the gradient computations" in sentence
    assert overhead_sentence({"main": results["main"]}) == ""


def test_forks_and_raised_bids_have_rows_where_there_are_any() -> None:
    loaded, results = small_run()
    main = results["main"]
    assert "reorganised" not in summary_text(loaded.scenario, results)
    forked = replace(main, summary={**main.summary, "reorganisations": 4, "stale_blocks": 1045})
    text = " ".join(summary_text(loaded.scenario, {**results, "main": forked}).split())
    assert f"reorganised, all steps 4 {' '.join(['0'] * (len(results) - 1))}" in text
    assert "stale blocks, all steps 1,045 0" in text
    assert "bids raised" not in text
