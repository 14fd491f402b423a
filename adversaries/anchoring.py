"""Attacks on what is anchored on the base chain, where steps run in the peers' own channel."""

from __future__ import annotations

from typing import Any

from simdfl.peers.behaviour import Byzantine


class FalseAnchor(Byzantine):
    """Sign and post an anchor with a wrong block hash.

    Under ``epoch`` it never gets the signatures of more than half. Under ``dispute`` it stands until somebody
    shows those signatures for the right one within the challenge window; then the poster loses its stake.
    """

    def anchors(self, epoch: int, content: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the anchor with its first byte changed."""
        root = bytes([content[0][0] ^ 1]) + content[0][1:]
        return (root, *content[1:]) if self.is_attacking(epoch) else content
