"""Figures of what a run costs: bytes, work, waiting, gas, latencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from simdfl.report.picture import Picture
from simdfl.report.read import RunFolder, each
from simdfl.report.style import PALETTE, bar_look, canvas, label, legend, line_look
from simdfl.units import format_bytes

TRAFFIC = ("gradient", "control", "beacon", "chain")
WORK = ("gradient", "validation", "court", "beacon", "hash", "aggregation", "projection", "verification")
MOST_CALLS = 16


def cost_data(folder: RunFolder) -> pd.DataFrame:
    """Return one row per run: bytes by class and work by kind, per peer and step, and waiting a step."""
    rows = []
    for run in folder.runs:
        figures, peers = folder.figures(run), folder.of(run, "peers")
        done = max(1, figures["steps"])
        row: dict[str, Any] = {"run": run, "step_s": figures["step_s"] or 0.0}
        row |= {f"{name}_bytes": figures[f"{name}_bytes"] for name in TRAFFIC}
        row |= {f"{work}_work_s": peers[f"{work}_s"].mean() / done for work in WORK}
        row["waiting_s"] = max(0.0, row["step_s"] - sum(row[f"{work}_work_s"] for work in WORK))
        rows.append(row)
    return pd.DataFrame(rows)


def stack(axes: Axes, data: pd.DataFrame, where: str, columns: dict[str, str], factor: float = 1.0) -> None:
    """Draw horizontal bars, one per row of `data`, stacked from `columns` (column: name)."""
    left, places = np.zeros(len(data)), [str(place) for place in data[where]]
    if "byzantine" in data:
        places = [f"{place} B" if liar else place for place, liar in zip(places, data["byzantine"])]
    for column, name in columns.items():
        values = factor * data[column].to_numpy(dtype=float)
        axes.barh(places, values, left=left, label=name, height=0.7, **bar_look(name))
        left += values
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def overhead_picture(folder: RunFolder) -> Picture:
    """Return the overhead by component: bytes, work and time of a step, for every run."""
    data = cost_data(folder)
    figure, (first, second, third) = canvas(3, height=1.6 + 0.42 * len(data), width=11.0)
    stack(first, data, "run", {f"{name}_bytes": name for name in TRAFFIC}, 1e-3)
    stack(second, data, "run", {f"{work}_work_s": work for work in WORK}, 1e3)
    data["working_s"] = data["step_s"] - data["waiting_s"]
    stack(third, data, "run", {"working_s": "working", "waiting_s": "waiting"})
    label(first, "Bytes sent", "kB per peer and step", "")
    label(second, "Work", "ms per peer and step", "")
    label(third, "Time of a step", "s", "")
    for axes, columns in ((first, 2), (second, 3), (third, 2)):
        legend(axes, columns, loc="upper center", bbox_to_anchor=(0.5, -0.28), columnspacing=1.0)
    for axes in (second, third):
        axes.set_yticklabels([])
    said = "; ".join(
        f"{row.run} sends {format_bytes(sum(getattr(row, f'{name}_bytes') for name in TRAFFIC))} and waits "
        f"{row.waiting_s:.3g} s of {row.step_s:.3g} s"
        for row in each(data)
    )
    return Picture(
        "overhead",
        "Overhead by component",
        "What a step costs a peer on average: traffic by class, simulated work by kind, and how much of it "
        "is waiting, for messages, blocks and deadlines. Work beside a peer's main life counts as work.",
        f"Stacked bars, per peer and step: {said}.",
        figure,
        data,
    )


def bytes_picture(folder: RunFolder, run: str = "main") -> Picture:
    """Return the bytes by class that every peer sent and received per step."""
    peers, done = folder.of(run, "peers"), max(1, folder.figures(run)["steps"])
    figure, panels = canvas(2, height=_peer_height(peers))
    for axes, way in zip(panels, ("sent", "received")):
        stack(axes, peers, "peer", {f"{way}_{name}_bytes": name for name in TRAFFIC}, 1e-3 / done)
        label(axes, f"Bytes {way}", "kB per step", "peer")
        _thin_peers(axes, len(peers))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    columns = [f"{way}_{name}_bytes" for way in ("sent", "received") for name in TRAFFIC]
    total = peers[columns[:4]].sum(axis=1) / done
    return Picture(
        "bytes",
        "Bytes by class and peer",
        f"Run {run}, mean over its {done} steps; copies of gossip that a peer passes on count as sent. "
        f"B marks Byzantine peers.",
        f"Stacked bars: peers send {format_bytes(total.min())} to {format_bytes(total.max())} a step.",
        figure,
        peers[["peer", *columns]],
    )


def time_picture(folder: RunFolder, run: str = "main") -> Picture:
    """Return how every peer split its time: work by kind, and the share of the run that was work."""
    peers = folder.of(run, "peers")
    total_s = folder.provenance["runs"][run]["simulated_s"]
    works = {f"{work}_s": work for work in WORK if peers[f"{work}_s"].sum() > 0}
    figure, (left, right) = canvas(2, height=_peer_height(peers))
    stack(left, peers, "peer", works)
    label(left, "Work by kind", "s in the whole run", "peer")
    working = peers[list(works)].sum(axis=1) if works else 0.0 * peers["peer"]
    split = pd.DataFrame(
        {
            "peer": peers["peer"],
            "byzantine": peers["byzantine"],
            "working": working,
            "waiting": (total_s - working).clip(lower=0),
        }
    )
    stack(right, split, "peer", {"working": "working", "waiting": "waiting"}, 100.0 / max(total_s, 1e-9))
    label(right, "Working and waiting", "% of the run", "peer")
    for axes in (left, right):
        _thin_peers(axes, len(peers))
    legend(left, 3, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    legend(right, 2, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    share = 100.0 * working.mean() / max(total_s, 1e-9)
    return Picture(
        "time",
        "Peers' time",
        f"Run {run}, {total_s:.0f} simulated seconds. Device profiles set how long work takes. B marks Byzantine "
        f"peers.",
        f"Stacked bars per peer: on average {share:.1f} % of the run is work, the rest is waiting.",
        figure,
        peers[["peer", "byzantine", *works]].assign(waiting_s=split["waiting"]),
    )


def gas_picture(folder: RunFolder, run: str = "main") -> Picture | None:
    """Return the gas by contract call; None where no gas was used."""
    calls = folder.of(run, "calls").sort_values("gas", ascending=False)
    calls = calls[calls["gas"] > 0]
    if calls.empty:
        return None
    shown = calls.head(MOST_CALLS)
    figure, [axes] = canvas(1, height=1.2 + 0.26 * len(shown))
    names = shown["contract"] + "." + shown["function"]
    bars = axes.barh(names, shown["gas"] / 1e6, color=PALETTE[0], height=0.7)
    axes.bar_label(
        bars,
        [f"{count:,} {'call' if count == 1 else 'calls'}" for count in shown["calls"]],
        padding=4,
        fontsize=9,
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12)
    label(axes, "", "million gas, all steps", "")
    top, share = names.iloc[0], shown["gas"].iloc[0] / calls["gas"].sum()
    return Picture(
        "gas",
        "Gas by call",
        f"Run {run}; the {len(shown)} calls that used most of {calls['gas'].sum():,} gas.",
        f"Bars: {top} used most, {share:.0%} of all gas.",
        figure,
        calls[["where", "contract", "function", "calls", "failed", "gas", "fee_wei"]],
    )


def latency_picture(folder: RunFolder) -> Picture:
    """Return the distributions of link latencies and of the times between steps."""
    links = folder.of("main", "topology")
    figure, (*left, right) = canvas(2 if len(links) else 1)
    for axes in left:
        _ecdf(axes, 1e3 * links["latency_s"].to_numpy(dtype=float), "main", 0)
        label(axes, "Overlay links", "one-way latency without jitter, ms", "share of links, %")
    frames = []
    for index, run in enumerate(folder.runs):
        steps = folder.of(run, "steps")
        duration_s = steps["finished_s"].diff().dropna()
        _ecdf(right, duration_s.to_numpy(), run, index)
        frames.append(pd.DataFrame({"of": f"step of {run}", "seconds": duration_s}))
    label(right, "Steps", "time between the ends of successive steps, s", "share of steps, %")
    legend(right)
    frames.append(pd.DataFrame({"of": "link", "seconds": links["latency_s"].astype("float64")}))
    data = pd.concat(frames)
    medians = "; ".join(f"{name} {group.median():.3g} s" for name, group in data.groupby("of")["seconds"])
    return Picture(
        "latency",
        "Latency distributions",
        "Cumulative shares: how many links or steps are at most so long.",
        f"Cumulative curves. Medians: {medians}.",
        figure,
        data,
    )


def _ecdf(axes: Axes, values: np.ndarray, name: str, index: int) -> None:
    ordered = np.sort(values)
    if len(ordered):
        look = line_look(index) | {"marker": None}
        shares = 100.0 * np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step(np.append(ordered[:1], ordered), np.append(0.0, shares), where="post", label=name, **look)


def _peer_height(peers: pd.DataFrame) -> float:
    return 1.6 + min(0.2 * len(peers), 7.0)


def _thin_peers(axes: Axes, count: int) -> None:
    """Label every k-th peer, so that labels do not touch."""
    axes.set_yticks(range(0, count, 1 + count // 32))
