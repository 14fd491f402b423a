# pragma version 0.4.3
"""
@title Verifier of LDEI sharings over BLS12-381
@notice Accepts exactly the transcripts, shares and proofs of possession that simdfl makes, byte for byte.
@dev Elements come compressed, as they are hashed and posted; with each comes its y (16 and 32 bytes, as two words).
    A result of False follows from the compressed bytes alone: where a given y does not belong to its element the
    call reverts, so nobody is convicted by a wrong hint. Multiplications (EIP-2537) check the curve and the subgroup,
    additions the curve only: no sum is trusted whose terms were not multiplied. Keys are taken to be those of
    `possession`, which checks them.
"""

import pvss_scalars

MODEXP: constant(address) = 0x0000000000000000000000000000000000000005
G1ADD: constant(address) = 0x000000000000000000000000000000000000000b
G1MSM: constant(address) = 0x000000000000000000000000000000000000000C
FIELD_HI: constant(uint256) = 34565483545414906068789196026815425751
FIELD_LO: constant(uint256) = 45442060874369865957053122457065728162598490762543039060009208264153100167851
TWICE_HI: constant(uint256) = 69130967090829812137578392053630851502
TWICE_LO: constant(uint256) = 90884121748739731914106244914131456325196981525086078120018416528306200335702
HALF_HI: constant(uint256) = 17282741772707453034394598013407712875
HALF_LO: constant(uint256) = 80617075055843030690312053732876818007934237714091801549733396136033114903893
ORDER: constant(uint256) = 52435875175126190479447740508185965837690552500527637822603658699938581184513
HI_MASK: constant(uint256) = (1 << 125) - 1
G: constant(uint256[4]) = [
    31827880280837800241567138048534752271,
    88385725958748408079899006800036250932223001591707578097800747617502997169851,
    11568204302792691131076548377920244452,
    114417265404584670498511149331300188430316142484413708742216858159411894806497,
]
H: constant(uint256[4]) = [
    28033984564534210554532283669862191308,
    7127293980069564881138801091139096496592569312282138838925456200994476033385,
    17350202152400786803360129819227094400,
    95558455700447287727975918517541836224579237500564189359646530917071894107264,
]
H_ELEMENT: constant(Bytes[48]) = x"b51726270c6987f5067d9693498890cc0fc1e7caafb250969d58b18b2770fa304a0922c85e70caf9432194261c008569"


@internal
@pure
def _is_larger(y: uint256[2]) -> uint256:
    """
    @notice Return 1 if y is the larger of the two roots, else 0; without branches, so that gas tells nothing.
    """
    return convert(y[0] > HALF_HI, uint256) | (
        convert(y[0] == HALF_HI, uint256) & convert(y[1] > HALF_LO, uint256))


@internal
@pure
def _is_malformed(first: uint256, second: uint256) -> bool:
    """
    @notice Return whether an element's flags or coordinate are out of range; `first` and `second` are the 32 bytes
        at its offsets 0 and 16.
    """
    high: uint256 = (first >> 128) & HI_MASK
    return first >> 254 != 2 or high > FIELD_HI or (high == FIELD_HI and second >= FIELD_LO)


@internal
@pure
def _point(first: uint256, second: uint256, y: uint256[2]) -> uint256[4]:
    """
    @notice Return the point of an element, whose flags must fit `y`.
    """
    assert y[0] | y[1] != 0 and first >> 253 == 4 | self._is_larger(y), "y belongs to another element"
    return [(first >> 128) & HI_MASK, second, y[0], y[1]]


@internal
@pure
def _element(point: Bytes[128]) -> Bytes[48]:
    """
    @notice Return the compressed element of a point.
    """
    high: uint256 = convert(extract32(point, 0), uint256)
    low: uint256 = convert(extract32(point, 32), uint256)
    y: uint256[2] = [convert(extract32(point, 64), uint256), convert(extract32(point, 96), uint256)]
    flags: uint256 = 4 | self._is_larger(y)
    if high | low | y[0] | y[1] == 0:
        flags = 6
    return concat(
        convert(convert(high | (flags << 125), uint128), bytes16), convert(low, bytes32))


