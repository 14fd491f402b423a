"""The network between peers: directed links, flooding gossip, direct connections, bytes by class.

Actors see :class:`~simdfl.network.network.Network` (``broadcast``, ``send``) and their inbox only. How copies
travel is the business of a :class:`~simdfl.network.transport.Transport` from :mod:`simdfl.network.fidelity`.
"""

from simdfl.network.conditions import Conditions
from simdfl.network.message import Message, Traffic
from simdfl.network.network import Network

__all__ = ["Conditions", "Message", "Network", "Traffic"]
