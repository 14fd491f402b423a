"""Scenario files: read, check, override, show.

A scenario says everything about a run; see ``scenarios/`` for examples and ``Scenario`` for all keys.
"""

from __future__ import annotations

from simdfl.scenario.adversary import AdversaryGroup
from simdfl.scenario.load import Loaded, load, loads, show
from simdfl.scenario.membership import MembershipGroup
from simdfl.scenario.schema import Scenario, json_schema, scenario_digest, schema_text
from simdfl.scenario.sections import (
    Beacon,
    Chain,
    Contracts,
    DatasetConfig,
    Learning,
    ModelConfig,
    Network,
    OptimiserConfig,
    Output,
    Peers,
    Protocol,
    RuleConfig,
    ScheduleConfig,
    Topology,
)

__all__ = [
    "AdversaryGroup",
    "Beacon",
    "Chain",
    "Contracts",
    "DatasetConfig",
    "Learning",
    "Loaded",
    "MembershipGroup",
    "ModelConfig",
    "Network",
    "OptimiserConfig",
    "Output",
    "Peers",
    "Protocol",
    "RuleConfig",
    "Scenario",
    "ScheduleConfig",
    "Topology",
    "json_schema",
    "load",
    "loads",
    "scenario_digest",
    "schema_text",
    "show",
]
