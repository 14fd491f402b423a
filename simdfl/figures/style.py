"""How figures look: readable on paper and in grey, told apart by line and marker before colour."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

DPI = 150
SHADES = ("#08306b", "#c2570c", "#3f8f6b", "#8a6bbe", "#7f7f7f")
"""Of falling darkness, so that they differ in grey too."""
DASHES = ((), (4, 1.5), (1, 1), (6, 1, 1, 1), (3, 1, 1, 1, 1, 1))
MARKERS = ("o", "s", "^", "D", "v")


@contextmanager
def paper_style() -> Iterator[None]:
    """Apply the common look inside a ``with`` block and nowhere else."""
    look = {**sns.axes_style("whitegrid"), **sns.plotting_context("paper"), "grid.color": "0.9"}
    with mpl.rc_context(look):
        yield


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG without a date or version in it."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=DPI, format="png", metadata={"Software": None})
    return picture.getvalue()
