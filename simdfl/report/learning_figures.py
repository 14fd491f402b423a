"""Figures of what was learned and who was removed: accuracy, loss, the timeline of bans."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from simdfl.report.picture import Picture
from simdfl.report.read import RunFolder
from simdfl.report.style import canvas, label, legend, line_look

REMOVAL_LOOKS = {
    (True, "banned"): ("Byzantine, banned", "X", "#8c2d04"),
    (True, "ejected"): ("Byzantine, ejected", "x", "#8c2d04"),
    (False, "banned"): ("honest, banned", "s", "#0b4f8a"),
    (False, "ejected"): ("honest, ejected", "o", "#0b4f8a"),
}


def learning_picture(folder: RunFolder) -> Picture:
    """Return accuracy and loss over the steps of every run."""
    steps = folder.tables["steps"].dropna(subset=["accuracy"])
    figure, (left, right) = canvas(2)
    for index, run in enumerate(folder.runs):
        rows = steps[steps["run"] == run]
        left.plot(rows["step"], 100.0 * rows["accuracy"], label=run, **line_look(index))
        right.plot(rows["step"], rows["loss"], label=run, **line_look(index))
    label(left, "Accuracy on the test records", "step", "accuracy, %")
    label(right, "Loss on the test records", "step", "mean cross-entropy, nats")
    left.set_ylim(0.0, 100.0)
    if len(steps) and steps["loss"].max() > 20.0 * max(steps["loss"].median(), 1e-9):
        right.set_yscale("log")
    legend(left)
    last = steps.groupby("run", sort=False)["accuracy"].last()
    said = "; ".join(f"{run} ends at {100.0 * value:.1f} %" for run, value in last.items())
    return Picture(
        "learning",
        "Accuracy and loss",
        "Every run of the folder at the steps where it was evaluated.",
        f"Two line charts over steps. Accuracy: {said}.",
        figure,
        steps[["run", "protocol", "step", "accuracy", "loss", "attack_success"]],
    )


def removals_picture(folder: RunFolder, run: str = "main") -> Picture | None:
    """Return who was removed at which step, under the count of removed peers; None if nobody was."""
    removals, steps = folder.of(run, "removals"), folder.of(run, "steps")
    if removals.empty:
        return None
    figure, (left, right) = canvas(2)
    _removed_peers(left, removals)
    right.step(steps["step"], steps["removed"], where="post", color="#0b4f8a")
    label(right, "Removed peers so far", "step", "peers")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0, max(steps["step"].max(), removals["step"].max()) + 1)
    right.set_ylim(bottom=0)
    byzantine = removals[removals["byzantine"]]["peer"].nunique()
    honest = removals[~removals["byzantine"]]["peer"].nunique()
    return Picture(
        "removals",
        "Ban timeline",
        f"Run {run}. Banned peers lose their deposit; ejected ones are removed and keep it.",
        f"Removals over steps {removals['step'].min()} to {removals['step'].max()}: "
        f"{byzantine} Byzantine and {honest} honest peers.",
        figure,
        removals.drop(columns=["run", "protocol", "seed"]),
    )


def _removed_peers(axes: Axes, removals: pd.DataFrame) -> None:
    for (is_byzantine, kind), (name, marker, colour) in REMOVAL_LOOKS.items():
        rows = removals[(removals["byzantine"] == is_byzantine) & (removals["kind"] == kind)]
        if len(rows):
            axes.scatter(rows["step"], rows["peer"], label=name, marker=marker, color=colour, s=48)
    label(axes, "Who was removed when", "step", "peer")
    legend(axes)
