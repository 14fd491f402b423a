"""Reports: one page with everything in it, of a run folder or a sweep's tables; mistakes in one sentence."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import html5lib
import pandas as pd
import pytest
from recorded_run import small_run, write_small

from simdfl.report.__main__ import main
from simdfl.report.facets import facets_picture
from simdfl.report.learning_figures import learning_picture
from simdfl.report.read import RunFolder, read_folder
from simdfl.report.style import house_style
from simdfl.report.sweep_figures import mean_interval

PICTURES = ("learning", "overhead", "removals", "topology", "bytes", "gas", "time", "latency")
SHEETS = ("robustness", "cost", "removals", "traffic", "calls", "assurance", "accounts", "provenance")
HTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder with its report."""
    folder = write_small(tmp_path_factory.mktemp("report") / "run")
    assert main([str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> ET.Element:
    """Return the page, parsed as a browser does; any error of its syntax raises."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    return html5lib.HTMLParser(strict=True).parse(text)


def test_every_figure_is_embedded_and_described(page: ET.Element) -> None:
    images = page.findall(f".//{HTML}img")
    assert len(images) == len(PICTURES)
    for image in images:
        kind, encoded = re.fullmatch(r"data:image/(svg\+xml|png);base64,(.*)", image.attrib["src"]).groups()
        raw = base64.b64decode(encoded, validate=True)
        assert ET.fromstring(raw).tag.endswith("svg") if kind == "svg+xml" else raw.startswith(b"\x89PNG")
        assert re.search(r"\d", image.attrib["alt"])


def test_every_section_is_there(page: ET.Element) -> None:
    sections = [section.attrib["id"] for section in page.findall(f".//{HTML}section")]
    assert set(sections) == {f"figure-{name}" for name in PICTURES} | {f"table-{name}" for name in SHEETS}
    links = {link.attrib["href"] for link in page.findall(f".//{HTML}a")}
    assert links == {f"#{section}" for section in sections}


def test_tables_name_their_columns_and_rows(page: ET.Element) -> None:
    tables = page.findall(f".//{HTML}table")
    assert len(tables) == len(SHEETS)
    for table in tables:
        headings = table.findall(f"{HTML}thead/{HTML}tr/{HTML}th")
        assert {heading.attrib["scope"] for heading in headings} == {"col"}
        for row in table.findall(f"{HTML}tbody/{HTML}tr"):
            assert len(row) == len(headings)
            assert row[0].attrib["scope"] == "row"


def test_the_page_asks_for_nothing_and_runs_nothing(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|@import|url\(|<link(?! rel=\"icon\" href=\"data:,\")", text)
    assert len(text) < 5_000_000


def test_the_robustness_table_says_what_the_runs_came_to(page: ET.Element) -> None:
    [section] = [s for s in page.findall(f".//{HTML}section") if s.attrib["id"] == "table-robustness"]
    rows = {row[0].text: [cell.text for cell in row] for row in section.findall(f".//{HTML}tbody/{HTML}tr")}
    _, results = small_run()
    assert list(rows) == list(results)
    for name, result in results.items():
        assert f"{100 * result.accuracy:.1f} %" in rows[name]
        removed = len({row["peer"] for row in result.removals if row["byzantine"]})
        liars = sum(row["byzantine"] for row in result.peers)
        assert rows[name][7] == (f"{removed} of {liars}" if liars else "–")


def test_figures_and_their_numbers_lie_beside(folder: Path) -> None:
    files = {path.name for path in (folder / "report" / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in PICTURES for kind in ("svg", "png", "csv")}
    overhead = pd.read_csv(folder / "report" / "figures" / "overhead.csv").set_index("run")
    _, results = small_run()
    for name, result in results.items():
        sent = sum(row["sent_control_bytes"] for row in result.peers)
        steps, n = result.summary["steps"], len(result.peers)
        assert overhead.loc[name, "control_bytes"] == pytest.approx(sent / steps / n)


def test_equal_folders_give_equal_bytes(folder: Path) -> None:
    source = read_folder(folder)
    assert isinstance(source, RunFolder)
    with house_style():
        again = learning_picture(source).svg
    assert again == (folder / "report" / "figures" / "learning.svg").read_bytes()


def test_the_run_folder_tells_the_overlay_s_links(folder: Path) -> None:
    links = pd.read_parquet(folder / "topology.parquet").query("run == 'main'")
    assert len(links) == 20  # ten peers of degree four
    assert (links["peer"] < links["neighbour"]).all()
    assert links["latency_s"].between(1e-4, 1.0).all()


def sweep_folder(folder: Path) -> Path:
    """Write a sweep's tables: three sizes, three seeds, control bytes quadratic in n."""
    rows = [
        {"point": point, "peers.count": n, "seed": seed, "run": "main", "protocol": "verified"}
        | {"accuracy": 0.9 + 0.01 * seed, "step_s": 6.0, "control_bytes": 10.0 * n**2}
        | {f"overhead_{part}_s": 0.5 for part in ("compute", "traffic", "chain", "waiting")}
        for point, n in enumerate((4, 8, 16))
        for seed in (1, 2, 3)
    ]
    steps = [row | {"step": step, "loss": 1.0 / (step + 1)} for row in rows for step in range(4)]
    folder.mkdir()
    pd.DataFrame(rows).to_parquet(folder / "runs.parquet")
    pd.DataFrame(steps).to_parquet(folder / "steps.parquet")
    return folder


def test_a_sweep_gets_bands_and_growth(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "sweep")
    assert main([str(folder)]) == 0
    figures = folder / "report" / "figures"
    bands = pd.read_csv(figures / "bands.csv").query("figure == 'accuracy' and step == 0")
    assert len(bands) == 3
    assert bands["mean"].tolist() == pytest.approx([0.92] * 3)
    assert (bands["low"] < 0.92).all()
    assert (bands["high"] > 0.92).all()
    overhead = pd.read_csv(figures / "overhead.csv")
    assert overhead["point"].tolist() == [4, 8, 16]
    assert (overhead["overhead_chain_s"] == 0.5).all()
    growth = pd.read_csv(figures / "growth-peers-count.csv").set_index("cost")
    assert growth.loc["control_bytes", "exponent"] == pytest.approx(2.0)
    assert "2.00 ± 0.00" in (folder / "report.html").read_text(encoding="utf-8")


def test_facets_give_the_second_key_its_panels() -> None:
    runs = pd.DataFrame(
        [
            {"network.latency_ms": lag, "network.jitter": lag / 10, "faults": faults, "seed": seed, "run": "main"}
            | {"step_s": lag + seed, "gas": 0.0, "accuracy": 0.5}
            for lag in (1.0, 50.0, 200.0)
            for faults in ("[]", '[{"name": "churn", "count": 2}]')
            for seed in (1, 3)
        ]
    )
    picture = facets_picture(runs, ["network.latency_ms", "network.jitter", "faults"])
    assert picture is not None
    assert set(picture.data["measure"]) == {"step_s", "accuracy"}
    assert set(picture.data["row"]) == {"none", "churn 2"}
    point = picture.data.query("measure == 'step_s' and row == 'churn 2' and x == '50.0'").iloc[0]
    assert (point["mean"], point["high"] - point["mean"]) == (52.0, pytest.approx(12.706205, rel=1e-6))
    assert len(picture.figure.axes) == 4
    assert {axes.get_xscale() for axes in picture.figure.axes} == {"log"}
    assert facets_picture(runs[runs["network.latency_ms"] == 1.0].assign(faults="[]"), ["faults"]) is None


def test_the_interval_is_student_s() -> None:
    mean, low, high = mean_interval(pd.Series([1.0, 2.0, 3.0]).to_numpy())
    assert (mean, high - mean) == (2.0, pytest.approx(mean - low))
    assert high - mean == pytest.approx(4.302653 / 3**0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: (folder / "peers.parquet").unlink(), "holds neither a run nor a sweep"),
        (lambda folder: (folder / "steps.parquet").write_bytes(b"PAR1"), "steps.parquet: is missing or damaged"),
        (lambda folder: (folder / "provenance.json").write_text("{"), "provenance.json: cannot be read"),
        (
            lambda folder: (folder / "provenance.json").write_text(json.dumps({"format": "x", "runs": {}})),
            "is of another format",
        ),
    ],
)
def test_mistakes_are_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: object, sentence: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    damage(copy)
    assert main([str(copy)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert sentence in said.err


def test_a_page_needs_a_place(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([str(folder), "--out", str(tmp_path / "file" / "x.html")]) == 2
    assert main([str(folder), "--out", str(tmp_path / "bare")]) == 2
    assert main([]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert ["cannot be written" in errors[0], "needs an ending" in errors[1], "no folder given" in errors[2]] == (
        [True] * 3
    )


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from simdfl.report.__main__ import make_parser; make_parser().format_help();"
        "print(sorted({'matplotlib', 'seaborn', 'pandas', 'jax', 'jinja2'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
