"""The kinds of values that a scenario holds, and how a check reports what it found.

Types are strict: ``true`` is no number and ``"3"`` is no whole number, but a whole number may stand where a
number is expected. Names on shelves (topologies, attacks, datasets, …) are plain texts here, as looking them
up would import the shelves; the assembler checks them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WithJsonSchema,
    model_serializer,
)
from pydantic_core import PydanticCustomError

Path = tuple[str | int, ...]

# What a 64-bit column of a result table and a 256-bit word of the chain can hold.
MAX_WHOLE = 2**63 - 1
MAX_WEI = 2**256 - 1
MISTAKE = "scenario_mistake"
PARAMS = "Parameters of that entry of the shelf, by name."


class Section(BaseModel):
    """Base of all parts of a scenario: frozen, strict and closed to unknown keys.

    Fields named in ``unwritten`` are written only where they differ from their default, so that a run that does
    not use them keeps its digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    unwritten: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _omit_ordinary(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        for key in self.unwritten:
            if getattr(self, key) == type(self).model_fields[key].get_default(call_default_factory=True):
                written.pop(key, None)
        return written


def mistake(sentence: str, *paths: Path) -> PydanticCustomError:
    """Build the error of a check that looks at several fields.

    Parameters
    ----------
    sentence : str
        What is wrong, what is allowed and the cure; it must read well after any of the `paths`.
    *paths : tuple of (str or int)
        Fields that could cure it, relative to the part that is being checked. The report points at the
        first one that the user wrote.
    """
    return PydanticCustomError(MISTAKE, "{sentence}", {"sentence": sentence, "paths": paths or ((),)})


def _read_radius(value: Any) -> Any:
    return math.inf if value == "inf" else value


def _check_radius(value: float) -> float:
    if not value > 0:
        raise mistake(f"got {value}; allowed is a number above 0 or the word inf (no clipping)")
    return value


def _write_radius(value: float) -> float | str:
    return "inf" if math.isinf(value) else value


def _check_plain(params: dict[str, Any]) -> dict[str, Any]:
    _require_plain(params, ())
    return params


def _require_plain(value: Any, path: Path) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _require_plain(item, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        raise mistake(f"got {value}; allowed are finite numbers", path)
    elif not (value is None or isinstance(value, (bool, int, float, str))):
        raise mistake(f"got a {type(value).__name__}; allowed are numbers, texts, lists and mappings", path)


def _check_folder(folder: str) -> str:
    if not folder.strip() or not folder.isprintable():
        raise mistake(f"got {folder!r}; allowed is the path of a folder, without control characters")
    return folder


def first_repeated(items: Sequence[int]) -> int | None:
    """Return the index of the first item that stood before, or None.

    >>> first_repeated([3, 5, 3]), first_repeated([1, 2])
    (2, None)
    """
    seen: set[int] = set()
    for index, item in enumerate(items):
        if item in seen:
            return index
        seen.add(item)
    return None


Count = Annotated[int, Field(ge=1, le=MAX_WHOLE)]
Whole = Annotated[int, Field(ge=0, le=MAX_WHOLE)]
Wei = Annotated[int, Field(ge=0, le=MAX_WEI)]
Nominal = Annotated[int, Field(ge=1, le=10**9)]
Lanes = Annotated[int, Field(ge=1, le=4096)]
BlockGas = Annotated[int, Field(ge=2_000_000, le=MAX_WHOLE)]
Fee = Annotated[int, Field(ge=0, le=10**18)]
Mbps = Annotated[float, Field(ge=1e-3, le=1e6)]
Spread = Annotated[float, Field(ge=0, le=3)]
Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
OthersGas = Annotated[int, Field(ge=21_000, le=10**9)]
Expiry = Annotated[float, Field(ge=1, le=1e9)]
ReorgDepth = Annotated[int, Field(ge=1, le=100)]
BlockTime = Annotated[float, Field(ge=0.05, le=3600)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Radius = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(_read_radius),
    AfterValidator(_check_radius),
    PlainSerializer(_write_radius),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "inf"}]}),
]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
ShelfName = Annotated[str, StringConstraints(min_length=1)]
Folder = Annotated[str, AfterValidator(_check_folder)]
Params = Annotated[dict[str, Any], AfterValidator(_check_plain)]
