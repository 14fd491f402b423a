"""The readable end of a run: accuracy beside the twins, who was removed for what, and what assurance costs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from simdfl.scenario import Scenario
from simdfl.units import format_bytes, format_wei
from simdfl.world.result import RunResult

Cell = Callable[[RunResult], str]


def print_summary(console: Console, scenario: Scenario, results: dict[str, RunResult]) -> None:
    """Print the whole summary."""
    main = results["main"]
    n, b = scenario.peers.count, scenario.byzantine_count
    console.print()
    console.print(
        f"[bold]{scenario.name}[/bold]: {scenario.protocol.steps} steps, {n} peers, {b} of them Byzantine, "
        f"seed {scenario.seed}; {main.outcome}"
    )
    console.print(_accuracy_table(results))
    if main.removals:
        console.print(_removals_table(main))
    if main.blocks:
        honest = [row for row in main.removals if not row["byzantine"]]
        banned = {row["peer"] for row in main.removals if row["byzantine"] and row["kind"] == "banned"}
        slashed = sum(row["kind"] == "banned" for row in honest)
        console.print(
            f"Byzantine peers banned: {len(banned)} of {b}; honest peers banned: {slashed}, ejected without "
            f"slashing: {len({row['peer'] for row in honest if row['kind'] == 'ejected'})}"
        )
    console.print(_overhead_table(results))
    for notice in main.summary["notices"]:
        console.print(f"Note: {notice}")
    console.print(f"Trace digest {main.trace_digest}")


def summary_text(scenario: Scenario, results: dict[str, RunResult]) -> str:
    """Return the summary as plain text."""
    buffer = io.StringIO()
    print_summary(Console(file=buffer, width=110, no_color=True), scenario, results)
    return buffer.getvalue()


def _accuracy_table(results: dict[str, RunResult]) -> Table:
    table = Table(title="Accuracy on the test records", title_justify="left")
    for heading in ("run", "protocol", "attack", "final accuracy", "lowest after step 20 %"):
        table.add_column(heading, justify="left" if heading in ("run", "protocol", "attack") else "right")
    for name, result in results.items():
        values = [row["accuracy"] for row in result.steps if row["accuracy"] is not None]
        late = values[len(values) // 5 :]
        lowest = f"{100 * min(late):.1f} %" if late else "–"
        attacked = any(row["byzantine"] for row in result.peers)
        accuracy = f"{100 * result.accuracy:.1f} %"
        table.add_row(name, result.protocol, "yes" if attacked else "no", accuracy, lowest)
    return table


def _removals_table(main: RunResult) -> Table:
    table = Table(title="Removed peers", title_justify="left")
    for heading in ("step", "time", "peer", "who", "how", "for what", "reported by", "slashed"):
        table.add_column(heading, justify="right" if heading in ("step", "time", "peer") else "left")
    for row in main.removals:
        table.add_row(
            str(row["step"]),
            f"{row['time_s']:.0f} s",
            str(row["peer"]),
            "Byzantine" if row["byzantine"] else "honest",
            row["kind"],
            row["reason"],
            "–" if row["reporter"] < 0 else f"peer {row['reporter']}",
            format_wei(int(row["slashed_wei"])),
        )
    return table


def _overhead_table(results: dict[str, RunResult]) -> Table:
    table = Table(title="Cost, per step", title_justify="left")
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right")
    cells: list[tuple[str, Cell]] = [
        ("simulated time", lambda r: f"{r.summary['step_s']:.3f} s"),
        ("gradient bytes a peer", _bytes("gradient")),
        ("control bytes a peer", _bytes("control")),
        ("beacon bytes a peer", _bytes("beacon")),
        ("chain bytes a peer", _bytes("chain")),
        ("gradients computed", lambda r: f"{r.summary['gradients_per_step']:.2f}"),
        ("of these to validate", lambda r: f"{validation_share(r):.1%}"),
        ("transactions", lambda r: f"{r.summary['transactions']:.1f}"),
        ("gas", lambda r: f"{r.summary['gas']:,.0f}"),
        ("fees, all steps", lambda r: format_wei(int(r.summary["fees_wei"]))),
    ]
    for label, cell in cells:
        table.add_row(label, *[cell(result) for result in results.values()])
    return table


def _bytes(name: str) -> Cell:
    def cell(result: RunResult) -> str:
        return format_bytes(result.summary[f"{name}_bytes"])

    return cell


def validation_share(result: RunResult) -> float:
    """Return the share of gradient computing time that went into validation."""
    spent: dict[str, Any] = result.summary
    total = spent["gradient_s"] + spent["validation_s"]
    return float(spent["validation_s"] / total) if total else 0.0
