"""Where the time of a step goes: computing, sending, the chain, and waiting for all that is left.

The four add up to the step time. Overhead is the difference of each to the unverified twin's on the same seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts_model.blobs import FORKS, blobs_for, post_blobs
from contracts_model.gas import CALLDATA_FLOOR_TOKEN_GAS, CALLDATA_TOKENS_PER_NONZERO_BYTE
from simdfl.world.result import Row

if TYPE_CHECKING:
    from simdfl.world.build import World

OWN_TIME = ("gradient", "validation", "court", "hash", "aggregation", "projection", "verification")
"""Work that a peer's step waits for; sharings are dealt and checked beside it, on another core."""
EXTRA = ("validation", "court", "hash", "aggregation", "projection", "verification", "beacon")
"""Work that is no gradient of one's own."""


def time_split(world: World, steps: list[Row], step_s: float) -> dict[str, float]:
    """Return the parts of a step's time and the work behind them, in simulated seconds a step.

    Parameters
    ----------
    world : World
        The finished run.
    steps : list of Row
        Its steps.
    step_s : float
        Mean time of a step.

    Returns
    -------
    figures : dict
        ``compute_s``: work of an honest peer that its step waits for. ``traffic_s``: time for which its busier
        access line is taken by its bytes. ``chain_s``: time for which the calls that end the step's phases wait
        for their block and its finality. ``waiting_s``: the rest of the step. ``gradient_work_s``,
        ``extra_work_s``: a peer's own gradients, and all its other work, beside the step or not.
    """
    done = max(1, len(steps))
    honest = [peer for peer in world.peers if peer.index in world.honest]
    count = done * max(1, len(honest))

    def spent_s(works: tuple[str, ...]) -> float:
        return sum(peer.spent_s.get(work, 0.0) for peer in honest for work in works) / count

    compute_s, traffic_s = spent_s(OWN_TIME), sum(_line_s(world, peer.index) for peer in honest) / count
    chain_s = _chain_s(world, steps)
    return {
        "compute_s": compute_s,
        "traffic_s": traffic_s,
        "chain_s": chain_s,
        "waiting_s": step_s - compute_s - traffic_s - chain_s,
        "gradient_work_s": spent_s(("gradient",)),
        "extra_work_s": spent_s(EXTRA),
    }


def blob_figures(world: World) -> dict[str, Any]:
    """Return what the dealings of all epochs would cost in blobs, and in calldata; empty if nobody asks.

    Every dealing has blobs of its own, as dealers post their transcripts themselves. An epoch's are posted one
    block after the other, beside everybody else's, who post the target. Calldata is at its floor (EIP-7623), with
    no zero byte.
    """
    section, job = world.scenario.chain.blobs, world.job
    if section is None or job is None or world.chains is None or world.chains.paid is None:
        return {}
    rules, profile = FORKS[section.fork], world.chains.paid.profile
    counts = [sum(map(blobs_for, sizes)) for sizes in job.dealt_bytes.values()]
    posted = [post_blobs(count, section.fee_wei, profile.base_fee_wei, rules) for count in counts]
    sizes = sum(sum(sizes) for sizes in job.dealt_bytes.values())
    gas = sizes * CALLDATA_FLOOR_TOKEN_GAS * CALLDATA_TOKENS_PER_NONZERO_BYTE
    return {
        "blobs": sum(counts),
        "blob_blocks": max((epoch.blocks for epoch in posted), default=0),
        "blob_fees_wei": str(sum(epoch.fee_wei for epoch in posted)),
        "calldata_fees_wei": str(gas * profile.base_fee_wei),
    }


def _line_s(world: World, peer: int) -> float:
    """Return for how long a peer's busier access line was taken in all."""
    sent = sum(int(values[peer]) for values in world.network.bytes_by_class().values())
    received = sum(int(values[peer]) for values in world.network.received_by_class().values())
    conditions = world.network.conditions
    return max(8.0 * sent / conditions.up_bps[peer], 8.0 * received / conditions.down_bps[peer])


def _chain_s(world: World, steps: list[Row]) -> float:
    """Return how long a step's closing calls waited, from the end of the first step to that of the last."""
    if world.chain is None or len(steps) < 2:
        return 0.0
    first_s, last_s = steps[0]["finished_s"], steps[-1]["finished_s"]
    waits = [wait_s for at_s, wait_s, _ in world.chain.barriers_s if first_s < at_s <= last_s]
    return sum(waits) / (len(steps) - 1)
