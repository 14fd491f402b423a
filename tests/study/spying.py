"""A Byzantine peer that lies in nothing and notes what it is asked."""

from __future__ import annotations

from typing import Any

from adversaries.combined import DECISIONS
from simdfl.peers.behaviour import Behaviour, Byzantine

ASKED: set[str] = set()


def noting(name: str) -> Any:
    def noted(self: Any, *arguments: Any) -> Any:
        ASKED.add(name)
        return getattr(Behaviour, name)(self, *arguments)

    return noted


Spy = type("Spy", (Byzantine,), {"__module__": __name__, **{name: noting(name) for name in DECISIONS}})
