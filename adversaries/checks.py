"""What the parameters of attacks may be; a wrong value is one sentence to the user."""

from __future__ import annotations

import math

from simdfl.errors import UserError


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raise a :class:`UserError` unless `holds`.

    >>> require(-1 > 0, "sign_flip.scale", -1, "a positive number")
    Traceback (most recent call last):
    simdfl.errors.UserError: adversary sign_flip.scale: must be a positive number, got -1
    """
    if not holds:
        raise UserError(f"adversary {name}: must be {allowed}, got {value!r}")


def require_positive(name: str, value: float) -> None:
    """Refuse a number that is not positive and finite."""
    require(math.isfinite(value) and value > 0, name, value, "a positive finite number")


def require_count(name: str, value: int) -> None:
    """Refuse a whole number below 1."""
    require(value >= 1, name, value, "at least 1")


def require_share(name: str, value: float) -> None:
    """Refuse a number that is not above 0 and at most 1."""
    require(0 < value <= 1, name, value, "above 0 and at most 1")
