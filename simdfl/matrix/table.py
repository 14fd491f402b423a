"""The matrix as a tidy table, and as Markdown for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from simdfl.matrix.cells import Cell, key_of
from simdfl.matrix.settings import setting_of

COLUMNS = {
    "attack": "attack, or fault of honest peers, by its name on the shelf",
    "kind": "attack or fault",
    "protocol": "the column's name: the scenario's own protocol, or a baseline's",
    "setting": "what was changed for this attack and its twin",
    "outcome": "completed, or why the protocol gave the job up",
    "caught_by": "for what Byzantine peers were removed, with counts",
    "last_removed_after": "steps from the first attacked one until the last attacker went; empty if one is left",
    "byzantine_left": "Byzantine peers never removed",
    "honest_removed_for": "for what honest peers were removed, with counts",
    "honest_banned": "honest peers banned (slashed)",
    "honest_ejected": "honest peers ejected (not slashed)",
    "accuracy": "share of test records classified rightly at the end, 0 to 1",
    "accuracy_loss": "the attack-free twin's accuracy less this one's",
    "attack_success": "share of the attackers' own test records labelled as they wish; empty without such a goal",
    "twin_success": "the same in the attack-free twin, where it has a goal",
    "extra_step_s": "simulated seconds that a step takes beside the twin's",
    "distinct_models": "different models among honest peers after a step, at most; above 1 by design in gossip",
}
"""What each column means."""
VERIFYING = ("verified", "btard")


def make_table(cells: Sequence[Cell], results: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per cell, with the columns of ``COLUMNS``."""
    rows = [_row(cell, results[key_of(cell.scenario)], results[key_of(cell.twin)]) for cell in cells]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("last_removed_after", "attack_success", "twin_success", "extra_step_s"):
        table[name] = table[name].astype("float64")
    table.attrs = {"columns": COLUMNS}
    return table


def _row(cell: Cell, attacked: Mapping[str, Any], twin: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attack": cell.attack,
        "kind": "fault" if cell.is_fault else "attack",
        "protocol": cell.column,
        "setting": "; ".join(setting_of(cell.attack).overrides),
        **{name: attacked[name] for name in attacked if name in COLUMNS},
        "twin_success": twin["attack_success"],
        "accuracy_loss": twin["accuracy"] - attacked["accuracy"],
        "extra_step_s": None
        if attacked["step_s"] is None or twin["step_s"] is None
        else attacked["step_s"] - twin["step_s"],
    }


def markdown(table: pd.DataFrame) -> str:
    """Return the matrix as Markdown: who catches what, for protocols that catch; then what everything costs."""
    sections = [
        _caught(table[table["protocol"] == name], name) for name in VERIFYING if name in set(table["protocol"])
    ]
    return "\n\n".join([*sections, _losses(table), _settings(table)]) + "\n"


def _caught(rows: pd.DataFrame, name: str) -> str:
    """Return one protocol's table: removals and their price."""
    lines = [
        f"## {name}: who is caught, by what, at what price",
        "",
        "| attack | removed for | last gone after | honest removed | accuracy lost | + s/step |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows.to_dict("records"):
        gone = (
            f"{row['last_removed_after']:.0f}" if row["last_removed_after"] == row["last_removed_after"] else ""
        )
        gone = gone or (f"{row['byzantine_left']} left" if row["kind"] == "attack" else "")
        cells = (
            f"`{row['attack']}`",
            row["caught_by"] or "–",
            gone or "–",
            row["honest_removed_for"] or "–",
            _points(row["accuracy_loss"]),
            f"{row['extra_step_s']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |" + ("" if row["outcome"] == "completed" else f" {row['outcome']}"))
    return "\n".join(lines)


def _losses(table: pd.DataFrame) -> str:
    """Return accuracy lost, in points, by attack and protocol; attack success in brackets."""
    protocols = list(dict.fromkeys(table["protocol"]))
    lines = [
        "## Accuracy lost, percentage points (attack success in brackets, %)",
        "",
        f"| attack | {' | '.join(protocols)} |",
        f"| --- |{' --- |' * len(protocols)}",
    ]
    for attack in dict.fromkeys(table["attack"]):
        rows = {row["protocol"]: row for row in table[table["attack"] == attack].to_dict("records")}
        lines.append(f"| `{attack}` | {' | '.join(_loss(rows.get(name)) for name in protocols)} |")
    return "\n".join(lines)


def _loss(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    success = row["attack_success"]
    return _points(row["accuracy_loss"]) + (f" ({100 * success:.0f})" if success == success else "")


def _points(loss: float) -> str:
    return f"{100 * loss:.1f}"


def _settings(table: pd.DataFrame) -> str:
    """Return what was changed for which attack, and why."""
    lines = [
        "## Settings",
        "",
        "| attack | setting, also of its twin | parameters | why |",
        "| --- | --- | --- | --- |",
    ]
    for attack in dict.fromkeys(table["attack"]):
        setting = setting_of(attack)
        if setting.reason:
            changes = ", ".join(f"`{override}`" for override in setting.overrides)
            lines.append(f"| `{attack}` | {changes} | `{setting.params}` | {setting.reason} |")
    return "\n".join(lines)
