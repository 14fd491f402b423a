"""The shelf as a whole: every entry keeps the contract, names and parameters are bound strictly."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import adversaries
from adversaries import ADVERSARIES, make_adversary
from adversaries.binding import own_parameters
from adversaries.combined import DECISIONS
from simdfl.errors import UserError
from simdfl.peers.behaviour import Byzantine
from simdfl.testing import check_adversary, make_coalition, make_turn

OTHER_PARAMETERS = [
    ("sign_flip", {"scale": 1, "of": "mean"}),
    ("random_direction", {"scale": 0.5}),
    ("label_flip", {"source": 2, "target": 0}),
    ("delayed_gradient", {"delay": 2}),
    ("gaussian", {"mean": -1, "std": 0.1}),
    ("uniform", {"scale": 3}),
    ("same_value", {"value": -2.5}),
    ("partial_drop", {"share": 1.0}),
    ("duplicate", {"of": "accomplice"}),
    ("slow_drift", {"relative": 1e-6}),
    ("inverse", {"scale": 0.5, "knowledge": "coalition"}),
    ("ipm", {"epsilon": 0.6, "knowledge": "coalition"}),
    ("ipm_optimised", {"rule": "median", "rule_params": {}, "knowledge": "coalition"}),
    ("alie", {"z": 1.5, "knowledge": "coalition"}),
    ("alie_optimised", {"rule": "centered_clip", "rule_params": {"tau": 0.5}, "knowledge": "coalition"}),
    ("mimic", {"choice": "adaptive", "warmup": 1}),
    ("min_max", {"direction": "sign", "knowledge": "coalition"}),
    ("min_sum", {"direction": "unit", "knowledge": "coalition"}),
    ("fang_krum", {"knowledge": "coalition"}),
    ("fang_trimmed_mean", {"knowledge": "coalition"}),
    ("rop", {"relocation": 0.0, "angle_deg": 180, "scale": 2.0, "knowledge": "coalition"}),
    ("sparse_hybrid", {"share": 0.5, "strong": 9.0, "weak": 0.1, "knowledge": "coalition"}),
    ("anti_cge", {"margin": 0.5, "knowledge": "coalition"}),
    ("anti_signguard", {"share": 1.0, "knowledge": "coalition"}),
    ("anti_clustering", {"knowledge": "coalition"}),
    ("carlini_wagner", {"neighbours": 1, "margin": 0.0, "knowledge": "coalition"}),
    ("dissensus", {"epsilon": 2.0}),
    ("random_labels", {"share": 0.25}),
    ("noisy_data", {"std": 0.1, "share": 0.5}),
    ("backdoor", {"target": 2, "side": 1, "value": 5.0, "share": 0.1}),
    ("distributed_backdoor", {"target": 2, "side": 2, "value": 5.0, "share": 1.0}),
    ("neurotoxin", {"avoided": 0.5, "target": 1, "side": 1, "value": -1.0, "share": 0.2}),
    ("edge_case", {"source": 2, "target": 1, "tail": 0.5, "share": 1.0}),
    ("model_replacement", {"boost": 2.0, "target": 1, "side": 1, "value": 2.0, "share": 0.2}),
    ("alter_min", {"boost": 1.0, "rho": 0.0, "rounds": 1, "share": 0.5, "target": 1, "side": 1, "value": 2.0}),
    ("delayer", {"delay_s": 0.5}),
    ("flooding", {"size_bytes": 10}),
    ("combine", {"attacks": [{"name": "ipm", "epsilon": 0.6}, {"name": "withhold_part", "victims": 2}]}),
    ("withhold_part", {"victims": 3}),
    ("aggregation_shift", {"size": 0.1, "relative": False}),
    ("lying_projections", {"offset": -1e-6}),
    ("lying_norm", {"factor": 0.0}),
    ("shift_under_v3", {"max_deviation": 1.0}),
    ("bias_beacon", {"scale": 2, "of": "mean"}),
    ("early_decryption", {"scale": 2, "of": "mean"}),
    ("ban_evasion", {"scale": 2, "of": "mean"}),
    ("sybil_join", {"join_step": 1, "works": False, "scale": 2, "of": "mean"}),
    ("eclipse", {"victim": 3}),
    ("block_spam", {"calls": 1, "call_bytes": 10}),
]


@pytest.mark.parametrize("name", ADVERSARIES)
def test_every_attack_keeps_the_contract(name):
    check_adversary(name)


@pytest.mark.parametrize("name, params", OTHER_PARAMETERS)
def test_every_attack_keeps_the_contract_with_other_parameters(name, params):
    check_adversary(name, **params)


def test_every_parameter_is_tried():
    tried = {(name, key) for name, params in OTHER_PARAMETERS for key in params}
    assert tried == {(name, key) for name, found in ADVERSARIES.items() for key in own_parameters(found)[0]}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_every_attack_overrides_a_decision_and_says_what_catches_it(name):
    attack = ADVERSARIES[name]
    assert any(getattr(attack, key) is not getattr(Byzantine, key) for key in (*DECISIONS, "craft"))
    assert len(inspect.getdoc(ADVERSARIES[name]).split()) >= 20


def test_the_shelf_imports_little():
    pure = ("simdfl.errors", "simdfl.rng", "simdfl.learning.poison", "simdfl.aggregation")
    allowed = ("simdfl.peers.behaviour", *pure, "adversaries", "numpy", "jax")
    stdlib = ("__future__", "abc", "collections", "dataclasses", "importlib", "inspect", "itertools", "math")
    stdlib += ("statistics", "types", "typing")
    for path in Path(adversaries.__file__).parent.glob("*.py"):
        for item in ast.walk(ast.parse(path.read_text())):
            if isinstance(item, ast.ImportFrom):
                assert item.module.startswith((*allowed, *stdlib)), (path.name, item.module)
            if isinstance(item, ast.Import):
                assert all(alias.name.startswith((*allowed, *stdlib)) for alias in item.names), path.name


# ---- mistakes


@pytest.mark.parametrize(
    "name, params, sentence",
    [
        ("sign_flp", {}, "adversary: unknown name 'sign_flp' (did you mean 'sign_flip'?); known names: aggreg"),
        (
            "sign_flip",
            {"scal": 2},
            "adversary sign_flip: unknown parameter 'scal' (did you mean 'scale'?); known parameters: scale",
        ),
        ("lazy_validator", {"x": 2}, "adversary lazy_validator: unknown parameter 'x'; it takes none"),
        ("sign_flip", {"start_step": 2}, "adversary sign_flip: unknown parameter 'start_step'; known"),
        ("sign_flip", {"coalition": None}, "adversary sign_flip: unknown parameter 'coalition'; known"),
        ("sign_flip", {"scale": "10"}, "adversary sign_flip.scale: must be a number, got '10'"),
        ("sign_flip", {"scale": True}, "adversary sign_flip.scale: must be a number, got True"),
        ("sign_flip", {"scale": None}, "adversary sign_flip.scale: must be a number, got None"),
        ("sign_flip", {"scale": 0}, "adversary sign_flip.scale: must be a positive finite number, got 0"),
        ("random_direction", {"scale": float("inf")}, "must be a positive finite number, got inf"),
        ("ipm", {"epsilon": float("nan")}, "adversary ipm.epsilon: must be a positive finite number, got nan"),
        ("alie", {"z": "x"}, "adversary alie.z: must be a number or null, got 'x'"),
        ("alie", {"z": -1.0}, "adversary alie.z: must be a positive finite number, got -1.0"),
        ("ipm", {"knowledge": "all"}, "adversary knowledge: must be omniscient or coalition, got 'all'"),
        ("label_flip", {"source": 1}, "adversary label_flip.target: must be given if and only if source is"),
        ("label_flip", {"source": 1, "target": 3}, "adversary label_flip.target: must be a class 0 to 2, got 3"),
        ("partial_drop", {"share": 0.0}, "partial_drop.share: must be above 0 and at most 1, got 0.0"),
        (
            "alie_optimised",
            {"rule": "krun"},
            "adversary rule: must be one of adaptive_median, afa, autogm,",
        ),
        ("ipm_optimised", {"rule_params": {"g": 1}}, "aggregation: 'krum' has no parameter 'g'"),
        ("min_max", {"direction": "up"}, "adversary direction: must be unit, sign, std, got 'up'"),
        ("combine", {"attacks": []}, "combine.attacks: must be a list of mappings, each with a name, got []"),
        ("combine", {"attacks": [{"name": "sign_flp"}]}, "unknown name 'sign_flp' (did you mean 'sign_flip'?)"),
        (
            "combine",
            {"attacks": [{"name": "zero", "x": 1}]},
            "adversary zero: unknown parameter 'x'; it takes none",
        ),
        ("delayed_gradient", {"delay": 2.0}, "adversary delayed_gradient.delay: must be a whole number, got 2.0"),
        ("delayed_gradient", {"delay": 0}, "adversary delayed_gradient.delay: must be at least 1, got 0"),
        ("withhold_part", {"victims": 0}, "adversary withhold_part.victims: must be at least 1, got 0"),
        ("aggregation_shift", {"relative": 1}, "aggregation_shift.relative: must be true or false, got 1"),
        ("aggregation_shift", {"size": -1}, "aggregation_shift.size: must be a positive finite number, got -1"),
        ("lying_projections", {"offset": 0.0}, "adversary lying_projections.offset: must be at least 2^-40"),
        ("lying_projections", {"offset": 1e7}, "adversary lying_projections.offset: must be at least 2^-40"),
    ],
)
def test_mistakes_are_one_sentence(name, params, sentence):
    with pytest.raises(UserError) as caught:
        make_adversary(name, params, coalition=make_coalition())
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- one's own

OWN = '''
from __future__ import annotations

import numpy as np

from adversaries.gradient import SignFlip
from simdfl.peers.behaviour import Byzantine, Turn


class Halve(Byzantine):
    """Send the own gradient times `factor`."""

    def __init__(self, coalition, start_step=0, stop_step=None, period=1, factor: float = 0.5):
        super().__init__(coalition, start_step, stop_step, period)
        if factor > 1:
            raise ValueError("factor shrinks, use at most 1")
        self.factor = factor

    def craft(self, turn: Turn) -> np.ndarray:
        return self.factor * turn.own_gradient()


class FlipSome(SignFlip):
    def __init__(self, *, every: int, **base) -> None:
        super().__init__(**base)
        self.every = every


nothing = 3
'''


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "classroom_attacks.py").write_text(OWN)
    (tmp_path / "broken_attacks.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)


def test_an_attack_of_ones_own_by_module_and_class(own_module):
    check_adversary("classroom_attacks:Halve")
    check_adversary("classroom_attacks:FlipSome", every=2, scale=3.0)
    peer = make_adversary(
        "classroom_attacks:Halve", {"factor": 0.25}, coalition=make_coalition(), start_step=1, period=2
    )
    for step, factor in enumerate([1.0, 0.25, 1.0, 0.25]):
        turn = make_turn(step, 1)
        assert peer.gradient(turn) == pytest.approx(factor * turn.own_gradient())


@pytest.mark.parametrize(
    "name, params, sentence",
    [
        ("classroom_atacks:Halve", {}, "module 'classroom_atacks' cannot be imported (ModuleNotFoundError: "),
        ("broken_attacks:Halve", {}, "module 'broken_attacks' cannot be imported (ZeroDivisionError: "),
        (":Halve", {}, "module '' cannot be imported (ValueError: "),
        ("classroom_attacks:Halv", {}, "classroom_attacks:Halv: unknown name 'Halv' (did you mean 'Halve'?)"),
        ("classroom_attacks:nothing", {}, "must be a subclass of simdfl.peers.behaviour.Byzantine"),
        ("classroom_attacks:np", {}, "must be a subclass of simdfl.peers.behaviour.Byzantine"),
        ("classroom_attacks:Halve", {"facto": 1}, "'facto' (did you mean 'factor'?); known parameters: factor"),
        ("classroom_attacks:Halve", {"factor": "x"}, "Halve.factor: must be a number, got 'x'"),
        ("classroom_attacks:Halve", {"factor": 2}, "classroom_attacks:Halve: factor shrinks, use at most 1"),
        ("classroom_attacks:FlipSome", {"scale": 2}, "FlipSome: parameter 'every' is missing"),
        ("classroom_attacks:FlipSome", {"evry": 2}, "(did you mean 'every'?); known parameters: every, scale"),
    ],
)
def test_mistakes_in_ones_own_are_one_sentence(own_module, name, params, sentence):
    with pytest.raises(UserError) as caught:
        make_adversary(name, params, coalition=make_coalition())
    assert sentence in str(caught.value)
