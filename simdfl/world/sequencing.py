"""What a shared sequencer did to the run: slots of malicious leaders, waits of honest calls, bids of builders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simdfl.chain.sources import SharedSequencer

if TYPE_CHECKING:
    from simdfl.world.build import World


def sequencer_figures(world: World) -> dict[str, Any]:
    """Return the figures of a run behind elected leaders; empty elsewhere.

    Returns
    -------
    figures : dict
        ``slots`` until the end; ``bad_slots`` of them held by malicious leaders, ``longest_bad_run`` in a row;
        ``call_wait_mean_s``, ``call_wait_high_s`` (99.9 % quantile) and ``call_wait_max_s`` of honest peers'
        calls, from the mempool to their block; ``bids_taken_wei`` and ``bids_forgone_wei``, as text.
    """
    chain = world.chains.paid if world.chains is not None else None
    if chain is None or not isinstance(chain.profile.timing, SharedSequencer):
        return {}
    source = chain.profile.timing
    slots = int(world.env.now / source.block_time_s)
    members = chain.job.terms.members
    honest = {members[peer] for peer in world.honest}
    waits_s = np.array([wait_s for sender, wait_s in chain.waits_s if sender in honest] or [0.0])
    taken_wei, forgone_wei = source.auction(slots)
    return {
        "slots": slots,
        "bad_slots": sum(source.is_bad(slot) for slot in range(1, slots + 1)),
        "longest_bad_run": source.longest_bad_run(slots),
        "call_wait_mean_s": float(waits_s.mean()),
        "call_wait_high_s": float(np.quantile(waits_s, 0.999)),
        "call_wait_max_s": float(waits_s.max()),
        "bids_taken_wei": str(taken_wei),
        "bids_forgone_wei": str(forgone_wei),
    }
