"""One digest of all that a deployment holds: every non-zero slot of every contract, and all account balances.

Whoever executes the same calls from the same start gets the same digest; it is compared, never stored in a slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from contracts_model.deployment import Deployment
from contracts_model.storage import BitSet, Slots


def encode_value(value: Any) -> bytes:
    """Return a slot's key or value injectively as bytes: integers, texts, bytes and tuples of them.

    >>> encode_value(("a", 5))
    b't2:s1:ai1:5'

    Raises
    ------
    TypeError
        For anything else: contracts store nothing else.
    """
    if isinstance(value, tuple):
        return b"t%d:" % len(value) + b"".join(encode_value(piece) for piece in value)
    if isinstance(value, int):
        kind, raw = b"i", str(int(value)).encode()
    elif isinstance(value, (bytes, str)):
        kind, raw = (b"b", value) if isinstance(value, bytes) else (b"s", value.encode())
    else:
        raise TypeError(f"a slot cannot hold {type(value).__name__}")
    return kind + b"%d:" % len(raw) + raw


def storage_of(deployment: Deployment) -> Iterator[Slots]:
    """Yield all storage of a deployment's contracts."""
    for contract in deployment.contracts.values():
        for held in vars(contract).values():
            if isinstance(held, (Slots, BitSet)):
                yield held if isinstance(held, Slots) else held.slots


def state_digest(deployment: Deployment) -> bytes:
    """Return SHA-256 over all slots in the order of their names and keys, then all balances by account."""
    found = {
        encode_value((slots.name, key)): encode_value(value)
        for slots in storage_of(deployment)
        for key, value in slots.data.items()
    }
    balances = {account: value for account, value in deployment.wallets.balances.items() if value}
    hasher = hashlib.sha256(b"simdfl.contracts.v1")
    for key in sorted(found):
        hasher.update(encode_value((key, found[key])))
    for account in sorted(balances):
        hasher.update(encode_value((account, balances[account])))
    return hasher.digest()
