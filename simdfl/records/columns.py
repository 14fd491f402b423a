"""Every column of every table: name, unit, meaning.

:mod:`simdfl.records.columns_page` makes a page of them, ``docs/columns.md``.
"""

from __future__ import annotations

RUN_COLUMNS = {
    "run": "which run of the scenario: main or a baseline's name",
    "protocol": "training protocol",
    "seed": "root seed",
}

TABLES: dict[str, dict[str, str]] = {
    "steps": {
        "step": "training step, from 0",
        "first_finished_s": "simulated time at which the first honest peer had updated its model, s",
        "finished_s": "simulated time at which the last honest peer had, s",
        "accuracy": "share of test records classified rightly, 0 to 1; in gossip the mean over the evaluated "
        "honest peers, of whom 16 are drawn if there are more; empty where not evaluated",
        "loss": "mean cross-entropy on the test records, nats, of the same models; empty where not evaluated",
        "accuracy_worst": "least accuracy of an evaluated honest peer, 0 to 1; empty but in gossip",
        "consensus_distance": "mean over all honest peers of the squared distance of their parameters to their "
        "mean; empty but in gossip",
        "attack_success": "share of the test records an adversary aims at (triggered or of its source class) "
        "that the model labels as it wishes, 0 to 1; empty where not evaluated, or if nobody aims at any",
        "removed": "peers banned or ejected so far",
        "state": "digest of the model and optimiser state after the step; in gossip of the first honest peer's "
        "parameters",
        "distinct_models": "different states among honest peers after the step; 1 unless they diverge",
    },
    "peers": {
        "peer": "index of the peer",
        "byzantine": "whether it belongs to the coalition",
        "up_bps": "upload bandwidth, bit/s",
        "down_bps": "download bandwidth, bit/s",
        "gradients_computed": "gradients it computed, validations included",
        "validations": "of these, recomputations of another peer's gradient",
        "records_opened": "private records shown to validators and judges, counted once a reader",
        "gradient_s": "simulated time spent on its own gradients, s",
        "validation_s": "simulated time spent on recomputing others' gradients, s",
        "court_s": "simulated time spent on judging cases, s",
        "beacon_s": "simulated time spent on dealing, checking and recovering sharings, s",
        "hash_s": "simulated time spent on hashing and signing, s",
        "aggregation_s": "simulated time spent on aggregating its part, s",
        "projection_s": "simulated time spent on random projections, s",
        "verification_s": "simulated time spent on checking reports and valuing contributions, s",
        "sent_gradient_bytes": "bytes sent: gradient parts and aggregated parts",
        "sent_control_bytes": "bytes sent: commitments, reports, openings",
        "sent_beacon_bytes": "bytes sent: dealings and shares",
        "sent_chain_bytes": "bytes sent: transactions",
        "received_gradient_bytes": "bytes received: gradient parts and aggregated parts",
        "received_control_bytes": "bytes received: commitments, reports, openings",
        "received_beacon_bytes": "bytes received: dealings and shares",
        "received_chain_bytes": "bytes received: blocks",
        "standing": "active, ejected (removed, not slashed) or banned (slashed)",
        "deposit_wei": "deposit still held by the treasury at the end, wei",
        "balance_wei": "account balance at the end, wei",
    },
    "removals": {
        "time_s": "simulated time of the block, s",
        "step": "training step then open",
        "peer": "who was removed",
        "kind": "banned (slashed) or ejected (not slashed)",
        "reason": "for what proof or fault",
        "reporter": "who proved it and earned the reporter's share; -1 for nobody",
        "slashed_wei": "deposit taken, wei",
        "byzantine": "whether the removed peer was Byzantine",
    },
    "calls": {
        "where": "chain, where gas is paid, or channel, where the peers execute calls among themselves",
        "contract": "contract",
        "function": "function",
        "calls": "transactions included",
        "failed": "of these, reverted",
        "gas": "gas used by all of them",
        "fee_wei": "fees paid for all of them, wei",
    },
    "assurance": {
        "assumed_byzantine": "liars that the figures of this row assume: declared, or the largest minority",
        "detection_probability": "probability that one wrong gradient is checked by an honest validator",
        "deposit_wei": "deposit of each peer, wei",
        "breakeven_gain_wei": "gain per wrong gradient up to which this deposit makes cheating a loss, wei",
        "jury_capture_probability": "probability that a drawn jury has a majority of liars",
        "records_opened": "private records shown to validators and judges, counted once a reader",
        "tolerance": "relative distance within which gradients count as the same; empty: exact",
        "honest_checks": "validations among honest peers under a tolerance",
        "false_alarms": "of these, how many disagreed",
        "false_alarm_rate": "their share",
        "free_budget": "shift of the mean, in gradient norms a step, that the assumed liars have for free",
    },
    "accounts": {
        "where": "chain, where money is, or channel, whose books the last anchor settles on the chain",
        "peer": "index of the peer",
        "byzantine": "whether it belongs to the coalition",
        "role": "honest, or the name of its attack; a fault stands behind a comma",
        "standing": "active, ejected (removed, not slashed), banned (slashed), left, probation or unknown",
        "deposit_in_wei": "deposit that it paid in, wei",
        "deposit_out_wei": "deposit that it got back, wei",
        "reward_wei": "rewards paid for steps worked; by anchors, all that was paid above the deposit, wei",
        "reporter_wei": "reporter's shares of others' deposits, wei",
        "contribution_wei": "rewards for contributions, wei",
        "slashed_wei": "deposit that it lost, wei",
        "burned_wei": "of this, what was destroyed; the rest is its reporter's, wei",
        "gas_fee_wei": "fees for the gas of its calls, wei",
        "data_fee_wei": "fees for the bytes of its calls on the chain below, wei",
        "funded_wei": "what it put into the pot itself, wei",
        "held_wei": "deposit that the treasury still held at the end, wei",
        "net_wei": "what it was richer by in the end, held deposits included; below 0 a loss, wei",
    },
    "traffic": {
        "traffic": "class of bytes: gradient, control, beacon, chain",
        "sent_bytes": "bytes sent by all peers",
        "received_bytes": "bytes received by all peers",
    },
    "topology": {
        "peer": "one end of the overlay link, the lower index",
        "neighbour": "the other end",
        "latency_s": "one-way latency of the link without jitter, s",
    },
}

