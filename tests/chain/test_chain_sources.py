"""Block sources: their laws of time, what they promise, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from chain_stage import GWEI, RICH, ChainStage

from simdfl.chain.execution import DATA_FEES
from simdfl.chain.profiles import PROFILES
from simdfl.chain.sources import QUANTILE, Bft, Poisson, Recorded, Rollup, Slots, read_gaps_us
from simdfl.errors import UserError
from simdfl.rng import Rng
from simdfl.scenario.sections import Chain
from simdfl.world.deadlines import forced_reorgs, make_source

MANY = 20_000
ALPHA = 1e-6
SOURCES = {
    "slots": Slots(0.7),
    "missed": Slots(12.0, missed=0.2),
    "poisson": Poisson(3.0),
    "bft": Bft(1.0, validators=10, silent=0.05),
    "rollup": Rollup(0.25),
    "recorded": Recorded.of((1_000_000, 0, 2_500_000, 250_000)),
}


def times(source, count=MANY, seed=1):
    return [found.at_s for found in islice(source.found(Rng(seed).stream("blocks")), count)]


def hoeffding(count):
    return np.sqrt(np.log(2 / ALPHA) / (2 * count))


@pytest.mark.parametrize("name", SOURCES)
def test_times_ascend_with_the_declared_mean_and_are_the_same_again(name):
    source = SOURCES[name]
    found = times(source)
    assert all(before <= after for before, after in pairwise(found))
    assert found == times(source)
    expected = source.block_time_s / (1.0 - getattr(source, "missed", 0.0))
    if name == "bft":
        expected += 3 * 0.05 + 3.0 * 0.05 / 0.95  # three ways to more than two thirds of the others
    assert found[-1] / MANY == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_so_many_blocks_are_made_within_their_span(name, blocks):
    source = SOURCES[name]
    found = np.array([0.0, *times(source)])
    spans = (found[blocks:] - found[:-blocks])[::blocks]
    late = float(np.mean(spans > source.span_s(blocks) + 1e-9))
    assert late <= 1 - QUANTILE + hoeffding(len(spans))
    if name in ("slots", "recorded"):
        assert late == 0
        assert source.span_s(blocks) == pytest.approx(spans.max() if name == "slots" else source.span_s(blocks))


def test_slots_do_not_drift_and_miss_as_often_as_declared():
    assert times(Slots(0.1), 1000)[-1] == 1000 * 0.1
    found = times(Slots(12.0, missed=0.2))
    assert all(at_s % 12.0 == 0 for at_s in found)
    assert abs(1 - MANY / (found[-1] / 12.0) - 0.2) < hoeffding(MANY)


def test_proof_of_work_has_exponential_gaps_and_miners_by_power():
    source = Poisson(3.0, shares=[3.0, 1.0])
    found = list(islice(source.found(Rng(2).stream("blocks")), MANY))
    gaps = np.diff([0.0, *(block.at_s for block in found)])
    for at_s in (0.5, 3.0, 9.0):
        assert abs(np.mean(gaps > at_s) - np.exp(-at_s / 3.0)) < hoeffding(MANY)
    assert abs(np.mean([block.maker == 0 for block in found]) - 0.75) < hoeffding(MANY)


def test_a_record_is_repeated_by_its_gaps(tmp_path):
    file = tmp_path / "times.txt"
    file.write_text("# seconds\n1700000000\n1700000001.25\n\n1700000001.25\n1700000004\n", encoding="utf-8")
    gaps_us = read_gaps_us(str(file))
    assert gaps_us == (1_250_000, 0, 2_750_000)
    assert times(Recorded.of(gaps_us), 5) == [1.25, 1.25, 4.0, 5.25, 5.25]
    assert [Recorded.of(gaps_us).span_s(blocks) for blocks in (1, 2, 3, 4)] == [2.75, 4.0, 4.0, 6.75]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("1\nx\n", r"times.txt:2 holds 'x'; allowed is a time in seconds"),
        ("1\n\nnan\n", r"times.txt:3 holds 'nan'"),
        ("3\n2\n", r"times.txt:2 is earlier than the time before it; sort the lines"),
        ("3\n", r"holds 1 times; allowed are 2 to"),
        ("3\n3\n", r"not all equal"),
        (None, r"cannot be read \(No such file"),
        (b"\xff\xfe", r"cannot be read \(not a text file"),
    ],
)
def test_a_bad_record_is_a_sentence(tmp_path, content, sentence):
    file = tmp_path / "times.txt"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=sentence):
        read_gaps_us(str(file))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"name": "slot"}, r"chain.source.name: unknown name 'slot' \(did you mean 'slots'\?\)"),
        ({"name": "slots", "params": {"mised": 0.1}}, r"unknown parameter 'mised' \(did you mean 'missed'\?\)"),
        ({"name": "slots", "params": {"missed": 1.0}}, r"chain.source.params.missed: got 1.0; allowed is"),
        (
            {"name": "poisson", "params": {"propagation_s": 13}},
            r"propagation_s: got 13; allowed is between 0 and",
        ),
        ({"name": "poisson", "params": {"shares": [1.0, 0.0]}}, r"shares: got \[1.0, 0.0\]"),
        ({"name": "poisson", "params": {"miners": "all"}}, r"params.miners: got 'all'; allowed is int"),
        (
            {"name": "bft", "params": {"silent": 0.5}},
            r"silent: got 0.5; allowed is a probability",
        ),
        ({"name": "rollup", "params": {"acts_on": "batch"}}, r"acts_on: got 'batch'; allowed is"),
        ({"name": "rollup", "params": {"batch_s": 0}}, r"batch_s: got 0; allowed is above 0"),
        ({"name": "recorded"}, r"parameter 'file' is missing"),
    ],
)
def test_a_bad_source_is_a_sentence(source, sentence):
    with pytest.raises(UserError, match=sentence):
        make_source(Chain.model_validate({"source": source}), replace(PROFILES["app_chain"], block_time_s=12.0))


def test_a_profile_keeps_its_source_under_another_block_time():
    source = make_source(Chain(), replace(PROFILES["ethereum_mainnet"], block_time_s=6.0))
    assert source == Slots(6.0, missed=0.0025)


@pytest.mark.parametrize(("acts_on", "heard_s"), [("soft", 2.15), ("posted", 42.15), ("final", 142.15)])
def test_behind_a_rollup_peers_act_on_the_word_the_batch_or_its_finality(acts_on, heard_s):
    source = Rollup(2.0, acts_on=acts_on, batch_s=30.0, l1_finality_s=100.0, l1_fee_wei_per_byte=1000)
    stage = ChainStage(source=source)
    heard = []
    stage.inboxes[0].listen("BLOCK:chain", lambda step, *_: heard.append((round(stage.env.now, 2), step)))
    sent = stage.send(stage.make(0, 0))
    stage.run(200.0)
    assert heard == [(heard_s, 1)]
    receipt = stage.chain.blocks[0].receipts[0]
    assert receipt.fee_wei == receipt.gas_used * 2 * GWEI + 1000 * sent.size_bytes
    assert stage.job.wallets.of(DATA_FEES) == 1000 * sent.size_bytes
    assert source.span_s(1) >= heard_s - 0.15 - 2.0 * (acts_on != "soft")


def test_who_cannot_pay_for_the_bytes_waits():
    stage = ChainStage(source=Rollup(2.0, l1_fee_wei_per_byte=10**15))
    sender = stage.keys[0].address
    stage.job.wallets.balances[sender] = 2 * 10**15
    stage.job.minted_wei -= RICH - 2 * 10**15
    stage.send(stage.make(0, 0, amount=1))
    assert stage.run(4.5) == [[], []]


@pytest.mark.parametrize("name", ["bft", "rollup"])
def test_final_blocks_cannot_be_reorganised(name):
    params = {"acts_on": "posted"} if name == "rollup" else {}
    section = Chain.model_validate(
        {"source": {"name": name, "params": params}, "reorgs": [{"at_s": 1, "depth": 1}]}
    )
    with pytest.raises(UserError, match=f"chain.reorgs: blocks of '{name}' are final; remove reorgs"):
        forced_reorgs(section, make_source(section, PROFILES["app_chain"]))
