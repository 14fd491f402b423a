"""From a finished world to the tables of its result; :mod:`simdfl.records.columns` documents the columns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contracts_model.registry import Standing
from simdfl.network import Traffic
from simdfl.trace import trace_line
from simdfl.world.accounts import account_rows
from simdfl.world.assurance import assurance_rows
from simdfl.world.costs import blob_figures, time_split
from simdfl.world.result import Row, RunResult
from simdfl.world.sequencing import sequencer_figures
from topologies.measures import measure

if TYPE_CHECKING:
    from simdfl.world.build import World

WORK = (
    "gradient",
    "validation",
    "court",
    "beacon",
    "hash",
    "aggregation",
    "projection",
    "verification",
)


def collect_result(world: World, outcome: str) -> RunResult:
    """Return the result of a run that has ended."""
    observer, scenario = world.observer, world.scenario
    if world.publication is not None:
        world.publication.close(world)
    final = observer.outcome()
    steps = observer.step_rows()
    return RunResult(
        name=scenario.name,
        protocol=scenario.protocol.name,
        outcome=outcome,
        trace_digest=observer.recorder.digest(),
        trace_events=observer.recorder.count,
        simulated_s=world.env.now,
        accuracy=final.accuracy,
        loss=final.loss,
        attack_success=final.attack_success,
        steps=steps,
        peers=peer_rows(world),
        removals=observer.removals,
        calls=call_rows(world),
        traffic=traffic_rows(world),
        assurance=assurance_rows(world),
        accounts=account_rows(world),
        topology=topology_rows(world),
        summary=summarise(world, steps),
        params=final.params,
        manifest=world.manifest,
        blocks=list(world.chain.blocks) if world.chain is not None else [],
        base_blocks=list(world.chains.base.blocks) if world.chains is not None and world.chains.base else [],
        messages=world.messages,
        trace_lines=[trace_line(*pair) for pair in observer.recorder.events],
        timeline=world.timeline,
        publication=world.publication,
    )


def peer_rows(world: World) -> list[Row]:
    """Return one row per peer."""
    sent, received = world.network.bytes_by_class(), world.network.received_by_class()
    conditions = world.network.conditions
    rows = []
    for peer in world.peers:
        index = peer.index
        row: Row = {
            "peer": index,
            "byzantine": index not in world.honest,
            "up_bps": float(conditions.up_bps[index]),
            "down_bps": float(conditions.down_bps[index]),
            "gradients_computed": peer.gradients_computed,
            "validations": peer.validations,
            "records_opened": getattr(peer, "records_opened", 0),
        }
        row |= {f"{work}_s": peer.spent_s.get(work, 0.0) for work in WORK}
        row |= {f"sent_{name}_bytes": int(values[index]) for name, values in sent.items()}
        row |= {f"received_{name}_bytes": int(values[index]) for name, values in received.items()}
        rows.append(row | _standing(world, index))
    return rows


def _standing(world: World, index: int) -> Row:
    if world.chain is None:
        return {"standing": "active", "deposit_wei": "0", "balance_wei": "0"}
    job: Any = world.chain.job
    account = job.terms.members[index]
    return {
        "standing": Standing(job.registry.standings.data.get(index, 0)).name.lower(),
        "deposit_wei": str(job.treasury.deposits.data.get(index, 0)),
        "balance_wei": str(job.wallets.of(account)),
    }


def call_rows(world: World) -> list[Row]:
    """Return one row per contract function and place: calls, failures, gas and fees."""
    totals: dict[tuple[str, ...], Row] = defaultdict(lambda: {"calls": 0, "failed": 0, "gas": 0, "fee_wei": 0})
    for chain in world.chains.all if world.chains is not None else []:
        is_paid = chain is world.chains.paid if world.chains is not None else False
        for receipt in (receipt for block in chain.blocks for receipt in block.receipts):
            row = totals["chain" if is_paid else "channel", receipt.contract, receipt.function]
            row["calls"] += 1
            row["failed"] += bool(receipt.reason)
            row["gas"] += receipt.gas_used * is_paid
            row["fee_wei"] += receipt.fee_wei
    return [
        {"where": where, "contract": contract, "function": function, **row, "fee_wei": str(row["fee_wei"])}
        for (where, contract, function), row in sorted(totals.items())
    ]


def traffic_rows(world: World) -> list[Row]:
    """Return one row per traffic class: bytes that peers sent and received."""
    sent, received = world.network.bytes_by_class(), world.network.received_by_class()
    return [
        {
            "traffic": traffic.name.lower(),
            "sent_bytes": int(sent[traffic.name.lower()].sum()),
            "received_bytes": int(received[traffic.name.lower()].sum()),
        }
        for traffic in Traffic
    ]


def topology_rows(world: World) -> list[Row]:
    """Return one row per overlay link."""
    one_way_s = world.network.conditions.one_way_s
    links = sorted((min(link), max(link)) for link in world.network.overlay.edges)
    return [{"peer": a, "neighbour": b, "latency_s": one_way_s(a, b)} for a, b in links]


def summarise(world: World, steps: list[Row]) -> dict[str, Any]:
    """Return the run's figures per step and peer that overhead is computed from."""
    done = max(1, len(steps))
    n = world.scenario.peers.count
    chain = world.chains.paid if world.chains is not None else None
    gradients = sum(peer.gradients_computed for peer in world.peers)
    step_s = step_time_s(steps)
    peers: list[Any] = world.peers
    return {
        "steps": len(steps),
        "step_s": step_s,
        **time_split(world, steps, step_s),
        "gradients_per_step": gradients / done,
        "validations_per_step": sum(peer.validations for peer in world.peers) / done,
        **{f"{row['traffic']}_bytes": row["sent_bytes"] / done / n for row in traffic_rows(world)},
        "transactions": sum(len(block.receipts) for block in chain.blocks) / done if chain else 0.0,
        "channel_calls": sum(row["calls"] for row in call_rows(world) if row["where"] == "channel") / done,
        "failed_transactions": sum(row["failed"] for row in call_rows(world)),
        "rejected_transactions": chain.rejected if chain else 0,
        "gas": sum(block.gas_used - block.outside_gas for block in chain.blocks) / done if chain else 0.0,
        "fees_wei": str(chain.fees_wei) if chain else "0",
        "base_fee_max_wei": str(max((block.base_fee_wei for block in chain.blocks), default=0)) if chain else "0",
        "raised_bids": sum(peer.chain.bumped for peer in peers) if chain else 0,
        "reorganisations": len(chain.reorganised) if chain else 0,
        "stale_blocks": chain.stale if chain else 0,
        **blob_figures(world),
        **sequencer_figures(world),
        "engine": vars(world.training.engine.stats),
        "transmissions": world.network.transport.transmissions,
        "distinct_models": max((row["distinct_models"] for row in steps), default=0),
        "overlay": asdict(measure(world.network.overlay)),
        "notices": world.notices,
    }


def step_time_s(steps: list[Row]) -> float:
    """Return the mean simulated time between the ends of successive steps; setup does not count."""
    if len(steps) < 2:
        return float("nan") if not steps else float(steps[0]["finished_s"])
    return float((steps[-1]["finished_s"] - steps[0]["finished_s"]) / (len(steps) - 1))
