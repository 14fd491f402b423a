"""Groups of peers that are not as they should be: who attacks or fails, how, and when."""

from __future__ import annotations

from pydantic import Field, model_validator

from simdfl.scenario.fields import PARAMS, Count, Params, Section, ShelfName, Whole, first_repeated, mistake


class PeerGroup(Section):
    """Peers with one behaviour; give exactly one of `fraction`, `count` and `peers`."""

    name: ShelfName = Field(description="Behaviour: a name on the shelf or your own class as module:Class.")
    fraction: float | None = Field(
        default=None,
        gt=0,
        json_schema_extra={"exclusiveMaximum": 0.5},
        description="Part of all peers, above 0 and below 0.5; rounded to whole peers, which are drawn.",
    )
    count: Count | None = Field(default=None, description="Number of peers, which are drawn.")
    peers: tuple[Whole, ...] | None = Field(
        default=None, strict=False, description="Numbers of the peers themselves, from 0."
    )
    start_step: Whole = Field(default=0, description="First step in which it shows.")
    stop_step: Whole | None = Field(default=None, description="First step without it again; null is never.")
    period: Count = Field(default=1, description="Once in so many steps, counted from start_step.")
    params: Params = Field(default_factory=dict, description=PARAMS)

    @property
    def size_key(self) -> str:
        """Return which of the three keys tells the size of the group."""
        return "fraction" if self.fraction is not None else "count" if self.count is not None else "peers"

    def size(self, n: int) -> int:
        """Return how many of `n` peers this group takes.

        >>> AdversaryGroup(name="sign_flip", fraction=0.3).size(20)
        6
        """
        if self.peers is not None:
            return len(self.peers)
        return self.count if self.count is not None else round((self.fraction or 0.0) * n)

    @model_validator(mode="after")
    def _check(self) -> PeerGroup:
        given = [key for key in ("fraction", "count", "peers") if getattr(self, key) is not None]
        if len(given) != 1:
            got, cure = (" and ".join(given), "set all but one to null") if given else ("none", "add one")
            raise mistake(f"needs exactly one of fraction, count and peers, got {got}; {cure}")
        if self.peers == ():
            raise mistake("the list is empty; name at least one peer or remove the group", ("peers",))
        repeated = first_repeated(self.peers or ())
        if self.peers is not None and repeated is not None:
            raise mistake(f"peer {self.peers[repeated]} stands twice; keep one", ("peers", repeated))
        if self.stop_step is not None and self.stop_step <= self.start_step:
            raise mistake(
                f"it starts in step {self.start_step} and must stop later, got {self.stop_step}; "
                f"use at least {self.start_step + 1}",
                ("stop_step",),
            )
        return self


class AdversaryGroup(PeerGroup):
    """Byzantine peers with one behaviour; give exactly one of `fraction`, `count` and `peers`."""


class FaultGroup(PeerGroup):
    """Honest peers with one fault; give exactly one of `fraction`, `count` and `peers`."""
