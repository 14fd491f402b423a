"""Every column of every table: name, unit, meaning."""

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
        "verification_s": "simulated time spent on checking reports, s",
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
    "traffic": {
        "traffic": "class of bytes: gradient, control, beacon, chain",
        "sent_bytes": "bytes sent by all peers",
        "received_bytes": "bytes received by all peers",
    },
}
