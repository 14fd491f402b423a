"""The table of rules names every entry of the shelves, and says of each what it gives up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simdfl.aggregation import GOSSIP_RULES, PRE_AGGREGATORS, RULES, make_rule
from simdfl.scenario.sections import RuleConfig

TEXT = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip(" `"): cells[-1].strip()
    for line in TEXT[: TEXT.index("## How fast")].splitlines()
    if line.startswith("| `") and (cells := re.split(r"(?<!\\)\|", line.strip("|")))
}


@pytest.mark.parametrize("name", [*RULES, *PRE_AGGREGATORS])
def test_the_table_tells_what_a_rule_gives_up(name: str) -> None:
    behind = RuleConfig(name="centered_clip") if name in PRE_AGGREGATORS else None
    rule = make_rule(name, {}, 11, 2, behind)
    breaks = rule.first.breaks if behind else rule.breaks
    assert set(filter(None, ROWS[name].split(", "))) == set(breaks)


def test_the_table_lists_all_gossip_rules() -> None:
    section = TEXT[TEXT.index("## Gossip rules") : TEXT.index("## How fast")]
    assert set(GOSSIP_RULES) <= set(re.findall(r"`(\w+)`", section))
