"""The tables of a report: headline, robustness, cost, removals, calls, assurance, provenance, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from simdfl.records.summary import OCCASIONAL
from simdfl.report.cost_figures import TRAFFIC
from simdfl.report.read import RunFolder, each
from simdfl.units import format_bytes, format_wei

NONE = "–"


@dataclass(frozen=True)
class Sheet:
    """A table as shown: cells are text; `numeric` says which columns are aligned to the right."""

    name: str
    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: tuple[bool, ...]
    note: str = ""

    @property
    def cells(self) -> list[list[tuple[str, bool]]]:
        """Rows of (text, is numeric)."""
        return [list(zip(row, self.numeric)) for row in self.rows]


def percent(share: Any, digits: int = 1) -> str:
    """Return a share as per cent, or a dash where there is none.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return NONE if share is None or pd.isna(share) else f"{100.0 * share:.{digits}f} %"


def headline(folder: RunFolder) -> list[tuple[str, str]]:
    """Return what the run came to: (value, meaning)."""
    main, figures = folder.provenance["runs"]["main"], folder.figures("main")
    removals, peers = folder.of("main", "removals"), folder.of("main", "peers")
    b = int(peers["byzantine"].sum())
    tiles = [(percent(main["accuracy"]), "final accuracy of the main run")]
    if b:
        tiles.append((f"{_count(removals, True)} of {b}", "Byzantine peers removed"))
        tiles.append((str(_count(removals, False)), "honest peers removed"))
    added = sum(figures[f"{name}_bytes"] for name in TRAFFIC[1:])
    share = added / (added + figures["gradient_bytes"]) if added else 0.0
    tiles.append((percent(share), "of the bytes are control, beacon and chain traffic"))
    if figures["gradients_per_step"]:
        checked = figures["validations_per_step"] / figures["gradients_per_step"]
        tiles.append((percent(checked), "of the gradients check others"))
    tiles.append((f"{figures['step_s'] or 0.0:.3g} s", "simulated time of a step"))
    if figures["gas"]:
        tiles.append((f"{figures['gas'] / 1e6:.3g} M", "gas a step"))
    return tiles


def _count(removals: pd.DataFrame, byzantine: bool) -> int:
    return int(removals[removals["byzantine"] == byzantine]["peer"].nunique())


