"""The audit knows the time law of every block source, and notices blocks that break it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from audited_run import Forger, audit, first_of, publish

from simdfl.auditing.findings import Unusable
from simdfl.auditing.timing import time_rule
from simdfl.chain.sources import Bft, BlockSource, Poisson, Recorded, Rollup, SharedSequencer, Slots
from simdfl.records.summary import blob_sentence
from simdfl.rng import Rng
from simdfl.scenario import loads
from simdfl.world import build

LONG = 300
TEXT = """
name: sources
protocol: {{steps: 3, validators: 1}}
peers: {{count: 5}}
topology: {{name: complete}}
beacon: {{group: ideal, epoch_outputs: 40}}
contracts: {{deal_s: {long}, register_s: {long}, commit_s: {long}, aggregate_s: {long}, reveal_s: {long},
  recover_s: {long}, vote_s: {long}}}
learning: {{model: {{name: logistic}}, evaluate_every: 2}}
chain: {chain}
"""
GAPS = "1700000000\n1700000002\n1700000005.5\n1700000006\n"
CHAINS = {
    "missed": "{profile: ethereum_mainnet, source: {name: slots, params: {missed: 0.2}}}",
    "profile": "{profile: ethereum_mainnet}",
    "poisson": "{block_time_s: 5, source: {name: poisson, params: {propagation_s: 2.0}}}",
    "bft": "{source: {name: bft, params: {silent: 0.1, validators: 7}}}",
    "rollup": "{profile: arbitrum, source: {name: rollup, params: {acts_on: posted, batch_s: 30}}}",
    "shared": "{demand: {load: 1.5}, expiry_s: 60}",
    "led": "{source: {name: shared_sequencer, params: {malicious: 0.25, builders: 4, slots_per_leader: 2}}}",
    "recorded": "{source: {name: recorded, params: {file: FILE}}, reorgs: [{at_s: 70, depth: 2}]}",
}


@cache
def published(name: str, root: Path) -> Path:
    times = root / "times.txt"
    times.write_text(GAPS, encoding="utf-8")
    chain = CHAINS[name].replace("FILE", str(times))
    return publish(root / name, TEXT.format(chain=chain, long=LONG))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.mark.parametrize("name", CHAINS)
def test_an_honest_run_is_clean(name: str, root: Path) -> None:
    folder = published(name, root)
    assert audit(folder, 2 if name == "poisson" else 0).exit_status == 0
    assert not list(folder.rglob("times.txt"))
    assert str(root) not in (folder / "manifest.json").read_text()  # no path of the machine


def later(seconds: int) -> Callable[[list[dict[str, Any]]], None]:
    def change(blocks: list[dict[str, Any]]) -> None:
        for block in blocks[-3:]:
            block["timestamp_s"] += seconds

    return change


@pytest.mark.parametrize(
    ("name", "seconds"), [("missed", 5), ("led", 3), ("poisson", 150), ("recorded", 3), ("bft", 60)]
)
def test_a_block_out_of_its_time_is_noticed(name: str, seconds: int, root: Path, tmp_path: Path) -> None:
    forger = Forger(published(name, root), tmp_path / "forged")
    outcome = audit(forger.blocks(later(seconds)))
    assert first_of(outcome)[0] == "block rules"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("missed", lambda source: source["params"].update(missed=0.5)),
        ("profile", lambda source: source["params"].update(missed=0.0)),
        ("poisson", lambda source: source["params"].update(propagation_s=4.0)),
        ("poisson", lambda source: source.update(name="slots", params={"missed": 0.9})),
        ("recorded", lambda source: source["params"].update(gaps_us=[2_000_000])),
        ("recorded", lambda source: source["params"]["gaps_us"].reverse()),
        ("led", lambda source: source["params"].update(seed=1)),
        ("led", lambda source: source["params"].update(acts="censor")),
    ],
)
def test_another_source_than_the_declared_one_is_noticed(
    name: str, change: Callable[[Any], Any], root: Path, tmp_path: Path
) -> None:
    forger = Forger(published(name, root), tmp_path / "forged")
    outcome = audit(forger.json_of("deployment.json", lambda d: change(d["chains"]["chain"]["source"])))
    assert outcome.exit_status != 0
    shutil.rmtree(forger.folder)


def without_others(blocks: list[dict[str, Any]]) -> None:
    blocks[4] |= {"gas_used": blocks[4]["gas_used"] - blocks[4]["outside_gas"], "outside_gas": 0}


def with_more(blocks: list[dict[str, Any]]) -> None:
    blocks[4]["outside_gas"] += 100_000


def above_the_limit(blocks: list[dict[str, Any]]) -> None:
    blocks[-1] |= {"gas_used": 10**9, "outside_gas": 10**9}


@pytest.mark.parametrize("change", [without_others, with_more, above_the_limit])
def test_gas_of_others_is_accounted_for(change: Callable[[Any], None], root: Path, tmp_path: Path) -> None:
    forger = Forger(published("shared", root), tmp_path / "forged")
    assert first_of(audit(forger.blocks(change)))[0] == "block rules"


def test_a_rollup_charges_for_bytes(root: Path, tmp_path: Path) -> None:
    forger = Forger(published("rollup", root), tmp_path / "forged")

    def spare(blocks: list[dict[str, Any]]) -> None:
        call = next(call for block in blocks for call in block["transactions"])
        call["fee_wei"] = str(int(call["fee_wei"]) - 10**9)

    assert first_of(audit(forger.blocks(spare)))[0] == "block rules"
    cheap = Forger(published("rollup", root), tmp_path / "cheap")
    folder = cheap.json_of(
        "deployment.json", lambda d: d["chains"]["chain"]["source"]["params"].update(l1_fee_wei_per_byte=0)
    )
    assert audit(folder).findings.checks["manifest"].failed == 1


def another_leader(blocks: list[dict[str, Any]]) -> None:
    blocks[10]["leader"] = (blocks[10]["leader"] + 1) % 16


def a_block_in_an_empty_slot(blocks: list[dict[str, Any]]) -> None:
    earlier = next(i for i, (a, b) in enumerate(pairwise(blocks)) if b["timestamp_s"] - a["timestamp_s"] > 2)
    empty = {**blocks[earlier], "timestamp_s": blocks[earlier]["timestamp_s"] + 2, "transactions": []}
    blocks.insert(earlier + 1, {**empty, "gas_used": 0})
    for number, block in enumerate(blocks, 1):
        block["number"] = number


def another_order(blocks: list[dict[str, Any]]) -> None:
    block = next(block for block in blocks if len({call["sender"] for call in block["transactions"]}) > 2)
    block["transactions"].reverse()
    for position, call in enumerate(block["transactions"]):
        call["position"] = position


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (another_leader, "not by the leader who was elected for its slot"),
        (a_block_in_an_empty_slot, "out of order or out of time"),
        (another_order, "not in the order of the builder who bid most"),
    ],
)
def test_a_lane_has_the_elected_leader_and_the_best_builder_s_order(
    change: Callable[[Any], Any], what: str, root: Path, tmp_path: Path
) -> None:
    forger = Forger(published("led", root), tmp_path / "forged")
    first = audit(forger.blocks(change)).findings.first()
    assert first is not None
    assert (first[0].name, first[1].what) == ("block rules", what)


def test_nobody_else_is_on_a_chain_that_is_not_shared(root: Path, tmp_path: Path) -> None:
    forger = Forger(published("poisson", root), tmp_path / "forged")

    def add(blocks: list[dict[str, Any]]) -> None:
        blocks[-1] |= {"gas_used": blocks[-1]["gas_used"] + 21_000, "outside_gas": 21_000}

    assert first_of(audit(forger.blocks(add)))[0] == "block rules"
    forger = Forger(published("shared", root), tmp_path / "alone")
    alone = forger.json_of("deployment.json", lambda d: d["chains"]["chain"].update(is_shared=False))
    assert audit(alone).findings.checks["manifest"].failed == 1


def test_blobs_are_priced_beside_the_run_and_change_nothing_of_it() -> None:
    text = TEXT.format(chain="{block_time_s: 4}", long=LONG)
    world = build(loads(text, "blobs", ["chain.blobs={fork: cancun, fee_wei: 1000}"]).scenario)
    result, plain = world.run(), build(loads(text, "plain").scenario).run()
    assert result.trace_digest == plain.trace_digest
    assert world.job is not None
    sizes = [size for epoch in world.job.dealt_bytes.values() for size in epoch]
    assert len(sizes) >= 5
    figures = result.summary
    assert figures["blobs"] == sum(-(-size // 126_976) for size in sizes)
    assert int(figures["blob_fees_wei"]) >= figures["blobs"] * 131_072 * 1000
    assert int(figures["calldata_fees_wei"]) == sum(sizes) * 40 * 10**9
    assert "blobs" not in plain.summary
    assert f"fill {figures['blobs']} blobs" in blob_sentence(result)


# ---- the rules by themselves


def accepted(source: BlockSource, keep: Callable[[int], bool], seed: int = 0, count: int = 400) -> bool:
    """Return whether a chain of those blocks of a source that one keeps passes as the source's."""
    rule = time_rule("test", {"name": source.name, "params": source.params()}, source.block_time_s)
    found = enumerate(islice(source.found(Rng(seed).stream("blocks")), count))
    times_s = [int(block.at_s) for number, block in found if keep(number)]
    return all(rule.accepts(time_s) for time_s in times_s) and not rule.objection()


