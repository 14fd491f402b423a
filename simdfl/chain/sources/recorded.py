"""Block times from a record of a real chain, repeated for as long as a run takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from simdfl.chain.sources.base import BlockSource, Found
from simdfl.errors import UserError

US = 1_000_000
MOST_TIMES = 1_000_000


@dataclass(frozen=True)
class Recorded(BlockSource):
    """The gaps of a record, again and again.

    Parameters
    ----------
    block_time_s : float
        Mean gap, as :func:`read_gaps_us` and :meth:`of` give it.
    gaps_us : tuple of int
        Gaps in microseconds.
    """

    name = "recorded"

    gaps_us: tuple[int, ...] = field(default=())

    @classmethod
    def of(cls, gaps_us: tuple[int, ...]) -> Recorded:
        """Return the source of these gaps."""
        return cls(sum(gaps_us) / len(gaps_us) / US, gaps_us)

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Yield the first block one gap after the start, and so on; nothing is drawn."""
        at_us = 0
        for gap_us in cycle(self.gaps_us):
            at_us += gap_us
            yield Found(at_us / US)

    @cached_property
    def _ends_us(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(np.tile(np.asarray(self.gaps_us, dtype=np.int64), 2))])

    def span_s(self, blocks: int) -> float:
        """Return the longest time that so many successive blocks take anywhere in the record."""
        rounds, rest = divmod(blocks, len(self.gaps_us))
        whole_us = rounds * int(self._ends_us[len(self.gaps_us)])
        longest_us = int((self._ends_us[rest:] - self._ends_us[: len(self._ends_us) - rest]).max())
        return (whole_us + longest_us) / US

    def params(self) -> dict[str, Any]:
        """Return the gaps in microseconds."""
        return {"gaps_us": list(self.gaps_us)}


def read_gaps_us(file: str) -> tuple[int, ...]:
    """Return the gaps between the timestamps in a text file.

    Parameters
    ----------
    file : str
        One time in seconds a line, ascending; two may be equal. Empty lines and lines with # are passed over.

    Raises
    ------
    UserError
        If the file cannot be read, or a line is no number or earlier than the one before.
    """
    where = "chain.source.params.file"
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(f"{where}: {file!r} cannot be read ({reason})") from error
    times_us: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        times_us.append(_read_time_us(f"{where}: {file}:{number}", line.strip()))
        if len(times_us) > 1 and times_us[-1] < times_us[-2]:
            raise UserError(f"{where}: {file}:{number} is earlier than the time before it; sort the lines")
    if len(times_us) < 2 or times_us[0] == times_us[-1] or len(times_us) > MOST_TIMES:
        raise UserError(
            f"{where}: {file} holds {len(times_us)} times; allowed are 2 to {MOST_TIMES}, not all equal"
        )
    return tuple(after - before for before, after in pairwise(times_us))


def _read_time_us(place: str, text: str) -> int:
    try:
        time_s = float(text)
    except ValueError:
        time_s = math.nan
    if not abs(time_s) < 1e11:
        raise UserError(f"{place} holds {text[:40]!r}; allowed is a time in seconds, such as 1716900011.25")
    return round(time_s * US)