def robustness_sheet(folder: RunFolder) -> Sheet:
    """Return how every run of the folder fared: attacks × protocols."""
    rows = []
    for run in folder.runs:
        about, steps = folder.provenance["runs"][run], folder.of(run, "steps")
        peers, removals = folder.of(run, "peers"), folder.of(run, "removals")
        late = steps["accuracy"].dropna()
        late = late.iloc[len(late) // 5 :]
        b = int(peers["byzantine"].sum())
        rows.append(
            (
                run,
                about["protocol"],
                f"{b} of {len(peers)}",
                about["outcome"],
                percent(about["accuracy"]),
                percent(late.min()) if len(late) else NONE,
                percent(about["attack_success"]),
                f"{_count(removals, True)} of {b}" if b else NONE,
                str(_count(removals, False)),
            )
        )
    headings = (
        "run",
        "protocol",
        "Byzantine",
        "outcome",
        "final accuracy",
        "lowest, later",
        "attack success",
        "Byzantine removed",
        "honest removed",
    )
    note = "Lowest, later: over the last four fifths of the evaluations. A dash: does not apply."
    return Sheet("robustness", "Robustness", headings, rows, (False,) * 4 + (True,) * 5, note)


def cost_sheet(folder: RunFolder) -> Sheet:
    """Return the cost of a step, one column per run."""
    figures = {run: folder.figures(run) for run in folder.runs}

    def line(name: str, text: Any) -> tuple[str, ...]:
        return (name, *[text(values) for values in figures.values()])

    rows = [line("simulated time, s", lambda f: NONE if f["step_s"] is None else f"{f['step_s']:.3f}")]
    rows += [
        *[
            line(f"{name} bytes per peer", lambda f, key=f"{name}_bytes": format_bytes(f[key]))
            for name in TRAFFIC
        ],
        line("gradients computed", lambda f: f"{f['gradients_per_step']:.2f}"),
        line("of these to validate", lambda f: f"{f['validations_per_step']:.2f}"),
        line("transactions", lambda f: f"{f['transactions']:.1f}"),
        line("gas", lambda f: f"{f['gas']:,.0f}"),
        line("fees, all steps", lambda f: format_wei(int(f["fees_wei"]))),
    ]
    for key, name in OCCASIONAL.items():
        if any(values.get(key) for values in figures.values()):
            rows.append(line(name, lambda f, key=key: f"{f.get(key, 0):,}"))
    headings = ("per step", *figures)
    return Sheet("cost", "Cost of a step", headings, rows, (False, *[True] * len(figures)))


def removals_sheet(folder: RunFolder) -> Sheet:
    """Return who was removed for what, in every run."""
    rows = [
        (
            row.run,
            str(row.step),
            f"{row.time_s:.1f}",
            str(row.peer),
            "Byzantine" if row.byzantine else "honest",
            row.kind,
            row.reason,
            NONE if row.reporter < 0 else str(row.reporter),
            format_wei(int(row.slashed_wei)),
        )
        for row in each(folder.tables["removals"])
    ]
    headings = ("run", "step", "time, s", "peer", "side", "kind", "for what", "reporter", "slashed")
    numeric = (False, True, True, True, False, False, False, True, True)
    return Sheet("removals", "Removals", headings, rows, numeric, "" if rows else "Nobody was removed.")


def calls_sheet(folder: RunFolder) -> Sheet:
    """Return contract calls, gas and fees of the main run."""
    rows = [
        (
            row.where,
            f"{row.contract}.{row.function}",
            f"{row.calls:,}",
            f"{row.failed:,}",
            f"{row.gas:,}",
            format_wei(int(row.fee_wei)),
        )
        for row in each(folder.of("main", "calls"))
    ]
    headings = ("where", "call", "calls", "reverted", "gas", "fees")
    numeric = (False, False, True, True, True, True)
    return Sheet("calls", "Contract calls of the main run", headings, rows, numeric, "" if rows else "No calls.")


def traffic_sheet(folder: RunFolder) -> Sheet:
    """Return the bytes by class of every run."""
    rows = [
        (row.run, row.traffic, format_bytes(row.sent_bytes), format_bytes(row.received_bytes))
        for row in each(folder.tables["traffic"])
    ]
    return Sheet(
        "traffic", "Traffic of all peers", ("run", "class", "sent", "received"), rows, (False, False, True, True)
    )


def assurance_sheet(folder: RunFolder) -> Sheet:
    """Return what the checks are worth, one row per verified run."""
    rows = [
        (
            row.run,
            str(row.assumed_byzantine),
            percent(row.detection_probability),
            format_wei(int(row.deposit_wei)),
            NONE if pd.isna(row.breakeven_gain_wei) else format_wei(int(row.breakeven_gain_wei)),
            percent(row.jury_capture_probability),
            NONE if pd.isna(row.tolerance) else f"{row.tolerance:.2g}",
            f"{row.records_opened:,}",
        )
        for row in each(folder.tables["assurance"])
    ]
    headings = (
        "run",
        "assumed liars",
        "detection a step",
        "deposit",
        "break-even gain",
        "jury captured",
        "tolerance",
        "records opened",
    )
    note = "" if rows else "No run of this folder checks anything."
    return Sheet("assurance", "What the checks are worth", headings, rows, (False, *[True] * 7), note)


def accounts_sheet(folder: RunFolder) -> Sheet:
    """Return who earned and lost what in the main run, where money is."""
    accounts = folder.of("main", "accounts")
    columns = (
        "deposit_in",
        "deposit_out",
        "reward",
        "contribution",
        "reporter",
        "slashed",
        "burned",
        "gas_fee",
        "data_fee",
        "net",
    )
    rows = [
        (str(row.peer), row.role, row.standing, *[format_wei(int(getattr(row, f"{key}_wei"))) for key in columns])
        for row in each(accounts[accounts["where"] == "chain"])
    ]
    if not rows:
        return Sheet("accounts", "Who earned and lost what", ("peer",), [], (True,), "No money was at stake.")
    headings = ("peer", "role", "standing", *[key.replace("_", " ") for key in columns])
    note = "Reporter: shares of others' deposits for proving their offences. Net counts deposits still held."
    return Sheet("accounts", "Who earned and lost what", headings, rows, (True, False, False, *[True] * 10), note)


def provenance_sheet(folder: RunFolder) -> Sheet:
    """Return what ties the report to code, scenario and machine."""
    about = folder.provenance
    rows = [
        ("scenario", f"{about['scenario']}, seed {about['seed']}"),
        ("scenario digest", about["scenario_digest"]),
        ("simdfl", about["simdfl"]),
        ("python, platform", f"{about['python']}, {about['platform']}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in about["libraries"].items())),
        *[(f"trace digest, {run}", values["trace_digest"]) for run, values in about["runs"].items()],
    ]
    return Sheet("provenance", "Provenance", ("what", "value"), rows, (False, False))


def sheets(folder: RunFolder) -> list[Sheet]:
    """Return all tables in the order of the page."""
    makers = (
        robustness_sheet,
        cost_sheet,
        removals_sheet,
        traffic_sheet,
        calls_sheet,
        assurance_sheet,
        accounts_sheet,
        provenance_sheet,
    )
    return [make(folder) for make in makers]
