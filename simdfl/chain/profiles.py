"""Chains by name: block time, gas limit and base fee.

Block times and gas limits are the real ones where a real chain is named (sources in
``contracts_model/data/README.md``). Base fees float with demand on real chains; the values here are starting
points and every scenario may set its own. ``finality_blocks`` says how many blocks must lie on top before a
peer acts on a block: 0 where blocks are final at once, and also for Ethereum's head, which peers follow by
default; set it to 64 to act on finalised state only.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts_model.gas import TX_GAS_CAP

GWEI = 10**9


@dataclass(frozen=True)
class ChainProfile:
    """Parameters of one chain.

    ``block_time_s`` seconds between slots; ``gas_limit`` per block, of which half is the EIP-1559 target;
    ``base_fee_wei`` at the start; ``priority_fee_wei`` what peers tip.
    """

    name: str
    block_time_s: float
    gas_limit: int
    base_fee_wei: int
    priority_fee_wei: int = GWEI // 10
    finality_blocks: int = 0
    tx_gas_cap: int = TX_GAS_CAP


PROFILES: dict[str, ChainProfile] = {
    profile.name: profile
    for profile in (
        ChainProfile("app_chain", 2.0, 60_000_000, GWEI),
        ChainProfile("ethereum_l1", 12.0, 60_000_000, 10 * GWEI, GWEI),
        ChainProfile("optimism", 2.0, 60_000_000, GWEI // 100, GWEI // 1000),
        ChainProfile("classroom_devnet", 1.0, 30_000_000, GWEI),
    )
}