@internal
@view
def _combine(k: uint256, p: uint256[4], m: uint256, q: uint256[4]) -> (bool, Bytes[48]):
    """
    @notice Return the element of k P + m Q, and whether both lie in the subgroup; reverts if one is off the curve.
    """
    ok: bool = False
    total: Bytes[128] = b""
    ok, total = raw_call(G1MSM, abi_encode(p, k, q, m), max_outsize=128, gas=22776, is_static_call=True,
        revert_on_failure=False)
    if not ok:
        assert msg.gas > 400, "out of gas"  # a 63rd of 22,776: with less left the multiplication was starved
        total = raw_call(G1ADD, abi_encode(p, q), max_outsize=128, gas=375, is_static_call=True)
        return False, b""
    return True, self._element(total)


@external
@view
def dealing(
    context: Bytes[128],
    threshold: uint256,
    keys: Bytes[12288],
    key_ys: DynArray[uint256[2], 256],
    transcript: Bytes[16448],
    ys: DynArray[uint256[2], 257],
    values: DynArray[uint256, 257],
) -> bool:
    """
    @notice Return whether a transcript is a valid sharing to these keys under this threshold in this context.
    @dev Reverts if a y does not belong to its element or a value to its polynomial, so False convicts the dealer. The
        caller vouches for context, threshold and keys, and compares the transcript's digest with the posted one.
    @param values The response polynomial z at 0 .. n. That they are its values is checked at one random place,
        where two different polynomials of degree n meet with probability n / ORDER: n + t steps, not n t.
    """
    n: uint256 = len(key_ys)
    assert len(keys) == 48 * n and len(ys) == n + 1 and len(values) == n + 1, "one y for every element"
    assert 0 < threshold and threshold <= min(n, 128), "no such threshold"
    start: uint256 = 48 * (n + 1)
    if len(transcript) != start + 16 + 32 * threshold:
        return False
    challenge: uint256 = convert(extract32(transcript, start), uint256) >> 128
    place: uint256 = convert(keccak256(concat(keccak256(transcript), keccak256(abi_encode(values)))), uint256) % ORDER
    at_place: uint256 = 0
    end: uint256 = len(transcript)
    for k: uint256 in range(threshold, bound=128):
        end = unsafe_sub(end, 32)
        coefficient: uint256 = convert(extract32(transcript, end), uint256)
        if coefficient >= ORDER:
            return False
        at_place = uint256_addmod(uint256_mulmod(at_place, place, ORDER), coefficient, ORDER)
    state: bytes32 = sha256(concat(
        x"1600000000000000", b"simdfl/sharing/setting", x"0400000000000000", b"ldei",
        x"0a00000000000000", b"BLS12381G1", pvss_scalars._le64(len(context)), context,
        x"0400000000000000", pvss_scalars._le32(threshold), pvss_scalars._le64(len(keys)), keys))
    state = sha256(concat(
        x"1800000000000000", b"simdfl/sharing/statement", x"2000000000000000", state,
        pvss_scalars._le64(start), slice(transcript, 0, start)))
    binomial: uint256 = 1
    factorial: uint256 = 1
    product: uint256 = 1
    interpolated: uint256 = 0
    opposite: uint256 = ORDER - challenge
    for i: uint256 in range(n + 1, bound=257):
        at: uint256 = unsafe_mul(48, i)
        first: uint256 = convert(extract32(transcript, at), uint256)
        second: uint256 = convert(extract32(transcript, unsafe_add(at, 16)), uint256)
        if self._is_malformed(first, second):
            return False
        key: uint256[4] = G
        if i != 0:
            at = unsafe_sub(at, 48)
            key = self._point(convert(extract32(keys, at), uint256),
                convert(extract32(keys, unsafe_add(at, 16)), uint256), key_ys[unsafe_sub(i, 1)])
        value: uint256 = values[i]
        ok: bool = False
        announcement: Bytes[48] = b""
        ok, announcement = self._combine(value, key, opposite, self._point(first, second, ys[i]))
        if not ok:
            return False
        state = sha256(concat(state, announcement))
        distance: uint256 = uint256_addmod(place, unsafe_sub(ORDER, i), ORDER)
        interpolated = uint256_addmod(uint256_mulmod(interpolated, unsafe_sub(ORDER, distance), ORDER),
            uint256_mulmod(uint256_mulmod(binomial, value, ORDER), product, ORDER), ORDER)
        product = uint256_mulmod(product, distance, ORDER)
        following: uint256 = unsafe_add(i, 1)
        quotient: uint256 = unsafe_div(binomial, following)  # divides first: the product could overflow
        rest: uint256 = unsafe_sub(binomial, unsafe_mul(quotient, following))
        binomial = unsafe_add(unsafe_mul(quotient, unsafe_sub(n, i)),
            unsafe_div(unsafe_mul(rest, unsafe_sub(n, i)), following))
        factorial = uint256_mulmod(factorial, max(i, 1), ORDER)
    assert interpolated == uint256_mulmod(factorial, at_place, ORDER), "values of another polynomial"
    state = sha256(concat(x"1d00000000000000", b"simdfl/sharing/ldei/challenge", x"0a00000000000000", b"BLS12381G1",
        x"2000000000000000", state))
    return convert(state, uint256) & (1 << 128) - 1 == challenge


