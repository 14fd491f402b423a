"""The table of who earned and lost what, from the blocks of a finished run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from contracts_model.accounts import Accounts
from contracts_model.registry import Standing
from simdfl.chain.blockchain import Blockchain
from simdfl.world.cast import roles
from simdfl.world.result import Row

if TYPE_CHECKING:
    from simdfl.world.build import World


def keep_accounts(chain: Blockchain) -> Accounts:
    """Return the books of all blocks that stand."""
    accounts = Accounts(chain.job.terms)
    for block in chain.blocks:
        for receipt in block.receipts:
            tip_wei = min(receipt.priority_fee_wei, receipt.max_fee_wei - block.base_fee_wei)
            gas_fee_wei = receipt.gas_used * (block.base_fee_wei + tip_wei)
            data_fee_wei = receipt.fee_wei - gas_fee_wei
            accounts.record(receipt.sender, receipt.value_wei, gas_fee_wei, data_fee_wei, receipt.events)
    return accounts


def account_rows(world: World) -> list[Row]:
    """Return one row per peer and place: the chain where money is, and the peers' channel where there is one."""
    if world.chains is None:
        return []
    names, rows = roles(world.scenario), []
    for chain in world.chains.all:
        where = "chain" if chain is world.chains.paid else "channel"
        for peer, account in enumerate(keep_accounts(chain).peers):
            row: Row = {"where": where, "peer": peer, "byzantine": peer not in world.honest, "role": names[peer]}
            amounts = asdict(account) | {"held_wei": account.held_wei, "net_wei": account.net_wei}
            rows.append(row | _standing(world, peer) | {key: str(wei) for key, wei in amounts.items()})
    return rows


def _standing(world: World, peer: int) -> Row:
    assert world.chain is not None
    registry = world.chain.job.contracts["registry"]
    return {"standing": Standing(registry.standings.data.get(peer, 0)).name.lower()}  # type: ignore[attr-defined]
