"""Comings and goings: who joins late, leaves, or crashes."""

from __future__ import annotations

from pydantic import Field, model_validator

from simdfl.scenario.fields import Count, NotNegative, Section, Whole, mistake


class MembershipGroup(Section):
    """Honest peers, drawn, that do one thing; give exactly one of join_step, leave_step and crash_step."""

    count: Count = Field(default=1, description="Number of peers, which are drawn among the honest ones.")
    join_step: Count | None = Field(default=None, description="Step in which they register, to begin a probation.")
    leave_step: Whole | None = Field(default=None, description="Last step that they take part in.")
    crash_step: Whole | None = Field(default=None, description="Step at whose beginning they crash.")
    return_after_s: NotNegative | None = Field(
        default=None, description="How long a crash lasts, seconds; null: they never return."
    )

    @model_validator(mode="after")
    def _check(self) -> MembershipGroup:
        keys = ("join_step", "leave_step", "crash_step")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise mistake(f"needs exactly one of join_step, leave_step and crash_step, got {got}")
        if self.return_after_s is not None and self.crash_step is None:
            raise mistake("only who crashes returns; add crash_step or remove return_after_s", ("return_after_s",))
        return self