@internal
@view
def _power(base: uint256[2], exponent: bytes1) -> uint256[2]:
    """
    @notice Return a power modulo the field's order.
    """
    answer: Bytes[48] = raw_call(MODEXP, concat(
        convert(48, bytes32), convert(1, bytes32), convert(48, bytes32),
        convert(convert(base[0], uint128), bytes16), convert(base[1], bytes32), exponent,
        convert(convert(FIELD_HI, uint128), bytes16), convert(FIELD_LO, bytes32)),
        max_outsize=48, is_static_call=True)
    return [convert(extract32(answer, 0), uint256) >> 128, convert(extract32(answer, 16), uint256)]


@external
@view
def undecodable(element: Bytes[48], root: uint256[2]) -> bool:
    """
    @notice Return whether an element of a posted transcript is no point: the proof of a fault at one index.
    @param root A root of -(x^3 + 4), which exists where x^3 + 4 has none; anything where flags or x are out of range.
    """
    assert len(element) == 48, "an element has 48 bytes"
    first: uint256 = convert(extract32(element, 0), uint256)
    second: uint256 = convert(extract32(element, 16), uint256)
    if self._is_malformed(first, second):
        return True
    assert root[0] < 1 << 128, "no field element"
    cube: uint256[2] = self._power([(first >> 128) & HI_MASK, second], 0x03)
    square: uint256[2] = self._power(root, 0x02)
    low: uint256 = unsafe_add(cube[1], square[1])
    high: uint256 = cube[0] + square[0] + convert(low < square[1], uint256)
    low = unsafe_add(low, 4)
    high += convert(low < 4, uint256)
    once: bool = (high ^ FIELD_HI) | (low ^ FIELD_LO) == 0
    twice: bool = (high ^ TWICE_HI) | (low ^ TWICE_LO) == 0
    return convert(once, uint256) | convert(twice, uint256) == 1


