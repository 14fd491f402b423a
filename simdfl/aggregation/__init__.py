"""Robust aggregation rules: n rows in, one row out."""

from __future__ import annotations

from simdfl.aggregation.clipped import CenteredClip
from simdfl.aggregation.clipping import ClipResult, centered_clip, centered_clip_parts
from simdfl.aggregation.contract import (
    ContextRule,
    InContext,
    Outcome,
    RowRule,
    Rule,
    RuleContext,
    RuleSession,
    aggregate,
    needs_root,
)
from simdfl.aggregation.coordinatewise import Median, TrimmedMean
from simdfl.aggregation.gossip import GOSSIP_RULES, make_gossip_rule
from simdfl.aggregation.krum import Krum, MultiKrum
from simdfl.aggregation.medians import GeometricMedian
from simdfl.aggregation.mixing import metropolis_weights
from simdfl.aggregation.neighbourhood import GossipContext, GossipRule
from simdfl.aggregation.preaggregation import PreAggregated, PreAggregator
from simdfl.aggregation.rows import NoUsableRowsError
from simdfl.aggregation.rules import PRE_AGGREGATORS, RULES, Mean, make_rule

__all__ = [
    "GOSSIP_RULES",
    "PRE_AGGREGATORS",
    "RULES",
    "CenteredClip",
    "ClipResult",
    "ContextRule",
    "GeometricMedian",
    "GossipContext",
    "GossipRule",
    "InContext",
    "Krum",
    "Mean",
    "Median",
    "MultiKrum",
    "NoUsableRowsError",
    "Outcome",
    "PreAggregated",
    "PreAggregator",
    "RowRule",
    "Rule",
    "RuleContext",
    "RuleSession",
    "TrimmedMean",
    "aggregate",
    "centered_clip",
    "centered_clip_parts",
    "make_gossip_rule",
    "make_rule",
    "metropolis_weights",
    "needs_root",
]
