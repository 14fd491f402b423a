"""Storage, gas, rollback and calldata: the machine under the contracts."""

from __future__ import annotations

import pytest
from contract_stage import DEPOSIT, GAS_LIMIT, Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts_model import Call
from contracts_model.abi import AbiError, as_decoded, decode, encode
from contracts_model.gas import (
    COLD_SLOAD_GAS,
    TX_BASE_GAS,
    Meter,
    calldata_floor_gas,
    calldata_gas,
)
from contracts_model.storage import BitSet, Machine, Slots, members
from simdfl.crypto.hashing import keccak256

# ---- storage prices

EIP_2200_AS_OF_EIP_3529 = [
    # original, writes in turn, gas without the cold surcharge, refund: the table of EIP-3529's test cases
    (0, [0, 0], 200, 0),
    (0, [0, 1], 20_100, 0),
    (0, [1, 0], 20_100, 19_900),
    (0, [1, 2], 20_100, 0),
    (0, [1, 1], 20_100, 0),
    (1, [0, 0], 3_000, 4_800),
    (1, [0, 1], 3_000, 2_800),
    (1, [0, 2], 3_000, 0),
    (1, [2, 0], 3_000, 4_800),
    (1, [2, 3], 3_000, 0),
    (1, [2, 1], 3_000, 2_800),
    (1, [2, 2], 3_000, 0),
    (1, [1, 0], 3_000, 4_800),
    (1, [1, 2], 3_000, 0),
    (1, [1, 1], 200, 0),
    (0, [1, 0, 1], 40_100, 19_900),
    (1, [0, 1, 0], 5_900, 7_600),
]


@pytest.mark.parametrize("original, writes, gas, refund", EIP_2200_AS_OF_EIP_3529)
def test_storage_writes_cost_what_the_eips_say(original, writes, gas, refund):
    slots = Slots(Machine(), "slots", depth=0, data={"slot": original} if original else {})
    meter = slots.machine.meter = Meter(10**6)
    for new in writes:
        slots["slot"] = new
    assert (meter.used - COLD_SLOAD_GAS, meter.refund) == (gas, refund)


def test_the_first_access_is_cold_the_others_warm():
    slots = Slots(Machine(), "slots", depth=0, data={"slot": 5})
    meter = slots.machine.meter = Meter(10**6)
    spent = []
    for touch in (lambda: slots["slot"], lambda: slots["slot"], lambda: slots.__setitem__("slot", 6)):
        before = meter.used
        touch()
        spent.append(meter.used - before)
    assert spent == [2_100, 100, 2_900]
    slots.machine.meter = Meter(10**6)
    assert slots["slot"] == 6
    assert slots.machine.meter.used == 2_100  # cold again in the next transaction
    before = meter.used
    meter.reach("court")
    meter.reach("court")
    assert meter.used - before == 2_700


def test_refunds_are_capped_at_a_fifth():
    meter = Meter(10**6, used=50_000, refund=30_000)
    assert meter.settle(TX_BASE_GAS) == 40_000
    meter.refund = 4_800
    assert meter.settle(TX_BASE_GAS) == 45_200


def test_calldata_has_a_price_and_a_floor():
    data = bytes([0, 1, 2, 0])
    assert calldata_gas(data) == 2 * 4 + 2 * 16
    assert calldata_floor_gas(data) == TX_BASE_GAS + 10 * (2 + 4 * 2)
    meter = Meter(10**6, used=TX_BASE_GAS + calldata_gas(bytes(100)))
    floor = calldata_floor_gas(bytes(100))
    assert meter.settle(floor) == TX_BASE_GAS + 10 * 100  # data-heavy: the floor of EIP-7623
    meter.used += 10_000
    assert meter.settle(floor) == TX_BASE_GAS + 400 + 10_000  # work-heavy: the standard price


