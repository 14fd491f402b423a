"""What a verified run publishes beside its chain: aggregates of every step, checkpoints, and how it was deployed.

Kept as the run goes, because nobody remembers them at the end; four bytes a parameter and step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from contracts_model.anchor import AnchorJob
from contracts_model.snapshot import state_digest
from simdfl.chain.blockchain import Blockchain
from simdfl.chain.channel import PeerChannel

if TYPE_CHECKING:
    from simdfl.protocols.training import ModelState, Training
    from simdfl.world.build import World

CHECKPOINT_EVERY = 50
"""Steps between two checkpoints."""


@dataclass
class Publication:
    """Aggregates (steps, d), states by the step that they open, and the deployment as JSON.

    A state is parameters (d,) and the canonical bytes of the optimiser's state.
    """

    aggregates: list[np.ndarray] = field(default_factory=list)
    checkpoints: dict[int, tuple[np.ndarray, bytes]] = field(default_factory=dict)
    final: tuple[np.ndarray, bytes] | None = None
    deployment: dict[str, Any] = field(default_factory=dict)

    def note(self, training: Training, step: int, aggregate: np.ndarray, state: ModelState) -> None:
        """Keep what a step has aggregated (d,), and now and then the state after it."""
        self.aggregates.append(np.asarray(aggregate, dtype="<f4"))
        if (step + 1) % CHECKPOINT_EVERY == 0:
            self.checkpoints[step + 1] = (state.params, training.optimiser.state_bytes(state.opt_state))

    def close(self, world: World) -> None:
        """Add the final state and the deployment, when the run has ended."""
        final, training = world.observer.final_state, world.training
        self.final = (final.params, training.optimiser.state_bytes(final.opt_state))
        self.deployment = deployment_record(world)


def deployment_record(world: World) -> dict[str, Any]:
    """Return how the contracts were deployed: terms, beacon, and each chain with its accounts.

    Amounts of wei are texts, since JSON readers may round large numbers.
    """
    chains, job = world.chains, world.job
    assert chains is not None
    assert job is not None
    terms = asdict(job.terms)
    terms |= {"job_digest": terms["job_digest"].hex(), "owner": terms["owner"].hex()}
    terms |= {"members": [member.hex() for member in terms["members"]], "withheld": int(terms["withheld"])}
    terms |= {key: str(terms[key]) for key in ("deposit_wei", "reward_wei")}
    return {
        "format": "simdfl.deployment.v1",
        "terms": terms,
        "beacon": {"scheme": job.scheme.name, "group": world.scenario.beacon.group},
        "chains": {chain.name: _chain_record(chain) for chain in chains.all},
    }


def _chain_record(chain: Blockchain) -> dict[str, Any]:
    job, profile = chain.job, chain.profile
    is_anchor = isinstance(job, AnchorJob)
    return {
        "contracts": "anchor" if is_anchor else "job",
        "is_channel": isinstance(chain, PeerChannel),
        "is_optimistic": job.is_optimistic if isinstance(job, AnchorJob) else False,
        "window_s": job.window_s if isinstance(job, AnchorJob) else 0,
        "block_time_s": profile.block_time_s,
        "gas_limit": profile.gas_limit,
        "tx_gas_cap": profile.tx_gas_cap,
        "base_fee_wei": str(profile.base_fee_wei),
        "is_shared": profile.demand is not None,
        "source": {"name": profile.timing.name, "params": profile.timing.params()},
        "balances": {account.hex(): str(amount) for account, amount in job.balances.items()},
        "final_state": state_digest(job).hex(),
    }
