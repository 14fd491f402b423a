"""Writing a report: the page with everything in it, and figures and numbers beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import jinja2

from simdfl import __version__
from simdfl.errors import UserError
from simdfl.report import facts
from simdfl.report.cost_figures import (
    bytes_picture,
    gas_picture,
    latency_picture,
    overhead_picture,
    time_picture,
)
from simdfl.report.learning_figures import learning_picture, removals_picture
from simdfl.report.picture import Picture
from simdfl.report.read import RunFolder, SweepFolder, read_folder
from simdfl.report.style import house_style
from simdfl.report.sweep_figures import sweep_pictures, sweep_sheet
from simdfl.report.topology_figure import topology_picture

TEMPLATE = "page.html.j2"


def write_report(folder: Path, page: Path) -> None:
    """Write the page and, into a folder beside it of the same name, every figure as SVG and PNG with its CSV.

    Parameters
    ----------
    folder : Path
        A run folder or a sweep's.
    page : Path
        The HTML file.

    Raises
    ------
    UserError
        If there is nothing to report on, or the place cannot be written.
    """
    source = read_folder(folder)
    _check_place(page)
    with house_style():
        pictures = _pictures(source)
        text = render_page(source, pictures)
        try:
            _write(page, text, pictures)
        except OSError as error:
            raise UserError(f"{page}: cannot be written ({error.strerror}); choose another with --out") from error


def _check_place(page: Path) -> None:
    """Refuse early what could not be written after all the drawing."""
    if not page.suffix:
        raise UserError(f"{page}: needs an ending such as .html, as figures go into a folder of the bare name")
    if page.is_dir() or not page.parent.is_dir() or not os.access(page.parent, os.W_OK):
        raise UserError(f"{page}: cannot be written there; choose another with --out")


def _pictures(source: RunFolder | SweepFolder) -> list[Picture]:
    if isinstance(source, SweepFolder):
        return sweep_pictures(source)
    made = (
        learning_picture(source),
        overhead_picture(source),
        removals_picture(source),
        topology_picture(source),
        bytes_picture(source),
        gas_picture(source),
        time_picture(source),
        latency_picture(source),
    )
    return [picture for picture in made if picture is not None]


def render_page(source: RunFolder | SweepFolder, pictures: list[Picture]) -> str:
    """Return the page as HTML, every figure embedded."""
    loader = jinja2.PackageLoader("simdfl.report", ".")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    if isinstance(source, SweepFolder):
        name, about, tiles = source.path.resolve().name, f"Sweep of {len(source.runs)} runs", []
        tables = [sweep_sheet(source)]
    else:
        name, about = source.provenance["scenario"], _sentence(source)
        tiles, tables = facts.headline(source), facts.sheets(source)
    return environment.get_template(TEMPLATE).render(
        name=name, about=about, tiles=tiles, pictures=pictures, sheets=tables, version=__version__
    )


def _sentence(source: RunFolder) -> str:
    main, peers = source.provenance["runs"]["main"], source.of("main", "peers")
    return (
        f"{source.figures('main')['steps']} steps, {len(peers)} peers, {int(peers['byzantine'].sum())} of them "
        f"Byzantine, seed {source.provenance['seed']}; protocol {main['protocol']}, {main['outcome']}"
    )


def _write(page: Path, text: str, pictures: list[Picture]) -> None:
    """Replace the page and its folder of figures; nothing else beside them is touched."""
    figures = page.with_suffix("") / "figures"
    shutil.rmtree(figures, ignore_errors=True)
    figures.mkdir(parents=True)
    for picture in pictures:
        picture.save(figures)
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)