def test_the_limit_may_be_reached_but_not_passed():
    stage = Stage()
    stage.do(stage.terms.owner, "treasury.fund", value=1)
    spent = stage.call(stage.terms.owner, "treasury.fund", value=1).gas_used
    assert stage.call(stage.terms.owner, "treasury.fund", value=1, gas=spent).succeeded
    short = stage.call(stage.terms.owner, "treasury.fund", value=1, gas=spent - 1)
    assert (short.reason, short.gas_used) == ("out of gas", spent - 1)


@given(st.dictionaries(st.integers(0, 700), st.booleans()), st.integers(0, 700))
def test_bit_sets_are_sets(changes, probe):
    sets, twin = BitSet(Slots(Machine(), "sets"), 3), set()
    for member, present in changes.items():
        (sets.add if present else sets.discard)("k", member)
        (twin.add if present else twin.discard)(member)
    assert sets.has("k", probe) == (probe in twin)
    assert list(members(sets.read("k"))) == sorted(twin)
    sets.write("other", sets.read("k"))
    assert sets.read("other") == sets.read("k")


# ---- all or nothing


def scenes():
    """Calls that change much: the last registration, the last reveal, an elimination, a verdict."""
    stage = Stage()
    stage.register(0, 1, 2, 3, 4)
    yield stage, 5, "registry.register", stage.registration(5), DEPOSIT
    stage = Stage().until_step_reveal(1)
    stage.reveal(2, 0, 1, 2, 3, 4)
    yield stage, 5, "beacon.reveal", stage.reveal_args(5, 2), 0
    stage = Stage().until_aggregate(0)
    yield stage, 0, "ledger.eliminate", (0, 1), 0
    stage = Stage().until_step(1)
    stage.attest(stage.pairs()[0][0], honest=False)
    for voter in (0, 1, 2):
        stage.do(voter, "court.vote", 1, b"\x3f", b"\x01", b"")
    yield stage, 3, "court.vote", (1, b"\x3f", b"\x01", b""), 0


@pytest.mark.parametrize("scene", range(4))
def test_running_out_of_gas_anywhere_undoes_everything_and_costs_the_limit(scene):
    stage, who, where, args, value = list(scenes())[scene]
    before, gas, failures = stage.snapshot(), 21_000, 0
    while True:
        outcome = stage.call(who, where, *args, value=value, gas=gas)
        if outcome.succeeded:
            break
        assert (outcome.reason, outcome.gas_used, outcome.events) == ("out of gas", gas, ())
        assert stage.snapshot() == before
        gas += 2_999
        failures += 1
    assert failures > 10
    assert outcome.gas_used <= gas
    assert stage.snapshot() != before


def test_reads_outside_transactions_are_free_and_change_nothing():
    stage = Stage().until_step(1)
    before = stage.snapshot()
    assert stage.job.machine.meter is None
    stage.job.ledger.mask("roster")
    stage.job.court._reporters(0)
    assert stage.snapshot() == before


def test_gas_does_not_depend_on_earlier_transactions_warmth():
    """Access lists live for one transaction."""
    gas = []
    for _ in range(2):
        stage = Stage().until_deal()
        root = stage.prepare(0, 0)
        stage.call(0, "beacon.deal", 7, root)
        gas.append(stage.call(0, "beacon.deal", 0, root).gas_used)
    fresh = Stage().until_deal()
    assert gas == [fresh.call(0, "beacon.deal", 0, fresh.prepare(0, 0)).gas_used] * 2


# ---- calldata: examples of the Solidity specification ("Contract ABI Specification", examples)


def words(*numbers):
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def padded(data):
    return data + bytes(-len(data) % 32)


def test_the_specifications_example_of_static_arguments():
    assert keccak256(b"baz(uint32,bool)")[:4].hex() == "cdcd77c0"
    assert encode(["uint256", "bool"], [69, True]) == words(69, 1)


