"""Unit constants and human-readable formatting.

Names end in their unit throughout: ``_s`` seconds (float), ``_bytes`` (int), ``_bps`` bits per second
(float), ``_gas`` and ``_wei`` (int; money never touches float).
"""

from __future__ import annotations

GWEI = 10**9
ETHER = 10**18


def format_bytes(size_bytes: float) -> str:
    """Return a size in decimal units.

    >>> format_bytes(999), format_bytes(1_234_567)
    ('999 B', '1.23 MB')
    """
    if abs(size_bytes) < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000.0
        if abs(size_bytes) < 1000 or unit == "TB":
            break
    return f"{size_bytes:.3g} {unit}"


def format_wei(amount_wei: int) -> str:
    """Return an amount in ether, exact up to six decimals, rounded towards zero beyond.

    >>> format_wei(15 * 10**17)
    '1.5 ETH'
    """
    whole, rest = divmod(abs(amount_wei), ETHER)
    decimals = f"{rest:018d}"[:6].rstrip("0")
    sign = "-" if amount_wei < 0 else ""
    return f"{sign}{whole}{'.' + decimals if decimals else ''} ETH"
