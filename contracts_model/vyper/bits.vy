# pragma version ~=0.4.3
"""
Sets of peers as bit masks, and the byte orders of hashed messages.
"""


@internal
@pure
def position(low: uint256) -> uint256:
    """The position of the only bit that is set."""
    x: uint256 = low
    high: uint256 = convert(x > 340282366920938463463374607431768211455, uint256) << 7
    x >>= high
    place: uint256 = high
    high = convert(x > 18446744073709551615, uint256) << 6
    x >>= high
    place |= high
    high = convert(x > 4294967295, uint256) << 5
    x >>= high
    place |= high
    high = convert(x > 65535, uint256) << 4
    x >>= high
    place |= high
    high = convert(x > 255, uint256) << 3
    x >>= high
    place |= high
    high = convert(x > 15, uint256) << 2
    x >>= high
    place |= high
    high = convert(x > 3, uint256) << 1
    x >>= high
    return place | high | (x >> 1)


@internal
@pure
def count(mask: uint256) -> uint256:
    """How many bits are set."""
    fives: uint256 = 38597363079105398474523661669562635951089994888546854679819194669304376546645
    threes: uint256 = 23158417847463239084714197001737581570653996933128112807891516801582625927987
    ones: uint256 = 6811299366900952671974763824040465167839410862684739061144563765171360567055
    x: uint256 = unsafe_sub(mask, (mask >> 1) & fives)
    x = unsafe_add(x & threes, (x >> 2) & threes)
    x = unsafe_add(x, x >> 4) & ones
    lanes: uint256 = 450552876409790643671482431940419874915447411150352389258589821042463539455
    x = unsafe_add(x & lanes, (x >> 8) & lanes)
    return unsafe_mul(x, 1766874025136433896750911497805568136923323180981774075523881651146915841) >> 240


@internal
@pure
def reverse(word: uint256) -> uint256:
    """The 32 bytes of a word in the other order."""
    m: uint256 = 450552876409790643671482431940419874915447411150352389258589821042463539455
    x: uint256 = ((word >> 8) & m) | ((word & m) << 8)
    m = 1766820105243087041267848467410591083712559083657179364930612997358944255
    x = ((x >> 16) & m) | ((x & m) << 16)
    m = 26959946660873538060741835960174461801791452538186943042387869433855
    x = ((x >> 32) & m) | ((x & m) << 32)
    m = 6277101735386680763495507056286727952657427581105975853055
    x = ((x >> 64) & m) | ((x & m) << 64)
    return (x >> 128) | (x << 128)


@internal
@pure
def little(number: uint256) -> bytes8:
    """A number below 2^64 as 8 bytes, the lowest first."""
    return convert(slice(convert(self.reverse(number), bytes32), 0, 8), bytes8)


@internal
@pure
def little4(number: uint256) -> bytes4:
    """A number below 2^32 as 4 bytes, the lowest first."""
    return convert(slice(convert(self.reverse(number), bytes32), 0, 4), bytes4)
