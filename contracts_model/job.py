"""A deployed job: the five contracts of the verified protocol, and a sixth where contributions are rewarded."""

from __future__ import annotations

from dataclasses import dataclass

from contracts_model.beacon import Beacon
from contracts_model.court import Court
from contracts_model.deployment import Call, Deployment, Outcome
from contracts_model.gas import Meter
from contracts_model.ledger import StepLedger
from contracts_model.proving_beacon import ProvingBeacon
from contracts_model.registry import Registry
from contracts_model.rewards import Rewards
from contracts_model.runtime import Contract

__all__ = ["Call", "Job", "Outcome"]


@dataclass
class Job(Deployment):
    """One training job on chain."""

    def __post_init__(self) -> None:
        super().__post_init__()
        context = self._context(Call(self.terms.owner, "", ""), 0, self.timestamp_s, Meter(1 << 62))
        self.ledger.open_registration(context)
        self.genesis_events = tuple(context.events)

    def deploy(self) -> tuple[Contract, ...]:
        """Make registry, beacon, ledger and court, and tell them of each other."""
        registry = self.registry = Registry("registry", self.machine, self.terms, self.treasury)
        kind = ProvingBeacon if self.terms.proves_dealings else Beacon
        beacon = self.beacon = kind("beacon", self.machine, self.terms, registry)
        ledger = self.ledger = StepLedger("ledger", self.machine, self.terms, registry, beacon, self.treasury)
        court = self.court = Court("court", self.machine, self.terms, registry, ledger, beacon)
        beacon.driver = ledger
        registry.driver = ledger
        ledger.court = court
        contracts = (registry, beacon, ledger, court)
        if not self.terms.contribution_percent:
            return contracts
        self.rewards = Rewards("rewards", self.machine, self.terms, registry, ledger, self.treasury)
        return (*contracts, self.rewards)
