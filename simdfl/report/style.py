"""How figures look: readable in colour, in grey and by colour-blind eyes, on a white card in any theme.

Nothing is told by colour alone: stacked bars carry hatches, lines carry dashes and markers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = (
    "#0b4f8a",
    "#e08214",
    "#35978f",
    "#b2abd2",
    "#8c2d04",
    "#a6bddb",
    "#542788",
    "#f2d06b",
    "#4d4d4d",
    "#de77ae",
)
"""Dark and light in turn, so that neighbours differ in grey as well."""
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "oo", "++", "", "||||")
COMPONENTS = (
    "gradient",
    "control",
    "beacon",
    "chain",
    "validation",
    "court",
    "hash",
    "aggregation",
    "projection",
    "verification",
    "compute",
    "traffic",
)
"""What costs are made of; each looks the same in every figure."""
WAITING = {"color": "#e4e4e8", "edgecolor": "#9a9aa2", "linewidth": 0.5}
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "simdfl",
    "figure.dpi": 100,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "savefig.facecolor": "white",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Use the house's look inside a ``with`` block, whatever the user's settings are."""
    with mpl.rc_context(), sns.axes_style("whitegrid", {"grid.color": "#dddddd"}):
        for key, value in SETTINGS.items():
            mpl.rcParams[key] = value
        yield


def canvas(columns: int = 1, height: float = 3.4, width: float = 9.0) -> tuple[Figure, list[Axes]]:
    """Return a figure of `columns` panels side by side, inches; no display is needed."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def line_look(index: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the line number `index`."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": 4,
        "linewidth": 1.6,
    }


def bar_look(component: str) -> dict[str, Any]:
    """Return colour and hatch of a stacked component; waiting is pale and plain."""
    if component == "waiting":
        return WAITING
    index = COMPONENTS.index(component) if component in COMPONENTS else 0
    return {
        "color": PALETTE[index % len(PALETTE)],
        "hatch": HATCHES[index % len(HATCHES)],
        "edgecolor": "white",
        "linewidth": 0.5,
    }


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Set title and axis labels."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def legend(axes: Axes, columns: int = 1, **place: Any) -> None:
    """Draw the legend, if there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(ncols=columns, fontsize=9, handlelength=2.6, **place)
