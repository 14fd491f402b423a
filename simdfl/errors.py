"""Exceptions of the simulator.

A user's mistake is a :class:`UserError`: one sentence that says where, what was got, what is allowed and
the cure. Anything else that escapes is our bug and keeps its traceback.

All exceptions pass every argument to ``super().__init__``: SimPy rebuilds an exception that crosses a
process boundary from its ``args``, and would otherwise fail with a ``TypeError`` of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SimdflError(Exception):
    """Base of all exceptions that simdfl raises on purpose."""


class UserError(SimdflError):
    """A mistake in what the user gave us; the message is the whole story (exit status 2)."""


class CryptoError(SimdflError):
    """Malformed or unverifiable cryptographic bytes."""


class ProtocolAborted(SimdflError):
    """The protocol cannot go on, for a reason that it foresees (for instance a lost honest majority).

    Parameters
    ----------
    reason : str
        The sentence shown to the user.
    step : int
        The training step in which it happened.
    """

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(reason, step)
        self.reason = reason
        self.step = step

    def __str__(self) -> str:
        return f"{self.reason} (step {self.step})"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name nearest to `name`, or an empty string.

    >>> nearest("sign_flp", ["sign_flip", "alie"])
    " (did you mean 'sign_flip'?)"
    >>> nearest("zzz", ["sign_flip"])
    ''
    """
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""


def unknown_name(where: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for a `name` that is on no shelf.

    >>> print(unknown_name("adversary.name", "sign_flp", ["alie", "sign_flip"]))
    adversary.name: unknown name 'sign_flp' (did you mean 'sign_flip'?); known names: alie, sign_flip
    """
    names = sorted(known)
    return UserError(f"{where}: unknown name {name!r}{nearest(name, names)}; known names: {', '.join(names)}")
