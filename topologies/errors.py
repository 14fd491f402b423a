"""One exception, and how a wrong name is answered."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TopologyError(ValueError):
    """An impossible request; the message is one sentence that says what is allowed."""


def unknown(kind: str, name: str, known: Iterable[str]) -> TopologyError:
    """Build the error for an unknown name, with the nearest known one.

    >>> print(unknown("topology", "rnig", ["ring", "star"]))
    unknown topology 'rnig' (did you mean 'ring'?); known: ring, star
    """
    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" (did you mean {match[0]!r}?)" if match else ""
    return TopologyError(f"unknown {kind} {name!r}{hint}; known: {', '.join(names) or 'none'}")


def require(holds: bool, sentence: str) -> None:
    """Raise a :class:`TopologyError` unless `holds`."""
    if not holds:
        raise TopologyError(sentence)
