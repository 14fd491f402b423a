"""Peers: what they decide (behaviour) and what they have in common (peer)."""

from simdfl.peers.behaviour import Behaviour, Byzantine, Coalition, Turn

__all__ = ["Behaviour", "Byzantine", "Coalition", "Turn"]
