"""Which attack concerns which protocol: the table against what running protocols do ask their peers."""

from __future__ import annotations

import pytest
import spying

from adversaries import ADVERSARIES, FAULTS
from simdfl.matrix.concerns import ASKS, TRAINING, TRUST, concerns, lies_of
from simdfl.matrix.settings import SETTINGS
from simdfl.protocols import PROTOCOLS
from simdfl.scenario import loads
from simdfl.world import build

STAGE = """
name: spied
protocol: {steps: 4, validators: 1}
peers: {count: 6}
topology: {name: complete}
beacon: {group: ideal}
contracts: {deal_s: 22}
learning: {model: {name: logistic}, batch_size: 4, evaluate_every: 100}
output: {messages: false}
adversaries: [{name: 'spying:Spy', count: 1}]
"""
ON_OCCASION = {
    *("has_crashed", "goes_down", "down_s", "link_factor", "returns", "evades", "joins_in", "relays", "includes"),
    *("front_runs", "anchors", "votes", "opens_parts", "shows", "claims_unshown", "recomputed", "plants", "goal"),
    *("disputes", "opened_share", "opens", "report", "accuses", "complains", "eliminates", "attests", "gradient"),
    *("slowness", "delay_s", "junk_bytes", "aggregate", "sends_part", "sends_aggregate"),
}
"""Asked only where something happens, of some peers, or of classes that override them."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_protocol_asks_for_a_decision_that_the_table_does_not_know(protocol: str) -> None:
    spying.ASKED.clear()
    result = build(loads(STAGE, "spied", [f"protocol.name={protocol}"]).scenario).run()
    assert result.completed
    assert ASKS[protocol] >= spying.ASKED - TRUST
    assert ASKS[protocol] - spying.ASKED <= ON_OCCASION
    assert {"gradient", "slowness"} <= spying.ASKED


def test_every_protocol_of_the_shelf_has_a_row() -> None:
    assert set(ASKS) == set(PROTOCOLS)
    assert all(asked >= TRAINING for asked in ASKS.values())


@pytest.mark.parametrize("name", [*ADVERSARIES, *FAULTS])
def test_every_attack_lies_in_something_and_concerns_somebody(name: str) -> None:
    assert lies_of(name)
    assert any(concerns(name, protocol) for protocol in PROTOCOLS)


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("sign_flip", set(PROTOCOLS)),
        ("backdoor", set(PROTOCOLS)),
        ("crash", set(PROTOCOLS)),
        ("dissensus", {"gossip_sgd", "async_gossip"}),
        ("equivocate", {"verified", "btard"}),
        ("aggregation_shift", {"verified", "btard", "all_reduce"}),
        ("withhold_part", {"verified", "btard", "all_reduce", "gossip_sgd", "async_gossip"}),
        ("colluding_validator", {"verified", "btard"}),
        ("invalid_dealing", {"verified", "btard"}),
        ("bad_share", {"verified"}),
        ("bias_beacon", {"verified", "btard"}),
        ("false_anchor", {"verified"}),
        ("early_decryption", {"verified"}),
        ("combine", {"verified", "btard"}),
    ],
)
def test_known_attacks_go_where_they_belong(name: str, protocols: set[str]) -> None:
    assert {protocol for protocol in PROTOCOLS if concerns(name, protocol)} == protocols


def test_settings_belong_to_the_shelf_and_say_why() -> None:
    assert set(SETTINGS) <= {*ADVERSARIES, *FAULTS}
    assert all(setting.reason for setting in SETTINGS.values())