@external
@view
def outside_subgroup(element: Bytes[48], y: uint256[2]) -> bool:
    """
    @notice Return whether an element is a point of the curve that lies outside the subgroup: a fault at one index.
    """
    assert len(element) == 48, "an element has 48 bytes"
    point: uint256[4] = self._point(
        convert(extract32(element, 0), uint256), convert(extract32(element, 16), uint256), y)
    on_curve: Bytes[128] = raw_call(G1ADD, abi_encode(point, G), max_outsize=128, gas=375, is_static_call=True)
    assert msg.gas > 13000, "out of gas"  # a starved multiplication would convict anybody
    ok: bool = False
    same: Bytes[128] = b""
    ok, same = raw_call(G1MSM, abi_encode(point, convert(1, uint256)), max_outsize=128, gas=12000,
        is_static_call=True, revert_on_failure=False)
    return not ok


@external
@view
def possession(context: Bytes[128], key: Bytes[48], y: uint256[2], proof: Bytes[64]) -> bool:
    """
    @notice Return whether a proof shows that the secret behind a key is known, and the key lies in the subgroup.
    """
    assert len(proof) == 64 and len(key) == 48, "a proof has 64 bytes, a key 48"
    e: uint256 = convert(extract32(proof, 0), uint256)
    z: uint256 = convert(extract32(proof, 32), uint256)
    if e >= ORDER or z >= ORDER:
        return False
    state: bytes32 = sha256(concat(
        x"1100000000000000", b"simdfl/possession", pvss_scalars._le64(len(context)), context,
        x"6000000000000000", H_ELEMENT, key))
    ok: bool = False
    announcement: Bytes[48] = b""
    ok, announcement = self._combine(z, H, ORDER - e, self._point(
        convert(extract32(key, 0), uint256), convert(extract32(key, 16), uint256), y))
    state = sha256(concat(state, announcement))
    return ok and convert(sha256(concat(
        x"1b00000000000000", b"simdfl/possession/challenge", x"0a00000000000000", b"BLS12381G1",
        x"2000000000000000", state)), uint256) % ORDER == e


@external
@view
def opening(commitment: Bytes[48], secret: uint256) -> bool:
    """
    @notice Return whether a secret opens the commitment, element 0 of a transcript.
    """
    if secret >= ORDER:
        return False
    point: Bytes[128] = raw_call(G1MSM, abi_encode(G, secret), max_outsize=128, gas=12000, is_static_call=True)
    return self._element(point) == commitment


@internal
@view
def _share(
    context: Bytes[128], receiver: uint256, key: Bytes[48], key_y: uint256[2], encrypted: Bytes[48],
    encrypted_y: uint256[2], share: Bytes[48], share_y: uint256[2], e: uint256, z: uint256,
) -> bool:
    """
    @notice Return whether a share is the decryption of an encrypted one: log_h key = log_share encrypted.
    """
    first: uint256 = convert(extract32(share, 0), uint256)
    second: uint256 = convert(extract32(share, 16), uint256)
    if e >= ORDER or z >= ORDER or self._is_malformed(first, second):
        return False
    state: bytes32 = sha256(concat(
        x"0b00000000000000", b"simdfl/dleq", pvss_scalars._le64(unsafe_add(len(context), 9)), context, b"share",
        pvss_scalars._le32(receiver), x"c000000000000000", H_ELEMENT, share, key, encrypted))
    opposite: uint256 = unsafe_sub(ORDER, e)
    key_ok: bool = False
    share_ok: bool = False
    announcement: Bytes[48] = b""
    key_ok, announcement = self._combine(z, H, opposite, self._point(
        convert(extract32(key, 0), uint256), convert(extract32(key, 16), uint256), key_y))
    state = sha256(concat(state, announcement))
    share_ok, announcement = self._combine(z, self._point(first, second, share_y), opposite, self._point(
        convert(extract32(encrypted, 0), uint256), convert(extract32(encrypted, 16), uint256), encrypted_y))
    state = sha256(concat(state, announcement))
    return key_ok and share_ok and convert(sha256(concat(
        x"1500000000000000", b"simdfl/dleq/challenge", x"0a00000000000000", b"BLS12381G1",
        x"2000000000000000", state)), uint256) % ORDER == e


