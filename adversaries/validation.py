"""Attacks on the duty of a validator; every adversary covers its accomplices besides (see Byzantine)."""

from __future__ import annotations

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
