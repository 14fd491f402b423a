"""Comings and goings: who joins late, and who leaves."""

from __future__ import annotations

from pydantic import Field, model_validator

from simdfl.scenario.fields import Count, Section, Whole, mistake


class MembershipGroup(Section):
    """Honest peers, drawn, that join late or leave; give exactly one of join_step and leave_step."""

    count: Count = Field(default=1, description="Number of peers, which are drawn among the honest ones.")
    join_step: Count | None = Field(
        default=None, description="Step in which they register, to begin a probation."
    )
    leave_step: Whole | None = Field(default=None, description="Last step that they take part in.")

    @model_validator(mode="after")
    def _check(self) -> MembershipGroup:
        keys = ("join_step", "leave_step")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise mistake(f"needs exactly one of join_step and leave_step, got {got}; keep or add one")
        return self
