"""An accuser that accuses an honest contributor and then keeps the evidence to itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simdfl.peers.behaviour import Byzantine, Turn


class SilentAccuser(Byzantine):
    """Accuse in the first attacking step; open nothing."""

    def accuses(self, turn: Turn, liars: Sequence[int]) -> Sequence[int]:
        honest = [peer for peer in turn.contributors if peer not in self.coalition.members]
        return honest[:1] if turn.step == self.start_step else liars

    def opens_parts(self, case: dict[str, Any]) -> bool:
        return False
