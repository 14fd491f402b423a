"""What a run gives: tables as lists of rows, artefacts for auditors, and a summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simdfl.world.timeline import Timeline

if TYPE_CHECKING:
    from simdfl.world.publication import Publication

Row = dict[str, Any]


@dataclass
class RunResult:
    """The outcome of one run.

    ``steps``, ``peers``, ``removals``, ``calls``, ``traffic``, ``assurance``, ``accounts`` and ``topology`` are
    tidy tables (columns: see :mod:`simdfl.records.columns`); ``blocks``, ``base_blocks`` (anchors, where the job
    runs in a channel), ``messages``, ``manifest`` and ``publication`` are what outsiders need to check the run.
    """

    name: str
    protocol: str
    outcome: str
    trace_digest: str
    trace_events: int
    simulated_s: float
    accuracy: float
    loss: float
    attack_success: float | None
    steps: list[Row]
    peers: list[Row]
    removals: list[Row]
    calls: list[Row]
    traffic: list[Row]
    assurance: list[Row]
    accounts: list[Row]
    topology: list[Row]
    summary: dict[str, Any]
    params: np.ndarray
    manifest: dict[str, Any] = field(default_factory=dict)
    blocks: list[Any] = field(default_factory=list)
    base_blocks: list[Any] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    trace_lines: list[str] = field(default_factory=list)
    timeline: Timeline | None = None
    publication: Publication | None = None

    @property
    def completed(self) -> bool:
        """Whether all steps were made."""
        return self.outcome == "completed"
