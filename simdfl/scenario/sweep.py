"""Sweep files: one scenario, and what varies in it.

A sweep's points are all combinations of the lists under ``grid``, the rows of every block under ``zip`` and the
draws under ``random``; every point runs on every seed, with its twins.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic.json_schema import GenerateJsonSchema

from simdfl.scenario.fields import Count, Label, Params, Path, Section, Whole, first_repeated, mistake
from simdfl.scenario.load import read_text
from simdfl.scenario.locate import Tree, read_tree
from simdfl.scenario.sentences import to_user_error

OWN_KEYS = {
    "seed": "list seeds under seeds",
    "name": "the sweep has its own",
    "description": "the sweep has its own",
    "output": "results go to the sweep's folder",
    "baselines": "list baselines to run under twins",
}
"""Keys of a scenario that a sweep must not vary, and what to do instead."""
MAX_RUNS = 100_000

Values = Annotated[tuple[Any, ...], Field(min_length=1, strict=False)]
Pair = Annotated[tuple[float, float], Field(strict=False)]
WholePair = Annotated[tuple[int, int], Field(strict=False)]


class Draw(Section):
    """A distribution that values are drawn from; give exactly one."""

    uniform: Pair | None = Field(default=None, description="Lowest and highest number, all equally likely.")
    log_uniform: Pair | None = Field(
        default=None, description="Lowest and highest number, above 0; all orders of magnitude equally likely."
    )
    int_uniform: WholePair | None = Field(
        default=None, description="Lowest and highest whole number, both included, all equally likely."
    )
    choice: Values | None = Field(default=None, description="The values to choose from, all equally likely.")

    @property
    def kind(self) -> Literal["uniform", "log_uniform", "int_uniform", "choice"]:
        """Return which distribution it is."""
        for kind in ("uniform", "log_uniform", "int_uniform"):
            if getattr(self, kind) is not None:
                return kind
        return "choice"

    @model_validator(mode="after")
    def _check(self) -> Draw:
        given = [kind for kind in type(self).model_fields if getattr(self, kind) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise mistake(f"needs exactly one of uniform, log_uniform, int_uniform and choice, got {got}")
        if self.kind != "choice":
            low, high = getattr(self, self.kind)
            if not low < high:
                raise mistake(f"the lowest value must be below the highest, got {low} and {high}", (self.kind,))
            if self.kind == "log_uniform" and low <= 0:
                raise mistake(f"got {low} as the lowest value; use one above 0", (self.kind,))
        return self


class SeedRange(Section):
    """Consecutive seeds."""

    first: Whole = Field(default=1, description="The first seed.")
    count: Count = Field(description="How many seeds.")


def _expand_seeds(value: Any) -> Any:
    """Write a range of seeds out."""
    if not isinstance(value, dict):
        return value
    first, count = value.get("first", 1), value.get("count")
    known = set(value) <= {"first", "count"} and type(first) is int and type(count) is int
    if not known or not 0 < int(count or 0) <= MAX_RUNS:
        raise mistake("allowed is a list of whole numbers, or a mapping with first and count")
    return list(range(int(first), int(first) + int(count or 0)))


class Sweep(Section):
    """Many runs of one scenario."""

    name: Label = Field(description="Short name of the sweep: letters, digits, '.', '_' and '-'.")
    description: str = Field(default="", description="What the sweep shows, for a reader.")
    base: str | Params = Field(description="The scenario: its path, relative to the sweep file, or its keys.")
    set: Params = Field(default_factory=dict, description="Changes to the scenario in all runs.")
    grid: dict[str, Values] = Field(
        default_factory=dict, description="Values by key path of the scenario; all combinations are run."
    )
    zip: tuple[dict[str, Values], ...] = Field(
        default=(), strict=False, description="Blocks of equally long lists by key path, walked together."
    )
    random: dict[str, Draw] = Field(default_factory=dict, description="Distributions by key path.")
    samples: Count | None = Field(default=None, description="Draws from the distributions.")
    draw_seed: Whole = Field(default=1, description="Root of the draws.")
    seeds: Annotated[
        tuple[Whole, ...],
        BeforeValidator(_expand_seeds, json_schema_input_type=tuple[Whole, ...] | SeedRange),
        Field(strict=False),
    ] = Field(
        default=(), description="Seeds of the runs: a list, or first and count; none is the scenario's own."
    )
    twins: tuple[Label, ...] = Field(
        default=(),
        strict=False,
        description="Baselines of the scenario to run with every point; overhead is against the first.",
    )

    @property
    def keys(self) -> list[str]:
        """Return the key paths that vary, in the order of the file."""
        return [*self.grid, *(key for block in self.zip for key in block), *self.random]

    @model_validator(mode="after")
    def _check(self) -> Sweep:
        check_keys(self)
        for index, block in enumerate(self.zip):
            lengths = {len(values) for values in block.values()}
            if len(lengths) > 1:
                told = ", ".join(f"{key} has {len(values)}" for key, values in block.items())
                raise mistake(f"the lists must be equally long, but {told}", ("zip", index))
        if bool(self.random) != (self.samples is not None):
            here, there = ("random", "samples") if self.random else ("samples", "random")
            raise mistake(f"needs {there} beside it; add {there} or remove {here}", (here,))
        repeated = first_repeated(self.seeds)
        if repeated is not None:
            raise mistake(f"seed {self.seeds[repeated]} stands twice; keep one", ("seeds", repeated))
        return self


def check_keys(sweep: Sweep) -> None:
    """Refuse keys that a sweep must not vary, and keys that vary twice."""
    places: list[tuple[Path, str]] = [(("set", key), key) for key in sweep.set]
    varied: list[tuple[Path, str]] = [(("grid", key), key) for key in sweep.grid]
    varied += [(("zip", index, key), key) for index, block in enumerate(sweep.zip) for key in block]
    varied += [(("random", key), key) for key in sweep.random]
    for path, key in places + varied:
        cure = OWN_KEYS.get(key.split(".")[0])
        if cure is not None:
            raise mistake(f"{key} cannot vary here; {cure}", path)
    counts = Counter(key for _, key in varied)
    for path, key in reversed(varied):
        if counts[key] > 1:
            raise mistake(f"{key} varies twice; keep one", path)


@cache
def sweep_schema_text() -> str:
    """Return the content of ``scenarios/sweep.schema.json``."""
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **Sweep.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def load_sweep(path: str | FilePath) -> tuple[Sweep, Tree]:
    """Read a sweep file; return it with the lines of its values.

    Raises
    ------
    UserError
        For every mistake in it: one sentence with the line and the cure.
    """
    return loads_sweep(read_text(FilePath(path)), str(path))


def loads_sweep(text: str, path: str = "sweep") -> tuple[Sweep, Tree]:
    r"""Read a sweep from `text`; `path` names it in messages.

    >>> loads_sweep("name: x\nbase: {name: y}\ngrid: {peers.count: [8, 16]}")[0].keys
    ['peers.count']
    """
    tree = read_tree(text, path)
    try:
        return Sweep.model_validate(tree.value), tree
    except ValidationError as error:
        raise to_user_error(error, tree, json.loads(sweep_schema_text())) from None
