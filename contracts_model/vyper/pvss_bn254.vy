# pragma version 0.4.3
"""
@title Verifier of LDEI sharings over BN254
@notice Accepts exactly the transcripts, shares and proofs of possession that simdfl makes, byte for byte.
@dev Elements come compressed, as they are hashed and posted; with each comes its y, which costs less calldata than
    a square root costs gas. A result of False follows from the compressed bytes alone: where a given y does not
    belong to its element the call reverts, so nobody is convicted by a wrong hint. The precompiles check that
    points lie on the curve; its order is prime.
"""

import pvss_scalars

ECADD: constant(address) = 0x0000000000000000000000000000000000000006
ECMUL: constant(address) = 0x0000000000000000000000000000000000000007
FIELD: constant(uint256) = 21888242871839275222246405745257275088696311157297823662689037894645226208583
ORDER: constant(uint256) = 21888242871839275222246405745257275088548364400416034343698204186575808495617
HALF_FIELD: constant(uint256) = FIELD // 2
X_MASK: constant(uint256) = (1 << 254) - 1
IDENTITY: constant(uint256) = 1 << 254
H_ELEMENT: constant(bytes32) = 0xae17fdd0b1b4eda61dbbb80dfa5004b9cd7d094bb18e1ec1c1c2913cd8acc99a
H_X: constant(uint256) = 20848780285529506702183137103148085301212307255111515753370128553842328783258
H_Y: constant(uint256) = 2449557126137872108311004016609166919806303912523237050696043406566919265058


@internal
@pure
def _element(point: Bytes[64]) -> uint256:
    """
    @notice Return the compressed element of a point.
    """
    x: uint256 = convert(slice(point, 0, 32), uint256)
    y: uint256 = convert(slice(point, 32, 32), uint256)
    if x == 0 and y == 0:
        return IDENTITY
    return x | ((2 | convert(y > HALF_FIELD, uint256)) << 254)


@internal
@pure
def _x(element: uint256, y: uint256) -> uint256:
    """
    @notice Return the coordinate x of an element, whose flags must fit `y`.
    """
    assert y != 0 and element >> 254 == 2 | convert(y > HALF_FIELD, uint256), "y belongs to another element"
    return element & X_MASK


@internal
@view
def _combine(k: uint256, px: uint256, py: uint256, m: uint256, qx: uint256, qy: uint256) -> uint256:
    """
    @notice Return the compressed element of k P + m Q; reverts if a point is off the curve.
    """
    total: Bytes[64] = raw_call(ECADD, concat(
        raw_call(ECMUL, abi_encode(px, py, k), max_outsize=64, gas=6000, is_static_call=True),
        raw_call(ECMUL, abi_encode(qx, qy, m), max_outsize=64, gas=6000, is_static_call=True),
    ), max_outsize=64, gas=150, is_static_call=True)
    return self._element(total)


