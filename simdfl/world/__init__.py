"""Assembly: the only place that knows all rooms. Scenario → running world → :class:`RunResult`."""

from simdfl.world.build import World, build
from simdfl.world.result import RunResult

__all__ = ["RunResult", "World", "build"]
