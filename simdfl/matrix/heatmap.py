"""The matrix as a picture: accuracy lost, by attack and protocol."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

WORST_POINTS = 80.0
ROW_INCHES = 0.19


def heatmap_png(table: pd.DataFrame) -> bytes:
    """Return a PNG: dark is much accuracy lost; blank is an attack that does not concern the protocol."""
    protocols, attacks = list(dict.fromkeys(table["protocol"])), list(dict.fromkeys(table["attack"]))
    lost = 100.0 * table.pivot(index="attack", columns="protocol", values="accuracy_loss")
    lost = lost.reindex(index=attacks, columns=protocols)
    with mpl.rc_context({"font.size": 7.0}):
        figure = Figure(
            figsize=(1.6 + 0.75 * len(protocols), 1.2 + ROW_INCHES * len(attacks)), layout="constrained"
        )
        axes = figure.subplots()
        sns.heatmap(
            lost,
            ax=axes,
            cmap="Greys",
            vmin=0.0,
            vmax=WORST_POINTS,
            annot=np.where(lost.isna(), "", lost.round(0).fillna(0).astype(int).astype(str)),
            fmt="",
            linewidths=0.3,
            linecolor="0.85",
            cbar=False,
        )
        axes.set(xlabel="", ylabel="")
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", rotation=45, length=0)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("left")
        figure.suptitle("Accuracy lost to each attack, percentage points", fontsize=8)
        picture = io.BytesIO()
        figure.savefig(picture, dpi=150, metadata={"Software": None})
    return picture.getvalue()
