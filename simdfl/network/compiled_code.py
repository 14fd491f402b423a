"""The fidelity ``kernel``: how its functions become machine code, and how Python calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, typeof

machine_code = njit(cache=True, _nrt=False, forceinline=True)  # type: ignore[call-overload]
"""Compile and keep on disk.

No function makes an array, so references need no counting, half of the time. LLVM writes callees into their
callers: the state is two dozen arrays of seven words, which a call would put on the stack each time. (Numba's own
``inline`` gives the same speed and compiles three times as long.)
"""


class Called:
    """A compiled function as Python calls it: at once, without asking for the types of its arguments.

    They are always the same, and numba's look at two dozen arrays takes 5 microseconds a call, the call itself
    0.7.

    Parameters
    ----------
    function : numba dispatcher
        What :data:`machine_code` has made.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        self._code: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Call; the first time by numba, which compiles it for the types."""
        if self._code is not None:
            return self._code(*arguments)
        result = self._function(*arguments)
        self._code = self._function.overloads[tuple(map(typeof, arguments))].entry_point
        return result
