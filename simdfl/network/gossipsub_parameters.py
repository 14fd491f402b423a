"""Parameters of gossipsub, by their names in the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from simdfl.errors import UserError, unknown_name
from simdfl.network.peer_scores import ScoreParameters

WHERE = "network.gossip.params"


@dataclass(frozen=True)
class Parameters:
    """gossipsub's parameters by their names in the specification.

    Parameters
    ----------
    d, d_lo, d_hi, d_lazy : int
        Wanted, least and largest degree of the mesh, and to how many others names go at a heartbeat.
    d_score : int
        How many of a mesh that is cut back stay for their scores, at most d; the others are drawn (v1.1).
    heartbeat_s : float
        Time between heartbeats.
    windows : int
        Of how many heartbeats names are sent (mcache_gossip).
    backoff_s : float
        How long after a PRUNE the link is not grafted again.
    flood_publish : bool
        Whether a publisher sends to all neighbours (v1.1).
    idontwant_bytes : int or None
        From what size on mesh neighbours are told not to send a message again (v1.2); None: never.
    score : mapping or None
        Fields of :class:`~simdfl.network.peer_scores.ScoreParameters`; None: neighbours have no scores.

    Raises
    ------
    UserError
        If a value is out of bounds or a name unknown.
    """

    d: int = 6
    d_lo: int = 4
    d_hi: int = 12
    d_lazy: int = 6
    d_score: int = 4
    heartbeat_s: float = 1.0
    windows: int = 3
    backoff_s: float = 60.0
    flood_publish: bool = False
    idontwant_bytes: int | None = None
    score: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuse degrees out of order."""
        if not (1 <= self.d_lo <= self.d <= self.d_hi and self.d_lazy >= 0 and self.windows >= 1):
            raise UserError(
                f"network.gossip: d_lo={self.d_lo}, d={self.d}, d_hi={self.d_hi} must ascend, d_lazy not be "
                f"negative and windows positive; use the defaults 4, 6, 12, 6, 3"
            )
        if self.d_score < 0:
            raise UserError(f"{WHERE}.d_score: got {self.d_score}; use at least 0")
        if not (self.heartbeat_s > 0 and self.backoff_s >= 0):
            raise UserError("network.gossip: heartbeat_s must be positive, backoff_s not negative; use 1 and 60")

    def scoring(self) -> ScoreParameters | None:
        """Return how neighbours are scored, if they are."""
        if self.score is None:
            return None
        return _bind_score(self.score)


def _bind_score(given: Any) -> ScoreParameters:
    if not isinstance(given, Mapping):
        raise UserError(f"{WHERE}.score: got {given!r}; use a mapping of parameters, {{}} for the defaults")
    known = {field.name for field in fields(ScoreParameters)}
    for name, value in given.items():
        if name not in known:
            raise unknown_name(f"{WHERE}.score", name, known)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{WHERE}.score.{name}: got {value!r}; use a number")
    return ScoreParameters(**given)