SOURCES = [
    *(Slots(2.0), Slots(0.25), Slots(12.0, missed=0.05), Slots(0.5, missed=0.3)),
    *(Poisson(13.0), Poisson(0.4), Bft(2.0, silent=0.1), Bft(0.2), Rollup(0.5)),
    SharedSequencer(0.5, malicious=0.3, slots_per_leader=3),
]


@pytest.mark.parametrize("source", [*SOURCES, Recorded.of((100_000, 3_300_000))], ids=repr)
def test_the_law_holds_for_its_source_and_not_when_blocks_are_withheld(source: BlockSource) -> None:
    assert all(accepted(source, lambda number: True, seed) for seed in range(50))
    assert not accepted(source, lambda number: number % 2 == 0)


def test_blocks_that_come_too_fast_are_no_proof_of_work() -> None:
    rule = time_rule("test", {"name": "poisson", "params": Poisson(10.0).params()}, 10.0)
    assert all(rule.accepts(5 * number) for number in range(1, 201))
    assert rule.objection() == "200 blocks in 1000 s are more than are found"


@pytest.mark.parametrize(
    "source",
    [
        None,
        {"name": "clock", "params": {}},
        {"name": "slots", "params": {}},
        {"name": "slots", "params": {"missed": True}},
        {"name": "poisson", "params": {"propagation_s": -1, "miners": 2, "shares": None}},
        {"name": "recorded", "params": {"gaps_us": []}},
        {"name": "shared_sequencer", "params": SharedSequencer(1.0).params() | {"stakes": [1, 0]}},
        {"name": "shared_sequencer", "params": SharedSequencer(1.0).params() | {"acts": "sleep"}},
        {"name": "shared_sequencer", "params": SharedSequencer(1.0).params() | {"malicious": 1}},
        {"name": "recorded", "params": {"gaps_us": [1, -1]}},
    ],
)
def test_a_malformed_source_is_refused(source: Any) -> None:
    with pytest.raises(Unusable):
        time_rule("test", source, 2.0)
