"""The table of gas per role: its calldata against real calldata, its verification against real transactions."""

from __future__ import annotations

from pathlib import Path

import eels
import pytest
from pvss_stage import CURVES, Stage, get_stage, verifier

from contracts_model import gas_table
from contracts_model.gas import TX_BASE_GAS, calldata_gas
from contracts_model.gas_table import Calldata
from contracts_model.verification import VERIFIERS

N, THRESHOLD = 4, 2
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gas.md"


@pytest.fixture(scope="module", params=CURVES)
def stage(request) -> Stage:
    return get_stage(request.param, N, THRESHOLD)


def assert_like(estimate: Calldata, data: bytes) -> None:
    """Sizes agree exactly, zero bytes up to chance: a hundredth of all bytes and the few in small numbers."""
    assert estimate.size_bytes == len(data)
    assert abs(estimate.nonzero_bytes - (len(data) - data.count(0))) <= 8 + len(data) // 100


def dealing_data(stage: Stage) -> bytes:
    ys = [stage.curve.y(element) for element in stage.elements(stage.transcript)]
    return eels.calldata(
        f"dealing({stage.signature(stage.DEALING)})", *stage.dealing_arguments(stage.transcript, ys)
    )


def test_the_calldata_of_a_dealing_is_counted_right(stage):
    form = VERIFIERS[stage.curve.name]
    assert_like(gas_table.dealing_calldata(form, N, THRESHOLD), dealing_data(stage))


def test_the_calldata_of_a_recovery_is_counted_right(stage):
    arguments = stage.recovery_arguments([1, 3], [stage.share(1), stage.share(3)])
    data = eels.calldata(f"recovery({stage.signature(stage.RECOVERY)})", *arguments)
    assert_like(gas_table.recovery_calldata(VERIFIERS[stage.curve.name], N, THRESHOLD), data)


def test_a_transaction_to_the_verifier_pays_what_the_table_adds_up(stage):
    chain, contract = verifier(stage.curve.name)
    data, form = dealing_data(stage), VERIFIERS[stage.curve.name]
    paid = chain.transact(contract, data).gas_used
    assert paid == TX_BASE_GAS + calldata_gas(data) + form.dealing_gas(N, THRESHOLD)
    estimate = gas_table.dealing_calldata(form, N, THRESHOLD).transaction_gas(form.dealing_gas(N, THRESHOLD))
    assert abs(estimate - paid) < 0.01 * paid


def test_posting_much_data_pays_the_floor():
    """A hash costs little beside its calldata, hence EIP-7623's floor decides, as in the specifications."""
    data = Calldata(random=5_000)
    assert data.transaction_gas(0) == data.transaction_gas(60_000) < data.transaction_gas(200_000)


def test_rows_are_ordered_as_they_must_be(stage):
    form = VERIFIERS[stage.curve.name]
    for n in gas_table.SIZES:
        threshold = gas_table.threshold_of(n)
        hashed, verified = gas_table.deal_hashed(form, n, threshold), gas_table.deal_verified(form, n, threshold)
        assert hashed < verified
        assert gas_table.dispute_index(form, n, threshold) < gas_table.dispute_whole(form, n, threshold)


def test_the_table_is_what_the_page_shows(capsys):
    """``docs/gas.md`` repeats the program's output word for word."""
    gas_table.main()
    page = PAGE.read_text(encoding="utf-8")
    for line in capsys.readouterr().out.splitlines():
        assert line in page
