"""A duty: one side of a peer's life, kept in a room of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simdfl.protocols.verified import VerifiedPeer


class Duty:
    """Base of the duties of a verifying peer.

    Parameters
    ----------
    peer : VerifiedPeer
        Whose duty it is.
    """

    def __init__(self, peer: VerifiedPeer) -> None:
        self.peer = peer
