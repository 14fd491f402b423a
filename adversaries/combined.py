"""Several attacks in one peer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adversaries.checks import require
from simdfl.peers.behaviour import Behaviour, Byzantine, Turn

DECISIONS = tuple(name for name, value in vars(Behaviour).items() if callable(value) and name[0] != "_")


class Combine(Byzantine):
    """Make each decision as the first of several attacks does that has an opinion on it.

    For example a sign flip that also withholds its beacon reveals: the gradient is the first's, the reveal the
    second's. Every part has the same schedule. What catches it is what catches the parts, whichever comes first.

    Parameters
    ----------
    attacks : list of mappings
        ``name`` of each part beside its parameters: ``[{name: sign_flip, scale: 10}, {name: withhold_reveal}]``.
    """

    def __init__(self, *, attacks: list[Any] | None = None, **base: Any) -> None:
        super().__init__(**base)
        from adversaries import make_adversary  # the shelf holds this class

        listed = [{"name": "sign_flip"}, {"name": "withhold_reveal"}] if attacks is None else attacks
        fits = isinstance(listed, list) and listed and all(isinstance(a, Mapping) and "name" in a for a in listed)
        require(bool(fits), "combine.attacks", attacks, "a list of mappings, each with a name")
        self.parts: list[Byzantine] = []
        for attack in listed:
            params = {key: value for key, value in attack.items() if key != "name"}
            self.parts.append(make_adversary(attack["name"], params, **base))
        for decision in DECISIONS:
            decider = next((part for part in self.parts if overrides(part, decision)), None)
            if decider is not None and decision != "gradient":
                setattr(self, decision, getattr(decider, decision))
        self._speaker = next((part for part in self.parts if overrides(part, "gradient")), None)
        self.sends_finite = all(part.sends_finite for part in self.parts)  # type: ignore[misc]

    def gradient(self, turn: Turn) -> np.ndarray:
        """Return the gradient (d,) of the first part that crafts one."""
        return turn.own_gradient() if self._speaker is None else self._speaker.gradient(turn)


def overrides(attack: Byzantine, decision: str) -> bool:
    """Return whether an attack decides this otherwise than every Byzantine peer; a crafted gradient counts."""
    names = ("gradient", "craft") if decision == "gradient" else (decision,)
    return any(getattr(type(attack), name) is not getattr(Byzantine, name) for name in names)
