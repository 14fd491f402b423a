"""The sections of a scenario: every key, its unit, its default and its bounds.

A check that needs two sections stands in ``schema``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from simdfl.scenario.fields import (
    PARAMS,
    BlockGas,
    BlockTime,
    Count,
    Expiry,
    Fee,
    Folder,
    Lanes,
    Mbps,
    Milliseconds,
    Nominal,
    NotNegative,
    OthersGas,
    Params,
    Positive,
    Radius,
    ReorgDepth,
    Section,
    ShelfName,
    Spread,
    Wei,
    Whole,
    mistake,
)


class RuleConfig(Section):
    """An aggregation rule of the baselines that let one choose, or a pre-aggregator and what follows it."""

    unwritten = ("then",)

    name: ShelfName = Field(default="mean", description="Rule or pre-aggregator, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)
    then: RuleConfig | None = Field(
        default=None, description="What follows a pre-aggregator: a rule, or another one with its own then."
    )


class Arithmetic(Section):
    """Exact: equal bits, one class of devices. Tolerant: honest devices differ, and are judged by distance."""

    name: Literal["exact", "tolerant"] = Field(default="exact", description="The arithmetic class.")
    device_classes: Count = Field(
        default=3, description="Classes of devices, to which peers are drawn (tolerant)."
    )
    relative_error: Positive = Field(
        default=1e-4, description="Median relative error of a device's gradient (tolerant), no unit."
    )
    spread: Spread = Field(
        default=0.5, description="Standard deviation of the logarithm of the classes' errors (tolerant), no unit."
    )
    absolute: NotNegative = Field(
        default=0.0, description="Tolerated distance beside the relative one (tolerant)."
    )
    false_alarm: float = Field(
        default=1e-3, gt=0, lt=1, description="Share of honest pairs that may disagree: sets the tolerance."
    )
    calibration_pairs: Count = Field(default=10_000, description="Honest pairs that the tolerance is set by.")


class Anchoring(Section):
    """What goes on chain: every call in its step, or one hash an epoch while steps run among the peers."""

    policy: Literal["step", "epoch", "dispute"] = Field(
        default="step",
        description=(
            "Every call (step); a hash an epoch, signed by more than half (epoch); or posted by one peer and "
            "challenged by more than half (dispute)."
        ),
    )
    round_ms: Milliseconds = Field(default=500.0, description="Pace of the peers' own channel, ms.")
    challenge_s: Count = Field(default=600, description="Time in which a posted hash can be challenged, seconds.")


class Gossip(Section):
    """How peers with models of their own exchange them (gossip_sgd, async_gossip)."""

    unwritten = ("partners",)

    order: Literal["combine_and_adapt", "adapt_then_combine"] = Field(
        default="combine_and_adapt",
        description=(
            "What gossip_sgd exchanges: the models that the gradients are taken at (combine_and_adapt, as in the "
            "paper), or the models after the local step (adapt_then_combine)."
        ),
    )
    merge: Literal["sum_weight", "age"] = Field(
        default="sum_weight",
        description=(
            "What an arriving model weighs in async_gossip: a share that its sender gives away (sum_weight), or "
            "the local steps that went into it (age)."
        ),
    )
    fanout: Count = Field(
        default=1, description="Neighbours to whom a peer of async_gossip sends its model after a step."
    )
    partners: Literal["all", "one_peer_exponential", "random_matching"] = Field(
        default="all",
        description=(
            "With whom a peer of gossip_sgd mixes in a step: all neighbours; one, twice as far in each step; or "
            "one by a random matching of the links."
        ),
    )


class Protocol(Section):
    """What the peers run and the numbers of its checks."""

    name: ShelfName = Field(default="verified", description="Training protocol, a name on the shelf.")
    steps: Count = Field(default=100, description="Training steps.")
    validators: Whole = Field(default=2, description="Validators drawn for each step (m), with as many targets.")
    clip_radius: Radius = Field(
        default=1.0, description="Radius of CenteredClip, units of the gradient's norm (tau); inf is the mean."
    )
    clip_tolerance: Positive = Field(
        default=1e-6, description="CenteredClip stops at a move of at most this length, in gradient units (eps)."
    )
    clip_iterations: Count = Field(default=500, description="Iterations after which CenteredClip stops anyway.")
    projections: Count = Field(default=1, description="Random projections per part in the aggregation check (K).")
    max_deviation: Positive = Field(
        default=10.0, description="Distance from the aggregate, in gradient units, above which a peer complains."
    )
    rule: RuleConfig = Field(
        default_factory=RuleConfig,
        description="Rule of parameter_server and all_reduce, or gossip rule; mean is mixing in gossip.",
    )
    gossip: Gossip = Field(default_factory=lambda: Gossip(), description="How models are exchanged in gossip.")
    anchoring: Anchoring = Field(default_factory=lambda: Anchoring(), description="What goes on chain, and when.")
    canary_permille: int = Field(
        default=0, ge=0, le=1000, description="Planted errors that expose lazy validators, per 1000 commitments."
    )
    arithmetic: Arithmetic = Field(
        default_factory=lambda: Arithmetic(), description="When two computed gradients count as the same."
    )


class Peers(Section):
    """Who takes part and on what machines."""

    count: int = Field(default=16, ge=4, le=100_000, description="Peers at the start (n).")
    device: ShelfName = Field(default="laptop_cpu", description="Device profile of a peer, a name on the shelf.")
    speed_spread: Spread = Field(
        default=0.0, description="Standard deviation of the logarithm of the peers' compute times, no unit."
    )


class Topology(Section):
    """The overlay that carries gossip."""

    name: ShelfName = Field(default="random_regular", description="Overlay, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)


class GossipConfig(Section):
    """How broadcasts spread."""

    name: ShelfName = Field(default="flood", description="Gossip strategy, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)


class SpellConfig(Section):
    """What the network is like for a while."""

    at_s: NotNegative = Field(description="When it begins, seconds.")
    for_s: Positive | None = Field(default=None, description="How long it lasts, seconds; null: to the end.")
    split: list[list[str | int]] = Field(
        default_factory=list, description="Groups that do not reach each other: peers' numbers or regions' names."
    )
    scale_latency: Positive = Field(default=1.0, description="Factor on all latencies, no unit.")
    scale_bandwidth: Positive = Field(default=1.0, description="Factor on all bandwidths, no unit.")
    loss: float = Field(default=0.0, ge=0, lt=1, description="Probability of a loss beside those there are.")


class ChurnConfig(Section):
    """Peers that come and go."""

    share: float = Field(ge=0, le=1, description="Share of the honest peers that come and go.")
    session_s: Positive = Field(description="Mean time on the network, seconds.")
    absence_s: Positive = Field(description="Mean time off the network, seconds.")
    lengths: Literal["exponential", "lognormal"] = Field(
        default="lognormal", description="Distribution of both times."
    )
    after_s: NotNegative = Field(default=0.0, description="Until when all stay, seconds.")


class BurstsConfig(Section):
    """Losses in bursts: each peer's line is bad from time to time (Gilbert and Elliott)."""

    every_s: Positive = Field(description="Mean time of a good line between two bursts, seconds.")
    for_s: Positive = Field(description="Mean duration of a burst, seconds.")
    loss: float = Field(gt=0, lt=1, description="Probability that a packet is lost on a line in a burst.")