def test_the_specifications_example_of_dynamic_arguments():
    """sam("dave", true, [1,2,3])."""
    assert keccak256(b"sam(bytes,bool,uint256[])")[:4].hex() == "a5643bf2"
    expected = words(0x60, 1, 0xA0, 4) + padded(b"dave") + words(3, 1, 2, 3)
    assert encode(["bytes", "bool", "uint256[]"], [b"dave", True, [1, 2, 3]]) == expected


def test_the_specifications_example_of_nested_dynamic_arguments():
    """g's second argument, ["one", "two", "three"], encoded alone."""
    expected = words(0x20, 3, 0x60, 0xA0, 0xE0, 3) + padded(b"one") + words(3) + padded(b"two")
    expected += words(5) + padded(b"three")
    assert encode(["bytes[]"], [[b"one", b"two", b"three"]]) == expected


def test_negative_numbers_are_twos_complement():
    assert encode(["int256"], [-1]) == b"\xff" * 32
    assert decode(["int256"], b"\xff" * 31 + b"\xfe") == (-2,)


uints = st.integers(0, 2**256 - 1)
VALUES = {
    "uint256": uints,
    "int256": st.integers(-(2**255), 2**255 - 1),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    "address": st.binary(min_size=20, max_size=20),
    "bytes": st.binary(max_size=70),
    "uint256[]": st.lists(uints, max_size=4),
    "bytes32[]": st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    "bytes[]": st.lists(st.binary(max_size=40), max_size=4),
}
arguments = st.lists(st.sampled_from(sorted(VALUES)), max_size=5).flatmap(
    lambda types: st.tuples(st.just(types), st.tuples(*[VALUES[kind] for kind in types]))
)


@settings(deadline=None)
@given(arguments)
def test_calldata_round_trips(typed):
    types, values = typed
    decoded = decode(types, encode(types, values))
    assert [list(v) if isinstance(v, tuple) else v for v in decoded] == list(values)


@settings(deadline=None)
@given(arguments)
def test_plain_values_need_no_decoding(typed):
    types, values = typed
    plain, decoded = as_decoded(types, values), decode(types, encode(types, values))
    assert plain == decoded
    assert [type(value) for value in plain] == [type(value) for value in decoded]


@pytest.mark.parametrize(
    "kind, value",
    [
        ("uint256", True),
        ("bool", 1),
        ("bytes32", bytearray(32)),
        ("bytes", memoryview(b"a")),
        ("uint256[]", [True]),
    ],
)
def test_other_values_must_be_decoded(kind, value):
    assert as_decoded([kind], [value]) is None
    assert as_decoded([kind], []) is None
    assert type(decode([kind], encode([kind], [value]))[0]) is not type(value)


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(VALUES)), max_size=4), st.binary(max_size=200))
def test_arbitrary_bytes_decode_or_are_refused(types, data):
    try:
        values = decode(types, data)
    except AbiError:
        return
    assert encode(types, values) == data


def test_calls_round_trip_through_their_calldata():
    stage = Stage().until_reveal()
    job, sender = stage.job, stage.keys[0].address
    call = Call(sender, "beacon", "reveal", tuple(stage.reveal_args(0, 0)))
    decoded = job.decode_call(sender, "beacon", job.calldata(call))
    assert job.calldata(decoded) == job.calldata(call)
    assert decoded.function == "reveal"
    for broken in (b"", b"\0\0\0\0", job.calldata(call)[:-1], job.calldata(call) + b"\0"):
        with pytest.raises(AbiError):
            job.decode_call(sender, "beacon", broken)


def test_contracts_see_plain_values_whatever_the_caller_passed():
    """A call executes what its calldata says: bytearrays become bytes, True becomes 1."""
    stage = Stage().until_deal()
    stage.do(0, "beacon.deal", False, bytearray(stage.prepare(0, 0)))
    assert type(stage.last("Dealt")["root"]) is bytes
    assert type(stage.last("Dealt")["epoch"]) is int
    assert stage.call(1, "beacon.deal", 0, stage.prepare(1, 0), gas=GAS_LIMIT).succeeded
