"""Closed forms of the verifiers' gas against the execution specifications, to the unit."""

from __future__ import annotations

import eels
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pvss_stage import CURVES, get_curve, get_stage

from contracts_model.gas import TX_GAS_CAP
from contracts_model.verification import VERIFIERS

SIZES = [(1, 1), (3, 1), (4, 3), (7, 4)]
SOME = settings(max_examples=3, deadline=None)


@pytest.fixture(scope="module", params=CURVES)
def name(request) -> str:
    return request.param


def test_the_code_fits_a_contract(name):
    program = eels.compile_vyper(get_curve(name).source)
    assert len(program.runtime_code) <= 24_576
    assert len(program.init_code) <= 49_152


@pytest.mark.parametrize("n, threshold", SIZES)
def test_a_dealing_costs_what_the_form_says(name, n, threshold):
    stage = get_stage(name, n, threshold)
    assert stage.verify_dealing(stage.transcript).gas_used == VERIFIERS[name].dealing_gas(n, threshold)
    assert len(stage.transcript) == VERIFIERS[name].transcript_bytes(n, threshold)


@pytest.mark.parametrize("size", [0, 128])
def test_a_context_pays_by_the_word(name, size):
    stage, form = get_stage(name, 2, 1, bytes(size)), VERIFIERS[name]
    assert stage.verify_dealing(stage.transcript).gas_used == form.dealing_gas(2, 1, size)
    assert stage.verify_share(2, stage.share(2)).gas_used == form.share_gas(size)
    assert stage.recover([2], [stage.share(2)]).gas_used == form.recovery_gas(2, 1, size)
    proof = stage.prove_possession(bytes(size), 1)
    assert stage.verify_possession(bytes(size), 1, proof).gas_used == form.possession_gas(size)


@SOME
@given(data=st.data())
def test_a_recovery_costs_what_the_form_says(name, data):
    n = data.draw(st.integers(1, 3))
    receivers = data.draw(st.lists(st.integers(1, n), min_size=1, max_size=n, unique=True))
    stage = get_stage(name, n, len(receivers))
    used = stage.recover(receivers, [stage.share(i) for i in receivers]).gas_used
    assert used == VERIFIERS[name].recovery_gas(n, len(receivers))


@SOME
@given(secret_sum=st.integers(1, 2**250), recovered=st.integers(0, 3))
def test_an_output_costs_what_the_form_says(name, secret_sum, recovered):
    stage = get_stage(name, 4, 2)
    used = stage.output(b"r" * 32, 7, secret_sum, stage.keys[:recovered]).gas_used
    assert used == VERIFIERS[name].output_gas(recovered)


def test_an_opening_costs_the_same_whether_right_or_not(name):
    stage = get_stage(name, 2, 1)
    for secret in (stage.dealing.secret, 12_345):
        used = stage.verify_opening(stage.elements(stage.transcript)[0], secret).gas_used
        assert used == VERIFIERS[name].opening_gas()


def test_a_wrong_dealing_costs_what_a_right_one_does(name):
    """So a dispute has the price of a verification."""
    stage = get_stage(name, 3, 2)
    wrong = stage.transcript[:-1] + bytes([stage.transcript[-1] ^ 1])
    receipt = stage.verify_dealing(wrong)
    assert not receipt.returned("bool")
    assert receipt.gas_used == VERIFIERS[name].dealing_gas(3, 2)


def test_sizes_beyond_the_contract_have_no_price(name):
    for n, threshold in ((257, 5), (256, 129), (3, 4), (3, 0)):
        with pytest.raises(ValueError, match="up to 256 receivers"):
            VERIFIERS[name].dealing_gas(n, threshold)


@pytest.mark.slow
@pytest.mark.parametrize("n, threshold", [(64, 32), (65, 33), (256, 128)])
def test_large_dealings_and_recoveries_cost_what_the_forms_say(name, n, threshold):
    stage, form = get_stage(name, n, threshold), VERIFIERS[name]
    used = stage.verify_dealing(stage.transcript).gas_used
    assert used == form.dealing_gas(n, threshold) < TX_GAS_CAP
    receivers = list(range(n, n - threshold, -1))
    used = stage.recover(receivers, [stage.share(i) for i in receivers]).gas_used
    assert used == form.recovery_gas(n, threshold) < TX_GAS_CAP