class NatConfig(Section):
    """Peers behind address translation: nobody can dial them, so that no two of them have a link."""

    share: float = Field(ge=0, lt=1, description="Share of the peers that cannot be dialled; they are drawn.")


class Network(Section):
    """Latencies, bandwidths and losses of the links."""

    unwritten = ("initial_window", "flows", "contention", "bursts", "nat", "clock_skew_ms")

    fidelity: ShelfName = Field(
        default="event", description="How copies are moved: event, kernel (compiled) or arrival (no queues)."
    )
    latency: ShelfName = Field(default="simblock_2019", description="Table of latencies between regions.")
    shares: ShelfName = Field(default="bitcoin_2019", description="Table of the share of peers in each region.")
    bandwidth: ShelfName = Field(
        default="simblock_2019", description="Table of access bandwidths by region, or unlimited."
    )
    uplink_mbps: Mbps | None = Field(default=None, description="Every peer's upload, Mbit/s; null: the table.")
    downlink_mbps: Mbps | None = Field(
        default=None, description="Every peer's download, Mbit/s; null: the table."
    )
    latency_ms: Milliseconds | None = Field(
        default=None, description="One-way latency between any two peers, ms; null: the table."
    )
    access_latency_ms: Milliseconds = Field(default=2.0, description="What each access line adds each way, ms.")
    jitter: NotNegative = Field(default=1.0, description="Factor on the table's jitter, no unit; 0 is none.")
    jitter_tail: Literal["exponential", "pareto"] = Field(
        default="exponential", description="Shape of the jitter above the 90th percentile."
    )
    slow_start: bool = Field(default=False, description="Whether TCP's slow start delays large messages.")
    initial_window: Count = Field(default=10, description="Packets that slow start begins with.")
    flows: Literal["in_turn", "shared"] = Field(
        default="in_turn",
        description=(
            "Whether copies follow one another on a line (in_turn), or those that leave together share the "
            "uplink and those that arrive the downlink (shared)."
        ),
    )
    contention: float = Field(
        default=0.0,
        ge=0,
        le=0.99,
        description="Share of a downlink's speed that is lost while flows compete for it (flows: shared).",
    )
    loss: float = Field(default=0.0, ge=0, lt=1, description="Probability that a packet is lost and resent.")
    bursts: BurstsConfig | None = Field(default=None, description="Losses that come in bursts; null: none.")
    nat: NatConfig | None = Field(default=None, description="Peers that nobody can dial; null: none.")
    clock_skew_ms: Milliseconds = Field(
        default=0.0,
        description="Standard deviation of the peers' clocks, by which they read the contracts' deadlines, ms.",
    )
    schedule: list[SpellConfig] = Field(default_factory=list, description="Conditions that change in the run.")
    churn: ChurnConfig | None = Field(default=None, description="Peers that come and go; null: none.")
    gossip: GossipConfig = Field(default_factory=GossipConfig, description="How broadcasts spread.")
    validate_ms: Milliseconds = Field(default=0.1, description="Time to check a message before relaying it, ms.")


