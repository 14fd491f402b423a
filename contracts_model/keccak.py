"""Keccak-256, the hash of Ethereum, for hosts without a library (Bertoni et al., *The Keccak reference*, 2011).

The padding is Keccak's own, not that of SHA-3.
"""

from __future__ import annotations

LANES = 25
ROUNDS = 24
RATE_BYTES = 136
MASK = (1 << 64) - 1


def _round_constants() -> list[int]:
    """Return the constants of the ι step, from the degree-8 shift register that defines them."""
    constants, register = [], 1
    for _ in range(ROUNDS):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << (1 << power) - 1
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


CONSTANTS = _round_constants()


def _rotated(lane: int, by: int) -> int:
    return (lane << by | lane >> 64 - by) & MASK


def _permute(a: list[int]) -> list[int]:
    """Return Keccak-f[1600] of 25 lanes, lane (x, y) at x + 5 y."""
    for constant in CONSTANTS:
        columns = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
        a = [lane ^ mixed[at % 5] for at, lane in enumerate(a)]
        x, y, lane = 1, 0, a[1]
        for turn in range(ROUNDS):
            x, y = y, (2 * x + 3 * y) % 5
            a[x + 5 * y], lane = _rotated(lane, (turn + 1) * (turn + 2) // 2 % 64), a[x + 5 * y]
        rows = [a[at - at % 5 : at - at % 5 + 5] for at in range(LANES)]
        a = [row[at % 5] ^ (~row[(at + 1) % 5] & row[(at + 2) % 5]) for at, row in enumerate(rows)]
        a[0] ^= constant
    return a


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 digest (32 bytes).

    >>> keccak256(b"").hex()[:16]
    'c5d2460186f7233c'
    """
    padded = data + b"\x01" + bytes(-(len(data) + 1) % RATE_BYTES)
    padded = padded[:-1] + bytes([padded[-1] | 0x80])
    state = [0] * LANES
    for start in range(0, len(padded), RATE_BYTES):
        for lane in range(RATE_BYTES // 8):
            state[lane] ^= int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])
