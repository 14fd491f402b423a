"""Messages as they travel: a slot (topic, step, sender), content, signature and real serialised size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

HEADER_BYTES = 8 + 8 + 4 + 4
"""Topic, step, sender and payload length."""

SIGNATURE_BYTES = 65


class Traffic(IntEnum):
    """The class under which bytes are counted."""

    GRADIENT = 0
    CONTROL = 1
    BEACON = 2
    CHAIN = 3


@dataclass(frozen=True, eq=False, slots=True)
class Message:
    """One message.

    Parameters
    ----------
    topic : str
        What it is about; receivers wait by topic and step.
    step : int
        The training step (or beacon epoch, or case number) it belongs to.
    sender : int
        Index of the sending peer.
    content : object
        What the receiver reads; immutable.
    payload_bytes : int
        Serialised size of the content.
    traffic : Traffic
        The class under which its bytes are counted.
    digest : bytes
        Digest of the content, for signed messages; two messages of one slot with different digests
        are an equivocation.
    signature : bytes
        Signature of the slot and digest, empty for unsigned messages.
    """

    topic: str
    step: int
    sender: int
    content: Any
    payload_bytes: int
    traffic: Traffic
    digest: bytes = b""
    signature: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Bytes on the wire: header, payload, signature."""
        return HEADER_BYTES + self.payload_bytes + len(self.signature)

    def __eq__(self, other: object) -> bool:
        """Messages of one slot are equal when their content is."""
        if not isinstance(other, Message):
            return NotImplemented
        if self is other:
            return True
        slot = (self.topic, self.step, self.sender, self.digest)
        same_slot = slot == (other.topic, other.step, other.sender, other.digest)
        return same_slot and (bool(self.digest) or self.content == other.content)

    __hash__ = object.__hash__
