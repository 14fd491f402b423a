"""How peers may lie: the shelf of attacks, by name or as a class of the user's own.

>>> from simdfl.testing import make_coalition, make_turn
>>> flip = make_adversary("sign_flip", {"scale": 2.0}, coalition=make_coalition(members=[1]), start_step=5)
>>> [bool((flip.gradient(turn) == turn.own_gradient()).all()) for turn in (make_turn(4, 1), make_turn(5, 1))]
[True, False]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adversaries.aggregation import (
    AggregationShift,
    EquivocateAggregate,
    LyingNorm,
    LyingProjections,
    ShiftUnderV3,
)
from adversaries.anchoring import FalseAnchor
from adversaries.backdoors import (
    AlternatingMinimisation,
    Backdoor,
    DistributedBackdoor,
    EdgeCaseBackdoor,
    ModelReplacement,
    Neurotoxin,
)
from adversaries.beacon import (
    BadShare,
    BiasBeacon,
    CopiedDealing,
    EarlyDecryption,
    HighDegreeDealing,
    InvalidDealing,
    ReplayedDealing,
    WithholdReveal,
)
from adversaries.binding import bind, load_class
from adversaries.chain import BlockSpam, CensoringProposer, FrontRunningProposer
from adversaries.combined import Combine
from adversaries.communication import Equivocate, WithholdAggregate, WithholdPart, WithholdReport, WrongPart
from adversaries.copies import Duplicate, Mimic
from adversaries.court import BribedJuror, FalseAccusation, FalseElimination, StakeGriefing, WithholdVote
from adversaries.data import LabelFlip, NoisyData, RandomLabelFlip
from adversaries.evasive import AntiCge, AntiClustering, AntiSignGuard, CarliniWagner
from adversaries.fang import FangKrum, FangTrimmedMean
from adversaries.faults import FAULTS, Fault
from adversaries.freeriding import FreeRider, WrongBatch
from adversaries.gossip import Dissensus
from adversaries.gradient import CopyGradient, DelayedGradient, RandomDirection, SignFlip
from adversaries.hybrid import RelocatedOrthogonal, SlowDrift, SparseHybrid
from adversaries.margins import MinMax, MinSum
from adversaries.membership import BanEvasion, Reentry, SybilJoin
from adversaries.noise import GaussianNoise, Infinite, NotANumber, PartialDrop, SameValue, UniformNoise, Zero
from adversaries.optimised import OptimisedInnerProduct, OptimisedLittleIsEnough
from adversaries.relaying import Eclipse, SelectiveRelay, SplitRelay
from adversaries.statistical import InnerProductManipulation, Inverse, LittleIsEnough
from adversaries.timing import Delayer, Flooding
from adversaries.validation import (
    ColludingValidator,
    FalseAttestation,
    LazyValidator,
    RefuseToShow,
    SilentValidator,
)
from simdfl.errors import unknown_name
from simdfl.peers.behaviour import Byzantine

__all__ = ["ADVERSARIES", "FAULTS", "bind", "make_adversary", "make_fault"]

ADVERSARIES: dict[str, type[Byzantine]] = {
    "sign_flip": SignFlip,
    "random_direction": RandomDirection,
    "label_flip": LabelFlip,
    "delayed_gradient": DelayedGradient,
    "copy_gradient": CopyGradient,
    "gaussian": GaussianNoise,
    "uniform": UniformNoise,
    "zero": Zero,
    "same_value": SameValue,
    "partial_drop": PartialDrop,
    "nan": NotANumber,
    "inf": Infinite,
    "duplicate": Duplicate,
    "slow_drift": SlowDrift,
    "inverse": Inverse,
    "ipm": InnerProductManipulation,
    "ipm_optimised": OptimisedInnerProduct,
    "alie": LittleIsEnough,
    "alie_optimised": OptimisedLittleIsEnough,
    "mimic": Mimic,
    "min_max": MinMax,
    "min_sum": MinSum,
    "fang_krum": FangKrum,
    "fang_trimmed_mean": FangTrimmedMean,
    "rop": RelocatedOrthogonal,
    "sparse_hybrid": SparseHybrid,
    "anti_cge": AntiCge,
    "anti_signguard": AntiSignGuard,
    "anti_clustering": AntiClustering,
    "carlini_wagner": CarliniWagner,
    "dissensus": Dissensus,
    "random_labels": RandomLabelFlip,
    "noisy_data": NoisyData,
    "backdoor": Backdoor,
    "distributed_backdoor": DistributedBackdoor,
    "neurotoxin": Neurotoxin,
    "edge_case": EdgeCaseBackdoor,
    "model_replacement": ModelReplacement,
    "alter_min": AlternatingMinimisation,
    "delayer": Delayer,
    "flooding": Flooding,
    "combine": Combine,
    "withhold_part": WithholdPart,
    "wrong_part": WrongPart,
    "withhold_aggregate": WithholdAggregate,
    "withhold_report": WithholdReport,
    "withhold_reveal": WithholdReveal,
    "invalid_dealing": InvalidDealing,
    "equivocate": Equivocate,
    "aggregation_shift": AggregationShift,
    "lying_projections": LyingProjections,
    "false_accusation": FalseAccusation,
    "false_elimination": FalseElimination,
    "bribed_juror": BribedJuror,
    "lazy_validator": LazyValidator,
    "silent_validator": SilentValidator,
    "colluding_validator": ColludingValidator,
    "false_attestation": FalseAttestation,
    "refuse_to_show": RefuseToShow,
    "withhold_vote": WithholdVote,
    "stake_griefing": StakeGriefing,
    "shift_under_v3": ShiftUnderV3,
    "lying_norm": LyingNorm,
    "equivocate_aggregate": EquivocateAggregate,
    "high_degree_dealing": HighDegreeDealing,
    "replayed_dealing": ReplayedDealing,
    "copied_dealing": CopiedDealing,
    "bad_share": BadShare,
    "bias_beacon": BiasBeacon,
    "early_decryption": EarlyDecryption,
    "wrong_batch": WrongBatch,
    "free_rider": FreeRider,
    "selective_relay": SelectiveRelay,
    "eclipse": Eclipse,
    "split_relay": SplitRelay,
    "censoring_proposer": CensoringProposer,
    "front_running_proposer": FrontRunningProposer,
    "block_spam": BlockSpam,
    "false_anchor": FalseAnchor,
    "sybil_join": SybilJoin,
    "ban_evasion": BanEvasion,
    "reentry": Reentry,
}


def make_adversary(name: str, params: Mapping[str, Any], **base: Any) -> Byzantine:
    """Return one Byzantine peer's behaviour.

    Parameters
    ----------
    name : str
        Name in ``ADVERSARIES``, or ``"module:Class"`` for a subclass of Byzantine of one's own.
    params : mapping
        The attack's own parameters.
    **base
        ``coalition``, ``start_step``, ``stop_step`` and ``period`` of
        :class:`~simdfl.peers.behaviour.Byzantine`.

    Raises
    ------
    UserError
        If the name or a parameter is unknown, or a value impossible.
    """
    if ":" in name:
        return bind(name, load_class(name, Byzantine), params, base)
    if name not in ADVERSARIES:
        raise unknown_name("adversary", name, ADVERSARIES)
    return bind(name, ADVERSARIES[name], params, base)


def make_fault(name: str, params: Mapping[str, Any], **schedule: Any) -> Fault:
    """Return the behaviour of one honest peer that fails.

    Parameters
    ----------
    name : str
        Name in ``FAULTS``, or ``"module:Class"`` for a subclass of Fault of one's own.
    params : mapping
        The fault's own parameters.
    **schedule
        ``start_step``, ``stop_step`` and ``period`` of :class:`~adversaries.faults.Fault`.

    Raises
    ------
    UserError
        If the name or a parameter is unknown, or a value impossible.
    """
    if ":" in name:
        return bind(name, load_class(name, Fault), params, schedule, "fault")
    if name not in FAULTS:
        raise unknown_name("fault", name, FAULTS)
    return bind(name, FAULTS[name], params, schedule, "fault")
