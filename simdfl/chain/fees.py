"""EIP-1559: the base fee follows demand."""

from __future__ import annotations

ELASTICITY = 2
MAX_CHANGE_DENOMINATOR = 8


def next_base_fee_wei(base_fee_wei: int, gas_used: int, gas_limit: int) -> int:
    """Return the next block's base fee (EIP-1559).

    >>> next_base_fee_wei(800, 60_000_000, 60_000_000), next_base_fee_wei(800, 0, 60_000_000)
    (900, 700)
    """
    target = gas_limit // ELASTICITY
    if gas_used == target:
        return base_fee_wei
    change = base_fee_wei * abs(gas_used - target) // target // MAX_CHANGE_DENOMINATOR
    if gas_used > target:
        return base_fee_wei + max(change, 1)
    return base_fee_wei - change
