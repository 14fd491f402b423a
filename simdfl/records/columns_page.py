"""The page of all columns, ``docs/columns.md``: ``python -m simdfl.records.columns_page > docs/columns.md``."""

from __future__ import annotations

from collections.abc import Iterator

from simdfl.records import columns

HEAD = """# Columns

Every column of every table. This page is generated: `python -m simdfl.records.columns_page > docs/columns.md`.

`simdfl.load(folder)` returns the tables of a run's or a sweep's folder as pandas DataFrames by name. Every
Parquet file carries its provenance, `frame.attrs`: digests, version and the meaning of its columns.
"""
INTERVALS = (
    "Then follow the means of the figures of `runs.parquet` over the completed seeds, each with `_low` "
    "and `_high`: the 95 % interval by Student's t over seeds, empty for a single seed. Shares of runs have "
    "theirs by Wilson's score (`simdfl/records/intervals.py`)."
)


def unit_of(column: str) -> str:
    """Return the unit of a column by the end of its name; a dash where there is none.

    >>> unit_of("step_s"), unit_of("gas"), unit_of("peer")
    ('s', 'gas', '–')
    """
    for ending, unit in columns.UNITS.items():
        if column == ending or (ending.startswith("_") and column.endswith(ending)):
            return unit
    return "–"


def page() -> str:
    """Return the page."""
    sections = [HEAD, "## A run's folder\n", *_table("in every table", columns.RUN_COLUMNS)]
    for name, meanings in columns.TABLES.items():
        sections += _table(f"`{name}.parquet`", meanings)
    varied = {**columns.SWEEP_COLUMNS, **columns.OUTCOME_COLUMNS, **columns.FIGURES, **columns.OVERHEAD_COLUMNS}
    sections += ["## A sweep's folder\n", *_table("`runs.parquet`", varied)]
    steps = {**columns.SWEEP_COLUMNS, **columns.TABLES["steps"]}
    sections += _table("`steps.parquet`", steps)
    sections += [*_table("`points.csv`", columns.POINT_COLUMNS), INTERVALS]
    return "\n".join(sections) + "\n"


def _table(title: str, meanings: dict[str, str]) -> Iterator[str]:
    yield f"### {title}\n\n| column | unit | meaning |\n| --- | --- | --- |"
    for name, meaning in meanings.items():
        unit = unit_of(name)
        yield f"| `{name}` | {unit} | {meaning.removesuffix(f', {unit}').removesuffix(f', {unit}s')} |"
    yield ""


if __name__ == "__main__":
    print(page(), end="")
