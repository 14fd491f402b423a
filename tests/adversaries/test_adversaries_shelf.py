"""The shelf as a whole: every entry keeps the contract, names and parameters are bound strictly."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import adversaries
from adversaries import ADVERSARIES, make_adversary
from adversaries.binding import own_parameters
from simdfl.errors import UserError
from simdfl.peers.behaviour import Byzantine
from simdfl.testing import check_adversary, make_coalition, make_turn

OTHER_PARAMETERS = [
    ("sign_flip", {"scale": 1}),
    ("random_direction", {"scale": 0.5}),
    ("delayed_gradient", {"delay": 2}),
    ("ipm", {"epsilon": 0.6}),
    ("alie", {"z": 1.5}),
    ("withhold_part", {"victims": 3}),
    ("aggregation_shift", {"size": 0.1, "relative": False}),
    ("lying_projections", {"offset": -1e-6}),
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
    own = {key for key in vars(ADVERSARIES[name]) if key in vars(Byzantine) or hasattr(Byzantine, key)}
    assert own - {"__init__", "__doc__", "__module__", "__annotations__"}
    assert len(inspect.getdoc(ADVERSARIES[name]).split()) >= 20


def test_the_shelf_imports_little():
    pure = ("simdfl.errors", "simdfl.rng", "simdfl.learning.poison", "simdfl.aggregation")
    allowed = ("simdfl.peers.behaviour", *pure, "adversaries", "numpy", "jax")
    stdlib = ("__future__", "collections", "typing", "types", "math", "statistics", "importlib", "inspect")
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
