"""The matrix as a Markdown page, a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from simdfl.study.cells import SETTINGS

COLUMNS = {
    "attack": "attack or fault",
    "protocol": "protocol",
    "outcome": "completed, or why the job ended",
    "liars": "Byzantine peers",
    "removed": "of these, banned or ejected",
    "caught_by": "for what, with the number of peers",
    "last_removed_after": "attacked steps until the last of them was out",
    "honest_banned": "honest peers slashed",
    "honest_ejected": "honest peers ejected, not slashed",
    "accuracy": "share of test records classified rightly at the end",
    "accuracy_loss": "the calm twin's accuracy less this one's",
    "attack_success": "share of the attacker's records that the model labels as it wishes",
    "step_s": "simulated time of a step, s",
    "extra_step_s": "this less the calm twin's, s",
    "setting": "overrides of the base scenario, shared with the twin",
}

HEADINGS = (
    "attack",
    "removed",
    "for",
    "after steps",
    "honest banned / ejected",
    "accuracy",
    "lost, points",
    "success",
    "s a step",
)

INTRODUCTION = """Three peers play each attack from step 4 on; each cell is one run of the base scenario with
one seed, and its loss is taken against a calm twin under the same setting. "After steps" counts from step 4 to
the removal of the last attacker. "Success" is the share of the attacker's own records that the model labels as
it wishes. A single run is no statistic: differences of a few points are noise. Attacks that need a setting of
their own:"""


def frame_of(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as a table."""
    return pd.DataFrame(rows)[list(COLUMNS)]


def markdown(frame: pd.DataFrame, command: str) -> str:
    """Return the page: a table for each protocol."""
    lines = ["# Every attack against every protocol that it concerns", "", f"`{command}`", "", INTRODUCTION, ""]
    lines += [
        f"- `{name}`: {setting.reason}"
        + (f"; one more peer plays `{setting.beside}`" if setting.beside else "")
        + (f" (`{' '.join(setting.overrides)}`)." if setting.overrides else ".")
        for name, setting in SETTINGS.items()
        if name in set(frame["attack"])
    ]
    lines.append("")
    for protocol, part in frame.groupby("protocol", sort=False):
        twin = part[(part["attack"] == "none") & (part["setting"] == "")]
        lines += [f"## {protocol}", ""]
        if len(twin):
            row = twin.iloc[0]
            lines += [f"Without attack: accuracy {row['accuracy']:.1%}, {row['step_s']:.2f} s a step.", ""]
        lines += [f"| {' | '.join(HEADINGS)} |", "| --- " * len(HEADINGS) + "|"]
        lines += [_line(row) for _, row in part[part["attack"] != "none"].iterrows()]
        lines.append("")
    return "\n".join(lines)


def _line(row: pd.Series[Any]) -> str:
    after = "–" if pd.isna(row["last_removed_after"]) else f"{row['last_removed_after']:.0f}"
    success = "–" if pd.isna(row["attack_success"]) else f"{row['attack_success']:.0%}"
    note = "" if row["outcome"] == "completed" else f" ({row['outcome']})"
    cells = [
        f"`{row['attack']}`{note}",
        f"{row['removed']} of {row['liars']}" if row["liars"] else "–",
        row["caught_by"] or "–",
        after,
        f"{row['honest_banned']} / {row['honest_ejected']}",
        f"{row['accuracy']:.1%}",
        f"{100 * row['accuracy_loss']:+.1f}",
        success,
        f"{row['step_s']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw the accuracy lost, attacks down and protocols across, with the share of liars removed in the cells."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    part = frame[(frame["attack"] != "none")].copy()
    part["lost"] = 100 * part["accuracy_loss"].clip(lower=0)
    order = list(dict.fromkeys(part["attack"]))
    protocols = list(dict.fromkeys(frame["protocol"]))
    lost = part.pivot_table(index="attack", columns="protocol", values="lost").reindex(order)[protocols]
    share = part.assign(
        gone=[f"{r}/{n}" if n else "" for r, n in zip(part["removed"], part["liars"], strict=True)]
    )
    text = share.pivot(index="attack", columns="protocol", values="gone").reindex(order)[protocols].fillna("")
    figure, axes = plt.subplots(figsize=(1.3 * len(protocols) + 3.5, 0.24 * len(order) + 1.6))
    label = {"label": "accuracy lost against the calm twin, points"}
    sns.heatmap(
        lost,
        annot=text,
        fmt="",
        cmap="Greys",
        vmin=0,
        vmax=80,
        linewidths=0.4,
        cbar_kws=label,
        ax=axes,
        annot_kws={"fontsize": 6},
    )
    axes.set(xlabel="", ylabel="", title="Accuracy lost; in the cells: liars removed of all")
    axes.tick_params(axis="both", labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
