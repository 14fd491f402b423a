# pragma version 0.4.3
"""
@title Arithmetic modulo a prime order that both verifiers of sharings need
@notice Lagrange weights at zero, and lengths as hash framing writes them.
"""

MODEXP: constant(address) = 0x0000000000000000000000000000000000000005


@internal
@pure
def _le64(number: uint256) -> bytes8:
    """
    @notice Return a number below 2^24 as eight little-endian bytes.
    """
    return convert(convert(
        ((number & 255) << 56) | (((number >> 8) & 255) << 48) | ((number >> 16) << 40), uint64), bytes8)


@internal
@pure
def _le32(number: uint256) -> bytes4:
    """
    @notice Return a number below 2^16 as four little-endian bytes.
    """
    return convert(convert(((number & 255) << 24) | ((number >> 8) << 16), uint32), bytes4)


@internal
@view
def _inverse(number: uint256, order: uint256) -> uint256:
    """
    @notice Return 1 / number modulo a prime, by Fermat.
    """
    answer: Bytes[32] = raw_call(
        MODEXP, abi_encode(convert(32, uint256), convert(32, uint256), convert(32, uint256),
        number, order - 2, order), max_outsize=32, is_static_call=True)
    return convert(answer, uint256)


@internal
@view
def _weights(receivers: DynArray[uint256, 128], order: uint256) -> DynArray[uint256, 128]:
    """
    @notice Return the weights with which the values at `receivers` give the value at zero.
    @param receivers Different numbers from 1 to 256; reverts otherwise.
    @dev w_i = (product of all j) / (i * product of (j - i) over j != i); one inversion serves all (Montgomery).
    """
    numerator: uint256 = 1
    running: uint256 = 1
    denominators: DynArray[uint256, 128] = []
    before: DynArray[uint256, 128] = []
    seen: uint256 = 0
    for i: uint256 in receivers:
        assert 0 < i and i <= 256 and seen & (1 << unsafe_sub(i, 1)) == 0, "receivers must differ"
        seen |= 1 << unsafe_sub(i, 1)
        numerator = uint256_mulmod(numerator, i, order)
        denominator: uint256 = i
        for j: uint256 in receivers:
            if j != i:
                denominator = uint256_mulmod(denominator, unsafe_sub(unsafe_add(order, j), i), order)
        denominators.append(denominator)
        before.append(running)
        running = uint256_mulmod(running, denominator, order)
    left: uint256 = uint256_mulmod(self._inverse(running, order), numerator, order)
    weights: DynArray[uint256, 128] = before
    count: uint256 = len(receivers)
    for k: uint256 in range(count, bound=128):
        at: uint256 = unsafe_sub(unsafe_sub(count, k), 1)
        weights[at] = uint256_mulmod(before[at], left, order)
        left = uint256_mulmod(left, denominators[at], order)
    return weights