@external
@view
def share(
    context: Bytes[128], receiver: uint256, key: Bytes[48], key_y: uint256[2], encrypted: Bytes[48],
    encrypted_y: uint256[2], decrypted: Bytes[112], decrypted_y: uint256[2],
) -> bool:
    """
    @notice Return whether a receiver's decrypted share, with its proof, belongs to its encrypted one.
    """
    assert len(key) == 48 and len(encrypted) == 48 and len(decrypted) == 112, "elements of 48, a share of 112 bytes"
    return self._share(context, receiver, key, key_y, encrypted, encrypted_y, slice(decrypted, 0, 48), decrypted_y,
        convert(extract32(decrypted, 48), uint256), convert(extract32(decrypted, 80), uint256))


@external
@view
def recovery(
    context: Bytes[128],
    n: uint256,
    receivers: DynArray[uint256, 128],
    keys: Bytes[6144],
    key_ys: DynArray[uint256[2], 128],
    transcript: Bytes[16448],
    encrypted_ys: DynArray[uint256[2], 128],
    shares: Bytes[14336],
    share_ys: DynArray[uint256[2], 128],
) -> (bool, Bytes[48]):
    """
    @notice Return whether t decrypted shares of a valid transcript are right, and the secret they recover.
    @param receivers The t receivers, numbered from 1; keys, shares and all y come in their order.
    """
    threshold: uint256 = len(receivers)
    assert len(keys) == 48 * threshold and len(shares) == 112 * threshold, "one key and one share a receiver"
    assert len(transcript) == 48 * (n + 1) + 16 + 32 * threshold, "a transcript of another size"
    weights: DynArray[uint256, 128] = pvss_scalars._weights(receivers, ORDER)
    total: Bytes[128] = abi_encode(empty(uint256[4]))
    for k: uint256 in range(threshold, bound=128):
        receiver: uint256 = receivers[k]
        assert receiver <= n, "no such receiver"
        at: uint256 = unsafe_mul(112, k)
        y: uint256[2] = share_ys[k]
        if not self._share(context, receiver, slice(keys, unsafe_mul(48, k), 48), key_ys[k],
            slice(transcript, unsafe_mul(48, receiver), 48), encrypted_ys[k], slice(shares, at, 48), y,
            convert(extract32(shares, unsafe_add(at, 48)), uint256),
            convert(extract32(shares, unsafe_add(at, 80)), uint256)):
            return False, b""
        total = raw_call(G1ADD, concat(total, raw_call(G1MSM, abi_encode(
            self._point(convert(extract32(shares, at), uint256),
                convert(extract32(shares, unsafe_add(at, 16)), uint256), y), weights[k]),
            max_outsize=128, gas=12000, is_static_call=True)), max_outsize=128, gas=375, is_static_call=True)
    return True, self._element(total)


@external
@view
def output(
    run: bytes32, index: uint256, secret_sum: uint256, recovered: DynArray[Bytes[48], 128],
    ys: DynArray[uint256[2], 128]
) -> bytes32:
    """
    @notice Return an output of the beacon from the sum of all opened secrets and the recovered ones.
    @dev Recovered secrets are those that `recovery` returned, hence in the subgroup.
    """
    total: Bytes[128] = raw_call(G1MSM, abi_encode(H, secret_sum), max_outsize=128, gas=12000, is_static_call=True)
    assert len(ys) == len(recovered), "one y for every element"
    for k: uint256 in range(len(recovered), bound=128):
        point: uint256[4] = self._point(
            convert(extract32(recovered[k], 0), uint256), convert(extract32(recovered[k], 16), uint256), ys[k])
        total = raw_call(G1ADD, concat(total, abi_encode(point)), max_outsize=128, gas=375, is_static_call=True)
    return sha256(concat(
        x"0600000000000000", b"BEACON", x"2000000000000000", run, x"0800000000000000", pvss_scalars._le64(index),
        x"3000000000000000", self._element(total)))
