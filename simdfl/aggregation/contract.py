"""What a rule is, and what it may be told besides the rows.

A rule is a frozen object; ``rule(x, weights)`` maps x : (n, d) float32, row i from peer i, and optional weights
(n,) to (d,) float32. Most rules are functions of the rows alone (:class:`RowRule`). A few need more
(:class:`ContextRule`): the previous aggregate, a seed, a trusted gradient, or what they remembered of earlier
steps. They get it in a :class:`RuleContext` and return what they want to remember, so that they stay pure: equal
contexts give equal results. :class:`RuleSession` carries the context from step to step.

The shelf makes five promises, which ``simdfl.testing.check_rule`` checks: the result does not depend on the
*order* of the rows; *identical* rows come back; a *shift* or a positive *scale* of all rows passes through;
*liars* cannot carry the result away. A rule whose definition makes one impossible names it in ``breaks``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from simdfl.aggregation.rows import NoUsableRowsError, present_rows
from simdfl.errors import UserError
from simdfl.rng import Rng

PROMISES = frozenset({"order", "identical", "shift", "scale", "liars"})


class Rule(Protocol):
    """Anything that maps rows (n, d) float32 and optional weights (n,) to (d,) float32."""

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate the rows."""


@dataclass(frozen=True, eq=False)
class RuleContext:
    """What a rule may know of its step beside the rows.

    Parameters
    ----------
    step : int
        The training step.
    seed : bytes
        32 bytes that name all randomness of this use of the rule.
    previous : (d,) float32 array, optional
        The aggregate of the step before.
    root : (d,) float32 array, optional
        A gradient that the aggregator trusts, for instance of a public batch.
    memory : object
        What the rule returned to be remembered in the step before.
    layers : tuple of int
        Lengths of the model's layers in the order of the row; empty where rows are not whole models.
    """

    step: int = 0
    seed: bytes = bytes(32)
    previous: np.ndarray | None = None
    root: np.ndarray | None = None
    memory: Any = None
    layers: tuple[int, ...] = ()

    def generator(self, name: str) -> np.random.Generator:
        """Return a fresh generator for the purpose `name`; the same for equal seeds."""
        return Rng(int.from_bytes(self.seed, "little")).stream("aggregation", name)


class Outcome(NamedTuple):
    """An aggregate (d,) float32, and what the rule wants to be given back as ``memory`` in the next step."""

    value: np.ndarray
    memory: Any = None


class RowRule(ABC):
    """A rule that counts peers and looks at the present rows alone; subclasses say how to combine them."""

    breaks: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32; weights are 0 or one common value."""
        return np.array(self.combine(present_rows(x, weights)), dtype=np.float32)

    @abstractmethod
    def combine(self, rows: np.ndarray) -> np.ndarray:
        """Map the present rows (m, d) float32 to (d,); they must not be changed."""


class ContextRule(ABC):
    """A rule that needs its context; called without one it gets the empty context of step 0."""

    breaks: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        return self.in_context(x, weights, RuleContext()).value

    @abstractmethod
    def in_context(self, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
        """Aggregate x : (n, d) float32, knowing the context."""


def aggregate(rule: Rule, x: np.ndarray, weights: np.ndarray | None, context: RuleContext) -> Outcome:
    """Apply any rule in a context; a rule that needs none does not see it."""
    if isinstance(rule, ContextRule):
        return rule.in_context(x, weights, context)
    return Outcome(rule(x, weights))


@dataclass(frozen=True)
class InContext:
    """A rule as a function of rows and weights alone, in one fixed context."""

    rule: Rule
    context: RuleContext

    @property
    def breaks(self) -> frozenset[str]:
        """Return the promises that the rule breaks."""
        return getattr(self.rule, "breaks", frozenset())

    def __call__(self, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Aggregate x : (n, d) float32 to (d,) float32."""
        return aggregate(self.rule, x, weights, self.context).value


def needs_root(rule: Any) -> bool:
    """Return whether the rule, or one that it hands its rows to, asks for ``context.root``."""
    return bool(getattr(rule, "needs_root", False))


class RuleSession:
    """One aggregator's use of a rule over the steps of a run: the only thing here that changes.

    Parameters
    ----------
    rule : Rule
    seed_of : callable
        Maps a step to the 32-byte seed of its randomness.
    layers : tuple of int
        See :class:`RuleContext`.
    """

    def __init__(self, rule: Rule, seed_of: Callable[[int], bytes], layers: tuple[int, ...] = ()) -> None:
        self.rule = rule
        self._seed_of = seed_of
        self._layers = layers
        self._previous: np.ndarray | None = None
        self._memory: Any = None

    def aggregate(
        self, step: int, rows: dict[int, np.ndarray], n: int, root: np.ndarray | None = None
    ) -> np.ndarray:
        """Aggregate what arrived in a step; zeros if no row is usable.

        Parameters
        ----------
        step : int
        rows : dict of int to (d,) float32 array
            What peer i sent, at least one; a missing peer is absent.
        n : int
            Peers, so that row i is always peer i's.
        root : (d,) float32 array, optional

        Raises
        ------
        UserError
            If no row arrived.
        """
        if not rows:
            raise UserError("aggregation: no peer sent anything in time; wait longer (contracts.aggregate_s)")
        blank = np.zeros_like(next(iter(rows.values())))
        x = np.stack([rows.get(peer, blank) for peer in range(n)])
        weights = None if len(rows) == n else np.array([peer in rows for peer in range(n)], dtype=np.float32)
        context = RuleContext(step, self._seed_of(step), self._previous, root, self._memory, self._layers)
        try:
            value, self._memory = aggregate(self.rule, x, weights, context)
        except NoUsableRowsError:
            return np.zeros_like(blank)
        self._previous = value = np.asarray(value, dtype=np.float32)
        return value