SWEEP_COLUMNS = {
    "point": "which combination of the varied values, from 0; one column for each of them follows",
    "seed": "root seed",
    "run": "main, or the twin's name",
    "protocol": "training protocol",
}

OUTCOME_COLUMNS = {
    "outcome": "completed, aborted (by the protocol or by diverged training), or failed (no result)",
    "reason": "why a run did not complete; empty if it did",
    "scenario_digest": "SHA-256 of the scenario that was run",
}

FIGURES = {
    "steps": "training steps that were finished",
    "simulated_s": "simulated time of the whole run, setup included, s",
    "accuracy": "share of test records that the final model classifies rightly, 0 to 1",
    "loss": "mean cross-entropy of the final model on the test records, nats",
    "attack_success": "share of the attackers' records that the final model labels as they wish; empty if none",
    "step_s": "mean simulated time of a step, from the end of the first step to that of the last, s",
    "compute_s": "work an honest peer's step waits for: gradients, validations, court, hashes, aggregation, "
    "projections, checks; a step's mean over honest peers, s",
    "traffic_s": "time for which an honest peer's busier access line is taken by all its bytes; a step's mean, s",
    "chain_s": "time for which the calls that end a step's three phases wait for their block and its finality, "
    "from their arrival where blocks are made; a step's sum, s",
    "waiting_s": "step_s less compute_s, traffic_s and chain_s: latencies, slower peers, barriers; below 0 where "
    "bytes travel while a peer computes, s",
    "gradient_work_s": "work of an honest peer on its own gradients; a step's mean, s",
    "extra_work_s": "all other work of an honest peer, also beside the step (sharings); a step's mean, s",
    "gradient_bytes": "bytes sent by a peer in a step: gradient parts and aggregated parts; mean",
    "control_bytes": "bytes sent by a peer in a step: commitments, reports, openings, gossip included; mean",
    "beacon_bytes": "bytes sent by a peer in a step: dealings and shares, gossip included; mean",
    "chain_bytes": "bytes sent by a peer in a step: transactions and the channel's blocks and votes; mean",
    "gradients_per_step": "gradients computed by all peers in a step, validations included; mean",
    "validations_per_step": "of these, recomputations of another peer's gradient; mean",
    "validation_share": "validations_per_step as a share of gradients_per_step",
    "extra_work_share": "extra_work_s as a share of all work",
    "transactions": "transactions on the paid chain in a step; mean",
    "channel_calls": "calls in the peers' own channel in a step; mean",
    "failed_transactions": "calls that reverted, whole run",
    "gas": "gas used on the paid chain in a step; mean",
    "fees_wei": "fees paid, whole run, wei; text, as it may exceed 64 bits",
    "base_fee_max_wei": "highest base fee of the paid chain, wei per gas; text",
    "raised_bids": "calls that peers sent again for a higher fee because they waited, whole run",
    "reorganisations": "times that another branch of the paid chain overtook, whole run",
    "stale_blocks": "blocks of the paid chain that were made and do not stand, whole run",
    "byzantine": "Byzantine peers",
    "byzantine_removed": "of these, banned or ejected by the end",
    "honest_banned": "honest peers that were banned",
    "honest_ejected": "honest peers that were ejected, not slashed",
    "last_ban_s": "simulated time of the last ban, s; empty if nobody was banned",
    "last_ban_step": "training step of the last ban; empty if nobody was banned",
    "distinct_models": "most different states among honest peers after any step; 1 unless they diverge",
    "trace_digest": "digest of everything that happened",
}

OVERHEAD_COLUMNS = {
    "overhead_step_s": "step_s beyond the first twin's on the same seed, s",
    "overhead_compute_s": "compute_s beyond the twin's, s",
    "overhead_traffic_s": "traffic_s beyond the twin's, s",
    "overhead_chain_s": "chain_s beyond the twin's, s",
    "overhead_waiting_s": "waiting_s beyond the twin's, s",
    "overhead_time_ratio": "overhead_step_s as a share of the twin's step_s",
    "overhead_compute_ratio": "overhead_compute_s as a share of the twin's compute_s",
    "overhead_bytes_ratio": "control, beacon and chain bytes as a share of the twin's gradient bytes",
}

POINT_COLUMNS = {
    "point": "which combination of the varied values, from 0; one column for each of them follows",
    "run": "main, or the twin's name",
    "seeds": "seeds that were run",
    "completed": "share of these that completed, with completed_low and completed_high by Wilson's score at 95 %",
}
"""Behind them follow means over completed seeds, each with ``_low`` and ``_high`` by Student's t at 95 %."""

UNITS = {
    "_per_step": "1",
    "_bytes": "byte",
    "_wei": "wei",
    "_bps": "bit/s",
    "_share": "1",
    "_ratio": "1",
    "_s": "s",
    "gas": "gas",
    "loss": "nat",
}
