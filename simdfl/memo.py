"""Verify once, charge everyone: a bounded memory of pure results.

A public proof is checked for real once per distinct bytes and the verdict shared; each peer's simulated clock
pays for its own check. The key must therefore hold *everything* the result depends on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Least-recently-used results of pure functions.

    Parameters
    ----------
    capacity : int
        How many results are kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._results: OrderedDict[Hashable, Any] = OrderedDict()
        self.computed = 0
        self.served = 0

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result stored under `key`, computing it at most once while it is remembered.

        >>> memo = Memo(2)
        >>> [memo.get("a", lambda: 1), memo.get("a", lambda: 2), memo.computed]
        [1, 1, 1]
        """
        if key in self._results:
            self._results.move_to_end(key)
            self.served += 1
            return self._results[key]
        result = compute()
        self.computed += 1
        self._results[key] = result
        if len(self._results) > self._capacity:
            self._results.popitem(last=False)
        return result
