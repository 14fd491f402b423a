"""What tells the points of a sweep apart, in few words: for axes, legends and tables on a screen."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

MOST_CHARACTERS = 24
SIZES = ("count", "share", "fraction")


def independent(runs: pd.DataFrame, keys: list[str]) -> list[str]:
    """Return the keys that vary and do not merely follow an earlier one, as zipped keys do."""
    kept: list[str] = []
    for key in keys:
        values = runs[key].astype(str)
        follows = any((values.groupby(runs[other].astype(str)).nunique() == 1).all() for other in kept)
        if values.nunique() > 1 and not follows:
            kept.append(key)
    return kept


def short_names(column: Iterable[Any]) -> list[str]:
    """Return one name per value, short and as distinct as the values.

    Lists and mappings stand in a sweep's tables as JSON; of an entry with a name, the name and how many are
    kept. Where that would make two values alike, they are numbered.

    >>> short_names([2, "step", "[]", '[{"count": 4, "name": "churn", "period": 12}]'])
    ['2', 'step', 'none', 'churn 4']
    >>> short_names(['[{"name": "a", "start_step": 1}]', '[{"name": "a", "start_step": 2}]'])
    ['a #1', 'a #2']
    """
    values = [str(value) for value in column]
    names = {value: _short(value) for value in dict.fromkeys(values)}
    for name in set(names.values()):
        alike = [value for value in names if names[value] == name]
        if len(alike) > 1:
            names |= {value: f"{name} #{number}" for number, value in enumerate(alike, start=1)}
    return [names[value] for value in values]


def _short(text: str) -> str:
    if text[:1] in ("[", "{"):
        with contextlib.suppress(ValueError):
            text = _describe(json.loads(text))
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _describe(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_describe(entry) for entry in value) or "none"
    if isinstance(value, dict) and "name" in value:
        return " ".join(str(value[key]) for key in ("name", *SIZES) if value.get(key) is not None)
    return str(value)
