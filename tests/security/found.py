"""What random worlds have found, each smaller than it was drawn, with a seed that shows it."""

from __future__ import annotations

from random_worlds import BASE

from simdfl.scenario import Scenario, loads

LOSSY = ("network.loss=0.3", "network.latency_ms=400")

FOUND: dict[str, tuple[int, tuple[str, ...]]] = {
    "a crash in the closing step left all others waiting for ever, and their stakes in the vault": (
        10,
        ("peers.count=6", "protocol.steps=4", "faults=[{name: crash, count: 1, start_step: 4}]"),
    ),
    "a part of zeros only, as padding makes it, overflowed a division under a large clipping radius": (
        25,
        ("peers.count=10", "protocol.steps=3", "protocol.clip_radius=10"),
    ),
    "an honest canary was slashed: its lot was not open when the judges voted": (
        124,
        (
            *("peers.count=10", "protocol.steps=8", "protocol.projections=2", "protocol.canary_permille=100"),
            *("learning.privacy={data: private}", "beacon.scheme=pvss_scrape", "beacon.epoch_outputs=5"),
            *("chain.block_time_s=12", "contracts.deal_s=132", "contracts.minimum_peers=4", *LOSSY),
            "adversaries=[{name: false_elimination, count: 1, start_step: 1, period: 2}]",
            *("membership=[{count: 1, leave_step: 2}]", "contracts.probation_steps=1"),
        ),
    ),
    "blocks that overtook each other made a peer miss that the aggregation had started again": (
        180,
        (
            *("peers.count=7", "protocol.steps=5", "protocol.validators=1", "protocol.clip_radius=1.0"),
            *(
                "protocol.canary_permille=100",
                "protocol.arithmetic={name: tolerant}",
                "beacon.scheme=pvss_scrape",
            ),
            *("beacon.epoch_outputs=5", "contracts.deal_s=22", "contracts.jury_size=3", *LOSSY),
            "adversaries=[{name: ipm, count: 1, start_step: 2, period: 1}]",
            *("membership=[{count: 1, join_step: 2}]", "contracts.probation_steps=2"),
        ),
    ),
    "an honest canary was slashed: it had left before its lot could open": (
        2,
        (
            *("peers.count=7", "protocol.steps=8", "protocol.canary_permille=1000", "beacon.epoch_outputs=16"),
            *("contracts.deal_s=22", "contracts.minimum_peers=3", "membership=[{count: 3, leave_step: 4}]"),
        ),
    ),
    "a trusted dealer did not wait for the vote on a part that nobody had received": (
        67,
        (
            *("peers.count=7", "protocol.steps=7", "protocol.validators=1", "beacon.scheme=ideal"),
            *("protocol.anchoring={policy: epoch}", "contracts.deal_s=14", "contracts.minimum_peers=3", *LOSSY),
            "adversaries=[{name: withhold_aggregate, count: 3, start_step: 2}]",
        ),
    ),
    "a job that was given up before its first step had no block to anchor, and a late joiner waited for ever": (
        1178,
        (
            *("peers.count=6", "protocol.steps=4", "protocol.validators=1", "contracts.deal_s=14"),
            *("protocol.anchoring={policy: dispute}", "contracts.minimum_peers=3"),
            *("contracts.assumed_byzantine=2", "contracts.probation_steps=2"),
            "adversaries=[{name: sybil_join, count: 2, start_step: 1}]",
        ),
    ),
    "an attacker that computes nobody's batch had no device to do it on": (
        1151,
        (
            *("peers.count=6", "protocol.steps=4", "protocol.arithmetic={name: tolerant}"),
            "adversaries=[{name: wrong_batch, count: 2, start_step: 1}]",
        ),
    ),
    "a proposer of the channel crashed between proposal and certificate, and no block was ever made again": (
        299,
        (
            *("peers.count=9", "protocol.steps=8", "protocol.validators=1", "protocol.canary_permille=500"),
            *("protocol.anchoring={policy: dispute}", "learning.privacy={data: private}"),
            *("beacon.scheme=albatross", "chain.block_time_s=12", "contracts.deal_s=14", "contracts.jury_size=3"),
            *("network.loss=0.3", "network.latency_ms=100", "contracts.probation_steps=1"),
            "adversaries=[{name: ipm_optimised, count: 1, start_step: 3}]",
            *("faults=[{count: 1, start_step: 4, name: crash}]", "membership=[{count: 1, join_step: 5}]"),
        ),
    ),
    "who came back asked a neighbour that was down itself for the blocks it had missed, and nobody else": (
        794,
        (
            *("peers.count=8", "protocol.steps=6", "protocol.name=btard", "protocol.validators=1"),
            *("protocol.canary_permille=500", "beacon.scheme=pvss_scrape", "contracts.deal_s=14"),
            *("contracts.jury_size=3", "contracts.minimum_peers=3", "contracts.assumed_byzantine=0"),
            *("network.loss=0.05", "network.latency_ms=5", "peers.speed_spread=0.5"),
            "faults=[{count: 1, start_step: 0, name: crash}, "
            "{count: 1, start_step: 1, name: late, params: {delay_s: 200}}, "
            "{count: 1, start_step: 0, name: crash, params: {return_after_s: 30}}]",
        ),
    ),
}


def found_scenario(what: str) -> Scenario:
    """Return the scenario that showed it."""
    seed, overrides = FOUND[what]
    return loads(BASE, "found", overrides, seed=seed).scenario
