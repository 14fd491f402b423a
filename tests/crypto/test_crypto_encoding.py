"""One value, one encoding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simdfl.crypto.encoding import Reader, Writer, canonical_float32, from_canonical_float32
from simdfl.errors import CryptoError

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
FIELDS = st.one_of(
    st.tuples(st.just("u8"), st.integers(0, 2**8 - 1)),
    st.tuples(st.just("u32"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("u64"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("i64"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("var"), st.binary(max_size=20)),
)


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=5), elements=finite))
def test_arrays_round_trip(array):
    data = canonical_float32(array)
    back = from_canonical_float32(data)
    np.testing.assert_array_equal(back, array.ravel())
    assert canonical_float32(back) == data
    assert not back.flags.writeable


@given(st.binary(max_size=16))
def test_accepted_bytes_are_the_only_encoding(data):
    try:
        values = from_canonical_float32(data)
    except CryptoError:
        return
    assert canonical_float32(values) == data


def test_equal_values_have_equal_bytes():
    assert canonical_float32([-0.0, 1.0]) == canonical_float32(np.array([0.0, 1.0]))
    assert canonical_float32(np.asfortranarray([[1.0, 2.0], [3.0, 4.0]])) == canonical_float32([1, 2, 3, 4])
    assert canonical_float32(np.array([1.5], dtype=">f4")) == canonical_float32([1.5])
    assert canonical_float32(np.arange(6.0)[::2]) == canonical_float32([0, 2, 4])


def test_half_precision_is_widened_exactly():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    values = [1.5, -0.0, 2.0**100]
    assert canonical_float32(np.array(values, dtype=bfloat16)) == canonical_float32(values)


def test_subnormals_survive_beside_negative_zero():
    tiny = np.array([1e-45, -0.0], dtype=np.float32)
    assert canonical_float32(tiny).hex() == "0100000000000000"


def test_the_given_array_is_not_changed():
    array = np.array([-0.0], dtype=np.float32)
    canonical_float32(array)
    assert np.signbit(array[0])


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [1e39], [1j], ["x"], np.zeros(1, dtype="f4,f4")])
def test_what_has_no_encoding(bad):
    with pytest.raises(CryptoError, match="canonical"):
        canonical_float32(bad)


@pytest.mark.parametrize("bad", ["000000", "00000080", "0000807f", "0000c07f", "000080ff"])
def test_non_canonical_bytes_are_rejected(bad):
    with pytest.raises(CryptoError):
        from_canonical_float32(bytes.fromhex(bad))


@given(st.lists(FIELDS, max_size=8))
def test_records_round_trip(fields):
    writer = Writer()
    for verb, value in fields:
        getattr(writer, verb)(value)
    reader = Reader(writer.done())
    assert [getattr(reader, verb)() for verb, _ in fields] == [value for _, value in fields]
    reader.end()


@given(st.binary(min_size=1, max_size=20), st.data())
def test_truncated_records_are_rejected(payload, data):
    record = Writer().u64(7).var(payload).done()
    cut = data.draw(st.integers(0, len(record) - 1))
    reader = Reader(record[:cut])
    with pytest.raises(CryptoError, match="truncated"):
        (reader.u64(), reader.var())


def test_trailing_bytes_and_misfits_are_rejected():
    reader = Reader(Writer().u8(1).raw(b"x").done())
    reader.u8()
    with pytest.raises(CryptoError, match="trailing"):
        reader.end()
    with pytest.raises(CryptoError, match="fit"):
        Writer().u8(256)
    with pytest.raises(CryptoError, match="fit"):
        Writer().u32(-1)
