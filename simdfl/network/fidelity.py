"""The shelf of fidelities: one network model, moved in three ways that agree where they apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simdfl.errors import unknown_name
from simdfl.kernel import Environment
from simdfl.network.arrival import ArrivalTransport
from simdfl.network.conditions import Conditions
from simdfl.network.event import EventTransport
from simdfl.network.transport import Transport
from simdfl.rng import Rng

Make = Callable[[Environment, Conditions, Sequence[Sequence[int]], Rng], Transport]


def _kernel(env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng) -> Transport:
    """Import numba only where it is asked for: it takes half a second."""
    from simdfl.network.compiled_transport import CompiledTransport

    return CompiledTransport(env, conditions, neighbours, rng)


FIDELITIES: dict[str, Make] = {"event": EventTransport, "kernel": _kernel, "arrival": ArrivalTransport}


def make_transport(
    name: str, env: Environment, conditions: Conditions, neighbours: Sequence[Sequence[int]], rng: Rng
) -> Transport:
    """Return the network in the fidelity `name`.

    Raises
    ------
    UserError
        If the name is unknown, or the fidelity cannot represent these conditions.
    """
    if name not in FIDELITIES:
        raise unknown_name("network.fidelity", name, FIDELITIES)
    return FIDELITIES[name](env, conditions, neighbours, rng)
