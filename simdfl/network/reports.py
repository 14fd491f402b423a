"""Which messages an engine must report one delivery at a time: those that could call somebody."""

from __future__ import annotations

from simdfl.network.message import Message
from simdfl.network.transport import NOT_RELAYED, Sending

Slot = tuple[str, int]


class Reports:
    """Topics that somebody listens to, and slots that are filled twice.

    Two messages of one sender in one slot may be an equivocation, which calls who holds both. Every message of
    the slot and sender is then reported. For direct messages the receiver counts: others' are no second fill.

    Parameters
    ----------
    n_hosts : int
        Number of hosts.
    """

    def __init__(self, n_hosts: int) -> None:
        self._bytes = (n_hosts + 7) // 8
        self._topics: set[str] = set()
        self._filled: dict[Slot, dict[int, bytearray | None]] = {}

    def listen(self, topic: str) -> None:
        """Report every message of a topic."""
        self._topics.add(topic)

    def is_heard(self, topic: str) -> bool:
        """Return whether somebody listens to a topic."""
        return topic in self._topics

    def fills_twice(self, sending: Sending) -> bool:
        """Note a sending; return whether a receiver may get a second message of its slot and sender."""
        message: Message = sending.message
        senders = self._filled.setdefault((message.topic, message.step), {})
        is_new = message.sender not in senders
        if sending.validate_ns != NOT_RELAYED:
            senders[message.sender] = None
            return not is_new
        receivers = senders.setdefault(message.sender, bytearray(self._bytes))
        if receivers is None:
            return True
        return self._fill(receivers, sending.targets[0]) or sending.targets[0] == message.sender

    @staticmethod
    def _fill(receivers: bytearray, target: int) -> bool:
        place, bit = target >> 3, 1 << (target & 7)
        was_filled = bool(receivers[place] & bit)
        receivers[place] |= bit
        return was_filled
