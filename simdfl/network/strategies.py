"""The shelf of gossip strategies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from simdfl.errors import UserError, unknown_name
from simdfl.network.epidemics import AnnouncePull, Epidemic
from simdfl.network.gossip import Gossip
from simdfl.network.gossipsub import Gossipsub

FLOOD = "flood"
STRATEGIES: dict[str, Callable[..., Gossip | None]] = {
    FLOOD: lambda: None,
    "push": partial(Epidemic, pushes=True, pulls=False),
    "pull": partial(Epidemic, pushes=False, pulls=True),
    "push_pull": partial(Epidemic, pushes=True, pulls=True),
    "announce_pull": AnnouncePull,
    "gossipsub": Gossipsub,
}


def make_gossip(name: str, params: dict[str, Any]) -> Gossip | None:
    """Return a strategy of the shelf; None is flooding, which the transport does itself.

    Raises
    ------
    UserError
        If the name is unknown or a parameter is not one of the strategy's.
    """
    if name not in STRATEGIES:
        raise unknown_name("network.gossip.name", name, STRATEGIES)
    try:
        return STRATEGIES[name](**params)
    except TypeError as error:
        raise UserError(f"network.gossip.params: {error}; docs/network.md lists those of {name}") from error
