"""One figure of a report: its drawing, the numbers behind it, and words for who cannot see it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

MOST_SVG_BYTES = 400_000
"""Above that a figure is embedded as PNG, so that the page stays small."""
PNG_DPI = 150


@dataclass(frozen=True)
class Picture:
    """A figure.

    Parameters
    ----------
    name : str
        File name without ending.
    title : str
        Heading on the page.
    caption : str
        What is shown, and how to read it.
    alt : str
        What a reader who cannot see it should know: the message in numbers.
    figure : Figure
        The drawing.
    data : DataFrame
        The numbers drawn.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    data: pd.DataFrame

    @cached_property
    def svg(self) -> bytes:
        """The drawing as SVG, which carries no date: equal data give equal bytes."""
        return self._render("svg", {"Date": None})

    @cached_property
    def png(self) -> bytes:
        """The drawing as PNG."""
        return self._render("png", {})

    def _render(self, kind: str, metadata: dict[str, None]) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=metadata)
        self.figure.set_layout_engine("none")  # the places are found; finding them again takes as long as drawing
        return buffer.getvalue()

    def data_uri(self) -> str:
        """Return the drawing as a data URI: SVG, or PNG if that would be large."""
        kind, raw = ("svg+xml", self.svg) if len(self.svg) <= MOST_SVG_BYTES else ("png", self.png)
        return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"

    def save(self, folder: Path) -> None:
        """Write SVG, PNG and CSV."""
        (folder / f"{self.name}.svg").write_bytes(self.svg)
        (folder / f"{self.name}.png").write_bytes(self.png)
        self.data.to_csv(folder / f"{self.name}.csv", index=False, lineterminator="\n")