class DatasetConfig(Section):
    """The public training data."""

    unwritten = ("folder",)

    name: ShelfName = Field(default="digits", description="Dataset, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)
    folder: Folder | None = Field(
        default=None,
        description="Folder of the data files; null: the environment's SIMDFL_DATA, else the cache folder.",
    )


class ModelConfig(Section):
    """The model that is trained."""

    name: ShelfName = Field(default="mlp", description="Model, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)


class ScheduleConfig(Section):
    """How the learning rate changes over the steps."""

    name: ShelfName = Field(default="constant", description="Schedule, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)


class OptimiserConfig(Section):
    """How an aggregate changes the weights."""

    name: ShelfName = Field(default="momentum", description="Optimiser, a name on the shelf.")
    learning_rate: Positive = Field(
        default=0.1, description="Learning rate of the first step, weight units per gradient unit."
    )
    schedule: ScheduleConfig = Field(
        default_factory=ScheduleConfig, description="How the learning rate changes; cosine ends with the run."
    )
    params: Params = Field(default_factory=dict, description=PARAMS)


class Privacy(Section):
    """Public data are held by all; private ones are dealt out, and opened to validators and judges only."""

    data: Literal["public", "private"] = Field(
        default="public", description="Whether all peers hold all records."
    )
    partition: Literal["iid", "dirichlet"] = Field(
        default="iid", description="How private records are dealt out: evenly, or unevenly by class."
    )
    alpha: Positive = Field(
        default=0.5, description="Concentration of the Dirichlet partition: small is uneven, no unit."
    )


class Learning(Section):
    """What is learned."""

    unwritten = ("nominal_parameters", "nominal_flops", "precision")

    dataset: DatasetConfig = Field(default_factory=DatasetConfig, description="The training data.")
    privacy: Privacy = Field(default_factory=Privacy, description="Who holds which records.")
    model: ModelConfig = Field(default_factory=ModelConfig, description="The model.")
    batch_size: Count = Field(default=32, description="Samples in one gradient.")
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig, description="The optimiser.")
    evaluate_every: Count = Field(default=10, description="Steps between evaluations on the test records.")
    lanes: Lanes | None = Field(default=None, description="Gradients computed together; null: the model's.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="What gradients are computed in; parameters, loss and the gradient itself stay float32.",
    )
    nominal_parameters: Nominal | None = Field(
        default=None,
        description="Parameters that sizes and durations are those of (a cost profile); null: the model's own.",
    )
    nominal_flops: Positive | None = Field(
        default=None,
        description="Operations of one sample's gradient in a cost profile; null: as the parameters grow.",
    )

    @model_validator(mode="after")
    def _check(self) -> Learning:
        if self.nominal_flops is not None and self.nominal_parameters is None:
            raise mistake("has no meaning alone; add nominal_parameters or remove it", ("nominal_flops",))
        return self


class Beacon(Section):
    """Shared randomness: by publicly verifiable secret sharing, or by something weaker to compare with."""

    unwritten = ("verification",)

    scheme: Literal[
        "pvss_ldei", "pvss_scrape", "pvss_schoenmakers", "albatross", "commit_reveal", "randao", "ideal"
    ] = Field(
        default="pvss_ldei",
        description=(
            "How secrets are dealt: verifiable sharings by three proofs, or packed (albatross); hash commitments "
            "that start again (commit_reveal) or skip (randao) when one is withheld; a trusted dealer (ideal)."
        ),
    )
    threshold_percent: int = Field(
        default=50, ge=1, le=100, description="Shares that recover a secret, % of the receivers, rounded up."
    )
    tolerated_percent: int = Field(
        default=33,
        ge=0,
        lt=50,
        description="Colluding receivers that albatross withstands, %; it packs the rest.",
    )
    group: Literal["bls12_381", "bls12_381_reference", "ideal"] = Field(
        default="bls12_381",
        description="Group of the sharing; ideal is additive integers: same bytes, no secrecy, for sweeps.",
    )
    epoch_outputs: int = Field(default=16, ge=2, description="Beacon outputs per batch of dealings.")
    verification: Literal["disputes", "on_chain"] = Field(
        default="disputes",
        description=(
            "Who verifies sharings: all peers, with a proof of fraud in a dispute (hash on chain); or a contract "
            "each one before it counts (on_chain, pvss_ldei alone)."
        ),
    )


class SourceConfig(Section):
    """When blocks are found."""

    name: ShelfName = Field(description="Block source, a name on the shelf.")
    params: Params = Field(default_factory=dict, description=PARAMS)


class Reorg(Section):
    """A branch from elsewhere that overtakes."""

    at_s: NotNegative = Field(description="The first block from this time on brings it, simulated s.")
    depth: ReorgDepth = Field(description="Blocks that are abandoned.")


class Demand(Section):
    """Everybody else on the chain, who competes for the gas of blocks and drives the base fee."""

    load: float = Field(
        ge=0, le=20, description="Gas that they ask for over the target, whatever it costs; no unit."
    )
    gas_each: OthersGas = Field(default=100_000, description="Gas of one of their transactions.")
    cap_wei: Fee | None = Field(
        default=None, description="Median of what they pay at most, wei per gas; null: twice the first base fee."
    )
    tip_wei: Fee | None = Field(
        default=None, description="Median of their tips, wei per gas; null: what the peers tip."
    )
    spread: Spread = Field(
        default=1.0, description="Standard deviation of the logarithm of caps and tips, no unit."
    )


class Blobs(Section):
    """Blob space (EIP-4844), in which dealings could be posted instead of gossiped: their price is reported."""

    fork: Literal["cancun", "prague", "osaka", "bpo1", "bpo2"] = Field(
        default="bpo2", description="Whose target and most blobs a block has."
    )
    fee_wei: Fee = Field(default=1, description="Price of blob gas when an epoch's first blob is posted, wei.")


class Chain(Section):
    """The blockchain; null keeps the profile's value."""

    unwritten = ("source", "reorgs", "demand", "expiry_s", "blobs")

    profile: ShelfName = Field(default="app_chain", description="Chain profile, a name on the shelf.")
    block_time_s: BlockTime | None = Field(default=None, description="Mean time between blocks, s.")
    gas_limit: BlockGas | None = Field(default=None, description="Gas that fits into one block.")
    finality_blocks: Whole | None = Field(default=None, description="Blocks until a block counts as final.")
    base_fee_wei: Fee | None = Field(default=None, description="Base fee at the start, wei per gas.")
    access_latency_ms: Milliseconds = Field(
        default=50.0, description="One-way latency between peer and chain, ms."
    )
    source: SourceConfig | None = Field(default=None, description="When blocks are found.")
    reorgs: list[Reorg] = Field(
        default_factory=list, description="Reorganisations that are forced, beside those of the source."
    )
    demand: Demand | None = Field(
        default=None, description="Everybody else on the chain; null: the job is alone."
    )
    blobs: Blobs | None = Field(default=None, description="Report what dealings would cost in blobs; null: no.")
    expiry_s: Expiry | None = Field(
        default=None, description="Time after which a waiting transaction is dropped, seconds; null: never."
    )


class Contribution(Section):
    """Rewards for what updates add, by their sampled Shapley value; beside the rewards for steps."""

    percent: int = Field(
        default=50, ge=1, le=1000, description="Rewards for contributions, % of those for steps."
    )
    every: Count = Field(default=5, description="Steps in a round, of which the last one's updates are valued.")
    permutations: int = Field(
        default=16, ge=1, le=10_000, description="Orders of the contributors that are drawn for a round."
    )
    records: int = Field(
        default=256, ge=1, le=1_000_000, description="Records of the public evaluation batch, drawn for a round."
    )
    truncation: float = Field(
        default=0.0, ge=0, lt=1, description="A walk along an order ends at this part of all the gain; no unit."
    )


class Contracts(Section):
    """Stakes, rewards and deadlines, fixed before the first registration."""

    unwritten = ("contribution",)

    deposit_wei: Wei = Field(default=32 * 10**18, description="Stake of each peer, wei.")
    reward_wei: Wei = Field(default=10**15, description="Reward of a peer for a step, wei.")
    reporter_percent: int = Field(default=25, ge=0, le=50, description="Reporter's part of a slashed stake, %.")
    cheating_gain_wei: Wei | None = Field(
        default=None,
        description="What a wrong gradient that passes would earn, wei; given, the deposit is derived from it.",
    )
    jury_size: Whole = Field(
        default=0, description="Jurors that the beacon draws for a case; 0: all active peers judge."
    )
    probation_steps: Whole = Field(
        default=0,
        description="Checked, unused gradients before somebody who joins late takes part; 0: nobody may.",
    )
    assumed_byzantine: Whole | None = Field(
        default=None,
        description="Liars that the job assumes; it ends when they could be a majority; null: no watch.",
    )
    contribution: Contribution | None = Field(
        default=None, description="Rewards for contributions; null: steps alone are rewarded."
    )
    minimum_peers: Whole = Field(default=4, ge=3, description="The job is given up below so many active peers.")
    dispute_window: Whole = Field(default=8, ge=3, description="Steps within which a peer can be accused.")
    register_s: Count = Field(default=90, description="Time for registering, whole seconds.")
    deal_s: Count = Field(default=120, description="Time for posting dealings, whole seconds.")
    commit_s: Count = Field(default=90, description="Time for committing to gradients, whole seconds.")
    aggregate_s: Count = Field(default=90, description="Time for committing to aggregates, whole seconds.")
    reveal_s: Count = Field(default=75, description="Time for revealing, whole seconds.")
    recover_s: Count = Field(default=90, description="Time for recovering withheld secrets, whole seconds.")
    vote_s: Count = Field(default=90, description="Time for voting on an accusation, whole seconds.")
    report_s: Count = Field(default=20, description="Time for publishing projections and norms, whole seconds.")


class Output(Section):
    """What a run leaves behind."""

    folder: Folder | None = Field(default=None, description="Folder of the results; null: runs/<name>-<seed>.")
    trace: Literal["digest", "full"] = Field(
        default="digest", description="Keep the trace's digest, or all of it."
    )
    perfetto: bool = Field(default=False, description="Write a timeline that ui.perfetto.dev opens.")
    perfetto_copies: Count = Field(
        default=5000, description="Copies of each class of bytes drawn in the timeline at most; evenly thinned."
    )
    messages: bool = Field(default=True, description="Archive signed messages and transcripts for the audit.")
