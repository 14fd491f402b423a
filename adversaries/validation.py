"""Attacks on the duty of a validator; every adversary covers its accomplices besides (see Byzantine)."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdfl.peers.behaviour import Byzantine, Turn


class LazyValidator(Byzantine):
    """Attest that every target is right, without looking.

    A wrong target checked by it goes free for this time. Planted canaries would expose it (section 7 of the
    protocol); without them only a later honest validator finds the target, and nobody the lazy one.
    """

    def attests(self, turn: Turn, target: int, is_right: bool) -> bool | None:
        """Publish that all is well."""
        return True if self.is_attacking(turn.step) else super().attests(turn, target, is_right)


class SilentValidator(Byzantine):
    """Publish no result as a validator.

    Silence is an offence: whoever was drawn and attested nothing by the deadline missed it, and is ejected.
    """

    def attests(self, turn: Turn, target: int, is_right: bool) -> bool | None:
        """Keep silent."""
        return None if self.is_attacking(turn.step) else super().attests(turn, target, is_right)


class ColludingValidator(Byzantine):
    """Attest that accomplices are right, whatever they sent, and do nothing else that is wrong.

    Every adversary covers its accomplices so; this one does nothing beside, for coalitions in which some attack
    and some only cover. CheckAveraging finds reporters who covered; a validator's cover alone leaves no trace.
    """

    def attests(self, turn: Turn, target: int, is_right: bool) -> bool | None:
        """Cover for accomplices."""
        return True if target in self.coalition.members and self.is_attacking(turn.step) else is_right


class FalseAttestation(Byzantine):
    """Attest that an honest target is wrong.

    The court recomputes, finds the target right and bans the accuser.

    References
    ----------
    Gorbunov et al., ICML 2022, section 3 (a wrong accuser is banned).
    """

    def attests(self, turn: Turn, target: int, is_right: bool) -> bool | None:
        """Accuse the honest."""
        is_honest = target not in self.coalition.members
        return False if is_honest and self.is_attacking(turn.step) else super().attests(turn, target, is_right)


class RefuseToShow(Byzantine):
    """Send a flipped gradient and show it to no validator.

    The validator cannot accuse it of anything; the court demands the gradient of it before everybody, and who
    still shows nothing is ejected, without being slashed.
    """

    def craft(self, turn: Turn) -> np.ndarray:
        """Return the negative of the own gradient (d,)."""
        return -turn.own_gradient()

    def shows(self, turn: Turn, validator: int) -> bool:
        """Refuse."""
        return not self.is_attacking(turn.step)

    def opens_parts(self, case: dict[str, Any]) -> bool:
        """Refuse in court too."""
        return not self.is_attacking(case["step"])
