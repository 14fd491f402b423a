"""The training job's smart contracts in plain Python: usable alone, standard library only.

Deploy a :class:`Job`, execute :class:`Call` s, read storage, events, gas and balances. The cryptographic
precompiles come from whoever runs the contracts (:class:`~contracts_model.host.Host`).
"""

from contracts_model.job import Call, Job, Outcome
from contracts_model.runtime import Event, Revert
from contracts_model.terms import Phase, Terms, Withheld, threshold_for

__all__ = ["Call", "Event", "Job", "Outcome", "Phase", "Revert", "Terms", "Withheld", "threshold_for"]