@external
@view
def dealing(
    context: Bytes[128],
    threshold: uint256,
    keys: Bytes[8192],
    key_ys: DynArray[uint256, 256],
    transcript: Bytes[12336],
    ys: DynArray[uint256, 257],
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
    assert len(keys) == 32 * n and len(ys) == n + 1 and len(values) == n + 1, "one y for every element"
    assert 0 < threshold and threshold <= min(n, 128), "no such threshold"
    start: uint256 = 32 * (n + 1)
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
        x"0700000000000000", b"BN254G1", pvss_scalars._le64(len(context)), context,
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
        element: uint256 = convert(extract32(transcript, unsafe_mul(32, i)), uint256)
        if element >> 255 == 0 or element & X_MASK >= FIELD:
            return False
        key_x: uint256 = 1
        key_y: uint256 = 2
        if i != 0:
            key_y = key_ys[unsafe_sub(i, 1)]
            key_x = self._x(convert(extract32(keys, unsafe_mul(32, unsafe_sub(i, 1))), uint256), key_y)
        value: uint256 = values[i]
        y: uint256 = ys[i]
        state = sha256(abi_encode(state, self._combine(value, key_x, key_y, opposite, self._x(element, y), y)))
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
    state = sha256(concat(x"1d00000000000000", b"simdfl/sharing/ldei/challenge", x"0700000000000000", b"BN254G1",
        x"2000000000000000", state))
    return convert(state, uint256) & (1 << 128) - 1 == challenge



@external
@view
def undecodable(element: bytes32, root: uint256) -> bool:
    """
    @notice Return whether an element of a posted transcript is no point: the proof of a fault at one index.
    @param root A root of -(x^3 + 3), which exists where x^3 + 3 has none; anything where flags or x are out of range.
    """
    word: uint256 = convert(element, uint256)
    x: uint256 = word & X_MASK
    if word >> 255 == 0 or x >= FIELD:
        return True
    square: uint256 = uint256_addmod(uint256_mulmod(uint256_mulmod(x, x, FIELD), x, FIELD), 3, FIELD)
    return uint256_mulmod(root, root, FIELD) == FIELD - square


@external
@view
def possession(context: Bytes[128], key: bytes32, y: uint256, proof: Bytes[64]) -> bool:
    """
    @notice Return whether a proof shows that the secret behind a key is known.
    """
    assert len(proof) == 64, "a proof has 64 bytes"
    e: uint256 = convert(extract32(proof, 0), uint256)
    z: uint256 = convert(extract32(proof, 32), uint256)
    if e >= ORDER or z >= ORDER:
        return False
    x: uint256 = self._x(convert(key, uint256), y)
    state: bytes32 = sha256(concat(
        x"1100000000000000", b"simdfl/possession", pvss_scalars._le64(len(context)), context,
        x"4000000000000000", H_ELEMENT, key))
    state = sha256(abi_encode(state, self._combine(z, H_X, H_Y, ORDER - e, x, y)))
    return convert(sha256(concat(
        x"1b00000000000000", b"simdfl/possession/challenge", x"0700000000000000", b"BN254G1",
        x"2000000000000000", state)), uint256) % ORDER == e


@external
@view
def opening(commitment: bytes32, secret: uint256) -> bool:
    """
    @notice Return whether a secret opens the commitment, element 0 of a transcript.
    """
    if secret >= ORDER:
        return False
    point: Bytes[64] = raw_call(ECMUL, abi_encode(convert(1, uint256), convert(2, uint256), secret),
        max_outsize=64, gas=6000, is_static_call=True)
    return self._element(point) == convert(commitment, uint256)


@internal
@view
def _share(
    context: Bytes[128], receiver: uint256, key: bytes32, key_y: uint256, encrypted: bytes32, encrypted_y: uint256,
    share: bytes32, share_y: uint256, e: uint256, z: uint256,
) -> bool:
    """
    @notice Return whether a share is the decryption of an encrypted one: log_h key = log_share encrypted.
    """
    word: uint256 = convert(share, uint256)
    if e >= ORDER or z >= ORDER or word >> 255 == 0 or word & X_MASK >= FIELD:
        return False
    state: bytes32 = sha256(concat(
        x"0b00000000000000", b"simdfl/dleq", pvss_scalars._le64(unsafe_add(len(context), 9)), context, b"share",
        pvss_scalars._le32(receiver), x"8000000000000000", H_ELEMENT, share, key, encrypted))
    opposite: uint256 = unsafe_sub(ORDER, e)
    state = sha256(abi_encode(state, self._combine(
        z, H_X, H_Y, opposite, self._x(convert(key, uint256), key_y), key_y)))
    state = sha256(abi_encode(state, self._combine(
        z, self._x(word, share_y), share_y, opposite, self._x(convert(encrypted, uint256), encrypted_y), encrypted_y)))
    return convert(sha256(concat(
        x"1500000000000000", b"simdfl/dleq/challenge", x"0700000000000000", b"BN254G1",
        x"2000000000000000", state)), uint256) % ORDER == e


@external
@view
def share(
    context: Bytes[128], receiver: uint256, key: bytes32, key_y: uint256, encrypted: bytes32, encrypted_y: uint256,
    decrypted: Bytes[96], decrypted_y: uint256,
) -> bool:
    """
    @notice Return whether a receiver's decrypted share, with its proof, belongs to its encrypted one.
    """
    assert len(decrypted) == 96, "a share has 96 bytes"
    return self._share(context, receiver, key, key_y, encrypted, encrypted_y, extract32(decrypted, 0), decrypted_y,
        convert(extract32(decrypted, 32), uint256), convert(extract32(decrypted, 64), uint256))


@external
@view
def recovery(
    context: Bytes[128],
    n: uint256,
    receivers: DynArray[uint256, 128],
    keys: Bytes[4096],
    key_ys: DynArray[uint256, 128],
    transcript: Bytes[12336],
    encrypted_ys: DynArray[uint256, 128],
    shares: Bytes[12288],
    share_ys: DynArray[uint256, 128],
) -> (bool, bytes32):
    """
    @notice Return whether t decrypted shares of a valid transcript are right, and the secret they recover.
    @param receivers The t receivers, numbered from 1; keys, shares and all y come in their order.
    """
    threshold: uint256 = len(receivers)
    assert len(keys) == 32 * threshold and len(shares) == 96 * threshold, "one key and one share a receiver"
    assert len(transcript) == 32 * (n + 1) + 16 + 32 * threshold, "a transcript of another size"
    weights: DynArray[uint256, 128] = pvss_scalars._weights(receivers, ORDER)
    total: Bytes[64] = concat(empty(bytes32), empty(bytes32))
    for k: uint256 in range(threshold, bound=128):
        receiver: uint256 = receivers[k]
        assert receiver <= n, "no such receiver"
        at: uint256 = unsafe_mul(96, k)
        decrypted: bytes32 = extract32(shares, at)
        y: uint256 = share_ys[k]
        if not self._share(context, receiver, extract32(keys, unsafe_mul(32, k)), key_ys[k],
            extract32(transcript, unsafe_mul(32, receiver)), encrypted_ys[k], decrypted, y,
            convert(extract32(shares, unsafe_add(at, 32)), uint256),
            convert(extract32(shares, unsafe_add(at, 64)), uint256)):
            return False, empty(bytes32)
        total = raw_call(ECADD, concat(total, raw_call(
            ECMUL, abi_encode(convert(decrypted, uint256) & X_MASK, y, weights[k]), max_outsize=64, gas=6000,
            is_static_call=True)), max_outsize=64, gas=150, is_static_call=True)
    return True, convert(self._element(total), bytes32)


@external
@view
def output(
    run: bytes32, index: uint256, secret_sum: uint256, recovered: DynArray[bytes32, 128], ys: DynArray[uint256, 128]
) -> bytes32:
    """
    @notice Return an output of the beacon from the sum of all opened secrets and the recovered ones.
    """
    total: Bytes[64] = raw_call(ECMUL, abi_encode(H_X, H_Y, secret_sum), max_outsize=64, gas=6000,
        is_static_call=True)
    assert len(ys) == len(recovered), "one y for every element"
    for k: uint256 in range(len(recovered), bound=128):
        x: uint256 = self._x(convert(recovered[k], uint256), ys[k])
        total = raw_call(ECADD, concat(total, abi_encode(x, ys[k])), max_outsize=64, gas=150, is_static_call=True)
    return sha256(concat(
        x"0600000000000000", b"BEACON", x"2000000000000000", run, x"0800000000000000", pvss_scalars._le64(index),
        x"2000000000000000", convert(self._element(total), bytes32)))
