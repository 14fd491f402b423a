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
from simdfl.chain.demand import DemandProfile
from simdfl.chain.sources import BlockSource, Rollup, Slots

GWEI = 10**9
USUAL_DEPTH = 2
"""Natural forks are rarely deeper."""


@dataclass(frozen=True)
class ChainProfile:
    """Parameters of one chain.

    ``block_time_s`` seconds between slots; ``gas_limit`` per block, of which half is the EIP-1559 target;
    ``base_fee_wei`` at the start; ``priority_fee_wei`` what peers tip. ``source`` says when blocks are found;
    None is one every slot. ``reorgs`` are forced: pairs of time in seconds and depth in blocks, by time.
    ``demand`` is everybody else; a transaction that has waited for ``expiry_s`` is dropped.
    """

    name: str
    block_time_s: float
    gas_limit: int
    base_fee_wei: int
    priority_fee_wei: int = GWEI // 10
    finality_blocks: int = 0
    tx_gas_cap: int = TX_GAS_CAP
    source: BlockSource | None = None
    reorgs: tuple[tuple[float, int], ...] = ()
    demand: DemandProfile | None = None
    expiry_s: float | None = None

    @property
    def may_wait(self) -> bool:
        """Whether a call may wait for long or be dropped, so that its sender must look after it."""
        return self.demand is not None or self.expiry_s is not None

    @property
    def timing(self) -> BlockSource:
        """When blocks are found."""
        return Slots(self.block_time_s) if self.source is None else self.source

    @property
    def can_fork(self) -> bool:
        """Whether blocks may be abandoned."""
        return bool(self.reorgs) or self.timing.delay_s > 0

    @property
    def depth(self) -> int:
        """Blocks that may be abandoned at once below those that peers wait for: they count in every deadline."""
        natural = USUAL_DEPTH if self.timing.delay_s > 0 else 0
        return max(0, max([natural, *(depth for _, depth in self.reorgs)]) - self.finality_blocks)

    def span_s(self, blocks: int) -> float:
        """Return seconds within which so many blocks are made, as a rule."""
        return self.timing.span_s(blocks)


PROFILES: dict[str, ChainProfile] = {
    profile.name: profile
    for profile in (
        ChainProfile("app_chain", 2.0, 60_000_000, GWEI),
        ChainProfile("ethereum_l1", 12.0, 60_000_000, 10 * GWEI, GWEI),
        ChainProfile("ethereum_mainnet", 12.0, 60_000_000, 10 * GWEI, GWEI, source=Slots(12.0, missed=0.0025)),
        ChainProfile("optimism", 2.0, 60_000_000, GWEI // 100, GWEI // 1000),
        ChainProfile("base", 2.0, 60_000_000, GWEI // 100, GWEI // 1000, source=Rollup(2.0)),
        ChainProfile("arbitrum", 0.25, 32_000_000, GWEI // 100, GWEI // 1000, source=Rollup(0.25)),
        ChainProfile("classroom_devnet", 1.0, 30_000_000, GWEI),
    )
}
