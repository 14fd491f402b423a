"""Robust aggregation rules: n rows in, one row out."""

from __future__ import annotations

from simdfl.aggregation.clipping import ClipResult, centered_clip, centered_clip_parts
from simdfl.aggregation.coordinatewise import Median, TrimmedMean
from simdfl.aggregation.krum import Krum, MultiKrum
from simdfl.aggregation.rows import NoUsableRowsError
from simdfl.aggregation.rules import RULES, CenteredClip, GeometricMedian, Mean, Rule, make_rule

__all__ = [
    "RULES",
    "CenteredClip",
    "ClipResult",
    "GeometricMedian",
    "Krum",
    "Mean",
    "Median",
    "MultiKrum",
    "NoUsableRowsError",
    "Rule",
    "TrimmedMean",
    "centered_clip",
    "centered_clip_parts",
    "make_rule",
]
